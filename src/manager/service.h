// SPDX-License-Identifier: Apache-2.0
// service.h - what a manager can do, one method for each endpoint, without HTTP.
//
// Between the routes (which parse and print) and the shard host (which applies and commits). It keeps what is
// not durable: the workers it has heard of, who waits for what, the events, the learned speed. The simulator
// calls the same methods over its own network.
//
// Threads:   everything on the executor given; replies run there too, never inside the call of a method that
// waits. Errors:    each reply's Result; the sentence is fit for the client. Ownership: borrows executor,
// store and (after attach) scaler, which must outlive it or be detached.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/decisions.pb.h"
#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "manager/admission.h"
#include "manager/decision_log.h"
#include "manager/event_log.h"
#include "manager/messages.h"
#include "manager/receipt.h"
#include "manager/shard_host.h"
#include "manager/shard_keeper.h"
#include "manager/speed.h"
#include "manager/wait_times.h"
#include "manager/worker_registry.h"
#include "scaler/scaler.h"
#include "store/store.h"
#include "task/store_number.h"

namespace skep::manager {

// A chain of hashes that may be the one that a result is of.
struct DigestCandidate {
  Blob body;
  std::uint64_t iterations = 1;
};
// Computes until one gives `hex`: its place, or nothing. The reply runs on the service's executor.
using MatchDigest = std::function<void(std::vector<DigestCandidate> candidates, std::string hex,
                                       UniqueFunction<void(std::optional<std::size_t>)> done)>;

struct ServiceOptions {
  Duration heartbeat = seconds(2);
  Duration worker_timeout = seconds(5);
  Duration lease = seconds(15);
  Duration seed_lease = minutes(10);
  Duration visibility = seconds(30);
  Duration sweep = milliseconds(250);         // how often silence is looked for
  std::string address;                        // HOST:PORT that others reach this manager by
  std::vector<std::string> host_names;        // by which browsers may ask for it beside that
  std::optional<std::uint64_t> disk_reserve;  // bytes of the store's disk that new tasks leave; else its own
  std::size_t waiting_bytes_max = std::size_t{256}
                                  << 20;  // of tasks, and of results, that wait for a commit: more get 503
  // For results of the seed's protocol that may be of several tasks; without it the oldest is meant.
  MatchDigest match_digest;
  ShardHostOptions host;
  OwnershipOptions ownership;                      // where managers share the store
  std::vector<scaler::QueueObjective> objectives;  // of queues whose load is told apart to the scaler
};

template <class T>
using Reply = UniqueFunction<void(Result<T>)>;
// Asked before a waiting request is served; empty is always true.
using IsWanted = UniqueFunction<bool()>;

class Service final : private HostListener, public scaler::Fleet {
 public:
  struct NewTask {
    TaskSpec spec;
    Blob body;
  };

  // 1 to kBatchTasksMax tasks. kInvalid names the one that is wrong.
  static Result<void> check_batch(const api::v1::EnqueueBatchRequest& request);
  static Result<std::vector<NewTask>> read_batch(api::v1::EnqueueBatchRequest request);

  Service(Executor& executor, store::Store& store, ServiceOptions options, Random random, Logger log);
  ~Service() override;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Where others reach this manager; before start.
  void set_address(std::string address) { options_.address = std::move(address); }
  Result<void> start();  // claims and loads the shards, or joins those that share the store; blocks
  void attach(scaler::Scaler* scaler, std::string provisioner);  // null detaches
  // Where orders to the fleet are kept. It makes the scaler obey before it replies.
  using KeepOrder = std::function<void(const FleetOrder& order, Reply<void> done)>;
  void on_order(KeepOrder keep) { keep_order_ = std::move(keep); }
  // Every wait is answered, what is under way is committed, then `stopped`. Later calls get kUnavailable.
  void begin_drain();  // answers the long-polls; new requests are still taken
  void stop(UniqueFunction<void()> stopped);

  // ---- where managers share the store ----
  // What this one knows of the others; null where it has the store to itself.
  const Ownership* ownership() const { return keeper_ ? &keeper_->ownership() : nullptr; }
  // It has what it may have for now: asked after start.
  bool is_settled() const { return !keeper_ || keeper_->is_settled(); }
  // Called when shards came or went, here or elsewhere.
  void on_shards_changed(std::function<void()> changed) { shards_changed_ = std::move(changed); }
  // Called when a worker of this manager is lost.
  void on_worker_lost(std::function<void(const queue::LoseWorker&)> lost) { worker_lost_ = std::move(lost); }
  // The owner of a shard is looked for in vain: the others are looked at soon.
  void look_for_owners() {
    if (keeper_) keeper_->look();
  }
  // That of a task with this key.
  ShardId shard_of_key(const std::string& key) const;
  bool is_draining() const { return is_draining_; }
  // A worker of this manager was heard of. False: it is not known here.
  bool hear(const std::string& worker);
  // How many leases of it are of shards that siblings serve: as it says; and that it got since.
  void note_elsewhere(const std::string& worker, std::size_t leases);
  void note_leased_elsewhere(const std::string& worker, std::size_t leases);
  // Results of leases that siblings gave, to be passed on to them.
  using CompleteElsewhere = std::function<void(Report report, Reply<Settled> done)>;
  void on_complete_elsewhere(CompleteElsewhere complete) { complete_elsewhere_ = std::move(complete); }
  // For workers of siblings, of which nothing is kept here but their leases.
  void acquire_for_sibling(const api::v1::AcquireRequest& request, Reply<Granted> reply);
  void extend_for_sibling(std::string worker, const api::v1::HeartbeatRequest& request,
                          Reply<api::v1::HeartbeatReply> reply);
  void lose_for_sibling(std::string worker, const api::v1::LoseWorkerRequest& request,
                        Reply<api::v1::LoseWorkerReply> reply);
  // Kinds of tasks that wait: here, and as the siblings say.
  using WaitingKinds = std::set<queue::Shard::TaskClass>;
  WaitingKinds waiting_here() const;
  void note_waiting_elsewhere(WaitingKinds kinds) { waiting_elsewhere_ = std::move(kinds); }
  // Asked with each cluster(): what an operator should mend, a sentence; "": nothing.
  void warn_with(std::function<std::string()> warning) { warning_ = std::move(warning); }
  // Gives every shard to the others; still answers. `left` at once where there are none.
  void leave(UniqueFunction<void()> left);
  // No other life of a manager has it: "7", the epoch of shard 0, or "m3", the member.
  std::string life_name() const;

  // ---- siblings with stores of their own ----
  // HOST:PORT. Itself and those that are known are passed over. kExhausted: there are as many as there may
  // be. Else what the one who keeps them says.
  void register_sibling(std::string sibling, Reply<void> reply);
  // The operator's, before start: not kept, and not forgotten.
  void name_sibling(const std::string& sibling);
  void forget_sibling(const std::string& sibling);
  const std::vector<std::string>& siblings() const { return siblings_; }
  // Gets those that were registered, whenever they are others; it keeps them durably before it replies.
  using KeepSiblings = std::function<void(const std::vector<std::string>& registered, Reply<void> done)>;
  void on_siblings(KeepSiblings keep) { keep_siblings_ = std::move(keep); }
  // Of its store, which tells its ids from those of its siblings; 0: it has none. After start.
  StoreNumber own_number() const { return own_number_; }
  Instant started_at() const { return started_at_; }

  // ---- tasks ----
  void enqueue(std::vector<NewTask> tasks, Reply<queue::EnqueueReply> reply);
  // Answers when the task is finished or at `wait_until`.
  void get_task(TaskId id, Instant wait_until, IsWanted is_wanted, Reply<api::v1::Task> reply);
  // kNotFound: no task; kConflict: it has no result (yet).
  void get_result(TaskId id, Reply<Blob> reply);
  void cancel_task(TaskId id, Reply<api::v1::Task> reply);
  void retry_task(TaskId id, Reply<api::v1::Task> reply);
  void list_tasks(queue::ListTasks query, Reply<api::v1::ListTasksReply> reply);

  // ---- results ----
  enum class Delivery : std::uint8_t {
    kOnce,            // marked delivered on stable storage before they are sent
    kReceipt,         // delivered once they are acknowledged
    kReceiptInOrder,  // the same, the oldest of all shards first: the receipt is longer
  };
  // What can not be read is left out and comes again; if nothing can, the answer is why.
  void pull(queue::Pull command, Delivery delivery, Instant wait_until, IsWanted is_wanted,
            Reply<api::v1::PullReply> reply);
  void ack(api::v1::AckRequest request, Reply<api::v1::AckReply> reply);

  // ---- workers ----
  void register_worker(api::v1::RegisterRequest request, Reply<api::v1::RegisterReply> reply);
  // What it says counts at once. The answer waits for something to say: a task of the worker's is cancelled,
  // it is to drain, it is gone; or for its next heartbeat, or the time that the request gives.
  void heartbeat(std::string worker, api::v1::HeartbeatRequest request, Reply<api::v1::HeartbeatReply> reply);
  void acquire(api::v1::AcquireRequest request, IsWanted is_wanted, Reply<Granted> reply);
  void complete(Report report, Reply<Settled> reply);
  void release(api::v1::ReleaseRequest request, Reply<api::v1::ReleaseReply> reply);
  void drain_worker_by_hand(std::string worker, Reply<api::v1::Worker> reply);
  void delete_worker(std::string worker, std::string reason, Reply<api::v1::Worker> reply);
  void list_workers(Reply<api::v1::WorkersReply> reply);
  // With what it computes. Without a state if it is not known here: it may hold leases all the same.
  void get_worker(const std::string& worker, Reply<api::v1::Worker> reply);

  // ---- the seed's protocol ----
  struct SeedWork {
    bool is_exit_wanted = false;
    bool is_found = false;
    std::uint64_t iterations = 0;
    Blob body;
  };
  void seed_get_work(std::string address, std::uint64_t connection, Reply<SeedWork> reply);
  // `hex`: 128 hexadecimal digits. kNotFound: the address holds no lease.
  void seed_push_result(std::string address, std::uint64_t connection, std::string hex, Reply<void> reply);
  std::vector<std::string> managers() const;  // itself first

  // ---- workers over managers ----
  std::uint32_t workers_active() const;
  // So many of its workers, by chance, are asked to go on at that manager. Not those that somebody started on
  // this manager's behalf, nor those that did not go when they were asked before.
  void ask_to_move(const std::string& address, std::uint32_t workers);

  // Leases of siblings, for seed workers of this manager. Their bodies are kept, to find out which one a
  // result is of: no more than there is room for.
  bool has_room_for_seed_lease() const { return seed_bodies_bytes_ < kSeedBodiesMax; }
  api::v1::AcquireRequest seed_acquire(const std::string& address) const;
  SeedWork take_seed_lease(const std::string& address, std::uint64_t connection, const GrantedLease& lease);

  // ---- the system ----
  void cluster(Reply<api::v1::ClusterReply> reply);
  void list_queues(Reply<api::v1::QueuesReply> reply);
  void patch_queue(std::string name, api::v1::PatchQueueRequest request, Reply<api::v1::Queue> reply);
  // Decisions after `until` are left out.
  void scaling(std::uint32_t limit, Instant until, Reply<api::v1::ScalingReply> reply);
  // About tasks, workers, and what the scaler of this manager did.
  void decisions(const DecisionQuery& query, Reply<api::v1::DecisionsReply> reply);
  // kInvalid: not one of a size and a pause, or without an end. kConflict: nothing here scales.
  void order_fleet(const api::v1::OrderFleetRequest& request, Reply<api::v1::ScalingState> reply);
  void end_fleet_order(Reply<api::v1::ScalingState> reply);
  void cost(Reply<api::v1::CostReply> reply);
  void subscribe(std::uint64_t after, EventLog::Kinds kinds, EventLog::Subscriber subscriber);
  Result<void> readiness() const;
  // Why new tasks are refused now, each by itself; the disk is looked at for it.
  void fill_refusals(google::protobuf::RepeatedPtrField<api::v1::Refusal>& out);

  const ServiceOptions& options() const { return options_; }  // any thread
  // Since the start, in seconds: how long tasks waited once they could run, and how long attempts ran, as
  // their workers say.
  const Tally& wait_tally() const { return wait_tally_; }
  const Tally& run_tally() const { return run_tally_; }
  const scaler::Scaler* scaler() const { return scaler_; }  // null where nothing scales
  const ShardHost& host() const { return host_; }
  ShardId shard_count() const { return store_.shard_count(); }  // of the store, whoever serves them
  const WorkerRegistry& workers_seen() const { return registry_; }

  // ---- scaler::Fleet ----
  scaler::Observation observe() override;
  std::vector<scaler::WorkerSeen> workers() override;
  void drain_worker(const std::string& worker) override;
  void forget_worker(const std::string& worker, const std::string& reason) override;

 private:
  using Turn = ShardHost::Turn;
  struct TaskWaiter {
    TaskId id;
    IsWanted is_wanted;
    Reply<api::v1::Task> reply;
    TimerId timer = 0;
  };
  struct PullWaiter {
    queue::Pull command;
    Delivery delivery = Delivery::kReceipt;
    Instant wait_until{};
    IsWanted is_wanted;
    Reply<api::v1::PullReply> reply;
    TimerId timer = 0;
  };
  // A heartbeat that has been taken and whose answer waits. Nobody looks whether its connection still stands:
  // there is one for a worker, for a heartbeat interval at most.
  struct ParkedBeat {
    Reply<api::v1::HeartbeatReply> reply;
    TimerId timer = 0;
  };
  struct SeedLease {
    LeaseToken token;
    std::uint64_t connection = 0;
    Instant given_at{};
    Blob body;  // of one that a sibling gave; else null
    std::uint64_t iterations = 0;
  };
  static constexpr std::size_t kSeedBodiesMax = std::size_t{64} << 20;

  // HostListener
  void on_notice(const queue::Notice& notice, std::optional<TaskState> state) override;
  void on_decision(const queue::TaskDecision& decision) override;
  void on_state(HostState state, const std::string& problem) override;
  void on_batch() override;

  // Those who wait for a task whose shard is not served here any more are told so.
  void answer_moved_waiters();
  bool has_siblings() const { return keeper_ != nullptr || !siblings_.empty(); }
  // Where others own shards, too: kFenced if its task's is not served here.
  Result<void> check_served(Turn& turn, const std::optional<LeaseToken>& token) const;
  // Why a task's shard, or the task in it, is not there.
  Error not_here(const TaskId& id) const;
  // Of the trace that the task is part of, for lines about it; "" if there is none or it is not here.
  std::string trace_id_of(const TaskId& id) const;
  // Results that were pulled and not used, with the receipt that they came with.
  struct Unused {
    std::vector<ReceiptPart> receipt;
    std::map<ShardId, std::vector<TaskId>> ids;
  };
  static Result<Unused> read_put_back(const api::v1::AckRequest& request);
  static void put_back(Turn& turn, const Unused& unused);
  void fill_task(const TaskRecord& record, const queue::Shard& shard, api::v1::Task& out);
  void answer_task(TaskId id, Reply<api::v1::Task> reply);
  void change_task(UniqueFunction<Result<TaskRecord>(Turn&, queue::Shard&)> change, TaskId id,
                   Reply<api::v1::Task> reply);
  void wait_for_task(TaskId id, Instant until, IsWanted is_wanted, Reply<api::v1::Task> reply);
  struct Pulled;
  Result<void> admit(std::uint64_t bytes);
  Result<queue::EnqueueReply> enqueue_all(Turn& turn, std::vector<NewTask>& tasks);
  Pulled take_results(Turn& turn, const queue::Pull& command, Delivery delivery);
  void wait_for_results(PullWaiter waiter);
  void serve_pull_waiters();
  void send_results(Pulled pulled, std::shared_ptr<PullWaiter> waiter);
  void give_once(Pulled pulled, std::vector<TaskId> withheld, std::vector<TaskId> given,
                 api::v1::PullReply readable, std::shared_ptr<PullWaiter> waiter);
  void drop_unwanted_waits();
  void settle_results(std::vector<ReceiptPart> receipts, std::vector<TaskId> withheld,
                      std::vector<TaskId> given, Reply<std::vector<TaskId>> done);
  void note_notice(WorkerInfo& worker, const std::string& notice);
  void park_beat(const std::string& worker, Instant until, Reply<api::v1::HeartbeatReply> reply);
  // Answers the heartbeat of the worker that is parked, if one is. `cancelled`: the lease to be named in it.
  void answer_beat(const std::string& worker, const std::string& cancelled = {});
  void end_beat(const std::string& worker, api::v1::HeartbeatReply message,
                Reply<api::v1::HeartbeatReply> reply);
  // Answers all that it waits in: it has to drain, or is gone.
  void cut_short(const std::string& worker);
  // `done`, if given, when its leases are back on the disk.
  void lose_worker(queue::LoseWorker command, Reply<void> done = nullptr);
  // A lease that a result without a name may be of.
  struct SeedClaim {
    LeaseToken token;
    std::uint64_t iterations = 0;
    bool is_open = false;  // its task is not finished
    Instant leased_at{};
    bool is_sure = false;  // the connection that fetched the body brings the result
    Blob body;             // of one that a sibling gave; else null
  };
  std::vector<SeedClaim> seed_claims(Turn& turn, const std::string& id, std::uint64_t connection);
  Result<void> take_seed_result(Turn& turn, const std::string& id, const LeaseToken& token,
                                const Blob& result);
  void complete_seed_lease(const std::string& id, const SeedClaim& claim, const Blob& result,
                           Reply<void> done);
  void hold_seed_lease(const std::string& id, SeedLease lease);
  void drop_seed_leases(const std::string& id, const std::function<bool(const SeedLease&)>& is_dropped);
  void match_seed_result(std::string id, std::vector<SeedClaim> claims, Blob result, Reply<void> reply);
  void end_seed_push(const std::string& id, const std::vector<SeedClaim>& claims, const Result<void>& done);
  void drop_old_seed_leases(Instant now);
  void sweep();
  void lose_silent(const WorkerInfo& worker, Instant now);
  void update_idle(WorkerInfo& worker, std::uint32_t leases, Instant now);
  std::uint32_t leases_of(const std::string& worker) const;
  bool is_fit(const WorkerInfo& worker, std::uint32_t leases) const;
  void note_waits(const std::vector<GrantedLease>& granted);
  Result<void> store_serves() const;
  void fill_objective(const std::string& name, api::v1::Queue& out) const;
  void note_run(std::uint64_t run_us);
  void learn(std::uint64_t run_us, const queue::Shard& shard, const TaskId& id,
             const queue::Completed& completed);
  // Work that is queued and that is leased there, in seconds of one slot.
  double backlog_seconds(const queue::Shard& shard) const;
  std::vector<scaler::QueueLoad> loads(Instant now) const;
  // What the attempt cost is the task's.
  void charge(const std::string& worker, const queue::Shard& shard, const LeaseToken& token,
              std::uint64_t run_us);
  SettledOutcome settle(Turn& turn, const std::string& worker, Outcome& outcome);
  // What a worker holds. A name that is none goes into `reply` as lost.
  static std::vector<queue::Extend::Held> read_held(const api::v1::HeartbeatRequest& request,
                                                    api::v1::HeartbeatReply& reply);
  void extend(Turn& turn, const std::string& worker, std::vector<queue::Extend::Held>& held,
              api::v1::HeartbeatReply& reply);
  void note_refused(const std::string& worker, const LeaseToken& token, const std::string& why);
  void give_order(const FleetOrder& order, const std::string& what, Reply<api::v1::ScalingState> reply);

  Executor& executor_;
  ServiceOptions options_;  // constant after start
  Logger log_;
  WorkerRegistry registry_;
  EventLog events_{1'000};
  DecisionLog decisions_{2'000};
  Speed speed_;
  WaitTimes waits_;
  QueueWaits queue_waits_;
  Tally wait_tally_;
  Tally run_tally_;
  std::vector<std::string> siblings_;  // those that the operator named first
  std::size_t named_siblings_ = 0;
  StoreNumber own_number_ = 0;
  Random random_;
  const Instant started_at_;
  bool is_draining_ = false;
  scaler::Scaler* scaler_ = nullptr;
  std::string provisioner_ = "none";
  WaitingKinds waiting_elsewhere_;
  std::function<std::string()> warning_;

  std::unordered_map<TaskId, std::list<TaskWaiter>> task_waiters_;
  std::list<PullWaiter> pull_waiters_;
  std::unordered_map<std::string, ParkedBeat> parked_beats_;  // by worker
  std::size_t enqueue_bytes_ = 0;                             // of tasks that wait for a commit
  Admission admission_;
  std::size_t complete_bytes_ = 0;                                     // the same of results
  std::unordered_map<std::string, std::list<SeedLease>> seed_leases_;  // by worker, the oldest first
  std::size_t seed_bodies_bytes_ = 0;                                  // that are kept with them
  TimerId sweep_timer_ = 0;
  Instant swept_at_{};

  Instant rate_at_{};  // when the rates of arrival were brought up to date

  store::Store& store_;
  KeepOrder keep_order_;
  std::function<void()> shards_changed_;
  std::function<void(const queue::LoseWorker&)> worker_lost_;
  CompleteElsewhere complete_elsewhere_;
  KeepSiblings keep_siblings_;
  ShardHost host_;  // its end comes early, while the rest still stands
  // Null where this manager has the store to itself.
  std::unique_ptr<store::Membership> membership_;
  std::unique_ptr<ShardKeeper> keeper_;
};

}  // namespace skep::manager
