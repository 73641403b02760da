// SPDX-License-Identifier: Apache-2.0
#include "manager/speed.h"

#include <algorithm>
#include <cmath>

namespace skep::manager {
namespace {

constexpr double kHashesMemory = 2.0;        // seconds of work that a mean of sha512 is about
constexpr double kTaskWeight = 0.1;          // of one task in a mean of tasks, once there were as many
constexpr double kRateMemory = 30.0;         // seconds
constexpr double kCompression = 2.5e-7;      // what is believed beforehand: 4 million a second,
constexpr double kTask = 1.0;                // and a second a task
constexpr double kBytesOfCompression = 128;  // of a body
constexpr const char* kSha512 = "sha512";

}  // namespace

std::size_t Speed::NameHash::operator()(const Name& name) const {
  const std::hash<std::string> hash;
  std::size_t all = hash(name.queue);
  all = all * 1'000'003 + hash(name.kind);
  return all * 1'000'003 + hash(name.program);
}

double Speed::units(const std::string& kind, std::uint64_t iterations, std::uint64_t bytes) {
  if (kind != kSha512) return 1;
  return static_cast<double>(iterations) + static_cast<double>(bytes) / kBytesOfCompression;
}

const Speed::Class* Speed::find(const Name& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &*found->second;
}

Speed::Class& Speed::use(const std::string& queue, const std::string& kind, const std::string& program) {
  if (!classes_.empty()) {
    Class& last = classes_.front();
    if (last.name.kind == kind && last.name.queue == queue && last.name.program == program) return last;
  }
  Name name{queue, kind, program};
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) {
    classes_.splice(classes_.begin(), classes_, found->second);
    return classes_.front();
  }
  if (classes_.size() >= kClassesMax) forget_one();
  classes_.emplace_front().name = name;
  by_name_.emplace(std::move(name), classes_.begin());
  return classes_.front();
}

void Speed::forget_one() {
  const Class& last = classes_.back();
  const double each = unit_seconds(last);
  forgotten_arrived_ += last.arrived * each;
  forgotten_rate_ += last.rate * each;
  by_name_.erase(last.name);
  classes_.pop_back();
}

void Speed::arrived(const std::string& queue, const std::string& kind, const std::string& program,
                    double units) {
  use(queue, kind, program).arrived += units;
}

// Weighted by the work done, as short chains say little.
void Speed::take_in_hashes(Class& one, double each, double run) {
  const double weight = one.unit_seconds > 0 ? run / (run + kHashesMemory) : 1.0;
  one.unit_seconds += weight * (each - one.unit_seconds);
  ++one.seen;
}

// Each counts, the first ones more.
void Speed::take_in_task(Class& one, double run) {
  ++one.seen;
  const double weight = std::max(kTaskWeight, 1.0 / static_cast<double>(one.seen));
  one.unit_seconds += weight * (run - one.unit_seconds);
}

void Speed::learn(const std::string& queue, const std::string& kind, const std::string& program, double units,
                  double run) {
  if (!(run > 0) || !(units > 0)) return;
  if (kind == kSha512) {
    Class& one = use(queue, kind, program);
    if (one.seen == 0) one.unit_seconds = hashes_.unit_seconds;
    take_in_hashes(hashes_, run / units, run);
    take_in_hashes(one, run / units, run);
    return;
  }
  take_in_task(others_, run);
  take_in_task(use("", kind, ""), run);
  if (!program.empty()) take_in_task(use("", kind, program), run);
  take_in_task(use(queue, kind, program), run);
}

double Speed::unit_seconds(const std::string& queue, const std::string& kind,
                           const std::string& program) const {
  const Class* one = find({queue, kind, program});
  if (one != nullptr && one->seen > 0) return one->unit_seconds;
  if (kind == kSha512) return hashes_.seen > 0 ? hashes_.unit_seconds : kCompression;
  for (const Name& wider : {Name{"", kind, program}, Name{"", kind, ""}}) {
    one = find(wider);
    if (one != nullptr && one->seen > 0) return one->unit_seconds;
  }
  return others_.seen > 0 ? others_.unit_seconds : kTask;
}

double Speed::seconds(const std::string& queue, const std::string& kind, const std::string& program,
                      const queue::Work& work) const {
  if (work.tasks == 0) return 0;
  const double count =
      kind == kSha512 ? units(kind, work.iterations, work.bytes) : static_cast<double>(work.tasks);
  return count * unit_seconds(queue, kind, program);
}

std::uint64_t Speed::seen(const std::string& queue, const std::string& kind,
                          const std::string& program) const {
  const Class* one = find({queue, kind, program});
  return one == nullptr ? 0 : one->seen;
}

void Speed::pass(double dt) {
  if (!(dt > 0)) return;
  const double weight = 1.0 - std::exp(-dt / kRateMemory);
  const auto smooth = [&](double& rate, double& arrived) {
    rate += weight * (arrived / dt - rate);
    arrived = 0;
  };
  for (Class& one : classes_) smooth(one.rate, one.arrived);
  smooth(forgotten_rate_, forgotten_arrived_);
}

}  // namespace skep::manager
