// SPDX-License-Identifier: Apache-2.0
// workload.h - the clients of a run: they enqueue, pull, acknowledge, look, cancel, retry and pause, at
// random.
//
// A client repeats what it may repeat, as the protocol says: an enqueue with a key until it is answered, one
// without only where nothing was stored. Some clients die between a pull and its acknowledgement.
//
// Threads:   one thread.
// Ownership: borrows world and network.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sim/network.h"

namespace skep::sim {

class Workload {
 public:
  Workload(World& world, Network& network);

  void begin();
  // Faults are over: nothing new is asked for, what is open is brought to its end, results are pulled.
  void wind_up();
  // No enqueue is under way.
  bool is_settled() const;

  // Calls with nobody in particular behind them, for the audit at the end.
  void pull_all(UniqueFunction<void(Result<api::v1::PullReply>)> done);
  void read_all();

 private:
  struct Client {
    std::uint32_t number = 0;
    std::shared_ptr<Process> process;
    std::shared_ptr<Link> link = std::make_shared<Link>();
    std::uint32_t tasks_left = 0;
    std::uint32_t open = 0;  // enqueues that are not settled
  };
  using ClientPtr = std::shared_ptr<Client>;
  using Intents = std::vector<Intent*>;

  void next(const ClientPtr& client);
  void act(const ClientPtr& client);
  void act_on_one(const ClientPtr& client);
  Intent* make_intent();
  void enqueue_new(const ClientPtr& client);
  void enqueue(const ClientPtr& client, const Intents& intents, int tries);
  void pull(const ClientPtr& client);
  void pull_again(const ClientPtr& client);
  void acknowledge(const ClientPtr& client, const api::v1::PullReply& pulled);
  void look(const ClientPtr& client, const TaskId& id);
  void pause(const ClientPtr& client);
  void set_queue(const ClientPtr& client, const std::string& name, api::v1::PatchQueueRequest request);
  void list(const ClientPtr& client, TaskId after);
  TaskId any_id();

  World& world_;
  Network& network_;
  Random random_;
  std::vector<ClientPtr> clients_;
  std::vector<TaskId> known_;   // acknowledged
  std::vector<Intent*> keyed_;  // acknowledged, with a key
  std::uint32_t keys_ = 0;
  bool is_winding_up_ = false;
};

}  // namespace skep::sim
