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

std::optional<ShardId> shard_of_lease(const std::string& lease) {
  const auto token = LeaseToken::parse(lease);
  return token ? std::optional(token.value().task.shard) : std::nullopt;
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
    return outcome.token ? std::optional(outcome.token->task.shard) : std::nullopt;
  };
  split->ask = [this, worker = report.worker](const std::string& address, std::vector<Outcome> part,
                                              auto done) {
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
  split->deadline = executor_.now() + kOwnerPatience;
  split->run(*this, executor_, alive_);
}

// ---- heartbeats ----

// The siblings are asked first, since the answer from here may wait for news; what one of them does not say
// in time is left out, and the lease goes on.
void Forwarder::heartbeat(std::string worker, v1::HeartbeatRequest request, Reply<v1::HeartbeatReply> reply) {
  std::map<std::string, v1::HeartbeatRequest> parts;
  v1::HeartbeatRequest own = request;
  own.clear_leases();
  for (auto& lease : *request.mutable_leases()) {
    const auto shard = shard_of_lease(lease.lease());
    const auto place = shard ? place_of(*shard) : Place{true, ""};
    if (!place.is_here && place.address.empty()) continue;
    (place.is_here ? own : parts[place.address]).add_leases()->Swap(&lease);
  }
  std::size_t elsewhere = 0;
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
  split->done = [reply = std::move(reply)](Result<std::vector<std::uint32_t>> counts) mutable {
    if (!counts) return reply(counts.error());
    v1::ReleaseReply message;
    for (const auto count : counts.value()) message.set_released(message.released() + count);
    reply(std::move(message));
  };
  split->deadline = executor_.now() + kOwnerPatience;
  split->run(*this, executor_, alive_);
}

// ---- acknowledgements ----

void Forwarder::ack_at(const std::string& address, v1::AckRequest request, Reply<v1::AckReply> reply) {
  if (address.empty()) return service_.ack(std::move(request), std::move(reply));
  ask<v1::AckReply>(address, request_with(Endpoint::kAckResults, request), kPartPatience, std::move(reply));
}

void Forwarder::ack(v1::AckRequest request, Reply<v1::AckReply> reply) {
  auto receipt = parse_receipt(request.receipt());
  if (!receipt) return reply(receipt.error());
  // Either a part of a receipt or an id; and whether it named something that is known.
  struct Named {
    ShardId shard = 0;
    std::string receipt;
    std::string id;
  };
  struct Known {
    std::uint32_t acknowledged = 0;
    bool is_known = true;
  };
  auto split = std::make_shared<Split<Named, Known>>();
  for (const auto& part : receipt.value())
    split->items.push_back({part.shard, receipt_text(std::vector{part}), ""});
  for (const auto& text : request.ids()) {
    const auto id = TaskId::parse(text);
    if (!id) return reply(id.error());
    split->items.push_back({id.value().shard, "", text});
  }
  split->shard_of = [](const Named& named) { return std::optional(named.shard); };
  split->ask = [this](const std::string& address, std::vector<Named> part, auto done) {
    v1::AckRequest message;
    for (const auto& named : part) {
      if (!named.id.empty()) message.add_ids(named.id);
      if (named.receipt.empty()) continue;
      message.set_receipt(message.receipt() + (message.receipt().empty() ? "" : ",") + named.receipt);
    }
    ack_at(address, std::move(message),
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
  split->deadline = executor_.now() + kOwnerPatience;
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
    return std::optional(key.empty() ? keyless : shard_of_key(key));
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
  split->deadline = executor_.now() + kOwnerPatience;
  split->is_repeatable = has_keys;
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
