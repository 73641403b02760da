// SPDX-License-Identifier: Apache-2.0
// Endpoints for clients: tasks and results.
#include "api/convert.h"
#include "manager/routes.h"

namespace skep::manager {
namespace {

using api::Endpoint;

Result<TaskSpec> spec_from_query(const Call& call) {
  TaskSpec spec;
  if (const auto queue = call.param("queue")) spec.queue = *queue;
  if (const auto kind = call.param("kind")) spec.kind = *kind;
  if (const auto program = call.param("program")) spec.program = *program;
  if (spec.kind == "sha512" || call.param("iterations")) {
    SKEP_TRY(const auto iterations,
             number_param(call, "iterations", 1, limits::kIterationsMax, std::nullopt));
    spec.iterations = iterations;
  }
  SKEP_TRY(const auto priority,
           number_param(call, "priority", 0, limits::kPriorityMax, limits::kPriorityDefault));
  SKEP_TRY(const auto attempts,
           number_param(call, "max_attempts", 1, limits::kAttemptsMaxMax, limits::kAttemptsMaxDefault));
  spec.priority = static_cast<std::uint32_t>(priority);
  spec.attempts_max = static_cast<std::uint32_t>(attempts);
  SKEP_TRY(const auto delay, duration_param(call, "delay", limits::kDelayMax));
  SKEP_TRY(const auto deadline, duration_param(call, "start_deadline", limits::kDelayMax));
  SKEP_TRY(const auto timeout, duration_param(call, "timeout", limits::kRunTimeoutMax));
  spec.delay = delay;
  spec.start_deadline = deadline;
  spec.run_timeout = timeout;
  if (const auto text = call.param("checkpoint")) {
    if (*text != "true" && *text != "false")
      return fail(Code::kInvalid,
                  "checkpoint is '" + std::string(text->substr(0, 32)) + "': use true or false");
    SKEP_TRY(api::set_checkpoints(spec, *text == "true"));
  }
  if (const auto* key = call.request.headers.find("Idempotency-Key")) spec.idempotency_key = *key;
  spec.trace = trace_of(call.request.headers);
  for (const auto& [name, value] : call.request.query) {
    if (name == "tag") spec.tags.push_back(value);
    if (name == "parameter") spec.parameters.push_back(value);
  }
  SKEP_TRY(validate(spec));
  return spec;
}

// Repeating is harmless only where a key says that it is the same.
void enqueue_shared(Binder& binder, const CallPtr& call, TaskSpec spec) {
  const bool has_key = !spec.idempotency_key.empty();
  const ShardId shard =
      has_key ? binder.forwarder.shard_of_key(spec.idempotency_key) : binder.forwarder.shard_for_new();
  binder.answer_from<queue::Enqueued>(
      {shard, 0}, call, has_key, [&binder, call, spec = std::move(spec)](Reply<queue::Enqueued> reply) {
        std::vector<Service::NewTask> tasks;
        tasks.push_back({spec, call->request.body});
        binder.service.enqueue(std::move(tasks),
                               [reply = std::move(reply)](Result<queue::EnqueueReply> enqueued) mutable {
                                 if (!enqueued) return reply(enqueued.error());
                                 reply(enqueued.value().front());
                               });
      });
}

void enqueue(Binder& binder, CallPtr call) {
  auto spec = spec_from_query(*call);
  if (!spec) {
    binder.refuse(call, spec.error());
    return;
  }
  binder.run([&binder, call, spec = std::move(spec.value())]() mutable {
    if (binder.is_shared(*call)) return enqueue_shared(binder, call, std::move(spec));
    std::vector<Service::NewTask> tasks;
    tasks.push_back({std::move(spec), call->request.body});
    binder.service.enqueue(std::move(tasks), [&binder, call](Result<queue::EnqueueReply> reply) {
      if (!reply) {
        binder.refuse(call, reply.error());
      } else {
        binder.answer(call, reply.value().front());
      }
    });
  });
}

// A task may have a trace of its own; the others are the request's.
void set_trace(const TraceContext& trace, api::v1::EnqueueBatchRequest& request) {
  if (trace.parent.empty()) return;
  for (auto& task : *request.mutable_tasks()) {
    auto& options = *task.mutable_options();
    if (!parse_trace_context(options.traceparent(), {}).parent.empty()) continue;
    options.set_traceparent(trace.parent);
    options.set_tracestate(trace.state);
  }
}

void enqueue_batch(Binder& binder, CallPtr call) {
  api::v1::EnqueueBatchRequest request;
  auto read = read_message(*call, request);
  if (read) read = Service::check_batch(request);
  if (!read) {
    binder.refuse(call, read.error());
    return;
  }
  set_trace(trace_of(call->request.headers), request);
  if (binder.is_shared(*call)) {
    binder.run([&binder, call, request = std::move(request)]() mutable {
      binder.forwarder.enqueue_batch(std::move(request), binder.replier<api::v1::EnqueueBatchReply>(call));
    });
    return;
  }
  auto tasks = Service::read_batch(std::move(request));
  binder.run([&binder, call, tasks = std::move(tasks)]() mutable {
    if (!tasks) return binder.refuse(call, tasks.error());
    binder.service.enqueue(std::move(tasks.value()), binder.replier<queue::EnqueueReply>(call));
  });
}

Result<queue::ListTasks> decode_list(const Call& call) {
  queue::ListTasks query;
  if (const auto state = call.param("state")) {
    query.state = parse_state(*state);
    if (!query.state) {
      return fail(Code::kInvalid, "state '" + std::string(state->substr(0, 32)) +
                                      "' is unknown: use delayed, queued, leased, done, dead or cancelled");
    }
  }
  query.queue = call.param("queue").value_or("");
  query.tag = call.param("tag").value_or("");
  SKEP_TRY(const auto limit, number_param(call, "limit", 1, limits::kListMax, 100));
  query.limit = limit;
  if (const auto cursor = call.param("cursor"); cursor && !cursor->empty()) {
    SKEP_TRY(const auto after, TaskId::parse(*cursor));
    query.after = after;
  }
  return query;
}

void list_tasks(Binder& binder, CallPtr call) {
  auto query = decode_list(*call);
  if (!query) {
    binder.refuse(call, query.error());
    return;
  }
  binder.run([&binder, call, query = std::move(query.value())]() mutable {
    auto reply = binder.replier<api::v1::ListTasksReply>(call);
    if (binder.is_shared(*call)) return binder.forwarder.list_tasks(std::move(query), std::move(reply));
    binder.service.list_tasks(std::move(query), std::move(reply));
  });
}

// The endpoints about one task differ in what is called once its id is known.
template <class Use>
void with_task(Binder& binder, CallPtr call, Use use) {
  auto id = TaskId::parse(call->path_param);
  auto wait = duration_param(*call, "wait", limits::kWaitMax);
  if (!id || !wait) {
    binder.refuse(call, id ? wait.error() : id.error());
    return;
  }
  const Instant until = binder.clock.now() + wait.value();
  binder.run([call, id = id.value(), until, use = std::move(use)]() mutable { use(id, until); });
}

// Asks for the task's message, here or at the owner of its shard.
template <class Ask>
void answer_task(Binder& binder, const CallPtr& call, TaskId id, bool is_repeatable, Ask ask) {
  if (binder.has_siblings(*call)) {
    binder.answer_from<api::v1::Task>({id.shard, id.epoch}, call, is_repeatable, std::move(ask));
  } else {
    ask(binder.replier<api::v1::Task>(call));
  }
}

// A viewer sees what there is of a task but what it computed. Said in the query, so that an owner elsewhere,
// which is asked with this manager's own token, leaves it out, too.
Result<bool> wants_result(Call& call) {
  const auto text = call.param("result");
  if (text && *text != "true" && *text != "false")
    return fail(Code::kInvalid, "query parameter 'result' is true or false");
  const bool is_viewer = !call.caller.token_id.empty() && call.caller.role == Role::kViewer;
  if (!is_viewer) return !text || *text == "true";
  std::erase_if(call.request.query, [](const auto& item) { return item.first == "result"; });
  call.request.query.emplace_back("result", "false");
  return false;
}

void get_task(Binder& binder, CallPtr call) {
  const auto is_with_result = wants_result(*call);
  if (!is_with_result) return binder.refuse(call, is_with_result.error());
  with_task(binder, call, [&binder, call, is_with_result = is_with_result.value()](TaskId id, Instant until) {
    answer_task(binder, call, id, true,
                [&binder, call, id, until, is_with_result](Reply<api::v1::Task> reply) {
                  binder.service.get_task(
                      id, until, wanted_while_connected(call),
                      [is_with_result, reply = std::move(reply)](Result<api::v1::Task> task) mutable {
                        if (task && !is_with_result) task.value().clear_result();
                        reply(std::move(task));
                      });
                });
  });
}

void send_result(Binder& binder, const CallPtr& call, Blob result) {
  http::Response response;
  response.headers.set("Content-Type", "application/octet-stream");
  response.body = std::move(result);
  binder.send(call, std::move(response));
}

void get_result(Binder& binder, CallPtr call) {
  with_task(binder, call, [&binder, call](TaskId id, Instant) {
    if (binder.has_siblings(*call)) {
      binder.pass({id.shard, id.epoch}, call, true, [&binder, call, id](auto answered) {
        binder.service.get_result(
            id, [&binder, call, answered = std::move(answered)](Result<Blob> result) mutable {
              if (!result) return answered(result.error());
              answered(UniqueFunction<void()>(
                  [&binder, call, blob = std::move(result.value())] { send_result(binder, call, blob); }));
            });
      });
      return;
    }
    binder.service.get_result(id, [&binder, call](Result<Blob> result) {
      if (result) {
        send_result(binder, call, std::move(result.value()));
      } else {
        binder.refuse(call, result.error());
      }
    });
  });
}

void cancel_task(Binder& binder, CallPtr call) {
  with_task(binder, call, [&binder, call](TaskId id, Instant) {
    answer_task(binder, call, id, true, [&binder, id](Reply<api::v1::Task> reply) {
      binder.service.cancel_task(id, std::move(reply));
    });
  });
}

void retry_task(Binder& binder, CallPtr call) {
  with_task(binder, call, [&binder, call](TaskId id, Instant) {
    answer_task(binder, call, id, false, [&binder, id](Reply<api::v1::Task> reply) {
      binder.service.retry_task(id, std::move(reply));
    });
  });
}

void pull_results(Binder& binder, CallPtr call) {
  const auto max = number_param(*call, "max", 1, limits::kPullMax, 100);
  const auto wait = duration_param(*call, "wait", limits::kWaitMax);
  if (!max || !wait) {
    binder.refuse(call, max ? wait.error() : max.error());
    return;
  }
  queue::Pull command;
  command.max = static_cast<std::uint32_t>(max.value());
  command.queue = call->param("queue").value_or("");
  command.visibility = binder.service.options().visibility;
  const Instant until = binder.clock.now() + wait.value();
  binder.run([&binder, call, command, until] {
    auto reply = binder.replier<api::v1::PullReply>(call);
    using Delivery = Service::Delivery;
    if (binder.has_siblings(*call)) {
      return binder.forwarder.pull(command, Delivery::kReceipt, until, wanted_while_connected(call),
                                   std::move(reply));
    }
    // A sibling puts the results of several managers in order.
    const auto delivery = call->is_forwarded ? Delivery::kReceiptInOrder : Delivery::kReceipt;
    binder.service.pull(command, delivery, until, wanted_while_connected(call), std::move(reply));
  });
}

void ack_results(Binder& binder, CallPtr call) {
  api::v1::AckRequest request;
  if (auto read = read_message(*call, request); !read) {
    binder.refuse(call, read.error());
    return;
  }
  binder.run([&binder, call, request = std::move(request)]() mutable {
    auto reply = binder.replier<api::v1::AckReply>(call);
    if (binder.has_siblings(*call)) return binder.forwarder.ack(std::move(request), std::move(reply));
    binder.service.ack(std::move(request), std::move(reply));
  });
}

}  // namespace

void bind_task_routes(Binder& binder) {
  const auto bind = [&](Endpoint endpoint, void (*handler)(Binder&, CallPtr)) {
    binder.bind(endpoint, [&binder, handler](CallPtr call) { handler(binder, std::move(call)); });
  };
  bind(Endpoint::kEnqueue, enqueue);
  bind(Endpoint::kEnqueueBatch, enqueue_batch);
  bind(Endpoint::kListTasks, list_tasks);
  bind(Endpoint::kGetTask, get_task);
  bind(Endpoint::kGetResult, get_result);
  bind(Endpoint::kCancelTask, cancel_task);
  bind(Endpoint::kRetryTask, retry_task);
  bind(Endpoint::kPullResults, pull_results);
  bind(Endpoint::kAckResults, ack_results);
}

}  // namespace skep::manager
