// SPDX-License-Identifier: Apache-2.0
#include "cli/serve.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <filesystem>

#include "base/limits_os.h"
#include "compute/engine.h"
#include "provision/none.h"
#include "provision/process.h"
#include "simulate/sizing.h"
#include "store/log_store.h"
#include "store/memory_store.h"
#include "store/postgres_store.h"
#include "store/rocksdb_store.h"

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

std::unique_ptr<scaler::Provisioner> make_process_provisioner(const ServeOptions& options, Executor& executor,
                                                              const std::string& url, const Logger& log) {
  provision::ProcessOptions process;
  // One core each, so that the fleet grows by cores.
  process.command = {own_program(), "worker", "--manager",   url,
                     "--cores",     "1",      "--log-level", options.worker_log_level};
  if (options.slots > 0) {
    process.command.push_back("--slots");
    process.command.push_back(std::to_string(options.slots));
  }
  for (const auto& command : options.commands) {
    process.command.push_back("--command");
    process.command.push_back(command);
  }
  process.arguments_for = [](const std::string& token) {
    return std::vector<std::string>{"--instance", token};
  };
  process.grace = seconds(2);
  return std::make_unique<provision::ProcessProvisioner>(executor, std::move(process), log);
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

manager::ManagerOptions manager_options(const ServeOptions& options) {
  manager::ManagerOptions manager;
  manager.http.listen = options.listen;
  // With two cores one thread reads, applies and answers: the other core is for the store, and for the
  // workers.
  manager.http.threads = usable_cores() <= 2 ? 0 : std::clamp(usable_cores() / 2, 1, 4);
  manager.advertise = options.advertise;
  manager.siblings = options.siblings;
  manager.is_insecure = options.is_insecure;
  manager.scaler.bounds = {options.workers_min, options.workers_max, options.target_wait};
  manager.policy.idle_hold = options.idle_hold;
  if (const auto tuning = simulate::parse_tuning(options.policy)) manager.policy.tuning = tuning.value();
  manager.heartbeat = options.heartbeat;
  manager.worker_timeout = options.worker_timeout;
  manager.lease = options.lease;
  manager.seed_lease = options.seed_lease;
  manager.visibility = options.visibility;
  return manager;
}

}  // namespace

Result<void> validate(const ServeOptions& options) {
  SKEP_TRY(check_store(options.store));
  SKEP_TRY(simulate::parse_tuning(options.policy));
  return manager::validate(manager_options(options));
}

std::string default_store() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/')
    return "rocksdb:" + std::string(data) + "/skep";
  const char* home = std::getenv("HOME");
  return "rocksdb:" + std::string(home != nullptr && *home == '/' ? home : "/var/lib") + "/.local/share/skep";
}

Result<std::unique_ptr<store::Store>> open_store(const std::string& spec, const Logger& log) {
  SKEP_TRY(check_store(spec));
  if (spec == kMemory) return std::unique_ptr<store::Store>(std::make_unique<store::MemoryStore>());
  if (is_postgres(spec)) return store::open_postgres({.conninfo = spec}, log);
  if (spec.starts_with(kLog)) {
    store::LogOptions options;
    options.directory = spec.substr(kLog.size());
    return store::open_log(options, log);
  }
  store::RocksdbOptions options;
  options.directory = spec.substr(kRocksdb.size());
  if (spec == default_store()) {
    // The place is ours to choose, so it is also ours to make.
    std::error_code ignored;  // what is wrong is said by the open that follows
    std::filesystem::create_directories(std::filesystem::path(options.directory).parent_path(), ignored);
  }
  return store::open_rocksdb(options, log);
}

std::size_t connections_for(std::uint64_t open_files_max) {
  constexpr std::uint64_t kOwnFiles = 1'000;  // the store's, and pipes of workers
  constexpr std::uint64_t kConnectionsMax = 100'000;
  if (open_files_max < kOwnFiles + kConnectionsMin) return kConnectionsMin;
  return std::min(open_files_max - kOwnFiles, kConnectionsMax);
}

Result<std::unique_ptr<manager::Manager>> start_manager(const ServeOptions& options, store::Store& store,
                                                        const Clock& clock, const Logger& log,
                                                        std::size_t connections_max) {
  manager::ManagerOptions manager = manager_options(options);
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
  return manager::Manager::start(
      std::move(manager), store, clock,
      [&options, &log](Executor& executor, const std::string& url) -> std::unique_ptr<scaler::Provisioner> {
        if (options.provisioner == "process") return make_process_provisioner(options, executor, url, log);
        return std::make_unique<provision::NoneProvisioner>(executor);
      },
      log);
}

}  // namespace skep::cli
