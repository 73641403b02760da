// SPDX-License-Identifier: Apache-2.0
// cluster.h - the managers of a run, one life after the other, and the machines that they start.
//
// A node is a place for one manager. A life is a process with its view of the store, its service and its
// scaler, wired as manager/manager.cc wires them; where several share the store also with its forwarder, its
// part of the fleet, and the routes that its siblings and clients call. It ends by a crash, by being stopped,
// or, where there is one node, by being replaced while it stands still; then it may go on for a while beside
// its successor.
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
#include "sim/shared_store.h"
#include "sim/sim_store.h"

namespace skep::sim {

struct Kinship;

struct Life {
  std::size_t node = 0;
  std::uint32_t number = 0;
  std::shared_ptr<Process> process;
  std::shared_ptr<Machines> machines;
  std::unique_ptr<SimStore> store;      // of one that has it to itself
  std::unique_ptr<SharedStore> shared;  // else
  std::unique_ptr<manager::Service> service;
  std::shared_ptr<Kinship> kin;  // of one that has siblings
  std::unique_ptr<Api> api;
  std::unique_ptr<Provider> provider;
  std::unique_ptr<scaler::Scaler> scaler;
  std::unique_ptr<Front> front;
  // What callers with a request under way hear when the connection breaks.
  std::map<std::uint64_t, std::function<void()>> connections;
  std::uint64_t calls_of_siblings = 0;
};

class Cluster {
 public:
  explicit Cluster(World& world);
  ~Cluster();

  // A machine came up, or is no more.
  std::function<void(const scaler::Instance&, std::weak_ptr<Machines>)> on_boot;
  std::function<void(const scaler::Instance&)> on_end;

  void start();                  // all of them
  void crash(std::size_t node);  // its present life, here and now; another begins after a while
  void crash_any();
  void crash_all();
  void hang(std::size_t node);   // it stands still for a while, and may be replaced meanwhile
  void pause(std::size_t node);  // it stands still, and its siblings take over
  // Properly; another life begins after so long.
  void stop(std::size_t node, Duration away);
  void leave(std::size_t node);  // for a while, properly or not
  void roll();                   // all are restarted, one after the other
  // Faults are over: what stands still goes on, replaced managers are gone, all serve.
  void heal();

  std::size_t any() const { return world_.random.below(nodes_.size()); }
  // Null while there is none.
  const std::shared_ptr<Life>& current(std::size_t node = 0) const { return nodes_[node].current; }
  std::size_t size() const { return nodes_.size(); }
  static std::string address(std::size_t node) { return "manager" + std::to_string(node) + ":80"; }
  static std::size_t node_of(const std::string& address);
  // Every shard is served, by managers that all run and reach each other and the store.
  bool is_whole() const;
  std::vector<Serving> served() const;
  std::vector<std::size_t> shares() const;
  // The machines that exist now, of all lives.
  std::uint32_t machines_existing() const;
  std::uint32_t machines_peak() const { return peak_; }

 private:
  struct Node {
    std::shared_ptr<Life> current;
    ClockError clock;
    bool is_starting = false;
  };

  std::shared_ptr<Machines> make_machines();
  scaler::testing::FakeProvisionerScript script() const;
  manager::ServiceOptions service_options(std::size_t node) const;
  void begin_life(std::size_t node);
  void join_siblings(const std::shared_ptr<Life>& life);
  void settled(const std::shared_ptr<Life>& life);
  void start_scaler(Life& life);
  void end(const std::shared_ptr<Life>& life);
  void break_connections(Life& life);
  static void take_apart(Life& life);
  void start_later(std::size_t node, Duration delay);
  void replace();
  void drain(const std::shared_ptr<Life>& life, std::function<void()> drained);
  void go_on(const std::shared_ptr<Life>& life);
  void count_machines();
  template <class Use>
  void each(Use use) const {
    for (const auto& node : nodes_) {
      if (node.current != nullptr) use(*node.current);
    }
  }

  World& world_;
  std::vector<Node> nodes_;
  std::vector<std::shared_ptr<Life>> replaced_;
  std::shared_ptr<Machines> lasting_machines_;  // where they outlive managers
  std::vector<std::weak_ptr<Machines>> machines_;
  std::uint32_t lives_ = 0;
  std::uint32_t peak_ = 0;
};

}  // namespace skep::sim
