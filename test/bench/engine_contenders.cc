// SPDX-License-Identifier: Apache-2.0
// skep's engine through its public interface, and its kernels without it: contenders of contender.h.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "compute/plan.h"
#include "contender.h"

namespace skep::bench {
namespace {

using compute::Digest;

constexpr std::uint64_t kSlice = 20'000;  // compressions between two looks, some milliseconds at most

std::string said(const compute::Plan& plan) {
  return "the engine as a worker makes it, " + std::to_string(plan.lanes()) +
         (plan.lanes() == 1 ? " lane" : " lanes") + " full; its plan chose " +
         std::string(plan.kernel_for(plan.lanes()).kernel.name);
}

compute::Plan plan_of(const compute::Kernel& kernel) {
  return compute::Plan({{kernel, 1e-6}});
}

class EngineChains final : public Contender {
 public:
  EngineChains(std::string name, std::string what, const compute::Plan& plan, std::size_t jobs)
      : name_(std::move(name)),
        what_(std::move(what)),
        engine_(make_engine(plan)),
        digests_(first_digests(jobs)),
        done_(jobs, 0) {}

  std::string name() const override { return name_; }
  std::string what() const override { return what_; }
  std::uint64_t width() const override { return digests_.size(); }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override {
    for (std::size_t i = 0; i < digests_.size(); ++i) {
      const std::uint64_t from = 1 + done_[i];
      engine_->add({i, nullptr, from + rounds, {from, digests_[i]}});
      done_[i] += rounds;
    }
    std::vector<compute::JobDone> ended;
    while (engine_->run(kSlice, ended) != 0) {
    }
    for (const auto& job : ended) digests_[job.key] = job.digest;
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  std::string name_, what_;
  std::unique_ptr<compute::Engine> engine_;
  std::vector<Digest> digests_;
  std::vector<std::uint64_t> done_;
};

class EngineBulk final : public Contender {
 public:
  EngineBulk(std::string name, std::string what, const compute::Plan& plan)
      : name_(std::move(name)), what_(std::move(what)), engine_(make_engine(plan)) {}

  std::string name() const override { return name_; }
  std::string what() const override { return what_; }
  std::uint64_t width() const override { return engine_->lanes(); }
  std::uint64_t unit() const override { return kBulkBytes; }
  void run(std::uint64_t rounds) override {
    std::vector<compute::JobDone> ended;
    for (std::uint64_t left = rounds * width(); left != 0 || engine_->jobs() != 0;) {
      // As many in wait as there are lanes, so that none is ever without.
      for (; left != 0 && engine_->jobs() < 2 * width(); --left, ++key_) {
        engine_->add({key_, bodies_[key_ % bodies_.size()], 1, {}});
      }
      engine_->run(kSlice, ended);
      for (const auto& job : ended) digests_[job.key % bodies_.size()] = job.digest;
      ended.clear();
    }
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  std::string name_, what_;
  std::unique_ptr<compute::Engine> engine_;
  Bodies bodies_ = bulk_bodies(kBulkBytes);
  std::uint64_t key_ = 0;
  std::vector<Digest> digests_ = std::vector<Digest>(bodies_.size());
};

class KernelChains final : public Contender {
 public:
  explicit KernelChains(const compute::Kernel& kernel) : kernel_(kernel) {
    const auto first = first_digests(kernel.lanes);
    for (std::size_t i = 0; i < kernel.lanes; ++i) {
      for (std::size_t byte = 0; byte < sizeof(Digest); ++byte) {
        auto& word = state_.words[byte / 8][i];
        word = word << 8 | first[i][byte];
      }
    }
    std::fill(std::begin(state_.phase), std::end(state_.phase), compute::LaneState::kInChain);
  }
  std::string name() const override { return std::string(kernel_.name); }
  std::string what() const override { return "the kernel's chain form, called with all steps at once"; }
  std::uint64_t width() const override { return kernel_.lanes; }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override { kernel_.chain(state_, rounds); }
  std::vector<Digest> digests() const override {
    std::vector<Digest> out(kernel_.lanes);
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (std::size_t byte = 0; byte < sizeof(Digest); ++byte) {
        out[i][byte] = static_cast<std::uint8_t>(state_.words[byte / 8][i] >> (56 - 8 * (byte % 8)));
      }
    }
    return out;
  }

 private:
  compute::Kernel kernel_;
  compute::LaneState state_{};
};

// The kernels of a target's own vector unit; of the scalar target, the one that there is.
std::vector<compute::Kernel> own_kernels(compute::Target target) {
  auto all = compute::kernels(target);
  if (target != compute::Target::kScalar) {
    std::erase_if(all, [](const compute::Kernel& kernel) { return kernel.lanes == 1; });
  }
  return all;
}

}  // namespace

void add_engine_chains(Contenders& out) {
  const SystemClock clock;
  for (const auto target : compute::targets_here()) {
    const auto plan = compute::measure_plan(target, clock);
    out.push_back(std::make_unique<EngineChains>("skep " + std::string(compute::target_name(target)),
                                                 said(plan), plan, plan.lanes()));
    if (target == compute::Target::kScalar) continue;  // its one kernel is its plan
    for (const auto& kernel : own_kernels(target)) {
      out.push_back(std::make_unique<EngineChains>("skep kernel " + std::string(kernel.name),
                                                   "the engine with this kernel alone", plan_of(kernel),
                                                   kernel.lanes));
    }
  }
}

void add_engine_bulk(Contenders& out) {
  const SystemClock clock;
  for (const auto target : compute::targets_here()) {
    const auto plan = compute::measure_plan(target, clock);
    out.push_back(
        std::make_unique<EngineBulk>("skep " + std::string(compute::target_name(target)), said(plan), plan));
    if (target == compute::Target::kScalar) continue;
    for (const auto& kernel : own_kernels(target)) {
      out.push_back(std::make_unique<EngineBulk>("skep kernel " + std::string(kernel.name),
                                                 "the engine with this kernel alone", plan_of(kernel)));
    }
  }
}

void add_engine_by_jobs(Contenders& out) {
  const SystemClock clock;
  const auto target = compute::targets_here().front();
  const auto plan = compute::measure_plan(target, clock);
  for (const std::size_t jobs : {1, 2, 3, 4, 6, 8, 9, 12, 16, 24, 32}) {
    if (jobs > plan.lanes()) break;  // those beyond the lanes would only wait
    out.push_back(std::make_unique<EngineChains>(std::to_string(jobs),
                                                 std::string(plan.kernel_for(jobs).kernel.name), plan, jobs));
  }
}

void add_kernels(Contenders& out) {
  for (const auto target : compute::targets_here()) {
    for (const auto& kernel : own_kernels(target)) out.push_back(std::make_unique<KernelChains>(kernel));
  }
}

}  // namespace skep::bench
