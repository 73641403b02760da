// SPDX-License-Identifier: Apache-2.0
// forwarder.h - siblings answer for each other: managers that share a store, or that have stores of their
// own.
//
// What is about one task, or one idempotency key, is answered here if its shard is, else passed on to the
// owner whole and its answer handed back. What names several tasks (heartbeats, outcomes, releases,
// acknowledgements) is split by owner and put together again. Leases come from here, else from the sibling
// whose oldest task waits longest. Pulls and lists gather from all. While a shard is on its way from one to
// the next, or its owner is gone and not yet replaced, a request for it waits, for kOwnerPatience at most.
// One hop: what a sibling asks is answered from what is here (see siblings.h).
//
// Siblings with stores of their own share pulls, leases and what is asked by the id of a task; enqueues,
// lists and queues are each one's own. Nobody takes over what one of them has while it is away, so that it is
// waited for much shorter: kSiblingPatience.
//
// Without siblings nothing of this happens: has_siblings() is false.
//
// Threads:   everything on the service's executor; is_active() on any.
// Errors:    kFenced: nobody serves the shard; kUnavailable: its owner does not answer; kUnknownOutcome: it
//            did not answer, and may have done what was asked. Else those of the service.
// Ownership: borrows executor, service and calls, which must outlive it; its end drops what waits.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/decisions.pb.h"
#include "api/skep.pb.h"
#include "base/executor.h"
#include "manager/messages.h"
#include "manager/service.h"
#include "manager/sibling_book.h"
#include "manager/siblings.h"

namespace skep::manager {

// How long a request waits for somebody to serve its shard: a dead owner is replaced in a little over 5 s.
inline constexpr Duration kOwnerPatience = seconds(8);
// The same where the owner has a store of its own.
inline constexpr Duration kSiblingPatience = seconds(2);
// An outcome for such an owner is kept by its worker for so long while that is silent; then it is given up,
// and the task is done again.
inline constexpr Duration kOutcomeKept = minutes(1);
// One that was registered and is silent for so long is forgotten.
inline constexpr Duration kSiblingForgotten = hours(24);
// How long a sibling may take for its part of what is gathered from all.
inline constexpr Duration kGatherPatience = seconds(1);

class Forwarder {
 public:
  Forwarder(Executor& executor, Service& service, SiblingCalls& calls, bool is_active, Random random);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // Managers share the store.
  bool is_active() const { return is_active_; }
  // Others may have tasks, results and work.
  bool has_siblings() const { return is_active_ || !service_.siblings().empty(); }
  // After the service's. Looks from now on how much waits at the siblings.
  void start();
  // Looks now: there is a new one.
  void look();
  // What an operator should know of the siblings, a sentence; "": nothing.
  std::string problem() const { return book_.problem(executor_.now()); }
  // To be called when shards came or went.
  void on_shards_changed();

  // ---- where what is ----
  struct Place {
    bool is_here = false;
    std::string address;  // of the sibling; "" if nobody serves it, or it is here
  };
  // `at`: the epoch tells whose it is where stores are several, the shard where there is one.
  Place place_of(store::ShardAt at) const;
  // Of a task without a key: here if this manager has any shard.
  ShardId shard_for_new() const;
  ShardId shard_of_key(const std::string& key) const { return service_.shard_of_key(key); }
  // An owner is looked for in vain.
  void look_for_owners() { service_.look_for_owners(); }
  // Runs `again` when shards came or went, or after a moment.
  void when_changed(UniqueFunction<void()> again);

  // Asks here, if the shard is served here, else the sibling that serves it. `here` gives its refusal, or
  // what sends the answer; it may be asked several times. `there` gets the answer of a sibling, whatever its
  // status.
  struct Passage {
    store::ShardAt at;
    http::ClientRequest request;
    bool is_repeatable = true;  // repeating is harmless
    Duration wait{};            // of a long-poll
    std::function<void(UniqueFunction<void(Result<UniqueFunction<void()>>)>)> here;
    UniqueFunction<void(http::Response)> there;
    UniqueFunction<void(Error)> refuse;
  };
  void pass(Passage passage);
  // The sibling that a worker is registered with; "" if that is this one, or nobody.
  std::string home_of(const std::string& worker) const;
  // One try at a sibling.
  void relay(const std::string& address, http::ClientRequest request, Reply<http::Response> answer);

  // ---- split by owner ----
  void heartbeat(std::string worker, api::v1::HeartbeatRequest request, Reply<api::v1::HeartbeatReply> reply);
  void complete(Report report, Reply<Settled> reply);
  void release(api::v1::ReleaseRequest request, Reply<api::v1::ReleaseReply> reply);
  void ack(api::v1::AckRequest request, Reply<api::v1::AckReply> reply);
  // Tasks with keys of several owners are all or none for each of them.
  void enqueue_batch(api::v1::EnqueueBatchRequest request, Reply<api::v1::EnqueueBatchReply> reply);

  // ---- gathered ----
  void acquire(api::v1::AcquireRequest request, IsWanted is_wanted, Reply<Granted> reply);
  // For a worker of the seed's protocol, from here or a sibling.
  void seed_get_work(const std::string& peer, std::uint64_t connection, Reply<Service::SeedWork> reply);
  // From all, the oldest finished first. `kOnce`: each result once, whoever falls silent when.
  void pull(queue::Pull command, Service::Delivery delivery, Instant wait_until, IsWanted is_wanted,
            Reply<api::v1::PullReply> reply);
  void list_tasks(queue::ListTasks query, Reply<api::v1::ListTasksReply> reply);
  void list_workers(Reply<api::v1::WorkersReply> reply);
  // kNotFound: it is registered with nobody.
  void get_worker(const std::string& worker, Reply<api::v1::Worker> reply);
  void list_queues(Reply<api::v1::QueuesReply> reply);
  void cluster(Reply<api::v1::ClusterReply> reply);
  void decisions(const DecisionQuery& query, Reply<api::v1::DecisionsReply> reply);
  // At every one, or it is refused.
  void patch_queue(std::string name, api::v1::PatchQueueRequest request, Reply<api::v1::Queue> reply);
  // What a lost worker holds at the siblings goes back, too.
  void lose_worker(const queue::LoseWorker& command);

 private:
  struct Passing;
  struct Waiting {
    UniqueFunction<void()> again;
    TimerId timer = 0;
  };
  struct Acquiring;
  struct Pulling;
  template <class Message>
  struct Gathering;

  void go(const std::shared_ptr<Passing>& passing);
  void go_again(const std::shared_ptr<Passing>& passing, Error why);
  void watch(const std::shared_ptr<Passing>& passing, const std::string& address);
  void on_answer(const std::shared_ptr<Passing>& passing, Result<http::Response> answer);

  // Sends a message to a sibling and reads its answer.
  template <class Message>
  void ask(const std::string& address, http::ClientRequest request, Duration patience, Reply<Message> reply);
  // The same request to every sibling; `done` with what came in time, by address, and who was silent.
  template <class Message>
  void ask_all(const http::ClientRequest& request,
               UniqueFunction<void(std::map<std::string, Result<Message>>)> done);

  void balance();
  bool is_silent(const std::string& address) const;
  Place place_of_store(StoreNumber number) const;
  Error nobody_has(store::ShardAt at) const;
  Duration patience() const { return is_active_ ? kOwnerPatience : kSiblingPatience; }
  // Until when parts that were not taken are tried again; at once over where nobody takes over from an owner.
  Instant split_deadline() const {
    return executor_.now() + (is_active_ ? kOwnerPatience : Duration::zero());
  }
  SettledOutcome unsettled(const Outcome& outcome, const Error& why) const;

  void acquire_here(const std::shared_ptr<Acquiring>& acquiring, bool may_wait);
  void acquire_there(const std::shared_ptr<Acquiring>& acquiring);
  void pull_here(const std::shared_ptr<Pulling>& pulling, bool may_wait);
  void pull_there(const std::shared_ptr<Pulling>& pulling);
  void pull_later(const std::shared_ptr<Pulling>& pulling);
  void settle_pulled(const std::shared_ptr<Pulling>& pulling);
  void end_pull(const std::shared_ptr<Pulling>& pulling);
  void enqueue_here(api::v1::EnqueueBatchRequest request, Reply<api::v1::EnqueueBatchReply> reply);
  void complete_at(const std::string& address, Report report, Reply<Settled> reply);
  void ack_at(const std::string& address, api::v1::AckRequest request, Reply<api::v1::AckReply> reply);
  std::vector<std::string> sibling_addresses() const;

  Executor& executor_;
  Service& service_;
  SiblingCalls& calls_;
  const bool is_active_;
  Random random_;
  std::list<Waiting> waiting_;
  SiblingBook book_ = SiblingBook::of_shared_store();
  TimerId look_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace skep::manager
