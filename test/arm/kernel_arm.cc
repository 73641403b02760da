// SPDX-License-Identifier: Apache-2.0
// The NEON and SVE kernels give the digests of a plain computation, for lanes in both phases. Method: built
// by a cross compiler and run under qemu by test/arm/run.py, which stands in for a machine that is not here;
// alone, without Highway's library, which is not there for ARM either.
#include <hwy/targets.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "compute/openssl_kernel.h"
#include "compute/sha512_kernel.h"
#include "compute/sha512_tables.h"

// What Highway's library would say, one target at a time.
namespace hwy {
namespace {
std::int64_t target_under_test = HWY_NEON;
}
std::int64_t SupportedTargets() {
  return target_under_test;
}
ChosenTarget& GetChosenTarget() {
  static ChosenTarget chosen;
  return chosen;
}
void Abort(const char* file, int line, const char* format, ...) {
  std::printf("%s:%d: %s\n", file, line, format);
  std::abort();
}
}  // namespace hwy

namespace skep::compute {

Kernel openssl_kernel() {
  return {"openssl", 1, nullptr, nullptr};
}  // tested where it runs

namespace {

constexpr std::uint64_t kMixedSteps = 7, kChainSteps = 5;

void compress(std::uint64_t (&state)[8], const std::uint64_t (&message)[16]) {
  using std::rotr;
  std::uint64_t w[80];
  std::memcpy(w, message, sizeof message);
  for (int t = 16; t < 80; ++t) {
    w[t] = (rotr(w[t - 2], 19) ^ rotr(w[t - 2], 61) ^ (w[t - 2] >> 6)) + w[t - 7] +
           (rotr(w[t - 15], 1) ^ rotr(w[t - 15], 8) ^ (w[t - 15] >> 7)) + w[t - 16];
  }
  std::uint64_t v[8];
  std::memcpy(v, state, sizeof v);
  for (int t = 0; t < 80; ++t) {
    const std::uint64_t sum1 = rotr(v[4], 14) ^ rotr(v[4], 18) ^ rotr(v[4], 41);
    const std::uint64_t t1 = v[7] + sum1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + kRound[t] + w[t];
    const std::uint64_t sum0 = rotr(v[0], 28) ^ rotr(v[0], 34) ^ rotr(v[0], 39);
    const std::uint64_t t2 = sum0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    std::memmove(v + 1, v, 7 * sizeof v[0]);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; ++i) state[i] += v[i];
}

// One step of a lane as the kernels do it; `block`: none for a lane in its chain.
void step(std::uint64_t (&state)[8], const std::uint8_t* block) {
  std::uint64_t message[16] = {};
  if (block != nullptr) {
    std::memcpy(message, block, sizeof message);
    for (auto& word : message) word = __builtin_bswap64(word);
    return compress(state, message);
  }
  std::memcpy(message, state, sizeof state);
  message[8] = kPadBegin;
  message[15] = kPadLength;
  std::memcpy(state, kInitial, sizeof state);
  compress(state, message);
}

bool is_right(const Kernel& kernel) {
  static std::uint8_t bodies[kLanesMax][128 * kMixedSteps];
  static LaneState lanes, begin;
  std::uint32_t number = 1;
  for (auto& body : bodies) {
    for (auto& byte : body)
      byte = static_cast<std::uint8_t>((number = number * 1'664'525 + 1'013'904'223) >> 24);
  }
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    const bool has_body = lane % 3 == 0;
    for (std::uint64_t i = 0; i < 8; ++i) lanes.words[i][lane] = lane * 77 + i * 1'234'567;
    lanes.phase[lane] = has_body ? LaneState::kInBody : LaneState::kInChain;
    lanes.blocks[lane] = bodies[lane];
    lanes.stride[lane] = has_body ? 128 : 0;
  }
  begin = lanes;
  kernel.mixed(lanes, kMixedSteps);
  kernel.chain(lanes, kChainSteps);
  for (std::size_t lane = 0; lane < kernel.lanes; ++lane) {
    std::uint64_t expected[8];
    for (int i = 0; i < 8; ++i) expected[i] = begin.words[i][lane];
    for (std::uint64_t n = 0; n < kMixedSteps + kChainSteps; ++n) {
      const bool takes_block = n < kMixedSteps && lane % 3 == 0;
      step(expected, takes_block ? bodies[lane] + 128 * n : nullptr);
    }
    for (int i = 0; i < 8; ++i) {
      if (lanes.words[i][lane] != expected[i]) return false;
    }
  }
  return true;
}

int run(Target target, std::int64_t highway) {
  hwy::target_under_test = highway;
  int wrong = 0;
  for (const auto& kernel : kernels(target)) {
    if (kernel.chain == nullptr) continue;
    const bool is_good = is_right(kernel);
    wrong += is_good ? 0 : 1;
    std::printf("%s, %zu lanes: %s\n", std::string(kernel.name).c_str(), kernel.lanes,
                is_good ? "right" : "WRONG");
  }
  return wrong;
}

}  // namespace
}  // namespace skep::compute

int main() {
  using namespace skep::compute;  // NOLINT(google-build-using-namespace): one file, no header
  return run(Target::kNeon, HWY_NEON) + run(Target::kSve, HWY_SVE);
}
