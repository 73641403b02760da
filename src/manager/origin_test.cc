// SPDX-License-Identifier: Apache-2.0
// Pages of other sites change nothing by somebody's browser, and read nothing by a name of their own.
#include "manager/origin.h"

#include <gtest/gtest.h>

namespace skep::manager {
namespace {

using api::Endpoint;
using Fields = std::vector<std::pair<std::string, std::string>>;

bool may(http::Method method, Endpoint endpoint, const Fields& fields) {
  http::Request request;
  request.method = method;
  for (const auto& [name, value] : fields) request.headers.set(name, value);
  if (!is_of_browser(request.headers)) return true;
  const auto checked = check_origin(request, endpoint, {"queue.example", "10.0.0.7"});
  EXPECT_TRUE(checked || checked.error().code == Code::kForbidden);
  return checked.has_value();
}
bool may_put(const Fields& fields) {
  return may(http::Method::kPut, Endpoint::kSeedEnqueue, fields);
}
bool may_look(const Fields& fields) {
  return may(http::Method::kGet, Endpoint::kCluster, fields);
}

TEST(Origin, ProgramsAreLetInWhateverTheyCallTheManager) {
  EXPECT_TRUE(may_put({{"Host", "127.0.0.1:8080"}, {"User-Agent", "curl/7.88.1"}}));
  EXPECT_TRUE(may_put({{"Host", "queue.internal:8080"}, {"User-Agent", "python-requests/2.28"}}));
  EXPECT_TRUE(may_put({}));
}

TEST(Origin, ItsOwnPageIsLetIn) {
  EXPECT_TRUE(may_put({{"Host", "127.0.0.1:8080"},
                       {"Origin", "http://127.0.0.1:8080"},
                       {"Sec-Fetch-Site", "same-origin"},
                       {"User-Agent", "Mozilla/5.0"}}));
  EXPECT_TRUE(may_put({{"Host", "Queue.example"}, {"Origin", "https://queue.example"}}));
  EXPECT_TRUE(may_look({{"Host", "localhost:8080"}, {"Sec-Fetch-Site", "none"}}));
  EXPECT_TRUE(may_look({{"Host", "[::1]:8080"}, {"Accept-Language", "de"}}));
}

TEST(Origin, PagesOfOtherSitesChangeNothing) {
  const Fields host = {{"Host", "127.0.0.1:8080"}};
  const Fields by[] = {{{"Origin", "https://evil.example"}},
                       {{"Origin", "http://127.0.0.1:9090"}},
                       {{"Origin", "null"}},
                       {{"Sec-Fetch-Site", "cross-site"}},
                       {{"Sec-Fetch-Site", "same-site"}}};
  for (const Fields& more : by) {
    Fields fields = host;
    fields.insert(fields.end(), more.begin(), more.end());
    EXPECT_FALSE(may_put(fields)) << more[0].second;
    EXPECT_FALSE(may(http::Method::kPost, Endpoint::kSeedPullCompleted, fields)) << more[0].second;
    EXPECT_FALSE(may(http::Method::kGet, Endpoint::kSeedGetWork, fields)) << more[0].second;
    EXPECT_TRUE(may_look(fields)) << "the browser shows them no answer: " << more[0].second;
  }
}

TEST(Origin, ANameThatAStrangerMayHavePointedHereIsNoneOfOurs) {
  const Fields browsers[] = {
      {{"Accept-Language", "en"}}, {{"User-Agent", "Mozilla/5.0"}}, {{"Referer", "x"}}};
  for (Fields fields : browsers) {
    fields.push_back({"Host", "rebound.example:8080"});
    EXPECT_FALSE(may_look(fields)) << fields[0].first;
    fields.back().second = "queue.example:8080";
    EXPECT_TRUE(may_look(fields)) << fields[0].first;
  }
  EXPECT_FALSE(may_look({{"Accept-Language", "en"}})) << "no name at all";
}

TEST(Origin, HostsAreReadWithoutTheirPorts) {
  EXPECT_EQ(host_without_port("a.example:80"), "a.example");
  EXPECT_EQ(host_without_port("a.example"), "a.example");
  EXPECT_EQ(host_without_port("[::1]:80"), "::1");
  EXPECT_EQ(host_without_port("::1"), "::1");
  EXPECT_EQ(host_without_port("["), "");
  EXPECT_EQ(host_without_port(""), "");
}

}  // namespace
}  // namespace skep::manager
