// SPDX-License-Identifier: Apache-2.0
// Results: pulled, acknowledged, put back.
#include <algorithm>
#include <set>

#include "manager/receipt.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

// Of the items of `reply`, those whose ids are given.
void keep_only(const std::vector<TaskId>& ids, api::v1::PullReply& reply) {
  if (ids.size() == static_cast<std::size_t>(reply.items_size())) return;
  std::set<std::string> kept;
  for (const auto& id : ids) kept.insert(id.to_string());
  auto& items = *reply.mutable_items();
  items.erase(
      std::remove_if(items.begin(), items.end(), [&](const auto& item) { return !kept.contains(item.id()); }),
      items.end());
}

}  // namespace

struct Service::Pulled {
  api::v1::PullReply message;         // without results
  std::vector<store::BlobKey> keys;   // of the items
  std::vector<ReceiptPart> receipts;  // which shards put them into delivery
};

void Service::pull(queue::Pull command, Delivery delivery, Instant wait_until, IsWanted is_wanted,
                   Reply<api::v1::PullReply> reply) {
  wait_for_results({std::move(command), delivery, wait_until, std::move(is_wanted), std::move(reply), 0});
}

// The oldest of all shards. With receipts of its own for each shard the order between shards is loose, but
// each shard's own is kept, and receipts stay few; who wants each result once gets them in order.
Service::Pulled Service::take_results(Turn& turn, const queue::Pull& command, Delivery delivery) {
  Pulled pulled;
  queue::Pull part = command;
  std::uint64_t bytes = 0;
  const bool is_one_by_one = turn.shards().size() > 1 && delivery != Delivery::kReceipt;
  while (pulled.keys.size() < command.max && bytes < command.bytes_max) {
    queue::Shard* oldest = nullptr;
    std::optional<std::pair<Instant, TaskId>> best;
    for (const auto& shard : turn.shards()) {
      const auto candidate = shard->oldest_undelivered(command.queue);
      if (candidate && (!best || *candidate < *best)) {
        best = candidate;
        oldest = shard.get();
      }
    }
    if (oldest == nullptr) break;
    part.max = is_one_by_one ? 1 : command.max - static_cast<std::uint32_t>(pulled.keys.size());
    part.bytes_max = command.bytes_max - bytes;
    const auto got = turn.apply(*oldest, part);
    for (const auto& item : got.items) {
      auto& out = *pulled.message.add_items();
      out.set_id(item.id.to_string());
      out.set_queue(item.queue);
      out.set_finished_at_ms(to_unix_ms(item.finished_at));
      pulled.keys.push_back({store::BlobKind::kResult, item.id});
      bytes += item.result_bytes;
    }
    pulled.receipts.push_back({oldest->epoch(), oldest->id(), got.receipt});
    pulled.message.set_redelivered_at_ms(to_unix_ms(got.redelivered_at));
  }
  return pulled;
}

void Service::wait_for_results(PullWaiter wait) {
  auto waiter = std::make_shared<PullWaiter>(std::move(wait));
  host_.submit<Pulled>(
      [this, waiter](Turn& turn) -> Result<Pulled> {
        return take_results(turn, waiter->command, waiter->delivery);
      },
      [this, waiter](Result<Pulled> pulled) {
        if (!pulled) {
          waiter->reply(pulled.error());
          return;
        }
        if (!pulled.value().keys.empty()) {
          send_results(std::move(pulled.value()), waiter);
          return;
        }
        if (waiter->wait_until <= executor_.now() || is_draining_) {
          waiter->reply(api::v1::PullReply{});
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

// Everybody for whom there is something looks again; who finds nothing after all waits again.
void Service::serve_pull_waiters() {
  std::vector<PullWaiter> ready;
  for (auto at = pull_waiters_.begin(); at != pull_waiters_.end();) {
    const bool is_wanted = !at->is_wanted || at->is_wanted();
    const bool has_result = std::any_of(host_.shards().begin(), host_.shards().end(), [&](const auto& shard) {
      return shard->oldest_undelivered(at->command.queue).has_value();
    });
    if (is_wanted && !has_result) {
      ++at;
      continue;
    }
    executor_.cancel(at->timer);
    if (is_wanted) {
      ready.push_back(std::move(*at));
    } else {
      at->reply(api::v1::PullReply{});
    }
    at = pull_waiters_.erase(at);
  }
  for (auto& waiter : ready) wait_for_results(std::move(waiter));
}

void Service::send_results(Pulled pulled, std::shared_ptr<PullWaiter> waiter) {
  auto keys = pulled.keys;
  host_.read_each(
      std::move(keys), [this, pulled = std::move(pulled), waiter](std::vector<Result<Blob>> blobs) mutable {
        api::v1::PullReply readable;
        std::vector<TaskId> given;
        std::vector<TaskId> withheld;
        std::optional<Error> problem;
        for (std::size_t i = 0; i < blobs.size(); ++i) {
          auto& item = *pulled.message.mutable_items(static_cast<int>(i));
          if (blobs[i]) {
            item.set_result(*blobs[i].value());
            readable.add_items()->Swap(&item);
            given.push_back(pulled.keys[i].task);
            continue;
          }
          log_.error("a result can not be read and is left out of a pull",
                     {{"task", item.id()},
                      {"problem", blobs[i].error().message},
                      LogField::if_any("trace_id", trace_id_of(pulled.keys[i].task))});
          withheld.push_back(pulled.keys[i].task);
          // One that is not there any more was let go on the way, as after a standstill; the others come
          // again.
          if (!problem && blobs[i].error().code != Code::kNotFound) problem = blobs[i].error();
        }
        readable.set_redelivered_at_ms(pulled.message.redelivered_at_ms());
        readable.set_receipt(receipt_text(pulled.receipts));
        if (readable.items_size() == 0 && problem) {
          settle_results(std::move(pulled.receipts), std::move(withheld), {},
                         [problem = std::move(*problem), waiter](const auto&) { waiter->reply(problem); });
          return;
        }
        if (waiter->delivery == Delivery::kOnce) {
          give_once(std::move(pulled), std::move(withheld), std::move(given), std::move(readable),
                    std::move(waiter));
        } else if (withheld.empty()) {
          waiter->reply(std::move(readable));
        } else {
          settle_results(
              std::move(pulled.receipts), std::move(withheld), {},
              [readable = std::move(readable), waiter](const Result<std::vector<TaskId>>& settled) mutable {
                if (settled) {
                  waiter->reply(std::move(readable));
                } else {
                  waiter->reply(settled.error());
                }
              });
        }
      });
}

void Service::give_once(Pulled pulled, std::vector<TaskId> withheld, std::vector<TaskId> given,
                        api::v1::PullReply readable, std::shared_ptr<PullWaiter> waiter) {
  readable.clear_receipt();
  settle_results(
      std::move(pulled.receipts), std::move(withheld), std::move(given),
      [this, readable = std::move(readable), waiter](const Result<std::vector<TaskId>>& delivered) mutable {
        if (!delivered) {
          waiter->reply(delivered.error());
          return;
        }
        keep_only(delivered.value(), readable);
        // Others were faster with all of it.
        if (readable.items_size() == 0 && waiter->wait_until > executor_.now() && !is_draining_) {
          wait_for_results(std::move(*waiter));
        } else {
          waiter->reply(std::move(readable));
        }
      });
}

// Takes what can not be sent out of the receipts and marks those that are given once delivered: durably,
// before they are sent. The reply names those that nobody marked before: a receipt may have run out while the
// disk was slow, and another pull may have been faster.
void Service::settle_results(std::vector<ReceiptPart> receipts, std::vector<TaskId> withheld,
                             std::vector<TaskId> given, Reply<std::vector<TaskId>> done) {
  host_.submit<std::vector<TaskId>>(
      [receipts = std::move(receipts), withheld = std::move(withheld),
       given = std::move(given)](Turn& turn) -> Result<std::vector<TaskId>> {
        std::vector<TaskId> delivered;
        for (const auto& receipt : receipts) {
          auto* shard = turn.shard(receipt.shard);
          if (shard == nullptr || shard->epoch() != receipt.epoch) {
            return fail(Code::kUnavailable, "the store was loaded again meanwhile: pull again");
          }
          if (!withheld.empty()) turn.apply(*shard, queue::Withhold{receipt.number, withheld});
          if (given.empty()) continue;
          queue::Ack ack{receipt.number, {}};
          for (const auto& id : given) {
            if (id.shard == receipt.shard) ack.ids.push_back(id);
          }
          const auto acked = turn.apply(*shard, ack);
          delivered.insert(delivered.end(), acked.delivered.begin(), acked.delivered.end());
        }
        return delivered;
      },
      std::move(done));
}

Result<Service::Unused> Service::read_put_back(const api::v1::AckRequest& request) {
  Unused unused;
  SKEP_TRY(unused.receipt, parse_receipt(request.put_back_receipt()));
  for (const auto& text : request.put_back()) {
    SKEP_TRY(const auto id, TaskId::parse(text));
    unused.ids[id.shard].push_back(id);
  }
  return unused;
}

// Those of an owner before are not in delivery any more.
void Service::put_back(Turn& turn, const Unused& unused) {
  for (const auto& [shard_id, ids] : unused.ids) {
    auto* shard = turn.shard(shard_id);
    if (shard == nullptr) continue;
    queue::PutBack command{{}, ids};
    for (const auto& part : unused.receipt) {
      if (part.shard == shard_id && part.epoch == shard->epoch()) command.receipts.push_back(part.number);
    }
    turn.apply(*shard, command);
  }
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
  auto unused = read_put_back(request);
  if (!unused) return reply(unused.error());
  host_.submit<api::v1::AckReply>(
      [this, parts = std::move(parts.value()), ids = std::move(ids),
       unused = std::move(unused.value())](Turn& turn) -> Result<api::v1::AckReply> {
        // What was named is acknowledged, or the answer says that it is not.
        for (const auto& id : ids) {
          const bool is_elsewhere =
              keeper_ && id.shard < store_.shard_count() && turn.shard(id.shard) == nullptr;
          if (is_elsewhere) return not_here(id);
        }
        put_back(turn, unused);
        std::size_t acknowledged = 0;
        std::uint32_t known = 0;
        for (const auto& part : parts) {
          auto* shard = turn.shard(part.shard);
          if (shard == nullptr || shard->epoch() != part.epoch)
            continue;  // of an owner before: delivered again
          ++known;
          acknowledged += turn.apply(*shard, queue::Ack{part.number, {}}).delivered.size();
        }
        for (const auto& id : ids) {
          if (auto* shard = turn.shard(id.shard))
            acknowledged += turn.apply(*shard, queue::Ack{0, {id}}).delivered.size();
        }
        if (!parts.empty() && known == 0 && ids.empty()) {
          return fail(Code::kNotFound,
                      "this receipt is of before a restart: its results come again in the next pull");
        }
        api::v1::AckReply message;
        message.set_acknowledged(static_cast<std::uint32_t>(acknowledged));
        return message;
      },
      std::move(reply));
}

}  // namespace skep::manager
