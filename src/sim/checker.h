// SPDX-License-Identifier: Apache-2.0
// checker.h - one invariant, held against everything that is seen of a run.
//
// The simulation calls every hook of every checker as things happen; a checker that sees its invariant broken
// says so to the verdict, in one sentence, and the run ends. What is seen are messages at the manager's
// boundary, what the disk holds, and what becomes of processes: never the core's own data.
//
// Threads:   one executor at a time.
// Ownership: borrows the world.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/skep.pb.h"
#include "queue/command.h"
#include "sim/auditor.h"
#include "store/store.h"
#include "task/task.h"

namespace skep::sim {

// The first broken invariant of a run.
class Verdict {
 public:
  void broken(std::string invariant, std::string sentence) {
    if (is_broken()) return;
    invariant_ = std::move(invariant);
    sentence_ = std::move(sentence);
  }
  bool is_broken() const { return !invariant_.empty(); }
  const std::string& invariant() const { return invariant_; }
  const std::string& sentence() const { return sentence_; }

 private:
  std::string invariant_;
  std::string sentence_;
};

// One record as the disk has it after a write.
struct Written {
  const TaskRecord* before = nullptr;  // null: there was none
  const TaskRecord* after = nullptr;   // null: it was erased
  const store::Blob* body = nullptr;   // null: not written
  const store::Blob* result = nullptr;
};

// What a manager answers a pull with.
struct Pulled {
  bool is_once = false;  // else with a receipt
  Instant arrived_at{};
  const api::v1::PullReply* reply = nullptr;
};

// A call that may wait, with what it was answered: one of the two.
struct Waited {
  Instant arrived_at{};
  Duration wait{};
  const api::v1::Task* task = nullptr;
  const api::v1::PullReply* pulled = nullptr;
  std::string queue;  // of the pull
};

// A worker's long-poll that a manager has taken and not answered.
struct Parked {
  std::uint64_t process = 0;
  std::vector<std::string> kinds;  // that it waits for
  Instant arrived_at{};
  Instant until{};
  std::function<bool()> is_wanted;
};

struct World;

class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}
  virtual ~Checker() = default;
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;
  virtual std::string name() const = 0;

  // ---- the disk ----
  virtual void on_claim(ShardId, Epoch) {}
  // A batch of this epoch was written, by that member of those that share the store.
  virtual void on_batch(ShardId, Epoch, store::MemberId) {}
  virtual void on_taken(ShardId, Epoch, store::MemberId) {}  // whose it is now; 0: nobody's
  virtual void on_written(const Written&) {}
  virtual void on_rewound() {}  // a crash took back what was not durable
  // ---- clients ----
  virtual void on_enqueued(const Intent&, const TaskId&) {}  // a manager acknowledged it
  virtual void on_body_erased(const TaskRecord&) {}          // the task as it stands
  virtual void on_pulled(const Pulled&) {}
  // A manager's answer about one task, and when it was asked.
  virtual void on_seen(const api::v1::Task&, Instant /*asked_at*/) {}
  virtual void on_waited(const Waited&) {}
  virtual void on_result(const TaskId&, const std::string&) {}
  // ---- workers; `process` names a simulated worker whatever id it has at a manager ----
  virtual void on_heard(std::uint64_t /*process*/) {}  // any request of it arrives
  virtual void on_parked(std::uint64_t /*ticket*/, const Parked&) {}
  virtual void on_unparked(std::uint64_t /*ticket*/) {}
  virtual void on_granted(std::uint64_t /*process*/, const api::v1::AcquireReply&) {}
  virtual void on_presented(std::uint64_t /*process*/, const api::v1::HeartbeatRequest&) {}
  virtual void on_beat(std::uint64_t /*process*/) {}  // and was answered well
  virtual void on_outcome(std::uint64_t /*process*/, const api::v1::Outcome&) {}
  virtual void on_settled(std::uint64_t /*process*/, const api::v1::Outcome&, const std::string& /*status*/) {
  }
  virtual void on_released(std::uint64_t /*process*/, const api::v1::ReleaseRequest&) {}
  // An answer says that the task of this lease is kept at so many iterations, or further on. `is_synced`:
  // also over a loss of power.
  virtual void on_kept(const LeaseToken&, std::uint64_t /*iterations*/, bool /*is_synced*/) {}
  virtual void on_worker_named(std::uint64_t /*process*/, const std::string& /*id*/) {}
  virtual void on_worker_left(std::uint64_t /*process*/) {}     // it said goodbye, or died
  virtual void on_worker_drained(std::uint64_t /*process*/) {}  // and had no trouble of any kind in its life
  // ---- managers ----
  virtual void on_launch(std::size_t /*node*/) {}  // with a provisioner of the whole cluster
  virtual void on_manager_trouble() {}  // crash, hang, a commit that failed: soft state may be gone
  // ---- time ----
  virtual void on_tick() {}   // every other second
  virtual void on_quiet() {}  // faults are over, the work is done, the fleet had its time
  virtual void at_end() {}    // after one more restart from the disk

 protected:
  void broken(std::string sentence);
  World& world_;
};

std::vector<std::unique_ptr<Checker>> make_checkers(World& world);

}  // namespace skep::sim
