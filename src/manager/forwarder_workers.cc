// SPDX-License-Identifier: Apache-2.0
// What names several tasks: each item goes to the owner of its shard.
#include <algorithm>
#include <set>

#include "api/convert.h"
#include "api/errors.h"
#include "manager/forwarder_ask.h"

namespace skep::manager {
namespace {

using api::Endpoint;
using client::Encoding;
namespace v1 = api::v1;

// A busy owner commits first.
constexpr Duration kPartPatience = seconds(3);

http::ClientRequest request_with(Endpoint endpoint, const google::protobuf::Message& message,
                                 const std::string& path_value = "") {
  auto request = client::make_request(endpoint, {path_value, {}}, Encoding::kProtobuf);
  client::set_message(message, Encoding::kProtobuf, request);
  return request;
}

// A task may be older than the number of its store; a lease of this day is not.
store::ShardAt at_of(const LeaseToken& token) {
  return {token.task.shard, token.epoch};
}
std::optional<store::ShardAt> shard_of_lease(const std::string& lease) {
  const auto token = LeaseToken::parse(lease);
  return token ? std::optional(at_of(token.value())) : std::nullopt;
}

// The constants that the service speaks in.
std::string_view status_of(const std::string& name) {
  if (name == "ok") return "ok";
  const auto code = api::parse_code(name);
  return code ? code_name(*code) : code_name(Code::kInternal);
}

v1::CompleteRequest to_message(const Report& report) {
  v1::CompleteRequest request;
  request.set_worker(report.worker);
  for (const auto& outcome : report.outcomes) {
    auto& out = *request.add_outcomes();
    out.set_lease(outcome.lease);
    out.set_failed(outcome.is_failed);
    if (outcome.result) out.set_result(*outcome.result);
    out.set_error(outcome.error);
    out.set_permanent(outcome.is_permanent);
    out.set_timed_out(outcome.is_timeout);
    out.set_run_us(outcome.run_us);
    out.set_cpu_us(outcome.usage.cpu_us);
    out.set_memory_peak_bytes(outcome.usage.memory_peak_bytes);
  }
  return request;
}

}  // namespace

// ---- outcomes ----

void Forwarder::complete_at(const std::string& address, Report report, Reply<Settled> reply) {
  if (address.empty()) return service_.complete(std::move(report), std::move(reply));
  ask<v1::CompleteReply>(
      address, request_with(Endpoint::kComplete, to_message(report)), kPartPatience,
      [reply = std::move(reply)](Result<v1::CompleteReply> answer) mutable {
        if (!answer) return reply(answer.error());
        Settled settled;
        for (const auto& outcome : answer.value().outcomes()) {
          settled.outcomes.push_back({outcome.lease(), status_of(outcome.status()), outcome.detail()});
        }
        reply(std::move(settled));
      });
}

void Forwarder::complete(Report report, Reply<Settled> reply) {
  service_.hear(report.worker);
  auto split = std::make_shared<Split<Outcome, SettledOutcome>>();
  split->items = std::move(report.outcomes);
  split->shard_of = [](const Outcome& outcome) {
    return outcome.token ? std::optional(at_of(*outcome.token)) : std::nullopt;
  };
  split->ask = [this, worker = report.worker](const std::string& address, std::vector<Outcome> part,
                                              auto done) {
    // Others' outcomes do not wait for one that is away.
    if (!is_active_ && is_silent(address))
      return done(fail(Code::kUnavailable, "sibling " + address + " does not answer"));
    complete_at(address, {worker, std::move(part)},
                [done = std::move(done)](Result<Settled> settled) mutable {
                  if (!settled) return done(settled.error());
                  done(std::move(settled.value().outcomes));
                });
  };
  split->done = [reply = std::move(reply)](Result<std::vector<SettledOutcome>> outcomes) mutable {
    if (!outcomes) return reply(outcomes.error());
    reply(Settled{std::move(outcomes.value())});
  };
  if (!is_active_) {
    split->give_up = [this](const Outcome& outcome, const Error& why) { return unsettled(outcome, why); };
  }
  split->nobody_has = [this](store::ShardAt at) { return nobody_has(at); };
  split->deadline = split_deadline();
  split->run(*this, executor_, alive_);
}

// One manager's absence keeps no outcome of another's tasks: that of its own is kept by the worker for a
// while.
SettledOutcome Forwarder::unsettled(const Outcome& outcome, const Error& why) const {
  const Place place = outcome.token ? place_of(at_of(*outcome.token)) : Place{};
  const auto silence = book_.silence(place.address, executor_.now());
  const bool is_over = silence && *silence > kOutcomeKept;
  return {
      outcome.lease, code_name(is_over ? Code::kStaleLease : Code::kUnavailable),
      (is_over ? "its manager is away for too long, and will have the task done again: " : "") + why.message};
}

// ---- heartbeats ----

// The siblings are asked first, since the answer from here may wait for news; what one of them does not say
// in time is left out, and the lease goes on.
void Forwarder::heartbeat(std::string worker, v1::HeartbeatRequest request, Reply<v1::HeartbeatReply> reply) {
  std::map<std::string, v1::HeartbeatRequest> parts;
  v1::HeartbeatRequest own = request;
  own.clear_leases();
  std::size_t elsewhere = 0;
  for (auto& lease : *request.mutable_leases()) {
    const auto shard = shard_of_lease(lease.lease());
    const auto place = shard ? place_of(*shard) : Place{true, ""};
    // Nobody to extend it now: it goes on all the same.
    if (!place.is_here && (place.address.empty() || is_silent(place.address))) {
      ++elsewhere;
      continue;
    }
    (place.is_here ? own : parts[place.address]).add_leases()->Swap(&lease);
  }
  for (const auto& [address, part] : parts) elsewhere += static_cast<std::size_t>(part.leases_size());
  service_.note_elsewhere(worker, elsewhere);
  if (parts.empty() || !service_.hear(worker))
    return service_.heartbeat(std::move(worker), std::move(own), std::move(reply));
  struct Beat {
    v1::HeartbeatReply news;
    std::size_t left = 0;
    v1::HeartbeatRequest own;
    Reply<v1::HeartbeatReply> reply;
  };
  auto beat = std::make_shared<Beat>();
  beat->left = parts.size();
  beat->own = std::move(own);
  beat->reply = std::move(reply);
  const auto end = [this, worker, beat] {
    const bool has_news = beat->news.lost_size() > 0 || beat->news.cancelled_size() > 0;
    if (has_news) beat->own.set_wait_ms(0);
    service_.heartbeat(worker, std::move(beat->own), [beat](Result<v1::HeartbeatReply> answer) {
      if (answer) answer.value().MergeFrom(beat->news);
      beat->reply(std::move(answer));
    });
  };
  for (const auto& [address, part] : parts) {
    ask<v1::HeartbeatReply>(address, request_with(Endpoint::kHeartbeat, part, worker), kGatherPatience,
                            [beat, end](Result<v1::HeartbeatReply> answer) {
                              if (answer) {
                                beat->news.mutable_lost()->MergeFrom(answer.value().lost());
                                beat->news.mutable_cancelled()->MergeFrom(answer.value().cancelled());
                              }
                              if (--beat->left == 0) end();
                            });
  }
}

// ---- releases ----

void Forwarder::release(v1::ReleaseRequest request, Reply<v1::ReleaseReply> reply) {
  service_.hear(request.worker());
  auto split = std::make_shared<Split<v1::ReleasedLease, std::uint32_t>>();
  split->items.assign(request.leases().begin(), request.leases().end());
  split->shard_of = [](const v1::ReleasedLease& lease) { return shard_of_lease(lease.lease()); };
  split->ask = [this, worker = request.worker()](const std::string& address,
                                                 std::vector<v1::ReleasedLease> part, auto done) {
    v1::ReleaseRequest message;
    message.set_worker(worker);
    for (auto& lease : part) message.add_leases()->Swap(&lease);
    // The first of a part counts for all of it.
    auto counted = [size = part.size(), done = std::move(done)](Result<v1::ReleaseReply> answer) mutable {
      if (!answer) return done(answer.error());
      std::vector<std::uint32_t> counts(size, 0);
      if (size > 0) counts.front() = answer.value().released();
      done(std::move(counts));
    };
    if (address.empty()) return service_.release(std::move(message), std::move(counted));
    ask<v1::ReleaseReply>(address, request_with(Endpoint::kRelease, message), kPartPatience,
                          std::move(counted));
  };
  // Of an owner that is away it runs out by itself.
  if (!is_active_) split->give_up = [](const v1::ReleasedLease&, const Error&) { return 0u; };
  split->done = [reply = std::move(reply)](Result<std::vector<std::uint32_t>> counts) mutable {
    if (!counts) return reply(counts.error());
    v1::ReleaseReply message;
    for (const auto count : counts.value()) message.set_released(message.released() + count);
    reply(std::move(message));
  };
  split->nobody_has = [this](store::ShardAt at) { return nobody_has(at); };
  split->deadline = split_deadline();
  split->run(*this, executor_, alive_);
}

// ---- acknowledgements ----

namespace {

// Either a part of a receipt or an id, to be acknowledged or put back.
struct Named {
  store::ShardAt at;
  std::string receipt;
  std::string id;
  bool is_put_back = false;
};
// What came of it, and whether it named something that is known.
struct Known {
  std::uint32_t acknowledged = 0;
  bool is_known = true;
};

Result<std::vector<Named>> named_in(const v1::AckRequest& request) {
  std::vector<Named> named;
  const auto add = [&](const std::string& receipt, const auto& ids, bool is_put_back) -> Result<void> {
    SKEP_TRY(const auto parts, parse_receipt(receipt));
    for (const auto& part : parts)
      named.push_back({{part.shard, part.epoch}, receipt_text({part}), "", is_put_back});
    for (const auto& text : ids) {
      SKEP_TRY(const auto id, TaskId::parse(text));
      named.push_back({{id.shard, id.epoch}, "", text, is_put_back});
    }
    return ok();
  };
  SKEP_TRY(add(request.receipt(), request.ids(), false));
  SKEP_TRY(add(request.put_back_receipt(), request.put_back(), true));
  return named;
}

v1::AckRequest to_message(const std::vector<Named>& named) {
  v1::AckRequest message;
  for (const auto& item : named) {
    auto& receipt = item.is_put_back ? *message.mutable_put_back_receipt() : *message.mutable_receipt();
    auto& ids = item.is_put_back ? *message.mutable_put_back() : *message.mutable_ids();
    if (!item.receipt.empty()) receipt += (receipt.empty() ? "" : ",") + item.receipt;
    if (!item.id.empty()) ids.Add()->assign(item.id);
  }
  return message;
}

}  // namespace

void Forwarder::ack_at(const std::string& address, v1::AckRequest request, Reply<v1::AckReply> reply) {
  if (address.empty()) return service_.ack(std::move(request), std::move(reply));
  ask<v1::AckReply>(address, request_with(Endpoint::kAckResults, request), kPartPatience, std::move(reply));
}

void Forwarder::ack(v1::AckRequest request, Reply<v1::AckReply> reply) {
  auto named = named_in(request);
  if (!named) return reply(named.error());
  auto split = std::make_shared<Split<Named, Known>>();
  split->items = std::move(named.value());
  split->shard_of = [](const Named& item) { return std::optional(item.at); };
  split->ask = [this](const std::string& address, std::vector<Named> part, auto done) {
    ack_at(address, to_message(part),
           [size = part.size(), done = std::move(done)](Result<v1::AckReply> answer) mutable {
             const bool is_unknown = !answer && answer.error().code == Code::kNotFound;
             if (!answer && !is_unknown) return done(answer.error());
             std::vector<Known> known(size, Known{0, !is_unknown});
             if (!is_unknown && size > 0) known.front().acknowledged = answer.value().acknowledged();
             done(std::move(known));
           });
  };
  split->done = [reply = std::move(reply)](Result<std::vector<Known>> all) mutable {
    if (!all) return reply(all.error());
    v1::AckReply message;
    bool is_known = all.value().empty();
    for (const auto& one : all.value()) {
      message.set_acknowledged(message.acknowledged() + one.acknowledged);
      is_known |= one.is_known;
    }
    if (!is_known)
      return reply(fail(Code::kNotFound,
                        "this receipt is of before a restart or a change of the owner: its "
                        "results come again in the next pull"));
    reply(std::move(message));
  };
  split->nobody_has = [this](store::ShardAt at) { return nobody_has(at); };
  split->deadline = split_deadline();
  split->run(*this, executor_, alive_);
}

// ---- batches ----

void Forwarder::enqueue_here(v1::EnqueueBatchRequest request, Reply<v1::EnqueueBatchReply> reply) {
  auto tasks = Service::read_batch(std::move(request));
  if (!tasks) return reply(tasks.error());
  service_.enqueue(std::move(tasks.value()),
                   [reply = std::move(reply)](Result<queue::EnqueueReply> enqueued) mutable {
                     if (!enqueued) return reply(enqueued.error());
                     reply(manager::to_message(enqueued.value()));
                   });
}

// Those without a key stay together, where this manager has a shard.
void Forwarder::enqueue_batch(v1::EnqueueBatchRequest request, Reply<v1::EnqueueBatchReply> reply) {
  auto split = std::make_shared<Split<v1::EnqueueRequest, v1::EnqueueReply>>();
  bool has_keys = true;
  for (int i = 0; i < request.tasks_size(); ++i) {
    auto& task = *request.mutable_tasks(i);
    if (auto spec = api::to_spec(task.options()); !spec)
      return reply(with_context(spec.error(), "task " + std::to_string(i)));
    has_keys &= !task.options().idempotency_key().empty();
    split->items.emplace_back().Swap(&task);
  }
  split->shard_of = [this, keyless = shard_for_new()](const v1::EnqueueRequest& task) {
    const auto& key = task.options().idempotency_key();
    return std::optional(store::ShardAt{key.empty() ? keyless : shard_of_key(key), 0});
  };
  split->ask = [this](const std::string& address, std::vector<v1::EnqueueRequest> part, auto done) {
    auto enqueued = [done = std::move(done)](Result<v1::EnqueueBatchReply> answer) mutable {
      if (!answer) return done(answer.error());
      std::vector<v1::EnqueueReply> replies(answer.value().tasks().begin(), answer.value().tasks().end());
      done(std::move(replies));
    };
    v1::EnqueueBatchRequest message;
    for (auto& task : part) message.add_tasks()->Swap(&task);
    if (address.empty()) return enqueue_here(std::move(message), std::move(enqueued));
    ask<v1::EnqueueBatchReply>(address, request_with(Endpoint::kEnqueueBatch, message), kPartPatience,
                               std::move(enqueued));
  };
  split->done = [reply = std::move(reply)](Result<std::vector<v1::EnqueueReply>> all) mutable {
    if (!all) return reply(all.error());
    v1::EnqueueBatchReply message;
    for (auto& one : all.value()) message.add_tasks()->Swap(&one);
    reply(std::move(message));
  };
  split->nobody_has = [this](store::ShardAt at) { return nobody_has(at); };
  split->deadline = split_deadline();
  split->is_repeatable = has_keys;
  split->is_none_on_error = true;
  split->run(*this, executor_, alive_);
}

void Forwarder::lose_worker(const queue::LoseWorker& command) {
  v1::LoseWorkerRequest message;
  message.set_slots(command.slots);
  message.set_commands(command.commands);
  message.set_ended(command.ended);
  message.set_message(command.message);
  ask_all<v1::LoseWorkerReply>(request_with(Endpoint::kLoseWorker, message, command.worker), [](auto) {});
}

}  // namespace skep::manager
