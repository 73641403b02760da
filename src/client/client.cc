// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "client/call.h"
#include "client/request.h"
#include "task/limits.h"

namespace skep::client {
namespace {

using api::Endpoint;
namespace v1 = api::v1;

template <class Reply>
UniqueFunction<void(Result<http::Response>)> decoded(UniqueFunction<void(Result<Reply>)> done) {
  return [done = std::move(done)](Result<http::Response> response) mutable {
    if (response.has_error()) return done(std::move(response.error()));
    Reply reply;
    auto read = read_message(response.value(), reply);
    if (read.has_error()) return done(std::move(read.error()));
    done(std::move(reply));
  };
}

std::string random_key(Random& random) {
  std::string key = "skep-";
  for (int i = 0; i < 2; ++i) {
    std::array<char, 16> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), random.next(), 16);
    key.append(text.data(), end.ptr);
  }
  return key;
}

// A wait in the query; none means an answer at once.
http::Query wait_query(Duration wait) {
  http::Query query;
  if (wait > Duration::zero()) query.emplace_back("wait", format_duration(wait));
  return query;
}

// A wait in the message, as a manager takes it.
Duration wait_of(std::uint64_t wait_ms) {
  return milliseconds(static_cast<std::int64_t>(
      std::min<std::uint64_t>(wait_ms, static_cast<std::uint64_t>(limits::kWaitMax / milliseconds(1)))));
}

}  // namespace

struct Client::Impl {
  Impl(Executor& executor, http::Client& http, std::vector<http::Url> managers, Random random, Encoding e,
       Habit habit)
      : session(std::make_shared<Session>(executor, http, std::move(managers), habit, random)), encoding(e) {}

  template <class Reply>
  void call(Endpoint endpoint, Arguments arguments, CallOptions options, Done<Reply> done,
            Duration wait = {}) {
    CallPlan plan{make_request(endpoint, arguments, encoding), Repeatable::kAlways, wait, options};
    start_call(session, std::move(plan), decoded<Reply>(std::move(done)));
  }

  template <class Reply>
  void send(Endpoint endpoint, Arguments arguments, const google::protobuf::Message& message,
            CallOptions options, Done<Reply> done, Repeatable repeatable = Repeatable::kAlways,
            Duration wait = {}) {
    CallPlan plan{make_request(endpoint, arguments, encoding), repeatable, wait, options};
    set_message(message, encoding, plan.request);
    start_call(session, std::move(plan), decoded<Reply>(std::move(done)));
  }

  std::shared_ptr<Session> session;
  Encoding encoding;
};

Client::Client(Executor& executor, http::Client& http, std::vector<http::Url> managers, Random random,
               Encoding encoding, Habit habit)
    : impl_(std::make_unique<Impl>(executor, http, std::move(managers), random, encoding, habit)) {}

Client::~Client() {
  impl_->session->transport.close();
}

void Client::next_manager() {
  impl_->session->managers.next();
}

void Client::move_to(const http::Url& manager) {
  impl_->session->managers.move_to(manager);
}

void Client::set_managers(std::vector<http::Url> managers) {
  impl_->session->managers.replace(std::move(managers));
}

std::string Client::current_manager() const {
  return impl_->session->managers.current().host_port();
}

// ---- tasks ----

// On the executor from the start: the key is made with the session's randomness.
void Client::enqueue(v1::TaskOptions options, http::Body body, CallOptions call,
                     Done<v1::EnqueueReply> done) {
  impl_->session->executor.post([session = impl_->session, encoding = impl_->encoding,
                                 options = std::move(options), body = std::move(body), call,
                                 done = std::move(done)]() mutable {
    if (options.idempotency_key().empty() && call.missing_key == MissingKey::kMake) {
      options.set_idempotency_key(random_key(session->random));
    }
    auto request = make_enqueue(options, std::move(body), encoding);
    if (request.has_error()) return done(std::move(request.error()));
    const auto repeatable =
        options.idempotency_key().empty() ? Repeatable::kUnlessUnsure : Repeatable::kAlways;
    start_call(std::move(session), {std::move(request.value()), repeatable, {}, call},
               decoded<v1::EnqueueReply>(std::move(done)));
  });
}

void Client::enqueue_batch(v1::EnqueueBatchRequest request, CallOptions call,
                           Done<v1::EnqueueBatchReply> done) {
  impl_->session->executor.post([session = impl_->session, encoding = impl_->encoding,
                                 request = std::move(request), call, done = std::move(done)]() mutable {
    bool has_keys = true;
    for (auto& task : *request.mutable_tasks()) {
      const bool is_missing = task.options().idempotency_key().empty();
      if (is_missing && call.missing_key == MissingKey::kMake) {
        task.mutable_options()->set_idempotency_key(random_key(session->random));
      } else if (is_missing) {
        has_keys = false;
      }
    }
    CallPlan plan{make_request(Endpoint::kEnqueueBatch, {}, encoding),
                  has_keys ? Repeatable::kAlways : Repeatable::kUnlessUnsure,
                  {},
                  call};
    set_message(request, encoding, plan.request);
    start_call(std::move(session), std::move(plan), decoded<v1::EnqueueBatchReply>(std::move(done)));
  });
}

void Client::get_task(std::string id, Duration wait, CallOptions call, Done<v1::Task> done) {
  impl_->call(Endpoint::kGetTask, {std::move(id), wait_query(wait)}, call, std::move(done), wait);
}

void Client::get_result(std::string id, CallOptions call, Done<std::string> done) {
  CallPlan plan{make_request(Endpoint::kGetResult, {std::move(id), {}}, impl_->encoding),
                Repeatable::kAlways,
                {},
                call};
  start_call(impl_->session, std::move(plan),
             [done = std::move(done)](Result<http::Response> response) mutable {
               if (response.has_error()) return done(std::move(response.error()));
               done(read_bytes(response.value()));
             });
}

void Client::cancel_task(std::string id, CallOptions call, Done<v1::Task> done) {
  impl_->call(Endpoint::kCancelTask, {std::move(id), {}}, call, std::move(done));
}

void Client::retry_task(std::string id, CallOptions call, Done<v1::Task> done) {
  impl_->call(Endpoint::kRetryTask, {std::move(id), {}}, call, std::move(done));
}

void Client::list_tasks(ListQuery query, CallOptions call, Done<v1::ListTasksReply> done) {
  Arguments arguments;
  const auto add = [&](std::string_view name, std::string& value) {
    if (!value.empty()) arguments.query.emplace_back(name, std::move(value));
  };
  add("state", query.state);
  add("queue", query.queue);
  add("tag", query.tag);
  add("cursor", query.cursor);
  arguments.query.emplace_back("limit", std::to_string(query.limit));
  impl_->call(Endpoint::kListTasks, std::move(arguments), call, std::move(done));
}

// ---- results ----

void Client::pull_results(std::uint32_t max, Duration wait, std::string queue, CallOptions call,
                          Done<v1::PullReply> done) {
  Arguments arguments{"", wait_query(wait)};
  arguments.query.emplace_back("max", std::to_string(max));
  if (!queue.empty()) arguments.query.emplace_back("queue", std::move(queue));
  impl_->call(Endpoint::kPullResults, std::move(arguments), call, std::move(done), wait);
}

void Client::ack_results(v1::AckRequest request, CallOptions call, Done<v1::AckReply> done) {
  impl_->send(Endpoint::kAckResults, {}, request, call, std::move(done));
}

void Client::pull_completed(std::uint32_t top, CallOptions call, Done<std::vector<PulledResult>> done) {
  CallPlan plan{
      make_request(Endpoint::kSeedPullCompleted, {"", {{"top", std::to_string(top)}}}, impl_->encoding),
      Repeatable::kUnsentOnly,
      {},
      call};
  start_call(impl_->session, std::move(plan),
             [done = std::move(done)](Result<http::Response> response) mutable {
               if (response.has_error()) return done(std::move(response.error()));
               done(read_pull_completed(response.value()));
             });
}

// ---- workers ----

void Client::ask_health(http::Url manager, Instant deadline, Done<void> done) {
  Session& session = *impl_->session;
  auto request = make_request(api::Endpoint::kHealth, {}, Encoding::kJson);
  session.transport.send(std::move(manager), std::move(request), deadline, session.executor,
                         [done = std::move(done)](Result<http::Response> response) mutable {
                           if (!response) return done(response.error());
                           done(check_status(response.value()));
                         });
}

void Client::register_worker(v1::RegisterRequest request, CallOptions call, Done<v1::RegisterReply> done) {
  impl_->send(Endpoint::kRegisterWorker, {}, request, call, std::move(done));
}

void Client::heartbeat(std::string worker, v1::HeartbeatRequest request, CallOptions call,
                       Done<v1::HeartbeatReply> done) {
  const Duration wait = wait_of(request.wait_ms());
  impl_->send(Endpoint::kHeartbeat, {std::move(worker), {}}, request, call, std::move(done),
              Repeatable::kAlways, wait);
}

void Client::delete_worker(std::string worker, std::string reason, CallOptions call, Done<v1::Worker> done) {
  Arguments arguments{std::move(worker), {}};
  if (!reason.empty()) arguments.query.emplace_back("reason", std::move(reason));
  impl_->call(Endpoint::kDeleteWorker, std::move(arguments), call, std::move(done));
}

void Client::acquire(v1::AcquireRequest request, CallOptions call, Done<v1::AcquireReply> done) {
  const Duration wait = wait_of(request.wait_ms());
  impl_->send(Endpoint::kAcquire, {}, request, call, std::move(done), Repeatable::kAlways, wait);
}

void Client::complete(v1::CompleteRequest request, CallOptions call, Done<v1::CompleteReply> done) {
  impl_->send(Endpoint::kComplete, {}, request, call, std::move(done));
}

void Client::release(v1::ReleaseRequest request, CallOptions call, Done<v1::ReleaseReply> done) {
  impl_->send(Endpoint::kRelease, {}, request, call, std::move(done));
}

// ---- the system ----

void Client::cluster(CallOptions call, Done<v1::ClusterReply> done) {
  impl_->call(Endpoint::kCluster, {}, call, std::move(done));
}

void Client::workers(CallOptions call, Done<v1::WorkersReply> done) {
  impl_->call(Endpoint::kListWorkers, {}, call, std::move(done));
}

void Client::queues(CallOptions call, Done<v1::QueuesReply> done) {
  impl_->call(Endpoint::kListQueues, {}, call, std::move(done));
}

void Client::patch_queue(std::string name, v1::PatchQueueRequest request, CallOptions call,
                         Done<v1::Queue> done) {
  impl_->send(Endpoint::kPatchQueue, {std::move(name), {}}, request, call, std::move(done));
}

void Client::scaling(std::uint32_t limit, Instant until, CallOptions call, Done<v1::ScalingReply> done) {
  http::Query query{{"limit", std::to_string(limit)}};
  if (until != kNever) query.emplace_back("until_ms", std::to_string(to_unix_ms(until)));
  impl_->call(Endpoint::kScaling, {"", std::move(query)}, call, std::move(done));
}

void Client::decisions(const DecisionsAsked& asked, CallOptions call, Done<v1::DecisionsReply> done) {
  http::Query query{{"limit", std::to_string(asked.limit)}};
  if (!asked.task.empty()) query.emplace_back("task", asked.task);
  if (!asked.worker.empty()) query.emplace_back("worker", asked.worker);
  if (asked.until != kNever) query.emplace_back("until_ms", std::to_string(to_unix_ms(asked.until)));
  impl_->call(Endpoint::kDecisions, {"", std::move(query)}, call, std::move(done));
}

void Client::order_fleet(v1::OrderFleetRequest request, CallOptions call, Done<v1::ScalingState> done) {
  impl_->send(Endpoint::kOrderFleet, {}, request, call, std::move(done));
}

void Client::cost(CallOptions call, Done<v1::CostReply> done) {
  impl_->call(Endpoint::kCost, {}, call, std::move(done));
}

void Client::end_fleet_order(CallOptions call, Done<v1::ScalingState> done) {
  impl_->call(Endpoint::kEndFleetOrder, {}, call, std::move(done));
}

// ---- tokens ----

void Client::tokens(CallOptions call, Done<v1::TokensReply> done) {
  impl_->call(Endpoint::kListTokens, {}, call, std::move(done));
}

void Client::create_token(v1::CreateTokenRequest request, CallOptions call, Done<v1::CreateTokenReply> done) {
  impl_->send(Endpoint::kCreateToken, {}, request, call, std::move(done), Repeatable::kUnsentOnly);
}

void Client::rotate_token(std::string id, v1::RotateTokenRequest request, CallOptions call,
                          Done<v1::CreateTokenReply> done) {
  impl_->send(Endpoint::kRotateToken, {std::move(id), {}}, request, call, std::move(done),
              Repeatable::kUnsentOnly);
}

void Client::revoke_token(std::string id, CallOptions call, Done<v1::Token> done) {
  impl_->call(Endpoint::kRevokeToken, {std::move(id), {}}, call, std::move(done));
}

Result<std::vector<http::Url>> parse_managers(std::string_view list) {
  std::vector<http::Url> managers;
  while (true) {
    const std::size_t comma = list.find(',');
    SKEP_TRY(auto url, http::parse_url(list.substr(0, comma)));
    managers.push_back(std::move(url));
    if (comma == std::string_view::npos) return managers;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace skep::client
