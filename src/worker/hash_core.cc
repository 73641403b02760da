// SPDX-License-Identifier: Apache-2.0
#include "worker/hash_core.h"

#include <algorithm>
#include <utility>

namespace skep::worker {
namespace {

// A millisecond of eight lanes, three of one: short enough to stop in time, long enough not to cost.
constexpr std::uint64_t kSliceCompressions = 20'000;

api::v1::Outcome outcome_of(const HashTask& task) {
  api::v1::Outcome outcome;
  outcome.set_lease(task.lease.lease());
  return outcome;
}

// A manager's checkpoint that makes no sense is no reason to fail: the body is there.
compute::Checkpoint checkpoint_of(const api::v1::Lease& lease) {
  compute::Checkpoint at;
  if (lease.checkpoint().size() != at.digest.size()) return {};
  if (lease.iterations_done() == 0 || lease.iterations_done() >= lease.iterations()) return {};
  at.iterations_done = lease.iterations_done();
  std::copy(lease.checkpoint().begin(), lease.checkpoint().end(), at.digest.begin());
  return at;
}

}  // namespace

HashCore::HashCore(std::unique_ptr<compute::Engine> engine, const Clock& clock)
    : engine_(std::move(engine)), clock_(clock) {}

std::optional<api::v1::Outcome> HashCore::add(api::v1::Lease lease) {
  if (lease.iterations() == 0) {
    api::v1::Outcome outcome;
    outcome.set_lease(lease.lease());
    outcome.set_failed(true);
    outcome.set_permanent(true);
    outcome.set_error("iterations must be at least 1");
    return outcome;
  }
  HashTask task;
  task.job.iterations = lease.iterations();
  task.job.from = checkpoint_of(lease);
  lease.set_iterations_done(task.job.from.iterations_done);
  task.job.body = std::make_shared<const std::string>(std::move(*lease.mutable_body()));
  lease.clear_body();
  lease.clear_checkpoint();
  task.lease = std::move(lease);
  adopt(std::move(task));
  return std::nullopt;
}

void HashCore::adopt(HashTask task) {
  const std::uint64_t key = next_key_++;
  task.job.key = key;
  engine_->add(std::exchange(task.job, {}));
  tasks_.emplace(key, std::move(task));
}

std::optional<HashTask> HashCore::give_away() {
  if (tasks_.empty()) return std::nullopt;
  // The youngest, which has waited least, if it still waits; else the one that has run longest.
  const auto youngest = std::prev(tasks_.end());
  return take(youngest->second.run ? tasks_.begin() : youngest);
}

bool HashCore::stop(const std::string& lease) {
  const auto place = find(lease);
  if (place == tasks_.end()) return false;
  take(place);
  return true;
}

std::optional<api::v1::ReleasedLease> HashCore::hand_back(const std::string& lease) {
  const auto place = find(lease);
  if (place == tasks_.end()) return std::nullopt;
  const HashTask task = take(place);
  api::v1::ReleasedLease released;
  released.set_lease(lease);
  // While its body is hashed, which takes milliseconds, there is nothing that could be lost.
  released.set_started(task.job.from.iterations_done > task.lease.iterations_done());
  if (task.lease.keep_checkpoints()) set_checkpoint(released, task.job.from);
  return released;
}

std::optional<api::v1::ReleasedLease> HashCore::hand_back_waiting(const std::string& lease) {
  const auto place = find(lease);
  if (place == tasks_.end() || place->second.run) return std::nullopt;
  return hand_back(lease);
}

HashSlice HashCore::run() {
  HashSlice slice;
  if (tasks_.empty()) return slice;
  const Instant start = clock_.now();
  const std::size_t used = std::min(engine_->jobs(), engine_->lanes());
  const std::uint64_t spent = engine_->run(kSliceCompressions, done_);
  const Instant now = clock_.now();
  // A slice that was cut short says more of its beginning and end than of the speed.
  if (spent >= kSliceCompressions) {
    slice.busy = now - start;
    slice.slot_compressions =
        static_cast<double>(spent) / engine_->share(used) / static_cast<double>(engine_->lanes());
  }
  begin_clocks(start);
  for (const auto& item : done_) {
    const auto place = tasks_.find(item.key);
    auto& outcome = slice.outcomes.emplace_back(outcome_of(place->second));
    outcome.set_result(compute::to_hex(item.digest));
    place->second.run.value_or(RunClock(place->second.lease, start)).stop(outcome, now);
    tasks_.erase(place);
  }
  done_.clear();
  end_late(now, slice.outcomes);
  return slice;
}

std::vector<HashProgress> HashCore::progress() const {
  std::vector<HashProgress> out;
  for (const auto& running : engine_->running()) {
    out.push_back({tasks_.at(running.key).lease.lease(), running.at});
  }
  return out;
}

HashCore::Tasks::iterator HashCore::find(const std::string& lease) {
  return std::find_if(tasks_.begin(), tasks_.end(),
                      [&](const auto& item) { return item.second.lease.lease() == lease; });
}

HashTask HashCore::take(Tasks::iterator place) {
  HashTask task = std::move(place->second);
  task.job = engine_->take(place->first).value();
  tasks_.erase(place);
  return task;
}

void HashCore::begin_clocks(Instant start) {
  for (const auto& running : engine_->running()) {
    HashTask& task = tasks_.at(running.key);
    if (!task.run) task.run.emplace(task.lease, start);
  }
}

void HashCore::end_late(Instant now, std::vector<api::v1::Outcome>& outcomes) {
  for (auto place = tasks_.begin(); place != tasks_.end();) {
    const auto next = std::next(place);
    const auto& run = place->second.run;
    if (run && run->is_late(now)) {
      auto& outcome = outcomes.emplace_back(outcome_of(place->second));
      outcome.set_failed(true);
      outcome.set_timed_out(true);
      outcome.set_error(run->late_sentence());
      run->stop(outcome, now);
      take(place);
    }
    place = next;
  }
}

}  // namespace skep::worker
