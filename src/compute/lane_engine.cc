// SPDX-License-Identifier: Apache-2.0
// The engine that engine.h declares: which job has which lane, and until when.
//
// Jobs with a lane are kept at the front, so that few jobs need few lanes and a narrow kernel serves them.
// The engine runs the kernel until the first lane comes to an event (its body's whole blocks are hashed, or
// its padded end, or its chain), sees to that, and goes on.
#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "compute/engine.h"
#include "compute/sha512_tables.h"

namespace skep::compute {
namespace {

constexpr std::size_t kBlockBytes = 128;
constexpr std::uint64_t kTurn = 1'000;  // steps that a job has when several take turns, some 0.2 ms
// What a lane without a body points at.
alignas(64) constexpr std::uint8_t kNoBlock[kBlockBytes] = {};

std::uint64_t big_endian(std::uint64_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

// A job and the part of its state that the kernels do not see.
struct Lane {
  enum class Stage : std::uint8_t { kBlocks, kTail, kChain };

  Job job;
  Stage stage = Stage::kBlocks;
  std::uint64_t steps_left = 0;       // until the stage ends
  std::uint64_t iterations_done = 0;  // while `stage` is kChain: before the steps that are left
  std::array<std::uint8_t, 2 * kBlockBytes> tail{};  // the end of the body with its padding
  std::uint64_t tail_steps = 0;
};

// FIPS 180-4, section 5.1.2: a one bit, zeros, and the length in bits as 128 bits at the end of a block.
void pad(Lane& lane) {
  const std::string& body = *lane.job.body;
  const std::size_t rest = body.size() % kBlockBytes;
  lane.tail.fill(0);
  std::memcpy(lane.tail.data(), body.data() + (body.size() - rest), rest);
  lane.tail[rest] = 0x80;
  lane.tail_steps = rest + 1 + 16 <= kBlockBytes ? 1 : 2;
  const std::uint64_t bits = big_endian(static_cast<std::uint64_t>(body.size()) * 8);
  std::memcpy(lane.tail.data() + lane.tail_steps * kBlockBytes - sizeof bits, &bits, sizeof bits);
}

class LaneEngine final : public Engine {
 public:
  explicit LaneEngine(Plan plan) : plan_(std::move(plan)) {
    for (auto& phase : state_.phase) phase = LaneState::kInChain;
    for (auto& block : state_.blocks) block = kNoBlock;
    active_.reserve(plan_.lanes());
  }

  void add(Job job) override {
    SKEP_CHECK(job.iterations > job.from.iterations_done, "a chain has at least one hash to do");
    SKEP_CHECK(job.from.iterations_done > 0 || job.body != nullptr, "a job has a body, if only an empty one");
    SKEP_CHECK(keys_.insert(job.key).second, "the key is in the engine already");
    waiting_.push_back(std::move(job));
  }

  std::optional<Job> take(std::uint64_t key) override {
    if (keys_.erase(key) == 0) return std::nullopt;
    for (auto place = waiting_.begin(); place != waiting_.end(); ++place) {
      if (place->key != key) continue;
      Job job = std::move(*place);
      waiting_.erase(place);
      return job;
    }
    const std::size_t i = lane_of(key);
    Job job = std::move(active_[i].job);
    job.from = checkpoint(i);
    vacate(i);
    return job;
  }

  std::uint64_t run(std::uint64_t compressions_max, std::vector<JobDone>& done) override {
    std::uint64_t spent = 0;
    while (spent < compressions_max) {
      fill();
      if (active_.empty()) break;
      const std::uint64_t budget = std::max<std::uint64_t>((compressions_max - spent) / active_.size(), 1);
      const std::size_t used = std::min(active_.size(), plan_.kernel_for(active_.size()).kernel.lanes);
      const std::uint64_t steps = step(used, budget);
      spent += steps * used;
      settle(done);
      take_turns(used);
    }
    return spent;
  }

  std::vector<JobRunning> running() const override {
    std::vector<JobRunning> out;
    for (std::size_t i = 0; i < active_.size(); ++i) out.push_back({active_[i].job.key, checkpoint(i)});
    return out;
  }

  std::size_t jobs() const override { return keys_.size(); }
  std::size_t lanes() const override { return plan_.lanes(); }
  double share(std::size_t lanes_used) const override {
    const std::size_t used = std::clamp<std::size_t>(lanes_used, 1, lanes());
    return std::min(1.0, plan_.rate(used) / plan_.rate(lanes()));
  }

 private:
  std::size_t lane_of(std::uint64_t key) const {
    for (std::size_t i = 0; i < active_.size(); ++i) {
      if (active_[i].job.key == key) return i;
    }
    SKEP_CHECK(false, "a key is known that has neither a lane nor a place in the queue");
    return 0;
  }

  // Gives free lanes to those who wait longest.
  void fill() {
    while (active_.size() < plan_.lanes() && !waiting_.empty()) {
      active_.emplace_back();
      active_.back().job = std::move(waiting_.front());
      waiting_.pop_front();
      begin(active_.size() - 1);
    }
  }

  void begin(std::size_t i) {
    Lane& lane = active_[i];
    if (lane.job.from.iterations_done > 0) {
      for (std::size_t word = 0; word < 8; ++word) {
        std::uint64_t value;
        std::memcpy(&value, lane.job.from.digest.data() + 8 * word, sizeof value);
        state_.words[word][i] = big_endian(value);
      }
      lane.job.body.reset();
      begin_chain(i, lane.job.from.iterations_done);
      return;
    }
    for (std::size_t word = 0; word < 8; ++word) state_.words[word][i] = kInitial[word];
    pad(lane);
    const std::uint64_t blocks = lane.job.body->size() / kBlockBytes;
    if (blocks == 0) return begin_tail(i);
    begin_blocks(i, Lane::Stage::kBlocks, reinterpret_cast<const std::uint8_t*>(lane.job.body->data()),
                 blocks);
  }

  void begin_blocks(std::size_t i, Lane::Stage stage, const std::uint8_t* first, std::uint64_t count) {
    active_[i].stage = stage;
    active_[i].steps_left = count;
    state_.phase[i] = LaneState::kInBody;
    state_.blocks[i] = first;
    state_.stride[i] = kBlockBytes;
    ++bodies_;
  }

  void begin_tail(std::size_t i) {
    begin_blocks(i, Lane::Stage::kTail, active_[i].tail.data(), active_[i].tail_steps);
  }

  void begin_chain(std::size_t i, std::uint64_t iterations_done) {
    Lane& lane = active_[i];
    lane.stage = Lane::Stage::kChain;
    lane.iterations_done = iterations_done;
    lane.steps_left = lane.job.iterations - iterations_done;
    rest(i);
  }

  // The lane reads no body.
  void rest(std::size_t i) {
    state_.phase[i] = LaneState::kInChain;
    state_.blocks[i] = kNoBlock;
    state_.stride[i] = 0;
  }

  // Runs the first `used` lanes until the first event or the end of the budget. Returns the steps.
  std::uint64_t step(std::size_t used, std::uint64_t steps_max) {
    std::uint64_t steps = used < active_.size() ? std::min(steps_max, kTurn) : steps_max;
    for (std::size_t i = 0; i < used; ++i) steps = std::min(steps, active_[i].steps_left);
    const Kernel& kernel = plan_.kernel_for(active_.size()).kernel;
    (bodies_ > 0 ? kernel.mixed : kernel.chain)(state_, steps);
    for (std::size_t i = 0; i < used; ++i) {
      Lane& lane = active_[i];
      lane.steps_left -= steps;
      if (lane.stage == Lane::Stage::kChain) {
        lane.iterations_done += steps;
      } else {
        state_.blocks[i] += steps * kBlockBytes;
      }
    }
    return steps;
  }

  // Sees to every lane whose stage has ended.
  void settle(std::vector<JobDone>& done) {
    for (std::size_t i = 0; i < active_.size();) {
      if (active_[i].steps_left == 0 && ends(i)) {
        done.push_back({active_[i].job.key, digest(i)});
        keys_.erase(active_[i].job.key);
        vacate(i);  // another lane may have come to i
      } else {
        ++i;
      }
    }
  }

  // Goes to the next stage. True: there is none.
  bool ends(std::size_t i) {
    switch (active_[i].stage) {
      case Lane::Stage::kBlocks:
        --bodies_;
        begin_tail(i);
        return false;
      case Lane::Stage::kTail:
        --bodies_;
        active_[i].job.body.reset();
        begin_chain(i, 1);
        return active_[i].steps_left == 0;
      case Lane::Stage::kChain:
        return true;
    }
    return true;
  }

  // A kernel of one lane serves several jobs: another one comes to the front, so that none waits for the end
  // of a long one.
  void take_turns(std::size_t used) {
    if (used >= active_.size()) return;
    turn_ = turn_ % (active_.size() - 1) + 1;
    const auto first = tail_offset(0);
    const auto other = tail_offset(turn_);
    std::swap(active_[0], active_[turn_]);
    for (auto& row : state_.words) std::swap(row[0], row[turn_]);
    std::swap(state_.phase[0], state_.phase[turn_]);
    std::swap(state_.blocks[0], state_.blocks[turn_]);
    std::swap(state_.stride[0], state_.stride[turn_]);
    if (active_[0].stage == Lane::Stage::kTail) state_.blocks[0] = active_[0].tail.data() + other;
    if (active_[turn_].stage == Lane::Stage::kTail) state_.blocks[turn_] = active_[turn_].tail.data() + first;
  }

  // How far a lane has read its padded end; 0 if it reads something else.
  std::ptrdiff_t tail_offset(std::size_t i) const {
    return active_[i].stage == Lane::Stage::kTail ? state_.blocks[i] - active_[i].tail.data() : 0;
  }

  // Takes the last lane's job to lane i.
  void vacate(std::size_t i) {
    const std::size_t last = active_.size() - 1;
    if (active_[i].stage != Lane::Stage::kChain) --bodies_;
    if (i != last) {
      const bool is_in_tail = active_[last].stage == Lane::Stage::kTail;
      const auto offset = tail_offset(last);
      active_[i] = std::move(active_[last]);
      for (auto& row : state_.words) row[i] = row[last];
      state_.phase[i] = state_.phase[last];
      state_.blocks[i] = is_in_tail ? active_[i].tail.data() + offset : state_.blocks[last];
      state_.stride[i] = state_.stride[last];
    }
    rest(last);
    active_.pop_back();
  }

  Checkpoint checkpoint(std::size_t i) const {
    if (active_[i].stage != Lane::Stage::kChain) return {};
    return {active_[i].iterations_done, digest(i)};
  }

  Digest digest(std::size_t i) const {
    Digest out;
    for (std::size_t word = 0; word < 8; ++word) {
      const std::uint64_t value = big_endian(state_.words[word][i]);
      std::memcpy(out.data() + 8 * word, &value, sizeof value);
    }
    return out;
  }

  const Plan plan_;
  LaneState state_{};
  std::vector<Lane> active_;  // by lane; never grows beyond what is reserved, as `blocks` may point into it
  std::size_t turn_ = 0;      // the lane that last came to the front
  std::size_t bodies_ = 0;    // lanes that are not in a chain
  std::deque<Job> waiting_;
  std::unordered_set<std::uint64_t> keys_;  // of all jobs here
};

}  // namespace

std::unique_ptr<Engine> make_engine(Plan plan) {
  return std::make_unique<LaneEngine>(std::move(plan));
}

}  // namespace skep::compute
