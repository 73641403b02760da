// SPDX-License-Identifier: Apache-2.0
// cluster.h - the managers of a run, one life after the other, and the machines that they start.
//
// A life is a process with its view of the store, its service and its scaler, wired as manager/manager.cc
// wires them. It ends by a crash, by being stopped, or by being replaced while it stands still; then it may
// go on for a while beside its successor.
//
// Threads:   one thread.
// Ownership: owns the lives and the machines.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "sim/front.h"
#include "sim/provider.h"
#include "sim/sim_store.h"

namespace skep::sim {

struct Life {
  std::uint32_t number = 0;
  std::shared_ptr<Process> process;
  std::shared_ptr<Machines> machines;
  std::unique_ptr<SimStore> store;
  std::unique_ptr<manager::Service> service;
  std::unique_ptr<Provider> provider;
  std::unique_ptr<scaler::Scaler> scaler;
  std::unique_ptr<Front> front;
  // What callers with a request under way hear when the connection breaks.
  std::map<std::uint64_t, std::function<void()>> connections;
};

class Cluster {
 public:
  explicit Cluster(World& world);
  ~Cluster();

  // A machine came up, or is no more.
  std::function<void(const scaler::Instance&, std::weak_ptr<Machines>)> on_boot;
  std::function<void(const scaler::Instance&)> on_end;

  void start();  // a new life, if there is none
  void crash();  // the present one, here and now; another begins after a while
  void hang();   // it stands still for a while, and may be replaced meanwhile
  void stop();   // properly; another begins after a while
  // Faults are over: what stands still goes on, replaced managers are gone, one serves.
  void heal();

  // Null while there is none.
  const std::shared_ptr<Life>& current() const { return current_; }
  // The machines that exist now, of all lives.
  std::uint32_t machines_existing() const;
  std::uint32_t machines_peak() const { return peak_; }

 private:
  std::shared_ptr<Machines> make_machines();
  scaler::testing::FakeProvisionerScript script() const;
  void start_scaler(Life& life);
  void end(const std::shared_ptr<Life>& life);
  void break_connections(Life& life);
  static void take_apart(Life& life);
  void start_later(Duration delay);
  void replace();
  void note_trouble();
  void count_machines();

  World& world_;
  std::shared_ptr<Life> current_;
  std::vector<std::shared_ptr<Life>> replaced_;
  std::shared_ptr<Machines> lasting_machines_;  // where they outlive managers
  std::vector<std::weak_ptr<Machines>> machines_;
  std::uint32_t lives_ = 0;
  std::uint32_t peak_ = 0;
  bool is_starting_ = false;
};

}  // namespace skep::sim
