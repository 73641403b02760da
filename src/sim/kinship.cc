// SPDX-License-Identifier: Apache-2.0
// What a manager has beside its service where others share its store, and how they call each other.
#include "sim/kinship.h"

#include <charconv>

#include "sim/cluster.h"

namespace skep::sim {
namespace {

// As manager/siblings.cc has it.
constexpr Duration kConnectPatience = milliseconds(800);
// A life that hands out shards so slowly is not waited for (manager/manager.cc).
constexpr Duration kSettleMax = seconds(10);

// Calls of one life of a manager to others, over the network of the world.
class SimSiblingCalls final : public manager::SiblingCalls {
 public:
  SimSiblingCalls(World& world, Cluster& cluster, const Life& life)
      : world_(world), cluster_(cluster), process_(life.process), place_(static_cast<Place>(life.node)) {}

  void send(const std::string& address, http::ClientRequest request, Duration patience,
            http::Client::Done done) override {
    world_.counters.add("calls between managers");
    request.headers.set(manager::kForwardedHeader, "1");
    auto call = std::make_shared<Call>();
    call->to = static_cast<Place>(Cluster::node_of(address));
    call->request = std::move(request);
    call->done = std::move(done);
    call->timer = process_->post_at(process_->now() + patience, [this, call] {
      finish(call, fail(Code::kUnknownOutcome, "the sibling does not answer, by script"));
    });
    if (is_lost(place_, call->to)) {
      if (world_.random.chance(0.5)) return;
      const Duration takes = std::min(patience, kConnectPatience);
      world_.executor.post_at(world_.now() + takes, [this, call, process = process_] {
        if (process->is_dead()) return;
        finish(call, fail(Code::kUnavailable, "the sibling is not reached, by script"));
      });
      return;
    }
    world_.executor.post_at(world_.now() + delay(),
                            [this, call, process = process_, &world = world_, &cluster = cluster_] {
                              // What was sent before its sender died arrives, and nobody hears the answer.
                              arrive(world, cluster, call, process->is_dead() ? nullptr : this);
                            });
  }

 private:
  struct Call {
    Place to = 0;
    http::ClientRequest request;
    http::Client::Done done;
    TimerId timer = 0;
    bool is_over = false;
  };
  using CallPtr = std::shared_ptr<Call>;

  Duration delay() { return microseconds(200) + world_.up_to(world_.faults.message_delay_max / 4); }
  bool is_lost(Place from, Place to) {
    const bool lost =
        world_.cuts.is_cut(from, to, world_.now()) || world_.random.chance(world_.faults.message_lost);
    if (lost) {
      world_.counters.add("messages between managers lost");
      world_.trouble();
    }
    return lost;
  }
  void finish(const CallPtr& call, Result<http::Response> answer) {
    if (std::exchange(call->is_over, true)) return;
    process_->cancel(call->timer);
    process_->post([call, answer = std::move(answer)]() mutable { call->done(std::move(answer)); });
  }

  static void arrive(World& world, Cluster& cluster, const CallPtr& call, SimSiblingCalls* sender) {
    const auto life = cluster.current(call->to);
    if (life == nullptr) {
      if (sender != nullptr) sender->finish(call, fail(Code::kUnavailable, "connection refused"));
      return;
    }
    const std::uint64_t connection = (std::uint64_t{1} << 63) | ++life->calls_of_siblings;
    const auto process = sender == nullptr ? nullptr : sender->process_;
    life->connections[connection] = [call, sender, process] {
      if (sender == nullptr || process->is_dead()) return;
      sender->finish(call, fail(Code::kUnknownOutcome, "connection reset"));
    };
    life->process->post([life, call, sender, process, connection, &world] {
      Caller caller;
      caller.is_gone = [call, process] { return call->is_over || process == nullptr || process->is_dead(); };
      serve(*life->kin->routes, call->request, std::move(caller),
            [life, call, sender, process, connection, &world](http::Response response) {
              if (life->process->is_dead() || life->connections.erase(connection) == 0) return;
              if (sender == nullptr || process->is_dead()) return;
              if (sender->is_lost(call->to, sender->place_)) return;
              world.executor.post_at(world.now() + sender->delay(),
                                     [call, sender, process, response = std::move(response)]() mutable {
                                       if (!process->is_dead()) sender->finish(call, std::move(response));
                                     });
            });
    });
  }

  World& world_;
  Cluster& cluster_;
  std::shared_ptr<Process> process_;
  const Place place_;
};

}  // namespace

std::size_t Cluster::node_of(const std::string& address) {
  constexpr std::string_view kName = "manager";
  SKEP_CHECK(address.starts_with(kName), "managers have names of managers");
  std::size_t node = 0;
  std::from_chars(address.data() + kName.size(), address.data() + address.size(), node);
  return node;
}

// As manager/manager.cc wires them.
void Cluster::join_siblings(const std::shared_ptr<Life>& life) {
  life->kin = std::make_shared<Kinship>();
  Kinship& kin = *life->kin;
  manager::Service& service = *life->service;
  Process& process = *life->process;
  kin.calls = std::make_unique<SimSiblingCalls>(world_, *this, *life);
  kin.forwarder =
      std::make_unique<manager::Forwarder>(process, service, *kin.calls, true, world_.random.split());
  manager::Forwarder& forwarder = *kin.forwarder;
  kin.fleet = std::make_unique<manager::ClusterFleet>(process, service, forwarder, *kin.calls, Logger());
  kin.live = std::make_unique<manager::Live>(
      process,
      [&forwarder](manager::Reply<api::v1::ClusterReply> reply) { forwarder.cluster(std::move(reply)); });
  kin.guard = std::make_unique<manager::TokenGuard>(nullptr, world_.executor, manager::TokenGuard::Options{},
                                                    Logger());
  kin.metrics = std::make_unique<Metrics>();
  kin.routes = std::make_unique<manager::Routes>(process, process, service, forwarder, *kin.fleet, *kin.live,
                                                 *kin.guard, *kin.metrics, nullptr);
  life->api = make_http_api(*kin.routes);
  service.on_complete_elsewhere([&forwarder](manager::Report report, manager::Reply<manager::Settled> done) {
    forwarder.complete(std::move(report), std::move(done));
  });
  service.on_worker_lost([&forwarder](const queue::LoseWorker& lost) { forwarder.lose_worker(lost); });
  // What it may have now it has first, so that it does not begin with refusals.
  auto is_settled = std::make_shared<bool>(false);
  const auto settle = [this, weak = std::weak_ptr<Life>(life), is_settled] {
    if (const auto there = weak.lock(); there != nullptr && !std::exchange(*is_settled, true)) settled(there);
  };
  service.on_shards_changed([&service, &process, settle] {
    if (service.is_settled()) process.post(settle);
  });
  process.post_at(process.now() + kSettleMax, settle);
}

void Cluster::settled(const std::shared_ptr<Life>& life) {
  Life& there = *life;
  there.service->on_shards_changed([&there] {
    there.kin->forwarder->on_shards_changed();
    there.kin->fleet->on_shards_changed();
  });
  there.kin->forwarder->start();
  there.kin->live->start();
  if (!there.service->is_draining()) start_scaler(there);
}

}  // namespace skep::sim
