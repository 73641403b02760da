// SPDX-License-Identifier: Apache-2.0
// seed_worker.h - a worker of the seed's protocol: asks for work, computes, pushes the result, asks again.
//
// The protocol has no lease to name, so its requests are never repeated on the way, a push that was not
// answered is not tried again, and one whose connection broke is given up: that is the use of it in which
// docs/protocol.md promises that no result goes to another task.
//
// Threads:   one executor at a time.
// Ownership: shared, since what it posts may outlive it.
#pragma once

#include <memory>
#include <string>

#include "sim/network.h"

namespace skep::sim {

class SeedWorker final : public std::enable_shared_from_this<SeedWorker> {
 public:
  SeedWorker(World& world, Network& network, std::string address, std::uint32_t number)
      : world_(world),
        network_(network),
        address_(std::move(address)),
        process_(std::make_shared<Process>(world.executor)),
        random_(world.random.split()) {
    link_->place = worker_place(1'000'000 + number);
    link_->node = number % world.config.managers;
    link_->goes_on = true;
  }

  void begin() { ask_later(milliseconds(100)); }
  void die() { process_->kill(); }
  const std::string& address() const { return address_; }

 private:
  using Work = manager::Service::SeedWork;

  void ask_later(Duration delay) {
    process_->post_at(world_.now() + delay, [self = shared_from_this()] { self->ask(); });
  }
  void ask() {
    const std::uint64_t connection = random_.next();
    network_.call<Work>(
        process_, link_, seconds(10),
        [self = shared_from_this(), address = address_, connection](Front& front, manager::IsWanted,
                                                                    manager::Reply<Work> reply) {
          self->connected_to_ = front.life();
          front.seed_get_work(address, connection, std::move(reply));
        },
        [self = shared_from_this(), connection](Result<Work> work) {
          self->on_work(connection, std::move(work));
        },
        Network::Copies::kOne);
  }
  void on_work(std::uint64_t connection, Result<Work> work) {
    if (!work || !work.value().is_found) {
      ask_later(milliseconds(500) + Duration(milliseconds(random_.below(1'000))));
      return;
    }
    const auto text = TaskText::parse(*work.value().body);
    const Duration takes = milliseconds(text ? static_cast<std::int64_t>(text->run_ms) : 1);
    std::string hex = result_of(*work.value().body, work.value().iterations);
    process_->post_at(world_.now() + takes, [self = shared_from_this(), connection, hex = std::move(hex)] {
      self->push(connection, hex);
    });
  }
  void push(std::uint64_t connection, const std::string& hex) {
    network_.call<void>(
        process_, link_, seconds(10),
        [self = shared_from_this(), address = address_, connection, hex](Front& front, manager::IsWanted,
                                                                         manager::Reply<void> reply) {
          if (front.life() != self->connected_to_) {
            reply(fail(Code::kUnavailable, "the connection broke"));
            return;
          }
          front.seed_push_result(address, connection, hex, std::move(reply));
        },
        [self = shared_from_this()](const Result<void>&) { self->ask_later(milliseconds(1)); },
        Network::Copies::kOne);
  }

  World& world_;
  Network& network_;
  const std::string address_;
  std::shared_ptr<Process> process_;
  std::shared_ptr<Link> link_ = std::make_shared<Link>();
  Random random_;
  std::uint32_t connected_to_ = 0;  // the manager's life that its connection leads to
};

}  // namespace skep::sim
