// SPDX-License-Identifier: Apache-2.0
#include "cli/serve.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <filesystem>

#include "base/limits_os.h"
#include "cli/programs.h"
#include "compute/engine.h"
#include "http/client.h"
#include "provision/none.h"
#include "provision/prices.h"
#include "provision/process.h"
#include "simulate/sizing.h"
#include "store/log_store.h"
#include "store/memory_store.h"
#include "store/postgres_store.h"
#include "store/rocksdb_store.h"
#include "store/store_directory.h"
#include "web/page.h"

namespace skep::cli {
namespace {

constexpr std::uint64_t kHashesAtOnce = 50'000;  // some milliseconds: an end is not held up for longer

constexpr std::string_view kRocksdb = "rocksdb:";
constexpr std::string_view kLog = "log:";
constexpr std::string_view kMemory = "memory:";

// As libpq has it, which gets it whole.
bool is_postgres(const std::string& spec) {
  return spec.starts_with("postgres://") || spec.starts_with("postgresql://");
}

std::string own_program() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : std::string("skep");
}

std::string own_host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

std::unique_ptr<scaler::Provisioner> make_process_provisioner(const ServeOptions& options, Executor& executor,
                                                              const manager::WorkerAccess& access,
                                                              const std::string& ca_file, const Logger& log) {
  provision::ProcessOptions process;
  // One core each, so that the fleet grows by cores.
  process.command = {own_program(), "worker", "--manager",   access.url,
                     "--cores",     "1",      "--log-level", options.worker_log_level};
  if (!ca_file.empty()) {
    process.command.push_back("--ca");
    process.command.push_back(ca_file);
  }
  if (options.slots > 0) {
    process.command.push_back("--slots");
    process.command.push_back(std::to_string(options.slots));
  }
  if (options.worker_drain_timeout) {
    process.command.push_back("--drain-timeout");
    process.command.push_back(format_duration(*options.worker_drain_timeout));
  }
  for (const auto& command : options.commands) {
    process.command.push_back("--command");
    process.command.push_back(command);
  }
  for (const auto& option : options.command_options) {
    process.command.push_back("--command-option");
    process.command.push_back(option);
  }
  process.arguments_for = [](const std::string& token) {
    return std::vector<std::string>{"--instance", token};
  };
  process.grace = seconds(2);
  process.secret = access.token;
  process.secret_flag = "--token-file";
  return std::make_unique<provision::ProcessProvisioner>(executor, std::move(process), log);
}

Result<std::vector<Network>> parse_networks(const std::vector<std::string>& texts) {
  std::vector<Network> networks;
  for (const auto& text : texts) {
    auto network = Network::parse(text);
    if (!network) return with_context(network.error(), "--seed-clients");
    networks.push_back(network.value());
  }
  return networks;
}

// Where certificates are, and whom the workers of this manager trust.
struct Tls {
  http::TlsServerOptions server;
  std::string ca_file;
};

Result<void> check_tls(const ServeOptions& options) {
  const bool is_auto = options.tls == "auto";
  if (is_auto && !options.tls_cert.empty()) {
    return fail(Code::kInvalid, "--tls auto makes a certificate and --tls-cert names one: say one of them");
  }
  if (options.tls_cert.empty() && !options.tls_key.empty()) {
    return fail(Code::kInvalid, "--tls-key is the key of --tls-cert, which is missing");
  }
  const bool has_directory = options.store.starts_with(kRocksdb) || options.store.starts_with(kLog);
  if (is_auto && options.tls_dir.empty() && !has_directory) {
    return fail(Code::kInvalid,
                "--tls auto keeps its authority in the store's directory, and this store has "
                "none: name one with --tls-dir");
  }
  return ok();
}

// The names that others may reach this manager by, as far as it knows.
std::vector<std::string> own_names(const ServeOptions& options) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  const auto add = [&](const std::string& name) {
    const bool is_any = name.empty() || name == "0.0.0.0" || name == "::";
    if (!is_any && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  add(host);
  for (const auto& place : {options.listen, options.advertise}) {
    // Port 0 is none of a URL's.
    auto url = http::parse_url(place.substr(0, place.rfind(':')) + ":1");
    if (!place.empty() && url) add(url.value().host);
  }
  return names;
}

Result<Tls> prepare_tls(const ServeOptions& options, const Logger& log) {
  SKEP_TRY(check_tls(options));
  if (!options.tls_cert.empty()) {
    const std::string key = options.tls_key.empty() ? options.tls_cert : options.tls_key;
    return Tls{{options.tls_cert, key, {}}, options.tls_cert};
  }
  if (options.tls != "auto") return Tls{};
  const std::string directory =
      !options.tls_dir.empty() ? options.tls_dir : options.store.substr(options.store.find(':') + 1) + "/tls";
  const auto names = own_names(options);
  SKEP_TRY(const auto own, http::keep_own_authority(directory, names));
  log.info("clients and workers trust this manager by --ca", {{"file", own.ca_file}});
  const auto renew = [directory, names]() -> Result<void> {
    SKEP_TRY(http::keep_own_authority(directory, names));
    return ok();
  };
  return Tls{{own.server_file, own.server_file, renew}, own.ca_file};
}

Result<void> check_store(const std::string& spec) {
  if (spec == kMemory || is_postgres(spec)) return ok();
  for (const std::string_view engine : {kRocksdb, kLog}) {
    if (spec.starts_with(engine) && spec.size() > engine.size()) return ok();
  }
  return fail(Code::kInvalid, "--store '" + spec +
                                  "' is not known: use rocksdb:DIRECTORY, log:DIRECTORY, "
                                  "postgres://HOST/DATABASE, or memory: for a trial that keeps nothing");
}

// The default place is ours to choose, so it is also ours to make.
void make_default_parent(const std::string& spec) {
  if (spec != default_store()) return;
  std::error_code ignored;  // what is wrong is said by the open that follows
  std::filesystem::create_directories(std::filesystem::path(spec.substr(kRocksdb.size())).parent_path(),
                                      ignored);
}

// Where workers of this manager alone reach it; "" where managers share a store, and their workers.
std::string own_url(const ServeOptions& options, const std::string& local_url) {
  if (is_postgres(options.store)) return {};
  if (options.advertise.empty()) return local_url;
  return local_url.substr(0, local_url.find("://") + 3) + options.advertise;
}

manager::ManagerOptions manager_options(const ServeOptions& options) {
  manager::ManagerOptions manager;
  manager.http.listen = options.listen;
  // With two cores one thread reads, applies and answers: the other core is for the store, and for the
  // workers.
  manager.http.threads = usable_cores() <= 2 ? 0 : std::clamp(usable_cores() / 2, 1, 4);
  manager.advertise = options.advertise;
  manager.siblings = options.siblings;
  manager.is_insecure = options.is_insecure;
  auto& bounds = manager.scaler.bounds;
  bounds = {options.workers_min, options.workers_max, options.target_wait};
  if (auto objectives = scaler::parse_objectives(options.queue_objectives))
    bounds.objectives = std::move(objectives.value());
  bounds.launches_minute_max = options.launches_minute;
  bounds.cost_hour_max = options.budget_hour;
  bounds.cost_month_max = options.budget_month;
  const bool is_ec2 = options.provisioner == "ec2";
  bounds.price_hour = options.worker_price.value_or(is_ec2 ? ec2_price_hour(options.ec2)
                                                           : provision::price_hour(options.provisioner));
  if (is_ec2) set_ec2_times(options.ec2, manager);
  manager.scaler.is_dry_run = options.scaler == "dry-run";
  manager.policy.idle_hold = options.idle_hold;
  if (const auto tuning = simulate::parse_tuning(options.policy)) manager.policy.tuning = tuning.value();
  manager.heartbeat = options.heartbeat;
  manager.worker_timeout = options.worker_timeout;
  manager.lease = options.lease;
  manager.seed_lease = options.seed_lease;
  manager.visibility = options.visibility;
  manager.disk_reserve = options.disk_reserve;
  manager.host_names = {own_host_name()};
  manager.page = web::page();
  return manager;
}

}  // namespace

Result<void> validate(const ServeOptions& options) {
  SKEP_TRY(http::Server::check_address(options.listen));
  SKEP_TRY(check_store(options.store));
  SKEP_TRY(read_programs(options.commands, options.command_options));
  SKEP_TRY(simulate::parse_tuning(options.policy));
  SKEP_TRY(scaler::parse_objectives(options.queue_objectives));
  SKEP_TRY(parse_networks(options.seed_clients));
  SKEP_TRY(check_tls(options));
  if (options.provisioner == "ec2") {
    SKEP_TRY(provision::validate(options.ec2.fleet));
  }
  if (!options.tls_cert.empty()) {
    const std::string key = options.tls_key.empty() ? options.tls_cert : options.tls_key;
    if (auto checked = http::check(http::TlsServerOptions{options.tls_cert, key, {}}); !checked)
      return with_context(checked.error(), "--tls-cert");
  }
  SKEP_TRY(manager::validate(manager_options(options)));
  if (is_postgres(options.store)) return ok();  // its server is asked at the start
  SKEP_TRY(const auto tokens, open_tokens(options.store));
  return check_open_address(options, *tokens);
}

Result<void> check_open_address(const ServeOptions& options, store::TokenStore& tokens) {
  if (options.is_insecure || manager::is_loopback_address(options.listen)) return ok();
  SKEP_TRY(const auto listed, tokens.list());
  if (listed.empty()) return manager::open_to_everybody(options.listen);
  return ok();
}

Result<std::unique_ptr<store::TokenStore>> open_tokens(const std::string& spec) {
  SKEP_TRY(check_store(spec));
  if (spec == kMemory) return store::make_memory_tokens();
  if (is_postgres(spec)) return store::open_postgres_tokens(spec);
  make_default_parent(spec);
  return store::open_directory_tokens(spec.substr(spec.find(':') + 1));
}

Result<std::unique_ptr<store::FleetStore>> open_fleet(const std::string& spec, const Clock& clock) {
  SKEP_TRY(check_store(spec));
  if (spec == kMemory) return store::make_memory_fleet(clock);
  if (is_postgres(spec)) return store::open_postgres_fleet(spec);
  return store::open_directory_fleet(spec.substr(spec.find(':') + 1), clock);
}

std::string default_store() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/')
    return "rocksdb:" + std::string(data) + "/skep";
  const char* home = std::getenv("HOME");
  return "rocksdb:" + std::string(home != nullptr && *home == '/' ? home : "/var/lib") + "/.local/share/skep";
}

Result<std::unique_ptr<store::Store>> open_store(const std::string& spec, const Logger& log) {
  SKEP_TRY(check_store(spec));
  if (spec == kMemory) {
    const StoreNumber number = store::number_of_secret(store::draw_secret());
    return std::unique_ptr<store::Store>(
        std::make_unique<store::MemoryStore>(std::make_shared<store::MemoryDisk>(1, number)));
  }
  if (is_postgres(spec)) return store::open_postgres({.conninfo = spec}, log);
  if (spec.starts_with(kLog)) {
    store::LogOptions options;
    options.directory = spec.substr(kLog.size());
    options.is_numbered = true;
    return store::open_log(options, log);
  }
  store::RocksdbOptions options;
  options.directory = spec.substr(kRocksdb.size());
  options.is_numbered = true;
  make_default_parent(spec);
  return store::open_rocksdb(options, log);
}

std::size_t connections_for(std::uint64_t open_files_max) {
  constexpr std::uint64_t kOwnFiles = 1'000;  // the store's, and pipes of workers
  constexpr std::uint64_t kConnectionsMax = 100'000;
  if (open_files_max < kOwnFiles + kConnectionsMin) return kConnectionsMin;
  return std::min(open_files_max - kOwnFiles, kConnectionsMax);
}

Result<std::unique_ptr<manager::Manager>> start_manager(const ServeOptions& options, store::Store& store,
                                                        store::TokenStore* tokens, store::FleetStore* fleet,
                                                        const Clock& clock, const Logger& log,
                                                        std::size_t connections_max) {
  manager::ManagerOptions manager = manager_options(options);
  manager.tokens = tokens;
  manager.fleet = fleet;
  SKEP_TRY(manager.seed_clients, parse_networks(options.seed_clients));
  SKEP_TRY(const Tls tls, prepare_tls(options, log));
  manager.http.tls = tls.server;
  // A handshake takes a millisecond, which is not to be the shards'.
  if (!tls.server.certificate_file.empty()) manager.http.threads = std::max(manager.http.threads, 1);
  SKEP_TRY(auto siblings, client_options(options.sibling_access));
  manager.sibling_access = {std::move(siblings.tls), std::move(siblings.bearer),
                            !tls.server.certificate_file.empty()};
  manager.http.connections_max = connections_max;
  manager.random_seed = static_cast<std::uint64_t>(clock.now().time_since_epoch().count());
  manager.begin_chain = [](manager::Blob body, std::uint64_t iterations) -> manager::DigestMatcher::Chain {
    std::shared_ptr engine = compute::make_engine(compute::widest_plan(compute::Target::kScalar));
    engine->add({0, std::move(body), iterations, {}});
    return [engine]() -> std::optional<std::string> {
      std::vector<compute::JobDone> done;
      engine->run(kHashesAtOnce, done);
      return done.empty() ? std::nullopt : std::optional(compute::to_hex(done.front().digest));
    };
  };
  std::shared_ptr<AwsSession> session;
  if (options.provisioner == "ec2") {
    SKEP_TRY(provision::validate(options.ec2.fleet));
    SKEP_TRY(session, AwsSession::open("", ""));
  }
  return manager::Manager::start(
      std::move(manager), store, clock,
      [&options, &clock, &log, session, ca_file = tls.ca_file](
          Executor& executor, const manager::WorkerAccess& access) -> std::unique_ptr<scaler::Provisioner> {
        if (options.provisioner == "process")
          return make_process_provisioner(options, executor, access, ca_file, log);
        if (session != nullptr)
          return make_ec2_provisioner(options.ec2, options.workers_max, own_url(options, access.url), session,
                                      executor, clock, log);
        return std::make_unique<provision::NoneProvisioner>(executor);
      },
      log);
}

}  // namespace skep::cli
