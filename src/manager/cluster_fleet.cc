// SPDX-License-Identifier: Apache-2.0
#include "manager/cluster_fleet.h"

#include <algorithm>
#include <charconv>

#include "client/request.h"
#include "manager/fleet_messages.h"

namespace skep::manager {
namespace {

using api::Endpoint;
using scaler::FleetRole;
namespace v1 = api::v1;

constexpr Duration kRound = milliseconds(500);
constexpr std::size_t kWaitingMax = 1'000;  // kinds that are told of

Service::WaitingKinds read_waiting(const google::protobuf::RepeatedPtrField<v1::WaitingKind>& kinds) {
  Service::WaitingKinds waiting;
  for (const auto& kind : kinds) waiting.emplace(kind.kind(), kind.program());
  return waiting;
}
template <class Message>
void write_waiting(const Service::WaitingKinds& kinds, Message& out) {
  for (const auto& [kind, program] : kinds) {
    if (static_cast<std::size_t>(out.waiting_size()) >= kWaitingMax) return;
    auto& item = *out.add_waiting();
    item.set_kind(kind);
    item.set_program(program);
  }
}

}  // namespace

ClusterFleet::ClusterFleet(Executor& executor, Service& service, Forwarder& forwarder, SiblingCalls& calls,
                           Logger log)
    : executor_(executor), service_(service), forwarder_(forwarder), calls_(calls), log_(std::move(log)) {}

ClusterFleet::~ClusterFleet() {
  *alive_ = false;
  executor_.cancel(timer_);
}

void ClusterFleet::attach(scaler::Scaler* scaler, bool is_cluster_wide) {
  scaler_ = scaler;
  is_cluster_wide_ = is_cluster_wide;
}

void ClusterFleet::start() {
  started_at_ = executor_.now();
  tick();
}

void ClusterFleet::tick() {
  timer_ = executor_.post_at(executor_.now() + kRound, [this] { tick(); });
  if (!leads()) return;
  update_siblings();
  for (auto& [id, sibling] : siblings_) send(id, sibling);
}

void ClusterFleet::on_shards_changed() {
  leads();
  if (scaler_ != nullptr) scaler_->poke();
}

// ---- who leads ----

Epoch ClusterFleet::own_epoch() const {
  for (const auto& shard : service_.host().shards()) {
    if (shard->id() == 0) return shard->epoch();
  }
  return 0;
}

Epoch ClusterFleet::known_epoch() const {
  const auto& shards = service_.ownership()->view().shards;
  return std::max(order_epoch_, shards.empty() ? 0 : shards.front().epoch);
}

// One that was stopped and goes on finds by its clock that it leads no more.
bool ClusterFleet::leads() {
  const Ownership& ownership = *service_.ownership();
  const Epoch epoch = own_epoch();
  const bool is_so = epoch > 0 && epoch >= order_epoch_ && executor_.now() < ownership.serves_until() &&
                     scaler_ != nullptr && !service_.is_draining();
  if (is_so && !is_leading_) begin_lead();
  if (!is_so && is_leading_) end_lead();
  return is_so;
}

void ClusterFleet::begin_lead() {
  log_.info("leads the fleet", {{"epoch", own_epoch()}});
  is_leading_ = true;
  started_before_ = 0;
  is_taking_over_ = true;
  siblings_.clear();
  elsewhere_.clear();
  update_siblings();
  for (auto& [id, sibling] : siblings_) send(id, sibling);
}

void ClusterFleet::end_lead() {
  log_.info("leads the fleet no more");
  is_leading_ = false;
  siblings_.clear();
  order_.reset();
  order_at_ = executor_.now();
  service_.note_waiting_elsewhere({});
}

void ClusterFleet::update_siblings() {
  std::set<store::MemberId> live;
  for (const auto& member : service_.ownership()->siblings()) {
    live.insert(member.id);
    const auto [at, is_new] = siblings_.try_emplace(member.id);
    at->second.address = member.address;
    // One that joins later has nothing that would have to be waited for.
    if (!is_new) continue;
    at->second.was_asked = !is_taking_over_;
    at->second.heard_at = executor_.now();
  }
  for (auto at = siblings_.begin(); at != siblings_.end();) {
    if (live.contains(at->first)) {
      ++at;
      continue;
    }
    if (at->second.part) started_before_ += at->second.part->seen.started;
    at = siblings_.erase(at);
  }
}

FleetRole ClusterFleet::role() {
  if (leads()) {
    update_siblings();
    const bool is_heard = std::all_of(siblings_.begin(), siblings_.end(),
                                      [](const auto& entry) { return entry.second.was_asked; });
    if (is_heard) is_taking_over_ = false;
    return is_heard ? FleetRole::kLeads : FleetRole::kWaits;
  }
  const Instant heard_at = std::max(order_at_, started_at_);
  const bool is_silent = executor_.now() - heard_at > kLeaderSilence;
  // Who serves nothing knows nothing of what waits.
  if (is_silent && service_.host().shards().empty()) return FleetRole::kWaits;
  if (is_silent) {
    order_.reset();  // a leader that is heard of later says anew what is to be
    return FleetRole::kAlone;
  }
  return order_ ? FleetRole::kFollows : FleetRole::kWaits;
}

std::string ClusterFleet::reason() {
  if (is_leading_) return "this manager leads the fleet and has not heard the others yet";
  const Instant heard_at = std::max(order_at_, started_at_);
  return "no leader of the fleet was heard of for " + describe_duration(executor_.now() - heard_at);
}

bool ClusterFleet::has_siblings() {
  return !service_.ownership()->siblings().empty();
}

// ---- leading ----

std::optional<store::MemberId> ClusterFleet::starter_of(const std::string& instance) const {
  if (!instance.starts_with("em")) return std::nullopt;  // e and the name of the manager's life
  store::MemberId id = 0;
  const char* end = instance.data() + instance.size();
  const auto parsed = std::from_chars(instance.data() + 2, end, id);
  if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != '-') return std::nullopt;
  return id;
}

v1::ShareRequest ClusterFleet::request_for(store::MemberId id, const Sibling& sibling) {
  v1::ShareRequest request;
  request.set_epoch(own_epoch());
  request.set_leader(service_.options().address);
  if (sibling.share) request.set_share(*sibling.share);
  request.set_wanted(decision_.wanted);
  request.set_reason(decision_.reason);
  request.set_all_workers(is_cluster_wide_);
  const Instant now = executor_.now();
  const auto tell_of = [&](const std::vector<scaler::WorkerSeen>& workers) {
    for (const auto& worker : workers) {
      if (starter_of(worker.instance) == id) to_message(worker, now, *request.add_elsewhere());
    }
  };
  tell_of(service_.workers());
  Service::WaitingKinds waiting = service_.waiting_here();
  for (const auto& [other, known] : siblings_) {
    if (other == id) continue;
    tell_of(known.workers);
    waiting.insert(known.waiting.begin(), known.waiting.end());
  }
  write_waiting(waiting, request);
  return request;
}

void ClusterFleet::send(store::MemberId id, Sibling& sibling) {
  if (sibling.is_under_way) return;
  sibling.is_under_way = true;
  sibling.is_behind = false;
  auto request = client::make_request(Endpoint::kShareFleet, {}, client::Encoding::kProtobuf);
  client::set_message(request_for(id, sibling), client::Encoding::kProtobuf, request);
  calls_.send(sibling.address, std::move(request), kGatherPatience,
              [this, alive = alive_, id](Result<http::Response> answer) {
                if (*alive) on_answer(id, std::move(answer));
              });
}

void ClusterFleet::on_answer(store::MemberId id, Result<http::Response> answer) {
  const auto found = siblings_.find(id);
  if (found == siblings_.end()) return;
  Sibling& sibling = found->second;
  sibling.is_under_way = false;
  sibling.was_asked = true;
  v1::ShareReply reply;
  Result<void> read = answer ? client::check_status(answer.value()) : Result<void>(answer.error());
  if (read) read = client::read_message(answer.value(), reply);
  const Instant now = executor_.now();
  if (read) {
    sibling.heard_at = now;
    sibling.part = from_message(reply.part(), now);
    sibling.part->address = sibling.address;
    sibling.waiting = read_waiting(reply.waiting());
    sibling.workers.clear();
    for (const auto& worker : reply.workers()) sibling.workers.push_back(from_message(worker, now));
    note_waiting();
  } else if (read.error().code == Code::kFenced) {
    service_.look_for_owners();
  }
  // One that begins or ends does not answer for a moment.
  const bool is_silent = !read && now - sibling.heard_at >= kPartSilence;
  if (is_silent != sibling.is_silent && (read || is_silent)) {
    sibling.is_silent = is_silent;
    if (read) {
      log_.info("a sibling takes its share again", {{"sibling", sibling.address}});
    } else {
      log_.warn("a sibling does not take its share of the fleet: it counts as it last was",
                {{"sibling", sibling.address}, {"problem", read.error().message}});
    }
  }
  if (sibling.is_behind) send(id, sibling);
  if (scaler_ != nullptr) scaler_->poke();
}

void ClusterFleet::note_waiting() {
  Service::WaitingKinds waiting;
  for (const auto& [id, sibling] : siblings_) waiting.insert(sibling.waiting.begin(), sibling.waiting.end());
  service_.note_waiting_elsewhere(std::move(waiting));
}

std::vector<scaler::FleetPart> ClusterFleet::siblings() {
  std::vector<scaler::FleetPart> parts;
  given_order_.clear();
  for (const auto& [id, sibling] : siblings_) {
    if (!sibling.part) continue;
    scaler::FleetPart part = *sibling.part;
    part.silence = executor_.now() - sibling.heard_at;
    part.is_silent = part.silence > kPartSilence;
    if (sibling.share) part.share = *sibling.share;
    parts.push_back(std::move(part));
    given_order_.push_back(id);
  }
  return parts;
}

void ClusterFleet::give(const std::vector<std::uint32_t>& shares, const scaler::Decision& decision) {
  decision_ = decision;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    Sibling& sibling = siblings_.at(given_order_[i]);
    if (sibling.share == shares[i]) continue;
    sibling.share = shares[i];
    sibling.is_behind = true;
    send(given_order_[i], sibling);
  }
}

// ---- following ----

void ClusterFleet::take_share(const v1::ShareRequest& request, Reply<v1::ShareReply> reply) {
  if (scaler_ == nullptr || service_.ownership() == nullptr)
    return reply(fail(Code::kUnavailable, "this manager does not scale"));
  if (request.epoch() < known_epoch()) {
    return reply(fail(Code::kFenced, request.leader().substr(0, 256) +
                                         " leads the fleet no more: shard 0 has epoch " +
                                         std::to_string(known_epoch())));
  }
  const Instant now = executor_.now();
  if (!order_ || order_->leader != request.leader())
    log_.info("another manager leads the fleet", {{"leader", request.leader()}, {"epoch", request.epoch()}});
  order_epoch_ = static_cast<Epoch>(request.epoch());
  order_at_ = now;
  leads();  // no more, if it did
  const std::uint32_t before = order_ ? order_->share : scaler_->part().own;
  order_ = scaler::LeaderOrder{request.leader(), request.has_share() ? request.share() : before,
                               request.wanted(), request.reason()};
  elsewhere_.clear();
  for (const auto& worker : request.elsewhere()) elsewhere_.push_back(from_message(worker, now));
  service_.note_waiting_elsewhere(read_waiting(request.waiting()));
  v1::ShareReply message;
  to_message(scaler_->part(), now, *message.mutable_part());
  for (const auto& worker : service_.workers()) {
    const auto starter = starter_of(worker.instance);
    const bool is_stray = starter && *starter != service_.ownership()->self();
    if (is_stray || request.all_workers()) to_message(worker, now, *message.add_workers());
  }
  write_waiting(service_.waiting_here(), message);
  scaler_->poke();
  reply(std::move(message));
}

scaler::LeaderOrder ClusterFleet::order() {
  return order_.value_or(scaler::LeaderOrder{});
}

void ClusterFleet::scaling(std::uint32_t limit, Instant until, Reply<v1::ScalingReply> reply) {
  if (role() != FleetRole::kFollows) return service_.scaling(limit, until, std::move(reply));
  http::Query query{{"limit", std::to_string(limit)}};
  if (until != kNever) query.emplace_back("until_ms", std::to_string(to_unix_ms(until)));
  auto request =
      client::make_request(Endpoint::kScaling, {"", std::move(query)}, client::Encoding::kProtobuf);
  calls_.send(order_->leader, std::move(request), kGatherPatience,
              [this, alive = alive_, limit, until, leader = order_->leader,
               reply = std::move(reply)](Result<http::Response> answer) mutable {
                if (!*alive) return;
                v1::ScalingReply message;
                Result<void> read =
                    answer ? client::check_status(answer.value()) : Result<void>(answer.error());
                if (read) read = client::read_message(answer.value(), message);
                if (read) return reply(std::move(message));
                service_.scaling(
                    limit, until, [leader, reply = std::move(reply)](Result<v1::ScalingReply> own) mutable {
                      if (own)
                        own.value().set_explanation(
                            "The leader of the fleet, " + leader +
                            ", does not answer; of this manager's part: " + own.value().explanation());
                      reply(std::move(own));
                    });
              });
}

// ---- scaler::Fleet ----

scaler::Observation ClusterFleet::observe() {
  auto seen = service_.observe();
  seen.started += started_before_;
  return seen;
}

// Workers that a live sibling's provisioner started are that sibling's to count.
std::vector<scaler::WorkerSeen> ClusterFleet::workers() {
  auto all = service_.workers();
  if (!is_cluster_wide_) {
    std::set<store::MemberId> others;
    for (const auto& member : service_.ownership()->siblings()) others.insert(member.id);
    std::erase_if(all, [&](const auto& worker) {
      const auto starter = starter_of(worker.instance);
      return starter && others.contains(*starter);
    });
  }
  const auto self = service_.ownership()->self();
  for (const auto& [id, sibling] : siblings_) {
    for (const auto& worker : sibling.workers) {
      if (is_cluster_wide_ || starter_of(worker.instance) == self) all.push_back(worker);
    }
  }
  all.insert(all.end(), elsewhere_.begin(), elsewhere_.end());
  return all;
}

void ClusterFleet::drain_worker(const std::string& worker) {
  if (service_.workers_seen().all().contains(worker)) return service_.drain_worker(worker);
  relay(worker, client::make_request(Endpoint::kDrainWorker, {worker, {}}, client::Encoding::kProtobuf));
}

void ClusterFleet::forget_worker(const std::string& worker, const std::string& reason) {
  if (service_.workers_seen().all().contains(worker)) return service_.forget_worker(worker, reason);
  relay(worker, client::make_request(Endpoint::kDeleteWorker, {worker, {{"reason", reason.substr(0, 1'000)}}},
                                     client::Encoding::kProtobuf));
}

// Once: what is not done is decided again.
void ClusterFleet::relay(const std::string& worker, http::ClientRequest request) {
  const std::string address = forwarder_.home_of(worker);
  if (address.empty()) return;
  forwarder_.relay(address, std::move(request),
                   [this, alive = alive_, worker](Result<http::Response> answer) {
                     if (!*alive || (answer && client::check_status(answer.value()))) return;
                     log_.warn("a worker that is registered with a sibling could not be reached there",
                               {{"worker", worker}});
                   });
}

}  // namespace skep::manager
