// SPDX-License-Identifier: Apache-2.0
// Whatever jobs come, in whatever slices, with whatever is taken out in between: no job is lost, none ends
// twice, and every digest is the reference's.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "compute/engine.h"
#include "compute/testing/plans.h"

namespace skep::compute {
namespace {

// Lengths around the blocks, and iterations over several magnitudes: what a random choice seldom meets.
std::string any_body() {
  const auto blocks = *rc::gen::weightedElement<std::size_t>({{6, 0}, {3, 1}, {2, 2}, {1, 20}});
  const auto rest = *rc::gen::inRange<std::size_t>(0, 128);
  std::string body(128 * blocks + rest, static_cast<char>(*rc::gen::inRange(0, 256)));
  for (std::size_t i = 0; i < body.size(); i += 61) body[i] = static_cast<char>(i);
  return body;
}
std::uint64_t any_iterations() {
  const auto most = *rc::gen::element<std::uint64_t>(1, 3, 30, 600);
  return *rc::gen::inRange<std::uint64_t>(1, most + 1);
}

class Model {
 public:
  explicit Model(const Plan& plan) : engine_(make_engine(plan)) {}

  void add() {
    const std::string body = any_body();
    const std::uint64_t iterations = any_iterations();
    const std::uint64_t key = next_key_++;
    Job job{key, std::make_shared<const std::string>(body), iterations, {}};
    if (iterations > 1 && *rc::gen::inRange(0, 3) == 0) {
      const std::uint64_t at = *rc::gen::inRange<std::uint64_t>(1, iterations);
      job.from = {at, reference_digest(body, at)};
      job.body = nullptr;
    }
    engine_->add(std::move(job));
    expected_[key] = reference_digest(body, iterations);
  }

  void run() {
    const auto slice = *rc::gen::inRange<std::uint64_t>(1, 2'000);
    collect(slice);
  }

  // Takes one out; gives it up, or puts it back to go on from where it was.
  void take() {
    const auto key = *rc::gen::inRange<std::uint64_t>(0, next_key_ + 1);
    auto job = engine_->take(key);
    const bool is_here = expected_.contains(key) && !found_.contains(key);
    RC_ASSERT(job.has_value() == is_here);
    if (!job) return;
    if (*rc::gen::arbitrary<bool>()) {
      engine_->add(std::move(*job));
    } else {
      expected_.erase(key);
    }
  }

  void finish() {
    while (engine_->jobs() > 0) collect(100'000);
    RC_ASSERT(found_ == expected_);
    RC_ASSERT(engine_->running().empty());
  }

 private:
  void collect(std::uint64_t slice) {
    std::vector<JobDone> done;
    const auto spent = engine_->run(slice, done);
    RC_ASSERT(spent < slice + engine_->lanes());
    for (const auto& item : done) RC_ASSERT(found_.emplace(item.key, item.digest).second);
    RC_ASSERT(engine_->jobs() == expected_.size() - found_.size());
    RC_ASSERT(engine_->running().size() <= engine_->lanes());
    // No lane is left empty while a job waits.
    if (spent >= slice)
      RC_ASSERT(engine_->running().size() + done.size() >= std::min(engine_->jobs(), engine_->lanes()));
  }

  std::unique_ptr<Engine> engine_;
  std::uint64_t next_key_ = 0;
  std::map<std::uint64_t, Digest> expected_;
  std::map<std::uint64_t, Digest> found_;
};

RC_GTEST_PROP(EngineProperty, AnyJobsInAnySlicesAgreeWithTheReference, ()) {
  static const auto plans = plans_here();
  Model model(rc::gen::elementOf(plans).operator*().plan);
  const int actions = *rc::gen::inRange(0, 60);
  for (int i = 0; i < actions; ++i) {
    switch (*rc::gen::weightedElement<int>({{5, 0}, {3, 1}, {2, 2}})) {
      case 0:
        model.add();
        break;
      case 1:
        model.run();
        break;
      default:
        model.take();
    }
  }
  model.finish();
}

}  // namespace
}  // namespace skep::compute
