// SPDX-License-Identifier: Apache-2.0
// sim_worker.h - a worker: the real lease loop in a simulated process, over the simulated network.
//
// The shell of worker/worker.cc, with tasks that take their time on the virtual clock instead of a core.
//
// Threads:   one executor at a time.
// Ownership: shared, since what it posts may outlive it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/network.h"
#include "worker/lease_loop.h"

namespace skep::sim {

class SimWorker final : public std::enable_shared_from_this<SimWorker> {
 public:
  // `instance`: the token of its launch, or "". `on_gone` runs once, when its process ended by itself.
  SimWorker(World& world, Network& network, std::uint64_t number, std::string instance,
            std::function<void()> on_gone);

  void begin();
  void die(std::string_view how);
  void drain(worker::DrainCause cause);

  std::uint64_t number() const { return number_; }
  const std::string& instance() const { return instance_; }
  const std::shared_ptr<Process>& process() const { return process_; }
  const std::shared_ptr<Link>& link() const { return link_; }
  // That of somebody beside it.
  std::shared_ptr<Link> own_way() const {
    auto way = std::make_shared<Link>();
    way->node = link_->node;
    return way;
  }
  bool is_gone() const { return process_->is_dead(); }
  std::string id() const { return loop_.worker_id(); }
  std::uint64_t troubles = 0;  // it was hung

 private:
  void carry_out(std::vector<worker::Action> actions);
  void carry_out_one(worker::DoRegister);
  void carry_out_one(worker::DoAcquire acquire);
  void carry_out_one(worker::DoStart start);
  void carry_out_one(const worker::DoStop& stop);
  void carry_out_one(const worker::DoHandBack& hand_back);
  void carry_out_one(worker::DoComplete complete);
  void carry_out_one(worker::DoRelease release);
  void carry_out_one(worker::DoHeartbeat heartbeat);
  void carry_out_one(worker::DoCancelAcquire);
  void carry_out_one(worker::DoNextManager);
  void carry_out_one(const worker::DoMoveTo& move);
  void carry_out_one(const worker::DoTakeLeave& leave);
  void carry_out_one(const worker::DoExit& exit);
  void gone(bool is_goodbye_heard);
  // A task that runs. One of kind sha512 is done step by step, as time passes.
  struct Run {
    api::v1::Lease lease;
    std::uint64_t begin = 0;  // iterations that are done when it starts
    std::string digest;       // after so many
    Instant began{};
    Duration takes{};
    TimerId timer = 0;
  };
  Run make_run(const api::v1::Lease& lease);
  void run(const api::v1::Lease& lease);
  // Of the lanes: what was given to the threads ahead of them.
  bool has_lane() const;
  void fill_lanes();
  bool take_ahead(const std::string& lease);
  std::uint64_t iterations_done(const Run& run) const;
  // Sets how far the run is, and the digest if it is wanted: of a lease in a heartbeat or a release.
  template <class Item>
  void set_progress(const Run& run, Item& item) const;
  api::v1::Outcome outcome_of(const Run& run);
  void haunt();
  Duration run_time(const api::v1::Lease& lease);

  World& world_;
  Network& network_;
  const std::uint64_t number_;
  const std::string instance_;
  std::function<void()> on_gone_;
  std::shared_ptr<Process> process_;
  std::shared_ptr<Link> link_ = std::make_shared<Link>();
  Random random_;
  worker::LeaseLoop loop_;
  const bool knows_checkpoints_;
  std::map<std::string, Run> running_;
  std::deque<api::v1::Lease> ahead_;  // of kind sha512, without a lane yet
  std::uint64_t abandoned_ = 0;       // counts the times that long-polls were abandoned
  std::uint64_t troubles_at_birth_ = 0;
  Instant drain_began_{};
  bool has_drained_in_time_ = false;
  int signals_ = 0;
  TimerId timer_ = 0;
};

}  // namespace skep::sim
