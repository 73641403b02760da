// SPDX-License-Identifier: Apache-2.0
// Tasks and results: what clients ask for.
#include <algorithm>
#include <charconv>

#include "api/convert.h"
#include "base/hash.h"
#include "manager/explain.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

constexpr std::uint64_t kInlineResultMax = 64 * 1024;  // larger ones have an endpoint of their own

Error not_here(const TaskId& id) {
  return fail(Code::kNotFound, "there is no task " + id.to_string() + " here");
}

// "EPOCH.SHARD.NUMBER", comma-separated: receipts of several shards in one.
std::string receipt_text(const queue::Shard& shard, std::uint64_t number) {
  return std::to_string(shard.epoch()) + "." + std::to_string(shard.id()) + "." + std::to_string(number);
}

struct ReceiptPart {
  Epoch epoch = 0;
  ShardId shard = 0;
  std::uint64_t number = 0;
};

Result<std::vector<ReceiptPart>> parse_receipt(std::string_view text) {
  std::vector<ReceiptPart> parts;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  const auto refuse = [&] {
    return fail(Code::kInvalid, "'" + std::string(text.substr(0, 64)) + "' is not a receipt");
  };
  while (at != end) {
    ReceiptPart part;
    for (int field = 0; field < 3; ++field) {
      const auto [next, error] = field == 0   ? std::from_chars(at, end, part.epoch)
                                 : field == 1 ? std::from_chars(at, end, part.shard)
                                              : std::from_chars(at, end, part.number);
      const bool is_last = field == 2;
      if (error != std::errc{} || (!is_last && (next == end || *next != '.'))) return refuse();
      at = is_last ? next : next + 1;
    }
    parts.push_back(part);
    if (at != end && *at++ != ',') return refuse();
  }
  return parts;
}

}  // namespace

void Service::enqueue(std::vector<NewTask> tasks, Reply<api::v1::EnqueueBatchReply> reply) {
  if (is_draining_) {
    reply(fail(Code::kUnavailable, "the manager is draining and takes no new tasks"));
    return;
  }
  host_.submit<queue::EnqueueReply>(
      [tasks = std::move(tasks)](Turn& turn) mutable -> Result<queue::EnqueueReply> {
        queue::Enqueue command;
        command.items.reserve(tasks.size());
        for (auto& task : tasks) command.items.push_back({std::move(task.spec), std::move(task.body)});
        // A key must always meet the same shard. One key decides for its whole request.
        const auto& key = command.items.empty() ? std::string() : command.items.front().spec.idempotency_key;
        auto& shard = key.empty() ? turn.next_shard() : *turn.shards()[fnv1a(key) % turn.shards().size()];
        return turn.apply(shard, command);
      },
      [reply = std::move(reply)](Result<queue::EnqueueReply> enqueued) mutable {
        if (!enqueued) {
          reply(enqueued.error());
          return;
        }
        api::v1::EnqueueBatchReply message;
        for (const auto& task : enqueued.value()) {
          auto& item = *message.add_tasks();
          item.set_id(task.id.to_string());
          item.set_state(std::string(state_name(task.state)));
          item.set_existing(task.is_existing);
        }
        reply(std::move(message));
      });
}

// ---- one task ----

void Service::fill_task(const TaskRecord& record, const queue::Shard& shard, api::v1::Task& out) {
  api::from_record(record, out);
  ExplainInput input;
  input.record = &record;
  input.now = executor_.now();
  for (const auto& queue : shard.queues()) {
    if (queue.settings.name == record.spec.queue) input.queue = queue;
  }
  for (const auto& [id, worker] : registry_.all()) {
    if (worker.is_lost || worker.is_draining) continue;
    ++input.workers;
    const auto has = [](const auto& list, const auto& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (!has(worker.kinds, record.spec.kind)) continue;
    if (record.spec.kind == "command" && !has(worker.programs, record.spec.program)) continue;
    ++input.workers_fit;
  }
  if (scaler_ != nullptr) input.scaling = scaler_->explain();
  out.set_explanation(explain_task(input));
}

void Service::answer_task(TaskId id, Reply<api::v1::Task> reply) {
  auto shared = std::make_shared<Reply<api::v1::Task>>(std::move(reply));
  host_.submit<api::v1::Task>(
      [this, id](Turn& turn) -> Result<api::v1::Task> {
        auto* shard = turn.shard(id.shard);
        const TaskRecord* record = shard == nullptr ? nullptr : shard->find(id);
        if (record == nullptr) return not_here(id);
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
      [id](Turn& turn) -> Result<bool> {
        auto* shard = turn.shard(id.shard);
        const TaskRecord* record = shard == nullptr ? nullptr : shard->find(id);
        if (record == nullptr) return not_here(id);
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
      [id](Turn& turn) -> Result<void> {
        auto* shard = turn.shard(id.shard);
        const TaskRecord* record = shard == nullptr ? nullptr : shard->find(id);
        if (record == nullptr) return not_here(id);
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
  change_task([id](Turn& turn, queue::Shard& shard) { return turn.apply(shard, queue::Cancel{id}); }, id,
              std::move(reply));
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
        }
        return message;
      },
      std::move(reply));
}

// ---- results ----

void Service::pull(queue::Pull command, Instant wait_until, IsWanted is_wanted,
                   Reply<api::v1::PullReply> reply) {
  wait_for_results(std::move(command), wait_until, std::move(is_wanted), std::move(reply));
}

void Service::wait_for_results(queue::Pull command, Instant until, IsWanted is_wanted,
                               Reply<api::v1::PullReply> reply) {
  struct Pulled {
    api::v1::PullReply message;
    std::vector<store::BlobKey> keys;
  };
  auto waiter = std::make_shared<PullWaiter>();
  waiter->command = std::move(command);
  waiter->wait_until = until;
  waiter->is_wanted = std::move(is_wanted);
  waiter->reply = std::move(reply);
  host_.submit<Pulled>(
      [waiter](Turn& turn) -> Result<Pulled> {
        Pulled pulled;
        std::string receipts;
        queue::Pull part = waiter->command;
        std::vector<queue::PulledTask> items;
        while (items.size() < waiter->command.max) {
          queue::Shard* oldest = nullptr;
          std::optional<std::pair<Instant, TaskId>> best;
          for (const auto& shard : turn.shards()) {
            const auto candidate = shard->oldest_undelivered(waiter->command.queue);
            if (candidate && (!best || *candidate < *best)) {
              best = candidate;
              oldest = shard.get();
            }
          }
          if (oldest == nullptr) break;
          // With a receipt the order between shards is loose, but each shard's own is kept, and receipts stay
          // few.
          const bool is_one_by_one = turn.shards().size() > 1 && part.mode == queue::PullMode::kOnce;
          part.max = is_one_by_one ? 1 : waiter->command.max - static_cast<std::uint32_t>(items.size());
          const auto got = turn.apply(*oldest, part);
          items.insert(items.end(), got.items.begin(), got.items.end());
          if (got.receipt == 0) continue;
          receipts += (receipts.empty() ? "" : ",") + receipt_text(*oldest, got.receipt);
          pulled.message.set_redelivered_at_ms(to_unix_ms(got.redelivered_at));
        }
        for (const auto& item : items) {
          auto& out = *pulled.message.add_items();
          out.set_id(item.id.to_string());
          out.set_queue(item.queue);
          out.set_finished_at_ms(to_unix_ms(item.finished_at));
          pulled.keys.push_back({store::BlobKind::kResult, item.id});
        }
        pulled.message.set_receipt(receipts);
        return pulled;
      },
      [this, waiter](Result<Pulled> pulled) {
        if (!pulled) {
          waiter->reply(pulled.error());
          return;
        }
        if (!pulled.value().keys.empty() || waiter->wait_until <= executor_.now() || is_draining_) {
          send_results(std::move(pulled.value().message), std::move(pulled.value().keys),
                       std::move(waiter->reply));
          return;
        }
        pull_waiters_.push_back(std::move(*waiter));
        const auto at = std::prev(pull_waiters_.end());
        at->timer = executor_.post_at(at->wait_until, [this, at] {
          auto late = std::move(at->reply);
          pull_waiters_.erase(at);
          late(api::v1::PullReply{});
        });
      });
}

void Service::serve_pull_waiters() {
  // As many as there are results; who finds none waits again.
  for (std::uint64_t left = undelivered(); left > 0 && !pull_waiters_.empty(); --left) {
    PullWaiter waiter = std::move(pull_waiters_.front());
    pull_waiters_.pop_front();
    executor_.cancel(waiter.timer);
    if (waiter.is_wanted && !waiter.is_wanted()) continue;
    wait_for_results(std::move(waiter.command), waiter.wait_until, std::move(waiter.is_wanted),
                     std::move(waiter.reply));
  }
}

void Service::send_results(api::v1::PullReply reply, std::vector<store::BlobKey> keys,
                           Reply<api::v1::PullReply> done) {
  if (keys.empty()) {
    done(std::move(reply));
    return;
  }
  const auto kept = keys;
  host_.read(std::move(keys), [this, kept, reply = std::move(reply),
                               done = std::move(done)](Result<std::vector<Blob>> blobs) mutable {
    if (blobs) {
      for (std::size_t i = 0; i < kept.size(); ++i) {
        if (blobs.value()[i]) reply.mutable_items(static_cast<int>(i))->set_result(*blobs.value()[i]);
      }
      done(std::move(reply));
      return;
    }
    if (kept.size() == 1) {
      log_.error("a result can not be read and is left out of a pull",
                 {{"task", kept[0].task.to_string()}, {"problem", blobs.error().message}});
      reply.clear_items();
      done(std::move(reply));
      return;
    }
    // One damaged result must not hide the others: each by itself.
    struct Gather {
      api::v1::PullReply whole;
      std::vector<api::v1::PullReply> parts;
      std::size_t left = 0;
      Reply<api::v1::PullReply> done;
    };
    auto gather = std::make_shared<Gather>();
    gather->whole.set_receipt(reply.receipt());
    gather->whole.set_redelivered_at_ms(reply.redelivered_at_ms());
    gather->parts.resize(kept.size());
    gather->left = kept.size();
    gather->done = std::move(done);
    for (std::size_t i = 0; i < kept.size(); ++i) {
      api::v1::PullReply one;
      *one.add_items() = reply.items(static_cast<int>(i));
      send_results(std::move(one), {kept[i]}, [gather, i](Result<api::v1::PullReply> part) {
        if (part) gather->parts[i] = std::move(part.value());
        if (--gather->left > 0) return;
        for (auto& piece : gather->parts) gather->whole.mutable_items()->MergeFrom(piece.items());
        gather->done(std::move(gather->whole));
      });
    }
  });
}

void Service::ack(api::v1::AckRequest request, Reply<api::v1::AckReply> reply) {
  auto parts = parse_receipt(request.receipt());
  if (!parts) {
    reply(parts.error());
    return;
  }
  std::vector<TaskId> ids;
  for (const auto& text : request.ids()) {
    auto id = TaskId::parse(text);
    if (!id) {
      reply(id.error());
      return;
    }
    ids.push_back(id.value());
  }
  host_.submit<api::v1::AckReply>(
      [parts = std::move(parts.value()), ids = std::move(ids)](Turn& turn) -> Result<api::v1::AckReply> {
        std::uint32_t acknowledged = 0;
        std::uint32_t known = 0;
        for (const auto& part : parts) {
          auto* shard = turn.shard(part.shard);
          if (shard == nullptr || shard->epoch() != part.epoch)
            continue;  // of an owner before: delivered again
          ++known;
          acknowledged += turn.apply(*shard, queue::Ack{part.number, {}}).acknowledged;
        }
        for (const auto& id : ids) {
          if (auto* shard = turn.shard(id.shard))
            acknowledged += turn.apply(*shard, queue::Ack{0, {id}}).acknowledged;
        }
        if (!parts.empty() && known == 0 && ids.empty()) {
          return fail(Code::kNotFound,
                      "this receipt is of before a restart: its results come again in the next pull");
        }
        api::v1::AckReply message;
        message.set_acknowledged(acknowledged);
        return message;
      },
      std::move(reply));
}

}  // namespace skep::manager
