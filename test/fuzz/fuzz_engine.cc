// fuzz: links compute
// SPDX-License-Identifier: Apache-2.0
// Goal: whatever jobs come, are taken out and put back, in whatever slices, every digest of the engine is the
// reference's, and none is missing. Method: the input is a program - which kernels, then add, run and take.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "compute/engine.h"

namespace {

using namespace skep::compute;  // NOLINT(google-build-using-namespace): one file, no header

constexpr std::size_t kBytesMax = 2'000;  // of all that is hashed in one input, so that it stays fast

void check(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool is_empty() const { return at_ >= size_; }
  std::size_t next() { return is_empty() ? 0 : data_[at_++]; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

// A target, and either all of its kernels or one of them.
Plan choose_plan(std::size_t choice) {
  const auto targets = targets_here();
  std::vector<TimedKernel> timed;
  for (const auto& kernel : kernels(targets[choice % targets.size()])) {
    timed.push_back({kernel, 1.0 + 0.5 * static_cast<double>(kernel.lanes)});
  }
  const std::size_t one = choice / targets.size() % (timed.size() + 1);
  return one == timed.size() ? Plan(timed) : Plan({timed[one]});
}

class Machine {
 public:
  explicit Machine(Plan plan) : engine_(make_engine(std::move(plan))) {}

  void add(Input& input) {
    const std::size_t bytes = 4 * input.next() + input.next() % 4;
    const std::uint64_t iterations = 1 + input.next() % 40;
    hashed_ += bytes + 64 * iterations;
    if (hashed_ > 100 * kBytesMax) return;
    std::string body(bytes, static_cast<char>(input.next()));
    const std::uint64_t key = expected_.size();
    expected_.push_back(reference_digest(body, iterations));
    Job job{key, std::make_shared<const std::string>(std::move(body)), iterations, {}};
    const std::uint64_t from = input.next() % iterations;
    if (from > 0) {
      job.from = {from, reference_digest(*job.body, from)};
      job.body = nullptr;
    }
    engine_->add(std::move(job));
  }

  void run(std::uint64_t compressions) {
    std::vector<JobDone> done;
    engine_->run(compressions, done);
    for (const auto& item : done) {
      check(item.digest == expected_.at(item.key));
      check(found_.emplace(item.key, true).second);
    }
    check(engine_->jobs() + found_.size() == expected_.size());
  }

  // Takes a job out and puts it back.
  void move(std::uint64_t key) {
    auto job = engine_->take(key);
    check(job.has_value() == (key < expected_.size() && !found_.contains(key)));
    if (job) engine_->add(std::move(*job));
  }

  void finish() {
    while (engine_->jobs() > 0) run(10'000);
    check(found_.size() == expected_.size());
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<Digest> expected_;  // by key
  std::map<std::uint64_t, bool> found_;
  std::size_t hashed_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, std::min(size, kBytesMax));
  Machine machine(choose_plan(input.next()));
  while (!input.is_empty()) {
    const std::size_t what = input.next();
    if (what % 4 < 2) {
      machine.add(input);
    } else if (what % 4 == 2) {
      machine.run(1 + input.next());
    } else {
      machine.move(input.next() % 64);
    }
  }
  machine.finish();
  return 0;
}
