// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include <algorithm>

namespace skep::bench {
namespace {

constexpr Duration kBackOffFirst = milliseconds(100);
constexpr Duration kBackOffMax = seconds(5);

template <class Message>
Message parsed(const Answer& answer) {
  Message message;
  if (!message.ParseFromArray(answer.body.data(), static_cast<int>(answer.body.size())))
    stop_with("an answer is not the message that it ought to be");
  return message;
}

std::string digest_of_nothing() {
  return std::string(128, '0');
}

}  // namespace

SimWorker::SimWorker(Fleet& fleet, const sockaddr_in& address, Random random)
    : fleet_(fleet), connection_(fleet.loop_, address, *this), random_(random) {}

void SimWorker::start() {
  ++fleet_.counts_.tries;
  connection_.open();
}

void SimWorker::on_open() {
  next();
}

// One call at a time: what is most pressing.
void SimWorker::next() {
  const Instant now = fleet_.loop_.now();
  if (id_.empty()) {
    send_register();
  } else if (held_.empty()) {
    send_acquire();
  } else if (now >= run_ends_) {
    send_complete();
  } else if (now >= beat_at_) {
    send_heartbeat();
  } else {
    wait_until(std::min(run_ends_, beat_at_));
  }
}

void SimWorker::set_served(bool is_served) {
  if (is_served == is_served_) return;
  is_served_ = is_served;
  is_served ? ++fleet_.served_ : --fleet_.served_;
}

void SimWorker::wait_until(Instant instant) {
  fleet_.loop_.cancel(timer_);
  timer_ = fleet_.loop_.at(instant, [this] { connection_.is_open() ? next() : start(); });
}

void SimWorker::try_later(Duration at_least) {
  const Duration jitter{
      static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(back_off_.count())))};
  back_off_ = std::min(2 * back_off_, kBackOffMax);
  wait_until(fleet_.loop_.now() + std::max(jitter, at_least));
}

void SimWorker::tell_to_finish() {
  if (held_.empty()) return;
  run_ends_ = fleet_.loop_.now();
  if (connection_.is_open() && call_ == Call::kNone) wait_until(run_ends_);
}

void SimWorker::on_closed(const std::string&) {
  if (fleet_.first_break_ == kNoInstant && is_served_) fleet_.first_break_ = fleet_.loop_.now();
  set_served(false);
  call_ = Call::kNone;
  try_later(Duration::zero());
}

void SimWorker::ask(Call call, std::string_view path, const google::protobuf::MessageLite& message) {
  call_ = call;
  connection_.send(post_of(path, message.SerializeAsString()));
}

void SimWorker::send_register() {
  api::v1::RegisterRequest request;
  request.set_name("simulated");
  request.set_slots(fleet_.leases_at_once_);
  request.add_kinds("sha512");
  ask(Call::kRegister, "/v1/workers", request);
}

void SimWorker::send_acquire() {
  api::v1::AcquireRequest request;
  request.set_worker(id_);
  request.set_max(fleet_.leases_at_once_);
  request.set_wait_ms(static_cast<std::uint64_t>(duration_cast<milliseconds>(wait_).count()));
  request.add_kinds("sha512");
  wait_ = heartbeat_;
  ask(Call::kAcquire, "/v1/leases:acquire", request);
}

void SimWorker::send_heartbeat() {
  api::v1::HeartbeatRequest request;
  for (const auto& token : held_) {
    auto& lease = *request.add_leases();
    lease.set_lease(token);
    lease.set_started(true);
  }
  beat_at_ = fleet_.loop_.now() + heartbeat_;
  ask(Call::kHeartbeat, "/v1/workers/" + id_ + ":heartbeat", request);
}

void SimWorker::send_complete() {
  api::v1::CompleteRequest request;
  request.set_worker(id_);
  for (const auto& token : held_) {
    auto& outcome = *request.add_outcomes();
    outcome.set_lease(token);
    outcome.set_result(digest_of_nothing());
    outcome.set_run_us(1);
  }
  ask(Call::kComplete, "/v1/leases:complete", request);
}

void SimWorker::on_answer(const Answer& answer) {
  const Call call = std::exchange(call_, Call::kNone);
  const bool is_put_off = answer.status == 429 || answer.status == 503;
  if (answer.status == 200) {
    back_off_ = kBackOffFirst;
    if (call == Call::kRegister) on_registered(answer);
    if (call == Call::kAcquire) on_acquired(answer);
    if (call == Call::kHeartbeat) on_heartbeat(answer);
    if (call == Call::kComplete) on_completed(answer);
    next();
  } else if (answer.status == 404 && (call == Call::kAcquire || call == Call::kHeartbeat)) {
    id_.clear();  // the manager was started anew: register again, and go on with what is held
    next();
  } else if (is_put_off) {
    ++fleet_.counts_.put_off;
    try_later(answer.retry_after);
  } else {
    stop_with("a worker was answered " + std::to_string(answer.status) + " " + std::string(answer.body));
  }
}

void SimWorker::on_registered(const Answer& answer) {
  const auto reply = parsed<api::v1::RegisterReply>(answer);
  id_ = reply.worker();
  heartbeat_ = milliseconds(static_cast<std::int64_t>(reply.heartbeat_ms()));
  // They came all at once, and would else be heard of all at once for ever.
  wait_ = Duration(static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(heartbeat_.count()))));
  beat_at_ = kNoInstant;  // what is held is to be known at once
  if (held_.empty()) set_served(true);
  ++fleet_.counts_.registered;
}

void SimWorker::on_acquired(const Answer& answer) {
  const auto reply = parsed<api::v1::AcquireReply>(answer);
  set_served(true);
  if (reply.leases().empty()) return;
  const Instant now = fleet_.loop_.now();
  for (const auto& lease : reply.leases()) {
    held_.push_back(lease.lease());
    fleet_.listener_.on_lease(lease);
  }
  fleet_.counts_.leased += held_.size();
  run_ends_ = add_saturated(now, fleet_.run_);
  // At any moment of the interval, as workers that have run for a while are. A run that has no end in sight
  // is made known at once.
  const auto span = static_cast<std::uint64_t>(heartbeat_.count());
  beat_at_ =
      fleet_.run_ == kUntilTold ? now : now + Duration(static_cast<Duration::rep>(random_.below(span)));
}

void SimWorker::on_heartbeat(const Answer& answer) {
  const auto reply = parsed<api::v1::HeartbeatReply>(answer);
  ++fleet_.counts_.beats;
  set_served(true);
  for (const auto* gone : {&reply.lost(), &reply.cancelled()}) {
    for (const auto& token : *gone) {
      ++fleet_.counts_.lost;
      std::erase(held_, token);
    }
  }
}

void SimWorker::on_completed(const Answer& answer) {
  const auto reply = parsed<api::v1::CompleteReply>(answer);
  set_served(true);
  for (const auto& outcome : reply.outcomes()) {
    const bool is_taken = outcome.status() == "ok";
    ++(is_taken ? fleet_.counts_.completed : fleet_.counts_.refused);
    if (!is_taken && fleet_.counts_.first_trouble.empty())
      fleet_.counts_.first_trouble = outcome.status() + ": " + outcome.detail();
  }
  held_.clear();
}

void Fleet::start(std::size_t workers, std::uint32_t leases_at_once) {
  leases_at_once_ = leases_at_once;
  for (std::size_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<SimWorker>(*this, address_, random_.split()));
    workers_.back()->start();
  }
}

void Fleet::tell_to_finish() {
  for (auto& worker : workers_) worker->tell_to_finish();
}

std::uint64_t Fleet::open_leases() const {
  return counts_.leased - counts_.completed - counts_.refused - counts_.lost;
}

}  // namespace skep::bench
