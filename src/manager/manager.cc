// SPDX-License-Identifier: Apache-2.0
#include "manager/manager.h"

#include <algorithm>
#include <future>

#include "base/metrics.h"
#include "base/runner.h"
#include "http/client.h"
#include "manager/cluster_fleet.h"
#include "manager/fleet_keeper.h"
#include "manager/forwarder.h"
#include "manager/live.h"
#include "manager/routes.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

constexpr std::string_view kNoSiblingToken =
    "there are tokens, and it was started without --sibling-token-file: other managers do not answer it, so "
    "it "
    "answers from its own shards alone";

constexpr Duration kSettleMax = seconds(10);  // a store that hands out shards so slowly is not waited for

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// The host of HOST:PORT or [V6]:PORT. What is malformed is refused by the server, with its sentence.
std::string listen_host(std::string_view listen) {
  std::string_view host = listen.substr(0, std::min(listen.rfind(':'), listen.size()));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

// How workers on this machine reach an address that was bound: "any address" is reached by loopback.
std::string reachable(const std::string& host, int port) {
  if (host == "0.0.0.0" || host == "::" || host.empty()) return "127.0.0.1:" + std::to_string(port);
  return host.find(':') != std::string::npos ? "[" + host + "]:" + std::to_string(port)
                                             : host + ":" + std::to_string(port);
}

// Runs `work` on the executor and waits for it. From a thread that is not the executor's.
void run_and_wait(Executor& executor, UniqueFunction<void()> work) {
  std::promise<void> done;
  executor.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

// Without threads of its own the server is on the runner's.
std::shared_ptr<http::IoLoop> loop_of(ManagerOptions& options) {
  if (options.http.threads > 0) return nullptr;
  options.http.threads = 1;  // for connections with large bodies
  options.http.loop = std::make_shared<http::IoLoop>();
  return options.http.loop;
}

}  // namespace

bool is_loopback_address(std::string_view listen) {
  return is_loopback(listen_host(listen));
}

Error open_to_everybody(const std::string& listen) {
  return fail(Code::kInvalid,
              "listening on " + listen +
                  " without a token would let everybody who reaches it use it: make one with "
                  "`skep token create --role admin --store STORE`, listen on 127.0.0.1, or say "
                  "--insecure");
}

Result<void> validate(const ManagerOptions& options) {
  const auto& bounds = options.scaler.bounds;
  if (bounds.workers_min > bounds.workers_max) {
    return fail(Code::kInvalid, "min-workers (" + std::to_string(bounds.workers_min) +
                                    ") is more than max-workers (" + std::to_string(bounds.workers_max) +
                                    ")");
  }
  if (std::min({bounds.cost_hour_max, bounds.cost_month_max, bounds.price_hour}) < 0) {
    return fail(Code::kInvalid, "budget-hour, budget-month and worker-price are not below 0");
  }
  if (bounds.price_hour <= 0 && bounds.cost_hour_max + bounds.cost_month_max > 0) {
    return fail(Code::kInvalid, "a budget needs worker-price: what a worker costs an hour");
  }
  if (options.heartbeat <= Duration::zero() || options.worker_timeout <= options.heartbeat) {
    return fail(Code::kInvalid, "worker-timeout must be longer than heartbeat, and both longer than 0s");
  }
  if (options.lease <= options.heartbeat) {
    return fail(Code::kInvalid, "lease must be longer than heartbeat, or it ends before it can be extended");
  }
  if (!options.advertise.empty()) {
    if (auto url = http::parse_url(options.advertise); !url) return with_context(url.error(), "advertise");
  }
  for (const auto& sibling : options.siblings) {
    if (auto url = http::parse_url(sibling); !url) return with_context(url.error(), "sibling");
  }
  return ok();
}

struct Manager::Impl {
  Impl(ManagerOptions o, store::Store& s, const Clock& c, Logger l)
      : options(std::move(o)),
        clock(c),
        log(l),
        runner(c, "skep-shards", loop_of(options)),
        checker(c, "skep-checker"),
        matcher(checker, runner, options.begin_chain),
        store(s),
        guard(options.tokens, c, {options.seed_clients}, l),
        keeper(
            options.fleet, s.is_shared(), runner, c, [this](const FleetRecord& record) { take_up(record); },
            l) {
    ServiceOptions service_options;
    service_options.heartbeat = options.heartbeat;
    service_options.worker_timeout = options.worker_timeout;
    service_options.lease = options.lease;
    service_options.seed_lease = options.seed_lease;
    service_options.visibility = options.visibility;
    service_options.disk_reserve = options.disk_reserve;
    service_options.host_names = options.host_names;
    service_options.ownership = options.ownership;
    if (options.begin_chain) {
      service_options.match_digest = [this](std::vector<DigestCandidate> candidates, std::string hex,
                                            UniqueFunction<void(std::optional<std::size_t>)> done) {
        matcher.match(std::move(candidates), std::move(hex), std::move(done));
      };
    }
    service_options.host.pending_max = options.pending_max;
    service_options.host.shard.recovered_lease = options.lease;
    service_options.objectives = options.scaler.bounds.objectives;
    for (const auto& objective : service_options.objectives)
      service_options.host.shard.weights[objective.queue] = objective.weight;
    run_and_wait(runner, [&] {
      service = std::make_unique<Service>(runner, store, std::move(service_options),
                                          Random(options.random_seed), log);
    });
    calls = make_sibling_calls(runner, clock, options.sibling_access);
    forwarder = std::make_unique<Forwarder>(runner, *service, *calls, store.is_shared(),
                                            Random(options.random_seed + 1));
    fleet = std::make_unique<ClusterFleet>(runner, *service, *forwarder, *calls, log);
    run_and_wait(runner, [&] {
      live = std::make_unique<Live>(runner, [this](Reply<api::v1::ClusterReply> reply) {
        if (forwarder->is_active()) return forwarder->cluster(std::move(reply));
        service->cluster(std::move(reply));
      });
    });
    routes = std::make_unique<Routes>(runner, clock, *service, *forwarder, *fleet, *live, guard, metrics,
                                      options.page);
  }

  ~Impl() {
    drain(Duration::zero());
    guard.stop();
    keeper.stop();
    checker.stop();  // its answers go to the service
    // What has timers on the runner goes on the runner.
    run_and_wait(runner, [this] {
      service->attach(nullptr, "none");
      fleet->attach(nullptr);
      scaler.reset();
      live.reset();
      fleet.reset();
      forwarder.reset();
      service.reset();
    });
    calls.reset();
    provisioner.reset();
    runner.stop();
  }

  Result<void> take_tokens() {
    SKEP_TRY(guard.start());
    const std::string& address = options.http.listen;
    if (guard.has_tokens() || options.is_insecure || is_loopback_address(address)) return ok();
    return open_to_everybody(address);
  }

  Result<void> listen() {
    options.http.problem = Routes::problem;
    options.http.body_bytes_max =
        limits::kBatchBytesMax + (std::size_t{1} << 20);  // a batch with its framing
    auto listening =
        http::Server::listen(options.http, log, [this](http::Request request, http::Responder responder) {
          routes->handle(std::move(request), std::move(responder));
        });
    if (!listening) return listening.error();
    server = std::move(listening.value());
    return ok();
  }

  Result<void> serve(const MakeProvisioner& make_provisioner) {
    const std::string local = reachable(listen_host(options.http.listen), server->port());
    const std::string address = options.advertise.empty() ? local : options.advertise;
    std::vector<std::string> siblings;  // that were registered
    if (options.fleet != nullptr && !store.is_shared()) {
      // What is wrong with it the keeper says.
      if (auto found = options.fleet->read_siblings()) siblings = std::move(found.value());
    }
    Result<void> started = ok();
    run_and_wait(runner, [&] {
      service->set_address(address);
      for (const auto& sibling : options.siblings)
        service->name_sibling(http::parse_url(sibling).value().host_port());
      for (const auto& sibling : siblings) service->register_sibling(sibling, [](const auto&) {});
      started = service->start();
      if (!started) return;
      service->on_siblings([this](const std::vector<std::string>& registered, Reply<void> done) {
        forwarder->look();
        keeper.set_siblings(registered, std::move(done));
      });
      service->on_complete_elsewhere([this](Report report, Reply<Settled> done) {
        forwarder->complete(std::move(report), std::move(done));
      });
      service->on_worker_lost([this](const queue::LoseWorker& lost) { forwarder->lose_worker(lost); });
      if (!store.is_shared()) forwarder->start();
    });
    if (!started) return started;
    wait_until_settled();
    run_and_wait(runner, [this] { live->start(); });
    warn_of_siblings();
    keeper.start();
    const bool is_tls = !options.http.tls.certificate_file.empty();
    provisioner =
        make_provisioner(runner, {(is_tls ? "https://" : "http://") + local, guard.own_workers_token()});
    if (!is_tls && guard.has_tokens() && !is_loopback_address(options.http.listen))
      log.warn("tokens go over the wire as they are: --tls auto, or --tls-cert, protects them");
    if (provisioner == nullptr) return ok();
    run_and_wait(runner, [&] {
      // Tokens of launches must differ between lives of this manager.
      const std::string prefix = "e" + service->life_name();
      options.scaler.address = service->options().address;
      const bool is_shared = store.is_shared();
      scaler::Fleet& seen = is_shared ? static_cast<scaler::Fleet&>(*fleet) : *service;
      scaler = std::make_unique<scaler::Scaler>(
          runner, seen, *provisioner, scaler::make_drain_time_policy(options.policy), options.scaler, prefix,
          log, is_shared ? fleet.get() : nullptr);
      service->attach(scaler.get(), provisioner->name());
      fleet->attach(scaler.get(), provisioner->is_cluster_wide());
      if (is_shared) fleet->start();
      service->on_order(
          [this](const FleetOrder& order, Reply<void> done) { keeper.set_order(order, std::move(done)); });
      scaler->on_spending([this](SpendingPart part, Reply<void> done) {
        keeper.add_spending(std::move(part), std::move(done));
      });
      scaler->know(kept);
      scaler->start();
    });
    return ok();
  }

  // Tokens may come later, so it is looked at again whenever the status is asked for.
  void warn_of_siblings() {
    const bool has_no_token = store.is_shared() && !options.sibling_access.bearer;
    if (has_no_token && guard.has_tokens()) log.warn(std::string(kNoSiblingToken));
    run_and_wait(runner, [this, has_no_token] {
      service->warn_with([this, has_no_token] {
        return has_no_token && guard.has_tokens() ? std::string(kNoSiblingToken) : forwarder->problem();
      });
    });
  }

  void take_up(const FleetRecord& record) {
    kept = record;
    if (scaler != nullptr) scaler->know(record);
  }

  // Where managers share the store: what this one may have now it has, so that it does not begin with
  // refusals.
  void wait_until_settled() {
    auto settled = std::make_shared<std::promise<void>>();
    auto future = settled->get_future();
    run_and_wait(runner, [this, settled] {
      if (service->is_settled()) return settled->set_value();
      service->on_shards_changed([this, settled, is_set = false]() mutable {
        if (is_set || !service->is_settled()) return;
        is_set = true;
        settled->set_value();
      });
    });
    future.wait_for(kSettleMax);
    run_and_wait(runner, [this] {
      service->on_shards_changed([this] {
        forwarder->on_shards_changed();
        if (store.is_shared()) fleet->on_shards_changed();
      });
      if (store.is_shared()) forwarder->start();
    });
  }

  // Its shards go to them while it still answers.
  void leave_siblings(Duration patience) {
    auto left = std::make_shared<std::promise<void>>();
    auto future = left->get_future();
    runner.post([this, left] { service->leave([left] { left->set_value(); }); });
    future.wait_for(std::max<Duration>(patience, milliseconds(200)));
  }

  void drain(Duration patience) {
    if (is_drained) return;
    is_drained = true;
    const Instant deadline = clock.now() + patience;
    run_and_wait(runner, [this] { service->begin_drain(); });
    if (scaler != nullptr) {
      // Workers hand back what they hold while the API still answers.
      auto gone = std::make_shared<std::promise<void>>();
      auto future = gone->get_future();
      runner.post([this, gone, until = clock.now() + patience / 2] {
        scaler->stop(until, [gone] { gone->set_value(); });
      });
      future.wait_for(patience / 2 + milliseconds(500));
    }
    leave_siblings((deadline - clock.now()) / 2);
    if (server != nullptr) server->stop(std::max(Duration::zero(), (deadline - clock.now()) / 2));
    auto stopped = std::make_shared<std::promise<void>>();
    auto future = stopped->get_future();
    runner.post([this, stopped] { service->stop([stopped] { stopped->set_value(); }); });
    // A store that hangs must not keep the process: what it had acknowledged is stored.
    future.wait_for(std::max<Duration>(deadline - clock.now(), seconds(1)));
  }

  ManagerOptions options;
  const Clock& clock;
  Logger log;
  Metrics metrics;
  Runner runner;
  Runner checker;
  DigestMatcher matcher;
  store::Store& store;
  TokenGuard guard;
  FleetKeeper keeper;
  FleetRecord kept;  // of the runner
  std::unique_ptr<Service> service;
  std::unique_ptr<SiblingCalls> calls;
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<Live> live;
  std::unique_ptr<ClusterFleet> fleet;
  std::unique_ptr<Routes> routes;
  std::unique_ptr<scaler::Provisioner> provisioner;
  std::unique_ptr<scaler::Scaler> scaler;
  std::unique_ptr<http::Server> server;  // last: no request comes in once it is gone
  bool is_drained = false;
};

Manager::Manager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Manager::~Manager() = default;

Result<std::unique_ptr<Manager>> Manager::start(ManagerOptions options, store::Store& store,
                                                const Clock& clock, MakeProvisioner make_provisioner,
                                                Logger log) {
  SKEP_TRY(validate(options));
  auto impl = std::make_unique<Impl>(std::move(options), store, clock, std::move(log));
  SKEP_TRY(impl->take_tokens());
  SKEP_TRY(impl->listen());
  SKEP_TRY(impl->serve(make_provisioner));
  return std::unique_ptr<Manager>(new Manager(std::move(impl)));
}

std::string Manager::address() const {
  return impl_->server->address();
}

void Manager::drain(Duration patience) {
  impl_->drain(patience);
}

}  // namespace skep::manager
