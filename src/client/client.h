// SPDX-License-Identifier: Apache-2.0
// client.h - one call per endpoint, one retry policy.
//
// A Client knows one or more managers and prefers the first. Each call goes to the current one; when that
// does not answer (or with several: nothing within half a second, nor to a question after its health), the
// next is tried at once, the first again some seconds later, and after all have been tried the call backs off
// (full jitter, doubling from 100 ms to 5 s, Retry-After honoured) until its deadline. What may be retried: a
// call that was not sent, an answer whose code is retryable (api/errors.h), and kUnknownOutcome where the
// call is idempotent (all but seed calls, and enqueue without a key: Client puts an idempotency key of its
// own on those only when asked to).
//
// Threads:   calls from any thread; replies on the executor given at construction, never inside the call.
// Errors:    the manager's Problem as its Code and sentence; kUnavailable names every manager that was tried.
// Ownership: borrows the executor and the http client, which must outlive it. A call that is under way when
// the
//            Client goes is not retried any more; it replies as long as the executor runs.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/decisions.pb.h"
#include "api/endpoints.h"
#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/random.h"
#include "client/manager_list.h"
#include "http/client.h"

namespace skep::client {

enum class Retry : std::uint8_t { kNever, kUntilDeadline };
enum class Encoding : std::uint8_t { kProtobuf, kJson };
// An enqueue without an idempotency key: left so, or given a random one, so that it may be retried.
enum class MissingKey : std::uint8_t { kLeave, kMake };

struct CallOptions {
  Instant deadline = kNever;
  Retry retry = Retry::kUntilDeadline;
  MissingKey missing_key = MissingKey::kLeave;
};

class Client {
 public:
  template <class T>
  using Done = UniqueFunction<void(Result<T>)>;

  // `managers`: URLs, at least one, checked by parse_managers.
  Client(Executor& executor, http::Client& http, std::vector<http::Url> managers, Random random,
         Encoding encoding = Encoding::kProtobuf, Habit habit = Habit::kReturn);
  ~Client();

  // Prefer another manager from now on.
  void next_manager();
  // That one of the list; passed over if it is not in it.
  void move_to(const http::Url& manager);
  // Replaces the list (from a RegisterReply or HeartbeatReply), keeping the current one if it is in it.
  void set_managers(std::vector<http::Url> managers);
  std::string current_manager() const;  // "HOST:PORT"

  void enqueue(api::v1::TaskOptions options, http::Body body, CallOptions call,
               Done<api::v1::EnqueueReply> done);
  void enqueue_batch(api::v1::EnqueueBatchRequest request, CallOptions call,
                     Done<api::v1::EnqueueBatchReply> done);
  void get_task(std::string id, Duration wait, CallOptions call, Done<api::v1::Task> done);
  void get_result(std::string id, CallOptions call, Done<std::string> done);
  void cancel_task(std::string id, CallOptions call, Done<api::v1::Task> done);
  void retry_task(std::string id, CallOptions call, Done<api::v1::Task> done);
  struct ListQuery {
    std::string state, queue, tag, cursor;
    std::uint32_t limit = 100;
  };
  void list_tasks(ListQuery query, CallOptions call, Done<api::v1::ListTasksReply> done);
  void pull_results(std::uint32_t max, Duration wait, std::string queue, CallOptions call,
                    Done<api::v1::PullReply> done);
  void ack_results(api::v1::AckRequest request, CallOptions call, Done<api::v1::AckReply> done);
  // The seed's POST /pullCompleted: delivers each result once; never retried after it was sent.
  struct PulledResult {
    std::string id, result;
  };
  void pull_completed(std::uint32_t top, CallOptions call, Done<std::vector<PulledResult>> done);

  // One try at that manager: whether it answers at all.
  void ask_health(http::Url manager, Instant deadline, Done<void> done);
  void register_worker(api::v1::RegisterRequest request, CallOptions call, Done<api::v1::RegisterReply> done);
  void heartbeat(std::string worker, api::v1::HeartbeatRequest request, CallOptions call,
                 Done<api::v1::HeartbeatReply> done);
  void delete_worker(std::string worker, std::string reason, CallOptions call, Done<api::v1::Worker> done);
  void acquire(api::v1::AcquireRequest request, CallOptions call, Done<api::v1::AcquireReply> done);
  void complete(api::v1::CompleteRequest request, CallOptions call, Done<api::v1::CompleteReply> done);
  void release(api::v1::ReleaseRequest request, CallOptions call, Done<api::v1::ReleaseReply> done);

  void cluster(CallOptions call, Done<api::v1::ClusterReply> done);
  void workers(CallOptions call, Done<api::v1::WorkersReply> done);
  void queues(CallOptions call, Done<api::v1::QueuesReply> done);
  void patch_queue(std::string name, api::v1::PatchQueueRequest request, CallOptions call,
                   Done<api::v1::Queue> done);
  // Only decisions until `until`; kNever is all.
  void scaling(std::uint32_t limit, Instant until, CallOptions call, Done<api::v1::ScalingReply> done);
  // The newest `limit` about a task, or a worker, or (both "") everything.
  struct DecisionsAsked {
    std::string task;
    std::string worker;
    Instant until = kNever;
    std::uint32_t limit = 50;
  };
  void decisions(const DecisionsAsked& asked, CallOptions call, Done<api::v1::DecisionsReply> done);
  void order_fleet(api::v1::OrderFleetRequest request, CallOptions call, Done<api::v1::ScalingState> done);
  void cost(CallOptions call, Done<api::v1::CostReply> done);
  void end_fleet_order(CallOptions call, Done<api::v1::ScalingState> done);

  void tokens(CallOptions call, Done<api::v1::TokensReply> done);
  // Not repeated once they were sent: a token that nobody has is of no use.
  void create_token(api::v1::CreateTokenRequest request, CallOptions call,
                    Done<api::v1::CreateTokenReply> done);
  void rotate_token(std::string id, api::v1::RotateTokenRequest request, CallOptions call,
                    Done<api::v1::CreateTokenReply> done);
  void revoke_token(std::string id, CallOptions call, Done<api::v1::Token> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "http://a:1,http://b:2" -> URLs. kInvalid with a sentence.
Result<std::vector<http::Url>> parse_managers(std::string_view list);

// Calls `start` with a callback and waits until it ran; for commands, not from an executor.
// kUnavailable: the callback was dropped, because its executor stopped.
template <class T>
Result<T> wait_for(UniqueFunction<void(UniqueFunction<void(Result<T>)>)> start) {
  // Whoever drops the callback unrun still ends the wait.
  struct Waiter {
    Waiter() = default;
    Waiter(Waiter&&) noexcept = default;
    Waiter& operator=(Waiter&&) = delete;
    ~Waiter() {
      if (is_set != nullptr && !*is_set)
        promise.set_value(fail(Code::kUnavailable, "the call was abandoned"));
    }
    std::promise<Result<T>> promise;
    std::unique_ptr<bool> is_set = std::make_unique<bool>(false);
  };
  Waiter waiter;
  std::future<Result<T>> future = waiter.promise.get_future();
  start([waiter = std::move(waiter)](Result<T> result) mutable {
    *waiter.is_set = true;
    waiter.promise.set_value(std::move(result));
  });
  return future.get();
}

}  // namespace skep::client
