// SPDX-License-Identifier: Apache-2.0
// manager.h - one manager, assembled: shards on a store, the API on a port, a scaler over a provisioner.
//
// Threads:   start, drain and the destructor from the owner's thread. Inside: one runner for shards, workers
// and the
//            scaler; the HTTP server's I/O threads; the store's own.
// Errors:    start: kInvalid (an option), kUnavailable (port or store), kCorrupt (the store), each with one
// sentence. Ownership: borrows store and clock, which must outlive it; owns the provisioner it makes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "base/network.h"
#include "http/document.h"
#include "http/server.h"
#include "manager/digest_matcher.h"
#include "manager/ownership.h"
#include "manager/siblings.h"
#include "scaler/policy.h"
#include "scaler/provisioner.h"
#include "scaler/scaler.h"
#include "store/fleet_store.h"
#include "store/store.h"
#include "store/token_store.h"

namespace skep::manager {

struct ManagerOptions {
  http::ServerOptions http;             // with 0 threads, sockets are on the thread of the shards
  std::string advertise;                // HOST:PORT that others reach it by; "" is the bound address
  std::vector<std::string> siblings;    // HOST:PORT
  store::TokenStore* tokens = nullptr;  // borrowed; null: nobody needs a token
  store::FleetStore* fleet = nullptr;   // borrowed; null: orders to the fleet end with the process
  std::vector<Network> seed_clients;    // need none for the seed's calls
  bool is_insecure = false;             // an address that is not loopback wants tokens, or this
  scaler::ScalerOptions scaler;
  scaler::DrainTimeOptions policy;
  Duration heartbeat = seconds(2);       // asked of workers
  Duration worker_timeout = seconds(5);  // silent for longer: lost
  Duration lease = seconds(15);          // without a heartbeat
  Duration seed_lease = minutes(10);     // of GET /getwork, which has no heartbeat
  Duration visibility = seconds(30);     // of results pulled with a receipt
  DigestMatcher::BeginChain
      begin_chain;                   // for results of seed workers that may be of several tasks; may be empty
  std::size_t pending_max = 20'000;  // requests that wait for a commit; more get 503
  std::vector<std::string> host_names;        // without a token browsers may call it by these and its address
  std::optional<std::uint64_t> disk_reserve;  // bytes of the store's disk that new tasks leave; else its own
  std::uint64_t random_seed = 0;              // for back-off jitter
  OwnershipOptions ownership;                 // where managers share the store
  SiblingAccess sibling_access;               // how they call each other
  std::shared_ptr<const http::Document> page;  // at `/`; null: links to what there is
};

// kInvalid: what start() refuses without having begun anything.
Result<void> validate(const ManagerOptions& options);

// Whether nobody on another machine reaches that HOST:PORT.
bool is_loopback_address(std::string_view listen);
// The sentence for one that others reach, where there is no token and nobody said --insecure.
Error open_to_everybody(const std::string& listen);

// Where the workers of this machine reach the manager, and the token that they come with.
struct WorkerAccess {
  std::string url;
  std::string token;
};
// Called once, on the owner's thread.
using MakeProvisioner =
    std::function<std::unique_ptr<scaler::Provisioner>(Executor& executor, const WorkerAccess& access)>;

class Manager {
 public:
  static Result<std::unique_ptr<Manager>> start(ManagerOptions options, store::Store& store,
                                                const Clock& clock, MakeProvisioner make_provisioner,
                                                Logger log);
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::string address() const;  // HOST:PORT as bound

  // Stops accepting, answers the long-polls, lets its workers go, commits what is under way. Blocks for at
  // most about `patience`. Idempotent; the destructor drains with no patience.
  void drain(Duration patience);

 private:
  struct Impl;
  explicit Manager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::manager
