// SPDX-License-Identifier: Apache-2.0
// Where shards are, and requests that are passed on whole.
#include "manager/forwarder.h"

#include <algorithm>
#include <charconv>

#include "manager/forwarder_ask.h"

namespace skep::manager {
namespace {

bool is_denial(const http::Response& response) {
  return response.status == 401 || response.status == 403;
}

constexpr Duration kLookAgain = milliseconds(250);  // when nothing was heard of a change
// How long an owner may take for what does not wait by itself.
constexpr Duration kPassPatience = seconds(3);
constexpr Duration kLookEvery = seconds(1);  // at the siblings' backlogs
constexpr Duration kSteady = seconds(4);     // a sibling that answers for so long gets workers

}  // namespace

Forwarder::Forwarder(Executor& executor, Service& service, SiblingCalls& calls, bool is_active, Random random)
    : executor_(executor), service_(service), calls_(calls), is_active_(is_active), random_(random) {}

Forwarder::~Forwarder() {
  *alive_ = false;
  executor_.cancel(look_timer_);
  for (auto& waiting : waiting_) executor_.cancel(waiting.timer);
}

// ---- where what is ----

Forwarder::Place Forwarder::place_of(store::ShardAt at) const {
  if (!is_active_) return place_of_store(store_number(at.epoch));
  for (const auto& served : service_.host().shards()) {
    if (served->id() == at.shard) return {true, ""};
  }
  const Ownership* ownership = service_.ownership();
  if (ownership != nullptr && at.shard >= ownership->shard_count()) return {true, ""};  // for its refusal
  const store::Member* owner = ownership == nullptr ? nullptr : ownership->owner_of(at.shard);
  if (owner == nullptr || owner->id == ownership->self()) return {};
  return {false, owner->address};
}

// What nobody is known to have is refused here, once every sibling has said what it has.
Forwarder::Place Forwarder::place_of_store(StoreNumber number) const {
  if (number == 0 || number == service_.own_number()) return {true, ""};
  if (const std::string* owner = book_.owner_of(number)) return {false, *owner};
  return {!book_.has_unheard(), ""};
}

Error Forwarder::nobody_has(store::ShardAt at) const {
  if (is_active_)
    return fail(Code::kFenced, "shard " + std::to_string(at.shard) +
                                   " has no owner now: its manager is gone and another takes over");
  return fail(Code::kUnavailable, "the sibling that has it has not answered since this manager started");
}

bool Forwarder::is_silent(const std::string& address) const {
  return book_.silence(address, executor_.now()).has_value();
}

ShardId Forwarder::shard_for_new() const {
  const auto& shards = service_.host().shards();
  if (!shards.empty()) return shards.front()->id();
  const Ownership* ownership = service_.ownership();
  for (ShardId shard = 0; ownership != nullptr && shard < ownership->view().shards.size(); ++shard) {
    if (!place_of({shard, 0}).address.empty()) return shard;
  }
  return 0;
}

std::vector<std::string> Forwarder::sibling_addresses() const {
  const Ownership* ownership = service_.ownership();
  if (ownership == nullptr) return service_.siblings();
  std::vector<std::string> addresses;
  for (const auto& sibling : ownership->siblings()) addresses.push_back(sibling.address);
  return addresses;
}

void Forwarder::when_changed(UniqueFunction<void()> again) {
  waiting_.push_back({std::move(again), 0});
  const auto at = std::prev(waiting_.end());
  at->timer = executor_.post_at(executor_.now() + kLookAgain, [this, at] {
    auto run = std::move(at->again);
    waiting_.erase(at);
    run();
  });
}

void Forwarder::on_shards_changed() {
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& entry : waiting) {
    executor_.cancel(entry.timer);
    executor_.post([alive = alive_, again = std::move(entry.again)]() mutable {
      if (*alive) again();
    });
  }
}

void Forwarder::start() {
  if (!is_active_)
    book_ = SiblingBook::of_own_store({service_.own_number(), to_unix_ms(service_.started_at())});
  look();
}

void Forwarder::look() {
  const Instant now = executor_.now();
  executor_.cancel(look_timer_);
  look_timer_ = executor_.post_at(now + kLookEvery, [this] { look(); });
  if (!is_active_) {
    for (const auto& gone : book_.silent_for(kSiblingForgotten, now)) service_.forget_sibling(gone);
  }
  balance();
  const auto addresses = sibling_addresses();
  book_.keep(addresses, now);
  const auto request = client::make_request(api::Endpoint::kCluster, {}, client::Encoding::kProtobuf);
  for (const auto& address : addresses) {
    ask<api::v1::ClusterReply>(
        address, request, kGatherPatience, [this, address](Result<api::v1::ClusterReply> reply) {
          if (!reply) return book_.note_silent(address, reply.error().message);
          const auto& said = reply.value();
          const Epoch epoch = said.shards_size() > 0 ? said.shards(0).epoch() : 0;
          book_.note_heard(address,
                           {store_number(epoch), said.started_at_ms(), said.tasks().queued(),
                            said.oldest_queued_ms(), said.workers_active(), said.protocol(), said.version()},
                           executor_.now());
        });
  }
}

// Workers come back to a manager that is back, and to one that is new.
void Forwarder::balance() {
  if (service_.is_draining() || !service_.readiness()) return;
  const auto siblings = book_.steady(kSteady, executor_.now());
  for (const auto& move : plan_moves(service_.workers_active(), siblings, random_))
    service_.ask_to_move(move.address, move.workers);
}

// ---- passed on whole ----

// Its id begins with the name of the manager's life (Service::life_name).
std::string Forwarder::home_of(const std::string& worker) const {
  const Ownership* ownership = service_.ownership();
  if (ownership == nullptr) {
    Epoch epoch = 0;
    const char* const end = worker.data() + worker.size();
    const bool has_epoch =
        worker.starts_with('w') && std::from_chars(worker.data() + 1, end, epoch).ec == std::errc{};
    return has_epoch ? place_of({0, epoch}).address : "";
  }
  for (const auto& sibling : ownership->siblings()) {
    if (worker.starts_with("wm" + std::to_string(sibling.id) + "-")) return sibling.address;
  }
  return "";
}

void Forwarder::relay(const std::string& address, http::ClientRequest request, Reply<http::Response> answer) {
  calls_.send(address, std::move(request), kPassPatience,
              [alive = alive_, answer = std::move(answer)](Result<http::Response> response) mutable {
                if (!*alive) return;
                if (!response) return answer(error_of_sibling(response.error()));
                if (is_denial(response.value()))
                  return answer(error_of_sibling(client::check_status(response.value()).error()));
                answer(std::move(response));
              });
}

struct Forwarder::Passing {
  Passage passage;
  Instant deadline{};
  std::uint64_t attempt = 0;  // an answer to an earlier one is not waited for any more
};

void Forwarder::pass(Passage passage) {
  auto passing = std::make_shared<Passing>();
  passing->deadline = executor_.now() + patience();
  passing->passage = std::move(passage);
  go(passing);
}

void Forwarder::go(const std::shared_ptr<Passing>& passing) {
  const std::uint64_t attempt = ++passing->attempt;
  Passage& passage = passing->passage;
  const Place place = place_of(passage.at);
  if (place.is_here) {
    passage.here([this, alive = alive_, passing](Result<UniqueFunction<void()>> answered) {
      if (!*alive) return;
      if (answered) {
        answered.value()();
      } else if (answered.error().code == Code::kFenced) {
        go_again(passing, std::move(answered.error()));
      } else {
        passing->passage.refuse(std::move(answered.error()));
      }
    });
    return;
  }
  if (place.address.empty()) {
    go_again(passing, nobody_has(passage.at));
    return;
  }
  calls_.send(place.address, passage.request, kPassPatience + passage.wait,
              [this, alive = alive_, passing, attempt](Result<http::Response> answer) {
                if (*alive && passing->attempt == attempt) on_answer(passing, std::move(answer));
              });
  if (passage.is_repeatable) watch(passing, place.address);
}

// While an owner that stands still is waited for, another may have taken the shard over.
void Forwarder::watch(const std::shared_ptr<Passing>& passing, const std::string& address) {
  when_changed([this, weak = std::weak_ptr(passing), attempt = passing->attempt, address] {
    const auto there = weak.lock();
    if (there == nullptr || there->attempt != attempt) return;
    const Place place = place_of(there->passage.at);
    if (!place.is_here && place.address == address) return watch(there, address);
    go(there);
  });
}

void Forwarder::go_again(const std::shared_ptr<Passing>& passing, Error why) {
  if (executor_.now() >= passing->deadline) return passing->passage.refuse(std::move(why));
  ++passing->attempt;
  service_.look_for_owners();
  when_changed([this, passing] { go(passing); });
}

void Forwarder::on_answer(const std::shared_ptr<Passing>& passing, Result<http::Response> answer) {
  Passage& passage = passing->passage;
  ++passing->attempt;  // ends its watch
  const std::string owner = is_active_ ? "the owner of shard " + std::to_string(passage.at.shard)
                                       : "the sibling " + place_of(passage.at).address;
  if (answer && is_denial(answer.value())) {
    Error error = error_of_sibling(client::check_status(answer.value()).error());
    return passage.refuse(with_context(std::move(error), owner));
  }
  if (!answer) {
    Error error = with_context(error_of_sibling(answer.error()), owner);
    const bool is_unsure = error.code == Code::kUnknownOutcome;
    if (is_unsure && !passage.is_repeatable) return passage.refuse(std::move(error));
    return go_again(passing, std::move(error));
  }
  const auto status = client::check_status(answer.value());
  // Where nobody takes over, what it says is so.
  const bool is_elsewhere =
      is_active_ && !status &&
      (status.error().code == Code::kFenced || status.error().code == Code::kUnavailable);
  if (is_elsewhere) return go_again(passing, status.error());
  passage.there(std::move(answer.value()));
}

}  // namespace skep::manager
