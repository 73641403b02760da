// SPDX-License-Identifier: Apache-2.0
// Whatever the order of inputs, every lease that came in ends exactly once, slots are never exceeded and no
// call is doubled. Method: a shell and a manager that answer, fail, lie and stay silent at random, from a
// seed; every action is checked against books of its own. At the end the faults stop and a drain must leave
// nothing behind.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "api/errors.h"
#include "worker/lease_loop.h"

namespace skep::worker {
namespace {

namespace v1 = api::v1;

enum class Place { kWaiting, kRunning, kFinished, kReleasing };

class World {
 public:
  World(std::uint64_t seed, LoopOptions options)
      : random_(seed), options_(options), loop_(options, random_.split(), now_) {}

  // One random input.
  void step() {
    if (is_over_) return;
    switch (random_.below(10)) {
      case 0:
        return pass_time();
      case 1:
        return answer_register();
      case 2:
      case 3:
        return answer_acquire();
      case 4:
        return answer_complete();
      case 5:
        return answer_heartbeat();
      case 6:
        return answer_release();
      case 7:
        return finish_one();
      case 8:
        answer_waiting();
        return answer_hand_back();
      default:
        return carry_out(loop_.tick(now_));
    }
  }

  // No more faults: everything is answered at once, tasks end, until the loop exits.
  void drain_calmly() {
    faults_ = 0;
    if (!is_over_) carry_out(loop_.drain(now_, DrainCause::kSpotNotice));
    for (int i = 0; i < 10'000 && !is_over_; ++i) {
      answer_register();
      answer_complete();
      answer_release();
      answer_heartbeat();
      answer_acquire();
      answer_waiting();
      answer_hand_back();
      finish_one();
      pass_time();
    }
  }

  void drain(DrainCause cause) {
    if (!is_over_) carry_out(loop_.drain(now_, cause));
  }

  // What is wrong; empty if nothing.
  const std::string& problem() const { return problem_; }
  bool is_over() const { return is_over_; }
  std::size_t open_leases() const { return places_.size(); }
  std::size_t ended_leases() const { return ended_.size(); }
  std::size_t surplus() const { return surplus_; }  // leases that were handed back as too many
  // Nobody to hand back to, or no time for it: it may leave with leases in hand.
  bool gave_up() const { return gave_up_; }

 private:
  void complain(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }

  void end(const std::string& lease) {
    if (places_.erase(lease) == 0) complain("ended but not open: " + lease);
    if (!ended_.insert(lease).second) complain("ended twice: " + lease);
  }

  bool is_at(const std::string& lease, Place place) const {
    const auto found = places_.find(lease);
    return found != places_.end() && found->second == place;
  }

  // What was refused is not offered again; who only wants another token, or registration, is.
  static bool is_final(Code code) {
    return !api::info(code).is_retryable && code != Code::kNotFound && code != Code::kUnauthenticated &&
           code != Code::kForbidden;
  }

  std::optional<Error> fault() {
    if (!random_.chance(faults_)) return std::nullopt;
    constexpr Code kCodes[] = {
        Code::kUnavailable, Code::kTimeout,  Code::kUnknownOutcome, Code::kNotFound,        Code::kExhausted,
        Code::kConflict,    Code::kInternal, Code::kFenced,         Code::kUnauthenticated, Code::kForbidden};
    return fail(kCodes[random_.below(std::size(kCodes))], "made up");
  }

  // ---- actions ----

  void carry_out(const std::vector<Action>& actions) {
    for (const auto& action : actions) {
      if (is_over_) complain("an action after the exit");
      std::visit([this](const auto& item) { carry_out_one(item); }, action);
    }
    const std::size_t most = options_.slots + options_.ahead + options_.commands;
    if (loop_.running() > most) complain("more run than there are slots");
    if (running_.size() > most) complain("more were started than there are slots");
    if (count_commands(running_) > options_.commands) complain("more commands run than may");
    if (!is_over_ && loop_.wake_at() <= now_) complain("wants to be woken in the past");
  }

  void begin(bool& is_under_way, const char* what) {
    if (is_under_way) complain(std::string("a second call: ") + what);
    is_under_way = true;
  }

  void carry_out_one(const DoRegister&) { begin(registering_, "register"); }
  void carry_out_one(const DoAcquire& acquire) {
    begin(acquiring_[acquire.pool], "acquire");
    if (acquire.max == 0) complain("asks for nothing");
    asked_[acquire.pool] = acquire.max;
    if (loop_.is_draining()) complain("acquires while draining");
  }
  void carry_out_one(const DoStart& start) {
    const auto& lease = start.lease.lease();
    if (!is_at(lease, Place::kWaiting)) complain("started but not waiting: " + lease);
    places_[lease] = Place::kRunning;
    running_.insert(lease);
    if (loop_.is_draining()) complain("starts while draining");
  }
  void carry_out_one(const DoStop& stop) {
    if (running_.erase(stop.lease) == 0) complain("stopped but not running: " + stop.lease);
    stopped_.push_back(stop.lease);
  }
  void carry_out_one(const DoHandBack& hand_back) {
    if (!running_.contains(hand_back.lease)) complain("asked back but not running: " + hand_back.lease);
    if (!loop_.is_draining()) complain("asked back without a drain: " + hand_back.lease);
    if (!hand_back.is_only_if_waiting) {
      asked_back_.push_back(hand_back.lease);
    } else if (random_.chance(0.5)) {
      waiting_back_.push_back(hand_back.lease);  // it has no lane yet; the others have begun
    }
  }
  void carry_out_one(const DoComplete& complete) {
    begin(completing_, "complete");
    if (complete.outcomes.empty()) complain("completes nothing");
    if (complete.outcomes.size() > options_.complete_max) complain("too many outcomes in a call");
    for (const auto& outcome : complete.outcomes) {
      if (!is_at(outcome.lease(), Place::kFinished))
        complain("completed but not finished: " + outcome.lease());
      sent_.push_back(outcome.lease());
    }
  }
  void carry_out_one(const DoRelease& release) {
    begin(releasing_, "release");
    for (const auto& item : release.leases) {
      const auto& lease = item.lease();
      if (running_.contains(lease)) complain("released but not stopped: " + lease);
      const bool is_unstarted = is_at(lease, Place::kWaiting) || is_at(lease, Place::kReleasing);
      if (item.started() == is_unstarted) complain("released with the wrong mark: " + lease);
      if (is_at(lease, Place::kWaiting) && !loop_.is_draining())
        complain("released but not too many: " + lease);
      if (!item.started() || is_at(lease, Place::kRunning)) marks_[lease] = item.started();
      released_.push_back(lease);
    }
  }
  void carry_out_one(const DoHeartbeat& heartbeat) {
    begin(beating_, "heartbeat");
    listed_.clear();
    for (const auto& item : heartbeat.request.leases()) {
      if (!places_.contains(item.lease())) complain("a heartbeat lists what is gone: " + item.lease());
      if (item.started() == is_at(item.lease(), Place::kWaiting))
        complain("wrong started mark: " + item.lease());
      if (is_at(item.lease(), Place::kReleasing)) complain("a heartbeat keeps " + item.lease());
      listed_.push_back(item.lease());
    }
    for (const auto& [lease, place] : places_) {
      if (place == Place::kFinished || place == Place::kReleasing) continue;
      if (std::count(listed_.begin(), listed_.end(), lease) == 1) continue;
      if (!loop_.is_draining()) complain("a heartbeat forgets " + lease);
    }
  }
  void carry_out_one(const DoCancelAcquire&) {
    if (!acquiring_[Pool::kLanes] && !acquiring_[Pool::kCommands]) complain("cancels no acquire");
  }
  void carry_out_one(const DoNextManager&) {}
  void carry_out_one(const DoMoveTo&) {}
  void carry_out_one(const DoTakeLeave&) {}
  void carry_out_one(const DoExit& exit) {
    is_over_ = true;
    gave_up_ = exit.reason.starts_with("no manager") || exit.reason.starts_with("asked three times");
    if (exit.code != 0) complain("exits with a failure");
    if (!gave_up_ && !places_.empty()) complain("exits with leases in hand: " + exit.reason);
  }

  // ---- inputs ----

  void pass_time() {
    if (is_over_) return;
    if (random_.chance(0.5)) {
      now_ = std::max(now_, std::min(loop_.wake_at(), now_ + seconds(3)));
    } else {
      now_ += milliseconds(random_.below(500));
    }
    carry_out(loop_.tick(now_));
  }

  void answer_register() {
    if (!registering_ || is_over_) return;
    registering_ = false;
    if (auto error = fault()) {
      // Who is not let in at all ends, and that is another test's.
      if (error->code == Code::kUnauthenticated || error->code == Code::kForbidden)
        error->code = Code::kUnavailable;
      return carry_out(loop_.on_registered(now_, *error));
    }
    v1::RegisterReply reply;
    reply.set_worker("w" + std::to_string(++number_));
    reply.set_heartbeat_ms(random_.below(3'000));
    carry_out(loop_.on_registered(now_, reply));
  }

  void answer_acquire() {
    const Pool pool = random_.chance(0.5) ? Pool::kLanes : Pool::kCommands;
    if (!acquiring_[pool] || is_over_) return;
    acquiring_[pool] = false;
    if (auto error = fault()) return carry_out(loop_.on_acquired(now_, *error, pool));
    v1::AcquireReply reply;
    const bool is_command = pool == Pool::kCommands;
    const std::uint64_t count = random_.below(asked_[pool] + 1);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string lease = (is_command ? "command" : "lease") + std::to_string(++number_);
      auto& item = *reply.add_leases();
      item.set_lease(lease);
      item.set_kind(is_command ? "command" : "sha512");
      item.set_keep_checkpoints(random_.chance(0.5));
      places_[lease] = Place::kWaiting;
      if (random_.chance(faults_)) reply.add_leases()->set_lease(lease);  // twice in one answer
    }
    // One that is held already comes again.
    if (!places_.empty() && random_.chance(faults_)) reply.add_leases()->set_lease(places_.begin()->first);
    reply.set_drain(random_.chance(faults_ / 50));
    const auto actions = loop_.on_acquired(now_, reply, pool);
    note_surplus(actions, pool);
    carry_out(actions);
  }

  // What the loop neither starts nor keeps of an answer goes back, and is of the newest.
  void note_surplus(const std::vector<Action>& actions, Pool pool) {
    if (loop_.is_draining()) return;
    std::set<std::pair<std::uint64_t, std::string>> waiting;  // by age
    std::size_t gone = 0;
    const std::string prefix = pool == Pool::kCommands ? "command" : "lease";
    for (const auto& [lease, place] : places_) {
      if (place != Place::kWaiting) continue;
      ++gone;
      if (lease.starts_with(prefix)) waiting.emplace(std::stoull(lease.substr(prefix.size())), lease);
    }
    gone -= loop_.waiting();
    for (const auto& action : actions) gone -= std::holds_alternative<DoStart>(action) ? 1 : 0;
    for (auto newest = waiting.rbegin(); gone > 0 && newest != waiting.rend(); ++newest, --gone) {
      places_[newest->second] = Place::kReleasing;
      ++surplus_;
    }
    if (gone != 0) complain("leases are missing after an answer");
  }

  void answer_complete() {
    if (!completing_ || is_over_) return;
    completing_ = false;
    const std::vector<std::string> sent = std::exchange(sent_, {});
    if (auto error = fault()) {
      const bool is_refused = is_final(error->code);
      if (is_refused && sent.size() == 1) end(sent[0]);
      return carry_out(loop_.on_completed(now_, *error));
    }
    v1::CompleteReply reply;
    for (const auto& lease : sent) {
      if (random_.chance(faults_)) continue;  // not mentioned
      auto& item = *reply.add_outcomes();
      item.set_lease(lease);
      const bool is_put_off = random_.chance(faults_);
      item.set_status(is_put_off ? "unavailable" : random_.chance(faults_) ? "stale_lease" : "ok");
      if (!is_put_off) end(lease);
    }
    carry_out(loop_.on_completed(now_, reply));
  }

  void answer_release() {
    if (!releasing_ || is_over_) return;
    releasing_ = false;
    const std::vector<std::string> released = std::exchange(released_, {});
    auto error = fault();
    const bool is_settled = !error || is_final(error->code);
    if (is_settled) {
      for (const auto& lease : released) end(lease);
    }
    if (error) return carry_out(loop_.on_released(now_, *error));
    carry_out(loop_.on_released(now_, v1::ReleaseReply{}));
  }

  void answer_heartbeat() {
    if (!beating_ || is_over_) return;
    beating_ = false;
    if (auto error = fault()) return carry_out(loop_.on_heartbeat(now_, *error));
    v1::HeartbeatReply reply;
    for (const auto& lease : listed_) {
      if (!random_.chance(faults_ / 4)) continue;
      const bool is_cancelled = random_.chance(0.5);
      is_cancelled ? reply.add_cancelled(lease) : reply.add_lost(lease);
      if (marks_.contains(lease) || is_handed_back(lease)) continue;
      const bool is_sent = std::count(sent_.begin(), sent_.end(), lease) != 0;
      const bool ends_here = is_at(lease, Place::kWaiting) || is_at(lease, Place::kRunning) ||
                             (is_at(lease, Place::kFinished) && is_cancelled && !is_sent);
      if (ends_here) end(lease);
    }
    if (random_.chance(faults_)) reply.add_lost("nonsense");
    carry_out(loop_.on_heartbeat(now_, reply));
  }

  // What was too much; while draining everything that waits, and everything that was stopped, is on its way
  // back.
  bool is_handed_back(const std::string& lease) const {
    if (is_at(lease, Place::kReleasing)) return true;
    if (!loop_.is_draining()) return false;
    return is_at(lease, Place::kWaiting) || (is_at(lease, Place::kRunning) && !running_.contains(lease));
  }

  void answer_waiting() {
    if (waiting_back_.empty() || is_over_) return;
    v1::ReleasedLease released;
    released.set_lease(waiting_back_.back());
    waiting_back_.pop_back();
    // It has finished, was stopped or handed back for good in the meantime.
    if (running_.erase(released.lease()) == 0) return;
    places_[released.lease()] = Place::kWaiting;
    carry_out(loop_.on_handed_back(now_, released));
  }

  void answer_hand_back() {
    if (asked_back_.empty() || is_over_) return;
    const std::string lease = asked_back_.back();
    asked_back_.pop_back();
    // It has finished or was stopped; an answer that was on its way comes all the same.
    if (running_.erase(lease) == 0 && !random_.chance(faults_)) return;
    v1::ReleasedLease released;
    released.set_lease(lease);
    released.set_started(true);
    carry_out(loop_.on_handed_back(now_, released));
  }

  static std::size_t count_commands(const std::set<std::string>& leases) {
    return static_cast<std::size_t>(std::count_if(
        leases.begin(), leases.end(), [](const auto& lease) { return lease.starts_with("command"); }));
  }

  void finish_one() {
    if (is_over_) return;
    // Now and then the shell reports a task that the loop has just stopped.
    if (!stopped_.empty() && random_.chance(faults_)) {
      v1::Outcome late;
      late.set_lease(stopped_[random_.below(stopped_.size())]);
      return carry_out(loop_.on_finished(now_, late));
    }
    if (running_.empty()) return;
    const auto chosen =
        std::next(running_.begin(), static_cast<std::ptrdiff_t>(random_.below(running_.size())));
    v1::Outcome outcome;
    outcome.set_lease(*chosen);
    outcome.set_result("result");
    places_[*chosen] = Place::kFinished;
    running_.erase(chosen);
    carry_out(loop_.on_finished(now_, outcome));
  }

  Random random_;
  LoopOptions options_;
  Instant now_ = from_unix_ms(1'000'000);
  LeaseLoop loop_;
  double faults_ = 0.2;
  std::uint64_t number_ = 0;
  std::map<Pool, std::uint32_t> asked_;
  bool is_over_ = false;
  bool gave_up_ = false;
  std::string problem_;

  bool registering_ = false, completing_ = false, releasing_ = false, beating_ = false;
  std::map<Pool, bool> acquiring_;
  std::map<std::string, Place> places_;  // open leases
  std::set<std::string> ended_;
  std::size_t surplus_ = 0;
  std::set<std::string> running_;  // in the shell
  std::vector<std::string> stopped_;
  std::vector<std::string> asked_back_;
  std::vector<std::string> waiting_back_;
  std::vector<std::string> sent_;      // in the Complete under way
  std::vector<std::string> released_;  // in the Release under way
  std::vector<std::string> listed_;    // in the last heartbeat
  std::map<std::string, bool> marks_;  // released: with which mark
};

LoopOptions any_options(Random& random) {
  LoopOptions options;
  options.slots = static_cast<std::uint32_t>(1 + random.below(6));
  options.ahead = static_cast<std::uint32_t>(random.below(4));
  options.commands = static_cast<std::uint32_t>(random.below(3));
  options.prefetch = static_cast<std::uint32_t>(random.below(8));
  options.complete_max = static_cast<std::uint32_t>(1 + random.below(5));
  options.drain_timeout = milliseconds(random.below(30'000));
  return options;
}

void check_end(World& world) {
  world.drain_calmly();
  RC_ASSERT(world.problem() == "");
  RC_ASSERT(world.is_over());
  if (!world.gave_up()) RC_ASSERT(world.open_leases() == 0u);
}

RC_GTEST_PROP(LeaseLoopProperty, EveryLeaseEndsOnceWhateverHappens, (std::uint64_t seed)) {
  Random random(seed);
  World world(random.next(), any_options(random));
  const int steps = static_cast<int>(random.below(400));
  for (int i = 0; i < steps && world.problem().empty(); ++i) {
    world.step();
    if (random.chance(0.002)) world.drain(DrainCause::kSignal);
  }
  check_end(world);
}

TEST(LeaseLoopSoak, ManyThousandInputsWithRandomFailures) {
  std::size_t ended = 0;
  std::size_t surplus = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    World world(random.next(), any_options(random));
    for (int i = 0; i < 5'000 && world.problem().empty(); ++i) world.step();
    world.drain_calmly();
    EXPECT_EQ(world.problem(), "") << "seed " << seed;
    EXPECT_TRUE(world.is_over()) << "seed " << seed;
    ended += world.ended_leases();
    surplus += world.surplus();
  }
  EXPECT_GT(ended, 1'000u);
  EXPECT_GT(surplus, 50u);
}

}  // namespace
}  // namespace skep::worker
