// SPDX-License-Identifier: Apache-2.0
// The state each second, and its past. Method: virtual time, and a cluster that counts how often it is asked.
#include "manager/live.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/testing/virtual_executor.h"

namespace skep::manager {
namespace {

class LiveTest : public ::testing::Test {
 protected:
  LiveTest()
      : live(executor, [this](Reply<api::v1::ClusterReply> reply) {
          ++asked;
          api::v1::ClusterReply state;
          state.set_now_ms(to_unix_ms(executor.now()));
          state.mutable_tasks()->set_queued(static_cast<std::uint64_t>(asked));
          state.mutable_waits()->set_p95_ms(7);
          if (is_silent) {
            held = std::move(reply);
          } else {
            reply(std::move(state));
          }
        }) {
    live.start();
  }
  Live::Viewer viewer() {
    return [this](const std::string& event) {
      seen.push_back(event);
      return !is_gone;
    };
  }
  static boost::json::value data(const std::string& event) {
    return boost::json::parse(event.substr(event.find("data: ") + 6));
  }

  testing::VirtualExecutor executor;
  int asked = 0;
  bool is_silent = false;
  bool is_gone = false;
  Reply<api::v1::ClusterReply> held;
  std::vector<std::string> seen;
  Live live;
};

TEST_F(LiveTest, ViewerGetsTheHeadThenTheStateEachSecond) {
  live.watch("admin", viewer());
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen[0].starts_with("event: head\ndata: {"));
  EXPECT_EQ(data(seen[0]).at("role").as_string(), "admin");
  EXPECT_TRUE(seen[1].starts_with("event: cluster\ndata: {"));
  EXPECT_TRUE(seen[1].ends_with("}\n\n"));
  executor.run_for(seconds(10));
  EXPECT_EQ(seen.size(), 12u);
}

TEST_F(LiveTest, IsAskedOnceForAllViewersAndSeldomForNone) {
  const int before = asked;
  executor.run_for(seconds(10));
  EXPECT_EQ(asked - before, 5) << "for the past alone";
  for (int i = 0; i < 50; ++i) live.watch("", viewer());
  const int watched = asked;
  executor.run_for(seconds(10));
  EXPECT_EQ(asked - watched, 10);
}

TEST_F(LiveTest, HistoryIsEveryOtherSecondAndBounded) {
  executor.run_for(hours(2));
  live.watch("", viewer());
  const auto head = data(seen[0]);
  const auto& history = head.at("history");
  const auto& at = history.at("at_ms").as_array();
  ASSERT_GE(at.size(), Live::kSamplesMax);
  EXPECT_LT(at.size(), 2 * Live::kSamplesMax);
  EXPECT_EQ(at[1].to_number<std::int64_t>() - at[0].to_number<std::int64_t>(), 2'000);
  for (const auto& column : history.as_object()) {
    EXPECT_EQ(column.value().as_array().size(), at.size()) << column.key();
  }
  EXPECT_EQ(history.at("wait_p95_ms").as_array().back().to_number<int>(), 7);
}

TEST_F(LiveTest, ViewerThatIsGoneIsForgotten) {
  live.watch("", viewer());
  is_gone = true;
  executor.run_for(seconds(3));
  EXPECT_EQ(seen.size(), 3u);
}

TEST_F(LiveTest, StateThatTakesLongIsNotAskedForAgainMeanwhile) {
  is_silent = true;
  live.watch("", viewer());
  const int before = asked;
  executor.run_for(seconds(5));
  EXPECT_EQ(asked - before, 1);
  is_silent = false;
  held(api::v1::ClusterReply{});
  executor.run_for(seconds(1));
  EXPECT_EQ(asked - before, 2);
}

}  // namespace
}  // namespace skep::manager
