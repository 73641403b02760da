// SPDX-License-Identifier: Apache-2.0
// Goal: over TLS server and client do what they do without, and trust only whom they should.
// Method: the project's own client and server, with authorities made for each test.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "base/clock.h"
#include "base/runner.h"
#include "http/client.h"
#include "http/testing/echo_server.h"
#include "http/tls.h"

namespace skep::http {
namespace {

using testing::EchoServer;
using testing::RawConnection;

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "skep-tls-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~TlsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  OwnAuthority authority(const std::string& name, const std::vector<std::string>& names = {"127.0.0.1"}) {
    auto made = keep_own_authority(directory_ + "/" + name, names);
    EXPECT_TRUE(made) << made.error().message;
    return made.value();
  }
  static ServerOptions with(const std::string& server_file) {
    ServerOptions options;
    options.tls = {server_file, server_file, {}};
    options.threads = 2;
    options.body_bytes_max = 32 << 20;
    return options;
  }
  std::unique_ptr<Client> client(const std::string& ca_file) {
    ClientOptions options;
    options.tls.ca_file = ca_file;
    return std::make_unique<Client>(clock_, std::move(options));
  }
  Result<Response> get(Client& client, int port, const std::string& scheme = "https") {
    ClientRequest request;
    request.target = "/x";
    return client.send_wait(parse_url(scheme + "://127.0.0.1:" + std::to_string(port)).value(),
                            std::move(request), clock_.now() + seconds(20));
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void replace(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to + ".new", std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(to + ".new", to);
  }

  SystemClock clock_;
  std::string directory_;
};

TEST_F(TlsTest, RequestsAreAnsweredOnOneConnection) {
  const auto own = authority("a");
  const EchoServer server(with(own.server_file));
  const auto peer = client(own.ca_file);
  for (int i = 0; i < 20; ++i) {
    const auto answer = get(*peer, server.port());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer.value().body, "GET /x []");
  }
  EXPECT_EQ(server.server->stats().connections, 1u);
}

TEST_F(TlsTest, BigBodiesGoBothWays) {
  const auto own = authority("a");
  const EchoServer server(with(own.server_file));
  const auto peer = client(own.ca_file);
  std::string body;
  for (std::size_t i = 0; i < (20u << 20); ++i) body += static_cast<char>('a' + i % 23);
  ClientRequest request;
  request.method = Method::kPost;
  request.target = "/";
  request.body = std::make_shared<const std::string>(body);
  const auto answer = peer->send_wait(parse_url("https://127.0.0.1:" + std::to_string(server.port())).value(),
                                      std::move(request), clock_.now() + minutes(1));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(*answer.value().body == "POST / [" + body + "]");
}

TEST_F(TlsTest, ManyRequestsAtOnce) {
  const auto own = authority("a");
  const EchoServer server(with(own.server_file));
  const auto peer = client(own.ca_file);
  Runner runner(clock_, "reply");
  constexpr int kRequests = 100;
  std::promise<void> all;
  int replies = 0;  // of the runner's thread alone
  for (int i = 0; i < kRequests; ++i) {
    ClientRequest request;
    request.target = "/" + std::to_string(i);
    const std::string expected = "GET " + request.target + " []";
    peer->send(parse_url("https://127.0.0.1:" + std::to_string(server.port())).value(), std::move(request),
               clock_.now() + seconds(30), runner, [&, expected](Result<Response> result) {
                 ASSERT_TRUE(result) << result.error().message;
                 EXPECT_EQ(*result.value().body, expected);
                 if (++replies == kRequests) all.set_value();
               });
  }
  all.get_future().wait();
}

TEST_F(TlsTest, AnUnknownAuthorityIsNotTrusted) {
  const EchoServer server(with(authority("a").server_file));
  for (const auto& ca : {authority("b").ca_file, std::string()}) {
    const auto peer = client(ca);
    const auto answer = get(*peer, server.port());
    ASSERT_FALSE(answer) << ca;
    EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
    EXPECT_NE(answer.error().message.find("not trusted"), std::string::npos) << answer.error().message;
  }
  EXPECT_EQ(server.server->stats().requests, 0u);
}

TEST_F(TlsTest, TheCertificateMustBeOfTheNameUnlessItIsItselfTrusted) {
  const auto own = authority("a", {"other.example", "127.0.0.2"});
  const EchoServer server(with(own.server_file));
  const auto by_authority = client(own.ca_file);
  const auto refused = get(*by_authority, server.port());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
  EXPECT_NE(refused.error().message.find("mismatch"), std::string::npos) << refused.error().message;
  const auto by_certificate = client(own.server_file);
  EXPECT_TRUE(get(*by_certificate, server.port()));
  // Another one of the same authority is not meant.
  const auto second = keep_own_authority(directory_ + "/a", {"127.0.0.3"});
  ASSERT_TRUE(second);
  const EchoServer other(with(own.server_file));
  const auto before = directory_ + "/before.pem";
  std::ofstream(before) << read(own.ca_file);
  const auto stale = client(before);
  EXPECT_FALSE(get(*stale, other.port()));
}

TEST_F(TlsTest, ANewCertificateIsUsedFromTheNextConnectionOn) {
  const auto first = authority("a"), second = authority("b");
  const std::string server_file = directory_ + "/server.pem", ca_file = directory_ + "/ca.pem";
  replace(first.server_file, server_file);
  replace(first.ca_file, ca_file);
  const EchoServer server(with(server_file));
  const auto follower = client(ca_file);
  ASSERT_TRUE(get(*follower, server.port()));
  replace(second.server_file, server_file);
  replace(second.ca_file, ca_file);
  EXPECT_TRUE(get(*follower, server.port())) << "the connection that stands goes on";
  const auto of_second = client(second.ca_file), of_first = client(first.ca_file);
  EXPECT_TRUE(get(*of_second, server.port()));
  EXPECT_FALSE(get(*of_first, server.port()));
  // What can not be used changes nothing.
  std::ofstream(server_file) << "no certificate";
  const auto late = client(second.ca_file);
  EXPECT_TRUE(get(*late, server.port()));
  // The follower's next connection trusts by what the file has now.
  const EchoServer next(with(second.server_file));
  EXPECT_TRUE(get(*follower, next.port()));
}

TEST_F(TlsTest, PlainHttpIsToldToComeByTls) {
  const EchoServer server(with(authority("a").server_file));
  RawConnection connection(server.port());
  const auto answer = connection.roundtrip(testing::get("/x"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body, "this port speaks TLS: its URL begins https://\n");
  EXPECT_TRUE(connection.is_at_end());
  EXPECT_EQ(server.server->stats().requests, 0u);
}

TEST_F(TlsTest, AServerWithoutTlsIsNamedAsSuch) {
  const EchoServer server;
  const auto peer = client(authority("a").ca_file);
  const auto answer = get(*peer, server.port());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("http:// instead of https://"), std::string::npos)
      << answer.error().message;
}

TEST_F(TlsTest, AServerDoesNotStartWithoutItsCertificate) {
  const auto own = authority("a"), other = authority("b");
  const std::string missing = directory_ + "/missing.pem";
  for (const auto& [certificate, key] : {std::pair{missing, own.server_file},
                                         {own.server_file, missing},
                                         {own.server_file, other.server_file},
                                         {own.ca_file, own.server_file},
                                         {directory_, directory_}}) {
    ServerOptions options;
    options.tls = {certificate, key, {}};
    const auto made = Server::listen(options, Logger(), [](Request, Responder) {});
    ASSERT_FALSE(made) << certificate << " " << key;
    EXPECT_EQ(made.error().code, Code::kInvalid);
    EXPECT_NE(made.error().message.find(directory_), std::string::npos) << made.error().message;
  }
}

TEST_F(TlsTest, AnAuthorityIsKeptAndItsServerGetsNewNames) {
  const auto own = authority("a", {"127.0.0.1", "hive.example"});
  const auto ca = read(own.ca_file), server = read(own.server_file);
  (void)authority("a", {"hive.example"});
  EXPECT_EQ(read(own.server_file), server);
  (void)authority("a", {"127.0.0.1", "::1"});
  EXPECT_NE(read(own.server_file), server);
  EXPECT_EQ(read(own.ca_file), ca);
  for (const auto& file : {own.server_file, directory_ + "/a/ca.key"}) {
    EXPECT_EQ(std::filesystem::status(file).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  std::filesystem::remove(directory_ + "/a/ca.key");
  const auto halved = keep_own_authority(directory_ + "/a", {"127.0.0.1"});
  ASSERT_FALSE(halved);
  EXPECT_EQ(halved.error().code, Code::kInvalid);
  EXPECT_EQ(read(own.ca_file), ca) << "nothing was written over";
}

TEST_F(TlsTest, ANameIsNoMoreThanAName) {
  for (const char* bad : {"", "a,DNS:b", "a b", "a\nb", "*"}) {
    EXPECT_FALSE(keep_own_authority(directory_ + "/n", {bad})) << bad;
  }
}

TEST(TlsUrl, HasItsOwnPortAndNoSecrets) {
  EXPECT_TRUE(parse_url("https://h").value().is_tls);
  EXPECT_EQ(parse_url("https://h").value().port, 443);
  EXPECT_EQ(parse_url("http://h").value().port, 80);
  EXPECT_FALSE(parse_url("h:1").value().is_tls);
  for (const char* bad : {"http://secret@h", "https://user:secret@h:1/x", "secret@h"}) {
    const auto url = parse_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
  }
}

}  // namespace
}  // namespace skep::http
