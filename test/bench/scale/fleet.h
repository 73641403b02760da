// SPDX-License-Identifier: Apache-2.0
// fleet.h - simulated workers, thousands in one thread, that do all that the protocol asks but the work.
//
// Each has one connection. It registers, keeps an acquire waiting for as long as until its next heartbeat,
// holds what it got for the time that a run takes, says meanwhile that it lives, and completes. An acquire is
// a sign of life too, so that one that holds nothing sends no heartbeats beside it. When its connection
// breaks it comes back by the documented policy - full jitter, doubling from 100 ms to 5 s - registers again
// if it is told to, and goes on with what it holds.
//
// Threads:   its loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "base/random.h"
#include "connection.h"
#include "loop.h"

namespace skep::bench {

// A run that ends only when it is told to.
inline constexpr Duration kUntilTold = Duration::max();

struct FleetCounts {
  std::uint64_t registered = 0;  // registrations, again ones too
  std::uint64_t leased = 0;
  std::uint64_t completed = 0;
  std::uint64_t refused = 0;  // outcomes that were not accepted
  std::uint64_t lost = 0;     // leases that a heartbeat said are lost or cancelled
  std::uint64_t beats = 0;
  std::uint64_t tries = 0;    // connections begun
  std::uint64_t put_off = 0;  // answers 429 and 503
  std::string first_trouble;  // of what ought not to happen
};

class Fleet;

class SimWorker final : public Connection::Owner {
 public:
  SimWorker(Fleet& fleet, const sockaddr_in& address, Random random);
  void start();
  void tell_to_finish();
  // The manager has answered it since its connection last broke, and knows that it runs what it holds.
  bool is_served() const { return is_served_; }

  void on_open() override;
  void on_answer(const Answer& answer) override;
  void on_closed(const std::string& why) override;

 private:
  enum class Call : std::uint8_t { kNone, kRegister, kAcquire, kHeartbeat, kComplete };

  void next();
  void ask(Call call, std::string_view path, const google::protobuf::MessageLite& message);
  void send_register();
  void send_acquire();
  void send_heartbeat();
  void send_complete();
  void set_served(bool is_served);
  void wait_until(Instant instant);
  void try_later(Duration at_least);
  void on_registered(const Answer& answer);
  void on_acquired(const Answer& answer);
  void on_heartbeat(const Answer& answer);
  void on_completed(const Answer& answer);

  Fleet& fleet_;
  Connection connection_;
  Random random_;
  Call call_ = Call::kNone;
  std::string id_;
  std::vector<std::string> held_;  // tokens
  Instant run_ends_{};
  Instant beat_at_{};
  Duration heartbeat_ = seconds(2);
  Duration wait_{};  // of the next acquire
  Duration back_off_ = milliseconds(100);
  Loop::Timer timer_{};
  bool is_served_ = false;
};

class Fleet {
 public:
  // `on_lease` is told of each lease at the instant when its worker has it.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_lease(const api::v1::Lease& lease) = 0;
  };

  Fleet(Loop& loop, const sockaddr_in& address, Listener& listener, std::uint64_t seed)
      : loop_(loop), address_(address), listener_(listener), random_(seed) {}

  void start(std::size_t workers, std::uint32_t leases_at_once);
  void set_run(Duration run) { run_ = run; }
  void tell_to_finish();  // all that hold something

  std::size_t size() const { return workers_.size(); }
  std::size_t served() const { return served_; }
  std::uint64_t open_leases() const;
  const FleetCounts& counts() const { return counts_; }
  Instant first_break() const { return first_break_; }  // since forget_break()
  void forget_break() { first_break_ = kNoInstant; }

 private:
  friend class SimWorker;

  Loop& loop_;
  const sockaddr_in address_;
  Listener& listener_;
  Random random_;
  Duration run_{};
  std::uint32_t leases_at_once_ = 1;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::size_t served_ = 0;
  FleetCounts counts_;
  Instant first_break_ = kNoInstant;
};

}  // namespace skep::bench
