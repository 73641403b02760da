// SPDX-License-Identifier: Apache-2.0
// Tasks: what clients ask for.
#include <algorithm>
#include <map>

#include "api/convert.h"
#include "base/hash.h"
#include "manager/explain.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

// What a task takes beside its body while it waits for its commit: its record twice, and its request.
constexpr std::size_t kWaitingTaskBytes = 2'048;
constexpr std::uint64_t kInlineResultMax = 64 * 1024;  // larger ones have an endpoint of their own

Error not_served(ShardId shard) {
  return fail(Code::kFenced, "shard " + std::to_string(shard) + " is not served by this manager now");
}

}  // namespace

Error Service::not_here(const TaskId& id) const {
  const auto& shards = host_.shards();
  const bool is_served =
      std::any_of(shards.begin(), shards.end(), [&](const auto& shard) { return shard->id() == id.shard; });
  if (!keeper_ || is_served || id.shard >= store_.shard_count())
    return fail(Code::kNotFound, "there is no task " + id.to_string() + " here");
  return not_served(id.shard);
}

std::string Service::trace_id_of(const TaskId& id) const {
  for (const auto& shard : host_.shards()) {
    if (shard->id() != id.shard) continue;
    const auto spec = shard->spec_of(id);
    return spec ? std::string(spec->trace.trace_id()) : std::string();
  }
  return {};
}

Result<void> Service::check_batch(const api::v1::EnqueueBatchRequest& request) {
  const auto count = static_cast<std::size_t>(request.tasks_size());
  if (count >= 1 && count <= limits::kBatchTasksMax) return ok();
  return fail(Code::kInvalid, "a batch holds from 1 to " + std::to_string(limits::kBatchTasksMax) +
                                  " tasks, this one " + std::to_string(count));
}

Result<std::vector<Service::NewTask>> Service::read_batch(api::v1::EnqueueBatchRequest request) {
  SKEP_TRY(check_batch(request));
  std::vector<NewTask> tasks;
  for (int i = 0; i < request.tasks_size(); ++i) {
    auto& item = *request.mutable_tasks(i);
    const std::string place = "task " + std::to_string(i);
    auto spec = api::to_spec(item.options());
    if (!spec) return with_context(spec.error(), place);
    if (item.body().size() > limits::kBodyBytesMax) {
      return fail(Code::kInvalid,
                  place + ": the body is larger than " + describe_bytes(limits::kBodyBytesMax));
    }
    tasks.push_back(
        {std::move(spec.value()), std::make_shared<const std::string>(std::move(*item.mutable_body()))});
  }
  return tasks;
}

// The same whoever has how many shards.
ShardId Service::shard_of_key(const std::string& key) const {
  return static_cast<ShardId>(fnv1a(key) % store_.shard_count());
}

// Tasks with a key go where the key says, so that it always meets the same shard; the others take turns. All
// or none: every shard is asked before any takes something.
Result<queue::EnqueueReply> Service::enqueue_all(Turn& turn, std::vector<NewTask>& tasks) {
  std::map<ShardId, std::pair<queue::Enqueue, std::vector<std::size_t>>> parts;
  std::optional<ShardId> keyless;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& key = tasks[i].spec.idempotency_key;
    if (key.empty() && turn.shards().empty()) return not_served(0);
    if (key.empty() && !keyless) keyless = turn.next_shard().id();
    const ShardId id = key.empty() ? *keyless : shard_of_key(key);
    if (turn.shard(id) == nullptr) return not_served(id);
    auto& [command, places] = parts[id];
    command.items.push_back({std::move(tasks[i].spec), std::move(tasks[i].body)});
    places.push_back(i);
  }
  for (const auto& [id, part] : parts) {
    SKEP_TRY(turn.shard(id)->check(part.first, turn.now()));
  }
  queue::EnqueueReply reply(tasks.size());
  for (const auto& [id, part] : parts) {
    SKEP_TRY(const auto enqueued, turn.apply(*turn.shard(id), part.first));
    for (std::size_t i = 0; i < enqueued.size(); ++i) {
      reply[part.second[i]] = enqueued[i];
      if (enqueued[i].is_existing) continue;
      const auto& [spec, body] = part.first.items[i];
      speed_.arrived(spec.queue, spec.kind, spec.program,
                     Speed::units(spec.kind, spec.iterations, body ? body->size() : 0));
    }
  }
  return reply;
}

void Service::enqueue(std::vector<NewTask> tasks, Reply<queue::EnqueueReply> reply) {
  if (is_draining_) {
    reply(fail(Code::kUnavailable, "the manager is draining and takes no new tasks"));
    return;
  }
  std::size_t bytes = tasks.size() * kWaitingTaskBytes;
  for (const auto& task : tasks) bytes += task.body ? task.body->size() : 0;
  if (enqueue_bytes_ + bytes > options_.waiting_bytes_max) {
    reply(fail(Code::kUnavailable, describe_bytes(enqueue_bytes_) + " of tasks wait for the store already"));
    return;
  }
  if (auto admitted = admit(bytes); !admitted) {
    reply(admitted.error());
    return;
  }
  enqueue_bytes_ += bytes;
  host_.submit<queue::EnqueueReply>(
      [this, tasks = std::move(tasks)](Turn& turn) mutable { return enqueue_all(turn, tasks); },
      [this, bytes, reply = std::move(reply)](Result<queue::EnqueueReply> enqueued) mutable {
        enqueue_bytes_ -= bytes;
        reply(std::move(enqueued));
      });
}

Result<void> Service::admit(std::uint64_t bytes) {
  const bool was_closed = admission_.is_closed();
  auto admitted = admission_.admit(executor_.now(), bytes);
  if (!admitted) store_.give_back();
  if (admission_.is_closed() == was_closed) return admitted;
  const std::string place = store_.stats().place;
  if (admitted) {
    log_.info("new tasks are taken again", {{"store", place}});
    events_.add(executor_.now(), "store", place, "takes tasks", "");
  } else {
    log_.warn("no new tasks are taken", {{"store", place}, {"problem", admitted.error().message}});
    events_.add(executor_.now(), "store", place, "takes no tasks", admitted.error().message);
  }
  return admitted;
}

// ---- one task ----

void Service::fill_task(const TaskRecord& record, const queue::Shard& shard, api::v1::Task& out) {
  api::from_record(record, out);
  ExplainInput input;
  input.record = &record;
  input.progress = shard.progress_of(record.id);
  out.set_iterations_done(input.progress                     ? input.progress->iterations_done
                          : record.checkpoint                ? record.checkpoint->iterations
                          : record.state == TaskState::kDone ? record.spec.iterations
                                                             : 0);
  if (input.progress) out.set_progress_at_ms(to_unix_ms(input.progress->at));
  input.now = executor_.now();
  for (const auto& queue : shard.queues()) {
    if (queue.settings.name == record.spec.queue) input.queue = queue;
  }
  for (const auto& [id, worker] : registry_.all()) {
    if (worker.is_lost) continue;
    if (worker.is_draining) {
      ++input.workers_draining;
      continue;
    }
    ++input.workers;
    const auto has = [](const auto& list, const auto& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (!has(worker.kinds, record.spec.kind)) continue;
    if (record.spec.kind == "command" && !has(worker.programs, record.spec.program)) continue;
    ++input.workers_fit;
  }
  if (scaler_ != nullptr) input.scaling = scaler_->explain();
  const TaskSpec& spec = record.spec;
  input.work_seen = speed_.seen(spec.queue, spec.kind, spec.program);
  input.work_seconds = Speed::units(spec.kind, spec.iterations, record.body_bytes) *
                       speed_.unit_seconds(spec.queue, spec.kind, spec.program);
  out.set_explanation(explain_task(input));
  const auto cost = scaler_ != nullptr ? scaler_->costs().of_task(record.id) : std::nullopt;
  if (!cost || cost->all() == 0) return;
  out.set_cost(scaler::in_money(cost->all()));
  out.set_cost_overhead(scaler::in_money(cost->overhead));
  out.set_explanation(out.explanation() + " It cost " + scaler::describe_money(out.cost()) + ", of which " +
                      scaler::describe_money(out.cost_overhead()) + " is its share of boot and idle.");
}

void Service::answer_task(TaskId id, Reply<api::v1::Task> reply) {
  auto shared = std::make_shared<Reply<api::v1::Task>>(std::move(reply));
  host_.submit<api::v1::Task>(
      [this, id](Turn& turn) -> Result<api::v1::Task> {
        auto* shard = turn.shard(id.shard);
        const auto record = shard == nullptr ? std::nullopt : shard->find(id);
        if (!record) return not_here(id);
        api::v1::Task task;
        fill_task(*record, *shard, task);
        return task;
      },
      [this, id, shared](Result<api::v1::Task> task) {
        const bool wants_result = task && task.value().state() == state_name(TaskState::kDone) &&
                                  task.value().result_bytes() <= kInlineResultMax;
        if (!wants_result) {
          (*shared)(std::move(task));
          return;
        }
        host_.read({{store::BlobKind::kResult, id}},
                   [shared, task = std::move(task)](Result<std::vector<Blob>> blobs) mutable {
                     if (blobs && blobs.value()[0]) task.value().set_result(*blobs.value()[0]);
                     if (!blobs) {
                       task.value().set_explanation(task.value().explanation() + " It can not be read now: " +
                                                    blobs.error().message + ".");
                     }
                     (*shared)(std::move(task));
                   });
      });
}

void Service::get_task(TaskId id, Instant wait_until, IsWanted is_wanted, Reply<api::v1::Task> reply) {
  if (wait_until <= executor_.now() || is_draining_) {
    answer_task(id, std::move(reply));
    return;
  }
  wait_for_task(id, wait_until, std::move(is_wanted), std::move(reply));
}

void Service::wait_for_task(TaskId id, Instant until, IsWanted is_wanted, Reply<api::v1::Task> reply) {
  auto waiter = std::make_shared<TaskWaiter>();
  waiter->id = id;
  waiter->is_wanted = std::move(is_wanted);
  waiter->reply = std::move(reply);
  // Looks first, and begins to wait before the notices of its own batch go round: no finish falls between the
  // two.
  host_.submit<bool>(
      [this, id](Turn& turn) -> Result<bool> {
        auto* shard = turn.shard(id.shard);
        const auto record = shard == nullptr ? std::nullopt : shard->find(id);
        if (!record) return not_here(id);
        return is_terminal(record->state);
      },
      [this, waiter, id, until](Result<bool> is_finished) {
        if (!is_finished) {
          waiter->reply(is_finished.error());
          return;
        }
        if (is_finished.value() || is_draining_) {
          answer_task(id, std::move(waiter->reply));
          return;
        }
        auto& list = task_waiters_[id];
        list.push_back(std::move(*waiter));
        const auto at = std::prev(list.end());
        at->timer = executor_.post_at(until, [this, id, at] {
          auto late = std::move(at->reply);
          auto& waiters = task_waiters_[id];
          waiters.erase(at);
          if (waiters.empty()) task_waiters_.erase(id);
          answer_task(id, std::move(late));
        });
      });
}

void Service::get_result(TaskId id, Reply<Blob> reply) {
  auto shared = std::make_shared<Reply<Blob>>(std::move(reply));
  host_.submit<void>(
      [this, id](Turn& turn) -> Result<void> {
        auto* shard = turn.shard(id.shard);
        const auto record = shard == nullptr ? std::nullopt : shard->find(id);
        if (!record) return not_here(id);
        if (record->state != TaskState::kDone) {
          return fail(Code::kConflict, "task " + id.to_string() + " is " +
                                           std::string(state_name(record->state)) + " and has no result");
        }
        return ok();
      },
      [this, id, shared](Result<void> found) {
        if (!found) {
          (*shared)(found.error());
          return;
        }
        host_.read({{store::BlobKind::kResult, id}}, [shared, id](Result<std::vector<Blob>> blobs) {
          if (!blobs) {
            (*shared)(blobs.error());
          } else if (!blobs.value()[0]) {
            (*shared)(
                fail(Code::kNotFound, "the result of task " + id.to_string() + " is not kept any more"));
          } else {
            (*shared)(std::move(blobs.value()[0]));
          }
        });
      });
}

void Service::change_task(UniqueFunction<Result<TaskRecord>(Turn&, queue::Shard&)> change, TaskId id,
                          Reply<api::v1::Task> reply) {
  host_.submit<api::v1::Task>(
      [this, id, change = std::move(change)](Turn& turn) mutable -> Result<api::v1::Task> {
        auto* shard = turn.shard(id.shard);
        if (shard == nullptr) return not_here(id);
        SKEP_TRY(const auto record, change(turn, *shard));
        api::v1::Task task;
        fill_task(record, *shard, task);
        return task;
      },
      std::move(reply));
}

void Service::cancel_task(TaskId id, Reply<api::v1::Task> reply) {
  struct Run {
    std::string worker;
    std::string lease;
  };
  auto run = std::make_shared<Run>();  // that it cuts off
  change_task(
      [id, run](Turn& turn, queue::Shard& shard) {
        const auto before = shard.find(id);
        if (before && before->state == TaskState::kLeased)
          *run = {before->worker, before->lease_token().to_string()};
        return turn.apply(shard, queue::Cancel{id});
      },
      id,
      [this, run, reply = std::move(reply)](Result<api::v1::Task> task) mutable {
        if (task && !run->worker.empty()) answer_beat(run->worker, run->lease);
        reply(std::move(task));
      });
}

void Service::retry_task(TaskId id, Reply<api::v1::Task> reply) {
  change_task([id](Turn& turn, queue::Shard& shard) { return turn.apply(shard, queue::Retry{id}); }, id,
              std::move(reply));
}

void Service::list_tasks(queue::ListTasks query, Reply<api::v1::ListTasksReply> reply) {
  host_.submit<api::v1::ListTasksReply>(
      [query = std::move(query)](Turn& turn) mutable -> Result<api::v1::ListTasksReply> {
        api::v1::ListTasksReply message;
        // Shards in the order of their number, which is the order of ids: the cursor says where to go on.
        for (const auto& shard : turn.shards()) {
          if (shard->id() < query.after.shard) continue;
          const auto page = shard->list(query);
          for (const auto& record : page.tasks) api::from_record(record, *message.add_tasks());
          if (page.next) {
            message.set_next_cursor(page.next->to_string());
            return message;
          }
          query.limit -= page.tasks.size();
          query.after = TaskId{shard->id(), ~Epoch{0}, kSequenceMax};
          if (query.limit == 0 && shard != turn.shards().back()) {
            message.set_next_cursor(query.after.to_string());
            return message;
          }
        }
        return message;
      },
      std::move(reply));
}

}  // namespace skep::manager
