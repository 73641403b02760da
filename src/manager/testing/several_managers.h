// SPDX-License-Identifier: Apache-2.0
// several_managers.h - real managers on stores in memory, and short names for what tests ask of them over
// HTTP.
//
// Threads:   the test's; each manager has its own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/clock.h"
#include "client/request.h"
#include "http/client.h"
#include "manager/manager.h"
#include "store/memory_store.h"

namespace skep::manager::testing {

namespace v1 = api::v1;
using api::Endpoint;
using client::Encoding;

class SeveralManagers : public ::testing::Test {
 protected:
  void add_manager(std::unique_ptr<store::Store> store, ManagerOptions options = {}) {
    options.http.listen = "127.0.0.1:0";
    stores.push_back(std::move(store));
    auto started = Manager::start(
        options, *stores.back(), clock, [](Executor&, const WorkerAccess&) { return nullptr; }, Logger());
    ASSERT_TRUE(started) << started.error().message;
    managers.push_back(std::move(started.value()));
  }

  http::Response send(std::size_t manager, http::ClientRequest request) {
    const auto url = http::parse_url(managers[manager]->address()).value();
    auto response = client.send_wait(url, std::move(request), clock.now() + seconds(30));
    EXPECT_TRUE(response) << response.error().message;
    return response ? std::move(response.value()) : http::Response{};
  }
  template <class Message>
  Message ask(std::size_t manager, Endpoint endpoint, const google::protobuf::Message* body = nullptr,
              http::Query query = {}, const std::string& path_value = "") {
    auto request = client::make_request(endpoint, {path_value, std::move(query)}, Encoding::kProtobuf);
    if (body != nullptr) client::set_message(*body, Encoding::kProtobuf, request);
    const auto response = send(manager, std::move(request));
    EXPECT_EQ(response.status, 200) << (response.body ? *response.body : "");
    Message message;
    EXPECT_TRUE(client::read_message(response, message));
    return message;
  }
  int status(std::size_t manager, Endpoint endpoint, const std::string& id) {
    return send(manager, client::make_request(endpoint, {id, {}}, Encoding::kJson)).status;
  }
  std::string enqueue(std::size_t manager, const std::string& key = "") {
    v1::TaskOptions options;
    options.set_iterations(1);
    options.set_idempotency_key(key);
    auto request =
        client::make_enqueue(options, std::make_shared<const std::string>("body"), Encoding::kProtobuf);
    v1::EnqueueReply reply;
    EXPECT_TRUE(client::read_message(send(manager, std::move(request.value())), reply));
    return reply.id();
  }
  std::string add_worker(std::size_t manager) {
    v1::RegisterRequest request;
    request.set_name("test");
    request.set_slots(100);
    request.add_kinds("sha512");
    return ask<v1::RegisterReply>(manager, Endpoint::kRegisterWorker, &request).worker();
  }
  // Until there are so many.
  std::vector<v1::Lease> acquire(std::size_t manager, const std::string& worker, std::size_t count) {
    std::vector<v1::Lease> leases;
    const Instant deadline = clock.now() + seconds(20);
    while (leases.size() < count && clock.now() < deadline) {
      v1::AcquireRequest request;
      request.set_worker(worker);
      request.set_max(100);
      request.set_wait_ms(500);
      const auto reply = ask<v1::AcquireReply>(manager, Endpoint::kAcquire, &request);
      leases.insert(leases.end(), reply.leases().begin(), reply.leases().end());
    }
    return leases;
  }
  // One task in a shard of each manager: enqueued there.
  std::vector<std::string> one_each() {
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < managers.size(); ++i) ids.push_back(enqueue(i));
    return ids;
  }

  // Every result is "result of TASK".
  void complete_all(std::size_t manager, const std::string& worker, const std::vector<v1::Lease>& leases) {
    v1::CompleteRequest request;
    request.set_worker(worker);
    for (const auto& lease : leases) {
      auto& outcome = *request.add_outcomes();
      outcome.set_lease(lease.lease());
      outcome.set_result("result of " + lease.task());
    }
    const auto reply = ask<v1::CompleteReply>(manager, Endpoint::kComplete, &request);
    for (const auto& outcome : reply.outcomes())
      EXPECT_EQ(outcome.status(), "ok") << outcome.ShortDebugString();
  }
  std::vector<std::string> pull_once(std::size_t manager, std::uint32_t top) {
    const auto once = client::read_pull_completed(
        send(manager, client::make_request(Endpoint::kSeedPullCompleted, {"", {{"top", std::to_string(top)}}},
                                           Encoding::kJson)));
    std::vector<std::string> ids;
    for (const auto& item : once.value()) {
      EXPECT_EQ(item.result, "result of " + item.id);
      ids.push_back(item.id);
    }
    return ids;
  }

  SystemClock clock;
  std::vector<std::unique_ptr<store::Store>> stores;
  http::Client client{clock, {}};
  std::vector<std::unique_ptr<Manager>> managers;
};

}  // namespace skep::manager::testing
