// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include <algorithm>

namespace skep::sim {
namespace {

namespace v1 = api::v1;
using Delivery = manager::Service::Delivery;

constexpr const char* kQueues[] = {"default", "second"};

}  // namespace

Workload::Workload(World& world, Network& network)
    : world_(world), network_(network), random_(world.random.split()) {
  for (std::uint32_t i = 0; i < world.config.clients; ++i) {
    auto client = std::make_shared<Client>();
    client->number = i + 1;
    client->process = std::make_shared<Process>(world.executor);
    client->link->place = client_place(client->number);
    client->link->node = i % world.config.managers;
    client->link->goes_on = true;
    client->tasks_left = world.config.tasks_max / world.config.clients;
    clients_.push_back(std::move(client));
  }
}

void Workload::begin() {
  if (world_.config.retention < hours(1)) {
    for (const char* name : kQueues) {
      v1::PatchQueueRequest request;
      request.set_retention_ms(static_cast<std::uint64_t>(world_.config.retention / milliseconds(1)));
      set_queue(clients_.front(), name, request);
    }
  }
  for (const auto& client : clients_) next(client);
}

void Workload::wind_up() {
  is_winding_up_ = true;
  v1::PatchQueueRequest request;
  request.set_paused(false);
  for (const char* name : kQueues) set_queue(clients_.front(), name, request);
  for (const auto& client : clients_) {
    client->link->requests_cut_until = client->link->replies_cut_until = kNoInstant;
    pull_again(client);
  }
}

bool Workload::is_settled() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) { return client->open == 0; });
}

void Workload::next(const ClientPtr& client) {
  client->process->post_at(world_.now() + world_.about(world_.config.think), [this, client] {
    if (is_winding_up_) return;
    act(client);
    next(client);
  });
}

void Workload::act(const ClientPtr& client) {
  if (world_.config.partition_gap > Duration::zero() && random_.chance(0.02)) {
    client->link->replies_cut_until = world_.now() + seconds(static_cast<std::int64_t>(random_.below(8)));
  }
  if (world_.is_shared() && random_.chance(0.1)) client->link->node = random_.below(world_.config.managers);
  if (world_.is_shared() && world_.config.partition_gap > Duration::zero() && random_.chance(0.02)) {
    const auto node = static_cast<Place>(random_.below(world_.config.managers));
    world_.event("client cut off from one manager", std::to_string(client->number));
    world_.cuts.cut(client->link->place, node, world_.now() + world_.up_to(seconds(10)));
  }
  const auto dice = random_.below(100);
  if (dice < 50 && client->tasks_left > 0) {
    enqueue_new(client);
  } else if (dice < 55 && !keyed_.empty()) {
    // The same task once more, by its key and alone, whatever request it came in.
    ++client->open;
    enqueue(client, {keyed_[random_.below(keyed_.size())]}, 0);
  } else if (dice < 75) {
    pull(client);
  } else if (dice < 80 && world_.config.has_pauses) {
    pause(client);
  } else if (dice < 82) {
    list(client, {});
  } else if (!known_.empty()) {
    act_on_one(client);
  }
}

TaskId Workload::any_id() {
  // Rather a recent one.
  const std::size_t span = std::min<std::size_t>(known_.size(), random_.chance(0.7) ? 8 : known_.size());
  return known_[known_.size() - 1 - random_.below(span)];
}

void Workload::act_on_one(const ClientPtr& client) {
  const TaskId id = any_id();
  const auto dice = random_.below(10);
  if (dice < 5) {
    look(client, id);
  } else if (dice < 7) {
    network_.call<store::Blob>(
        client->process, client->link, seconds(5),
        [id](Front& front, manager::IsWanted, manager::Reply<store::Blob> reply) {
          front.result(id, std::move(reply));
        },
        [](const Result<store::Blob>&) {});
  } else {
    const bool is_cancel = dice < 8;
    network_.call<v1::Task>(
        client->process, client->link, seconds(5),
        [id, is_cancel](Front& front, manager::IsWanted, manager::Reply<v1::Task> reply) {
          if (is_cancel) {
            front.cancel(id, std::move(reply));
          } else {
            front.retry(id, std::move(reply));
          }
        },
        [](const Result<v1::Task>&) {});
  }
}

void Workload::look(const ClientPtr& client, const TaskId& id) {
  const Duration wait =
      random_.chance(0.5) ? Duration::zero() : seconds(static_cast<std::int64_t>(random_.below(20)));
  network_.call<v1::Task>(
      client->process, client->link, wait + seconds(5),
      [id, wait](Front& front, manager::IsWanted is_wanted, manager::Reply<v1::Task> reply) {
        front.get(id, wait, std::move(is_wanted), std::move(reply));
      },
      [](const Result<v1::Task>&) {});
}

// ---- enqueue ----

Intent* Workload::make_intent() {
  const Config& config = world_.config;
  TaskSpec spec;
  spec.queue = kQueues[random_.below(4) == 0 ? 1 : 0];
  if (config.has_commands && random_.chance(0.3)) {
    spec.kind = "command";
    spec.program = "program";
  } else {
    spec.iterations = 1 + random_.below(1'000);
    spec.keep_checkpoints = random_.chance(0.9);
  }
  spec.priority = static_cast<std::uint32_t>(random_.below(10));
  spec.attempts_max = 1 + static_cast<std::uint32_t>(random_.below(5));
  if (random_.chance(0.15)) spec.delay = milliseconds(static_cast<std::int64_t>(random_.below(15'000)));
  if (random_.chance(0.05)) spec.start_deadline = seconds(5 + static_cast<std::int64_t>(random_.below(60)));
  if (random_.chance(0.1)) spec.run_timeout = seconds(1 + static_cast<std::int64_t>(random_.below(8)));
  if (random_.chance(0.5)) spec.idempotency_key = "key" + std::to_string(++keys_);
  Behaviour behaviour = Behaviour::kNormal;
  if (random_.chance(config.failing)) behaviour = Behaviour::kFailing;
  if (random_.chance(config.permanent)) behaviour = Behaviour::kPermanent;
  if (random_.chance(config.poison)) behaviour = Behaviour::kPoison;
  std::uint64_t run_ms = 10 + random_.below(config.run_ms_max);
  if (random_.chance(config.long_run)) {
    const auto lease_ms = static_cast<std::uint64_t>(config.lease / milliseconds(1));
    run_ms = lease_ms + random_.below(2 * lease_ms);
  }
  return &world_.auditor.intend(std::move(spec), behaviour, run_ms);
}

void Workload::enqueue_new(const ClientPtr& client) {
  const std::uint64_t count = random_.chance(0.25) ? 1 + random_.below(6) : 1;
  Intents intents;
  for (std::uint64_t i = 0; i < count && client->tasks_left > 0; ++i, --client->tasks_left) {
    intents.push_back(make_intent());
  }
  ++client->open;
  enqueue(client, intents, 0);
}

void Workload::enqueue(const ClientPtr& client, const Intents& intents, int tries) {
  network_.call<v1::EnqueueBatchReply>(
      client->process, client->link, seconds(4),
      [intents](Front& front, manager::IsWanted, manager::Reply<v1::EnqueueBatchReply> reply) {
        front.enqueue(intents, std::move(reply));
      },
      [this, client, intents, tries](const Result<v1::EnqueueBatchReply>& reply) {
        if (reply) {
          --client->open;
          for (std::size_t i = 0; i < intents.size(); ++i) {
            known_.push_back(TaskId::parse(reply.value().tasks(static_cast<int>(i)).id()).value());
            if (!intents[i]->spec.idempotency_key.empty()) keyed_.push_back(intents[i]);
          }
          return;
        }
        const bool has_keys = std::all_of(intents.begin(), intents.end(), [](const Intent* intent) {
          return !intent->spec.idempotency_key.empty();
        });
        const bool is_unknown = reply.error().code == Code::kUnknownOutcome;
        if (is_unknown) world_.counters.add("enqueue with an unknown outcome");
        if (tries > 200 || (is_unknown && !has_keys)) {
          --client->open;
          return;
        }
        client->process->post_at(world_.now() + milliseconds(50) + world_.up_to(seconds(2)),
                                 [this, client, intents, tries] { enqueue(client, intents, tries + 1); });
      });
}

// ---- results ----

void Workload::pull(const ClientPtr& client) {
  queue::Pull command;
  command.max = 1 + static_cast<std::uint32_t>(random_.below(12));
  const auto delivery = random_.chance(0.5) ? Delivery::kOnce : Delivery::kReceipt;
  command.visibility = world_.config.visibility;
  if (random_.chance(0.3)) command.queue = kQueues[random_.below(2)];
  Duration wait =
      random_.chance(0.5) ? Duration::zero() : seconds(static_cast<std::int64_t>(random_.below(15)));
  // Each result once, of several managers, is the seed's call: it waits for nothing and knows no queues.
  if (world_.is_shared() && delivery == Delivery::kOnce) {
    wait = Duration::zero();
    command.queue.clear();
  }
  network_.call<v1::PullReply>(
      client->process, client->link, wait + seconds(5),
      [command, delivery, wait](Front& front, manager::IsWanted is_wanted,
                                manager::Reply<v1::PullReply> reply) {
        front.pull(command, delivery, wait, std::move(is_wanted), std::move(reply));
      },
      [this, client](const Result<v1::PullReply>& reply) {
        if (!reply || reply.value().receipt().empty()) return;
        if (random_.chance(world_.config.client_dies)) {
          world_.counters.add("client died before its acknowledgement");
          return;
        }
        client->process->post_at(world_.now() + world_.up_to(world_.config.visibility * 5 / 4),
                                 [this, client, pulled = reply.value()] { acknowledge(client, pulled); });
      });
}

void Workload::acknowledge(const ClientPtr& client, const v1::PullReply& pulled) {
  v1::AckRequest request;
  std::vector<TaskId> ids;
  const bool is_by_name = random_.chance(0.3);
  if (!is_by_name) request.set_receipt(pulled.receipt());
  for (const auto& item : pulled.items()) {
    ids.push_back(TaskId::parse(item.id()).value());
    if (is_by_name) request.add_ids(item.id());
  }
  network_.call<v1::AckReply>(
      client->process, client->link, seconds(5),
      [request, ids](Front& front, manager::IsWanted, manager::Reply<v1::AckReply> reply) {
        front.ack(request, ids, std::move(reply));
      },
      [](const Result<v1::AckReply>&) {});
}

void Workload::pull_all(UniqueFunction<void(Result<v1::PullReply>)> done) {
  queue::Pull command;
  command.max = 50;
  network_.call<v1::PullReply>(
      clients_.front()->process, clients_.front()->link, seconds(5),
      [command](Front& front, manager::IsWanted is_wanted, manager::Reply<v1::PullReply> reply) {
        front.pull(command, Delivery::kOnce, Duration::zero(), std::move(is_wanted), std::move(reply));
      },
      std::move(done));
}

void Workload::pull_again(const ClientPtr& client) {
  if (client != clients_.front()) return;
  pull_all([this, client](const Result<v1::PullReply>&) {
    client->process->post_at(world_.now() + seconds(1), [this, client] { pull_again(client); });
  });
}

void Workload::read_all() {
  list(clients_.front(), {});
  for (const auto& [id, promises] : world_.auditor.all()) {
    network_.call<store::Blob>(
        clients_.front()->process, clients_.front()->link, seconds(5),
        [task = id](Front& front, manager::IsWanted, manager::Reply<store::Blob> reply) {
          front.result(task, std::move(reply));
        },
        [](const Result<store::Blob>&) {});
  }
}

// ---- the rest ----

void Workload::pause(const ClientPtr& client) {
  v1::PatchQueueRequest request;
  request.set_paused(true);
  const std::string name = kQueues[random_.below(2)];
  world_.event("queue paused", name);
  set_queue(client, name, request);
  client->process->post_at(world_.now() + seconds(1) + world_.up_to(seconds(10)), [this, client, name] {
    v1::PatchQueueRequest go_on;
    go_on.set_paused(false);
    set_queue(client, name, go_on);
  });
}

void Workload::set_queue(const ClientPtr& client, const std::string& name, v1::PatchQueueRequest request) {
  network_.call<v1::Queue>(
      client->process, client->link, seconds(5),
      [name, request](Front& front, manager::IsWanted, manager::Reply<v1::Queue> reply) {
        front.patch_queue(name, request, std::move(reply));
      },
      [this, client, name, request](const Result<v1::Queue>& reply) {
        // A pause that failed is given up, the rest is said again until it is done.
        if (reply || (request.has_paused() && request.paused())) return;
        client->process->post_at(world_.now() + seconds(1),
                                 [this, client, name, request] { set_queue(client, name, request); });
      });
}

void Workload::list(const ClientPtr& client, TaskId after) {
  queue::ListTasks query;
  query.after = after;
  query.limit = 1 + random_.below(50);
  network_.call<v1::ListTasksReply>(
      client->process, client->link, seconds(5),
      [query](Front& front, manager::IsWanted, manager::Reply<v1::ListTasksReply> reply) {
        front.list(query, std::move(reply));
      },
      [this, client](const Result<v1::ListTasksReply>& page) {
        if (!page || page.value().next_cursor().empty()) return;
        list(client, TaskId::parse(page.value().next_cursor()).value());
      });
}

}  // namespace skep::sim
