// SPDX-License-Identifier: Apache-2.0
// lease_manager.h - a manager as a worker sees one: gives leases, remembers what came, goes down and comes
// back.
//
// Long-polls are held until there is a lease. A worker that it does not know (any more) is told so.
//
// Threads:   any thread; the server's own answers.
// Errors:    a port that is gone is a failure of the test.
// Ownership: the destructor stops the server.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/testing/fake_manager.h"

namespace skep::worker::testing {

namespace v1 = api::v1;

class LeaseManager {
 public:
  // What came so far.
  struct Seen {
    std::vector<v1::RegisterRequest> registers;
    std::vector<v1::HeartbeatRequest> heartbeats;
    std::size_t requests = 0;
    std::size_t acquires = 0;
    std::size_t completes = 0;             // calls
    std::vector<v1::Outcome> outcomes;     // of calls that were answered well
    std::map<std::string, bool> released;  // lease, was it started
    std::vector<std::string> deleted;      // reasons
  };
  // Stands in for the answer to a request; nothing: the usual one.
  using Override = std::function<std::optional<http::Response>(const http::Request&)>;

  explicit LeaseManager(Override override = nullptr) : override_(std::move(override)) { come_up(); }
  ~LeaseManager() { go_down(); }
  LeaseManager(const LeaseManager&) = delete;
  LeaseManager& operator=(const LeaseManager&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  void give(v1::Lease lease) {
    const std::lock_guard lock(mutex_);
    ready_.push_back(std::move(lease));
    answer_polls();
  }
  // Told with each heartbeat from now on.
  void say_lost(const std::string& lease) {
    const std::lock_guard lock(mutex_);
    heartbeat_reply_.add_lost(lease);
  }
  void say_cancelled(const std::string& lease) {
    const std::lock_guard lock(mutex_);
    heartbeat_reply_.add_cancelled(lease);
  }
  void say_drain() {
    const std::lock_guard lock(mutex_);
    heartbeat_reply_.set_drain(true);
  }
  void say_managers(const std::string& manager) {
    const std::lock_guard lock(mutex_);
    heartbeat_reply_.add_managers(manager);
  }

  // Nobody listens on its port, and it forgets its workers, until it comes back.
  void go_down() {
    if (server_ == nullptr) return;
    server_->stop(Duration::zero());
    const std::lock_guard lock(mutex_);
    polls_.clear();
    workers_.clear();
    server_.reset();
  }
  void come_up() {
    http::ServerOptions options;
    options.listen = "127.0.0.1:" + std::to_string(port_);
    auto made = http::Server::listen(
        options, Logger(),
        [this](http::Request request, http::Responder responder) { answer(request, std::move(responder)); });
    ASSERT_TRUE(made.has_value()) << made.error().message;
    server_ = std::move(made).value();
    port_ = server_->port();
  }

  // Waits until what was seen is as wanted. False: it was not within a minute.
  bool saw(const std::function<bool(const Seen&)>& is_wanted) const {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::minutes(1), [&] { return is_wanted(seen_); });
  }
  Seen seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  struct Poll {
    std::uint32_t max = 0;
    bool is_for_commands = false;  // else for all other kinds
    http::Responder responder;
  };

  template <class Message>
  static Message read(const http::Request& request) {
    Message message;
    EXPECT_TRUE(message.ParseFromString(*request.body)) << request.path;
    return message;
  }

  static http::Response unknown() {
    return client::testing::problem(fail(Code::kNotFound, "no such worker"));
  }

  void answer(const http::Request& request, http::Responder responder) {
    const std::lock_guard lock(mutex_);
    ++seen_.requests;
    auto response = override_ ? override_(request) : std::nullopt;
    if (!response && request.path == "/v1/leases:acquire") {
      on_acquire(read<v1::AcquireRequest>(request), std::move(responder));
    } else {
      std::move(responder).send(response ? std::move(*response) : usual(request));
    }
    came_.notify_all();
  }

  void on_acquire(const v1::AcquireRequest& request, http::Responder responder) {
    ++seen_.acquires;
    if (!workers_.contains(request.worker())) return std::move(responder).send(unknown());
    polls_.push_back({request.max(), request.kinds(0) == "command", std::move(responder)});
    answer_polls();
  }

  void answer_polls() {
    for (auto poll = polls_.begin(); poll != polls_.end();) {
      v1::AcquireReply reply;
      const bool is_gone = poll->responder.is_peer_gone();
      for (auto lease = ready_.begin(); lease != ready_.end() && !is_gone;) {
        const bool is_its = (lease->kind() == "command") == poll->is_for_commands;
        if (!is_its || static_cast<std::uint32_t>(reply.leases_size()) == poll->max) {
          ++lease;
          continue;
        }
        *reply.add_leases() = std::move(*lease);
        lease = ready_.erase(lease);
      }
      if (!is_gone && reply.leases_size() == 0) {
        ++poll;
        continue;
      }
      if (!is_gone) std::move(poll->responder).send(client::testing::reply(reply));
      poll = polls_.erase(poll);
    }
  }

  http::Response usual(const http::Request& request) {
    if (request.path == "/v1/workers") return on_register(read<v1::RegisterRequest>(request));
    if (request.path == "/v1/leases:complete") return on_complete(read<v1::CompleteRequest>(request));
    if (request.path == "/v1/leases:release") return on_release(read<v1::ReleaseRequest>(request));
    const std::string rest =
        request.path.substr(std::min(request.path.size(), std::string("/v1/workers/").size()));
    const std::string worker = rest.substr(0, rest.find(':'));
    if (!workers_.contains(worker)) return unknown();
    if (request.method == http::Method::kDelete) {
      workers_.erase(worker);
      seen_.deleted.emplace_back(request.param("reason").value_or(""));
      return client::testing::reply(v1::Worker());
    }
    seen_.heartbeats.push_back(read<v1::HeartbeatRequest>(request));
    return client::testing::reply(heartbeat_reply_);
  }

  http::Response on_register(v1::RegisterRequest request) {
    v1::RegisterReply reply;
    reply.set_worker("w" + std::to_string(seen_.registers.size()));
    reply.set_heartbeat_ms(20);
    workers_.insert(reply.worker());
    seen_.registers.push_back(std::move(request));
    return client::testing::reply(reply);
  }

  http::Response on_complete(const v1::CompleteRequest& request) {
    if (!workers_.contains(request.worker())) return unknown();
    ++seen_.completes;
    v1::CompleteReply reply;
    for (const auto& outcome : request.outcomes()) {
      seen_.outcomes.push_back(outcome);
      auto& item = *reply.add_outcomes();
      item.set_lease(outcome.lease());
      item.set_status("ok");
    }
    return client::testing::reply(reply);
  }

  http::Response on_release(const v1::ReleaseRequest& request) {
    if (!workers_.contains(request.worker())) return unknown();
    for (const auto& lease : request.leases()) seen_.released[lease.lease()] = lease.started();
    return client::testing::reply(v1::ReleaseReply());
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  const Override override_;  // under the mutex, on the server's thread
  Seen seen_;
  std::set<std::string> workers_;
  std::deque<v1::Lease> ready_;
  std::deque<Poll> polls_;
  v1::HeartbeatReply heartbeat_reply_;
  int port_ = 0;
  std::unique_ptr<http::Server> server_;
};

}  // namespace skep::worker::testing
