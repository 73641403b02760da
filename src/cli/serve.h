// SPDX-License-Identifier: Apache-2.0
// serve.h - a manager with its store and workers, as `skep up`, `skep manager` and `skep demo` need it.
//
// Threads:   the main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cli/access.h"
#include "cli/serve_ec2.h"
#include "manager/manager.h"
#include "store/fleet_store.h"
#include "store/store.h"
#include "store/token_store.h"

namespace skep::cli {

struct ServeOptions {
  std::string listen = "127.0.0.1:8080";
  std::string store;                    // "rocksdb:DIR", "log:DIR", "postgres://...", "memory:"
  std::string provisioner = "process";  // "none", "ec2"
  Ec2Serve ec2;
  std::string advertise;
  std::vector<std::string> siblings;
  std::vector<std::string> commands;         // NAME=PROGRAM, for the workers
  std::vector<std::string> command_options;  // NAME.KEY=VALUE, for the workers
  std::vector<std::string> seed_clients;     // ranges of addresses
  std::string tls = "off";                   // "auto": by an authority of one's own
  std::string tls_cert;                      // PEM; goes on with the key in tls_key, or in itself
  std::string tls_key;
  std::string tls_dir;    // of the own authority; "": tls in the store's directory
  Access sibling_access;  // what siblings are called with
  bool is_insecure = false;
  std::uint32_t workers_min = 0;
  std::uint32_t workers_max = 1;
  std::uint32_t slots = 0;  // of each worker; 0: the lanes of a core
  Duration target_wait = seconds(30);
  std::vector<std::string> queue_objectives;  // NAME=WAIT[:WEIGHT]
  Duration idle_hold = seconds(20);
  std::uint32_t launches_minute = 0;  // 0: any number
  double budget_hour = 0;             // 0: any
  double budget_month = 0;
  std::optional<double> worker_price;  // an hour; nothing: as provision/prices.h has it
  std::string scaler = "live";         // or "dry-run"
  std::string policy = "skep";         // with settings, as `skep simulate --tune` prints them
  Duration heartbeat = seconds(2);
  Duration worker_timeout = seconds(5);
  Duration lease = seconds(15);
  Duration seed_lease = minutes(10);
  Duration visibility = seconds(30);
  std::optional<std::uint64_t> disk_reserve;  // bytes; nothing: what the store asks for
  std::string worker_log_level = "warn";
  std::optional<Duration> worker_drain_timeout;  // nothing: the workers' own
};

// "rocksdb:" and a directory for this user.
std::string default_store();

// What is refused before a store is opened or a port is bound: for --check-config, and first of all in a
// start.
Result<void> validate(const ServeOptions& options);

Result<std::unique_ptr<store::Store>> open_store(const std::string& spec, const Logger& log);
// The tokens of the same place, whether a store is open there, or is there at all, or not.
Result<std::unique_ptr<store::TokenStore>> open_tokens(const std::string& spec);
// What is kept of the fleet in the same place.
Result<std::unique_ptr<store::FleetStore>> open_fleet(const std::string& spec, const Clock& clock);
// kInvalid: others reach the address, there is no token, and nobody said --insecure.
Result<void> check_open_address(const ServeOptions& options, store::TokenStore& tokens);

// `tokens`, `fleet`: null is none. `connections_max`: of clients and workers at once; one more is answered
// 503.
Result<std::unique_ptr<manager::Manager>> start_manager(const ServeOptions& options, store::Store& store,
                                                        store::TokenStore* tokens, store::FleetStore* fleet,
                                                        const Clock& clock, const Logger& log,
                                                        std::size_t connections_max);

// How many connections a process that may open so many files serves: a worker holds two.
inline constexpr std::size_t kConnectionsMin = 500;
std::size_t connections_for(std::uint64_t open_files_max);

// Fit to drain within the 5 s that an operator is promised.
inline constexpr Duration kDrainPatience = milliseconds(4'000);

}  // namespace skep::cli
