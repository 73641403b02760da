// SPDX-License-Identifier: Apache-2.0
// arrivals.h - tasks that arrive at instants set in advance, and how long each took from then.
//
// The load is open: an arrival does not wait for the answer to the one before it. An instant is drawn before
// the load begins, and a time is counted from it, whatever kept the sender: a manager that stands still for
// a second is charged for every task that arrived in it (coordinated omission).
// A closed load, where each connection has one task on its way, finds how much goes through at most.
//
// Threads:   its loop's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "connection.h"
#include "loop.h"
#include "schedule.h"

namespace skep::bench {

struct Arrival {
  Instant at{};      // set in advance; in a closed load when it was sent
  Instant sent{};    // the request with it was written
  Instant stored{};  // the enqueue was answered
  Instant leased{};  // a worker had it
};

class Sender {
 public:
  struct Options {
    std::size_t connections = 64;
    std::size_t batch = 1;  // tasks in one request at most; 1 uses POST /v1/tasks
    std::size_t body_bytes = 100;
  };

  Sender(Loop& loop, const sockaddr_in& address, Options options);
  ~Sender();

  bool is_open() const { return open_ == connections_.size(); }
  // From now on; the instants are relative to `begin`.
  void send_open(const std::vector<Duration>& offsets, Instant begin);
  void send_closed(Instant until);
  void send_at_once(std::size_t count);
  // A worker has got the task with this body.
  void leased(const std::string& body);

  bool is_done() const { return is_ending_ && stored_ == arrivals_.size() && waiting_.empty(); }
  std::uint64_t stored() const { return stored_; }
  std::uint64_t leased_count() const { return leased_; }
  const std::vector<Arrival>& arrivals() const { return arrivals_; }

 private:
  class Lane;

  void wake();  // what has come due goes to the lanes that are free
  void hand_out();
  std::string request_of(const std::vector<std::uint64_t>& numbers) const;
  void on_stored(Lane& lane);
  void next_closed(Lane& lane);
  void body_of(std::uint64_t number, std::string& out) const;

  Loop& loop_;
  const Options options_;
  std::string filler_;
  std::vector<std::unique_ptr<Lane>> connections_;
  std::size_t open_ = 0;
  std::vector<Lane*> free_;
  std::deque<std::uint64_t> waiting_;  // come due, not sent
  std::vector<Arrival> arrivals_;
  std::size_t due_ = 0;  // arrivals_ before it have come due
  std::uint64_t stored_ = 0;
  std::uint64_t leased_ = 0;
  bool is_closed_load_ = false;
  bool is_ending_ = false;
  Instant until_{};
  std::vector<Lane*> lane_of_;  // of a task of a closed load
};

}  // namespace skep::bench
