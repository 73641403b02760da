// SPDX-License-Identifier: Apache-2.0
// sha512_kernel.h - SHA-512 of several lanes at once: the innermost loops of the engine.
//
// A lane holds one job. It is in one of two phases: `body`, where a step hashes the next 128-byte block of a
// message, and `chain`, where a step hashes the digest that the lane holds. A kernel does one step of every
// lane at a time and has two forms: `chain` for when all lanes are in that phase, and `mixed` for any
// mixture.
//
// Threads:   the kernels are pure functions of their arguments.
// Ownership: `blocks` are borrowed.
// Units:     steps are compressions in each lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace skep::compute {

// No kernel has more lanes: SVE at its widest, 2,048 bits, has 32.
inline constexpr std::size_t kLanesMax = 32;

// All lanes, word by word, so that a vector holds the same word of neighbouring lanes.
struct LaneState {
  static constexpr std::uint64_t kInChain = ~std::uint64_t{0};
  static constexpr std::uint64_t kInBody = 0;

  alignas(64) std::uint64_t words[8][kLanesMax];  // the digest, or the chaining value of a body
  alignas(64) std::uint64_t phase[kLanesMax];     // kInChain or kInBody
  // The next block, `stride` bytes before the one after it. For a lane in a chain: any 128 readable bytes and
  // a stride of 0.
  const std::uint8_t* blocks[kLanesMax];
  std::size_t stride[kLanesMax];
};

using Step = void (*)(LaneState& state, std::uint64_t steps);  // steps: from 1

struct Kernel {
  std::string_view name;
  std::size_t lanes = 0;
  Step chain = nullptr;  // reads and writes `words` alone
  Step mixed = nullptr;  // moves no pointer on: `blocks` is the engine's
};

// What a kernel is compiled for.
enum class Target : std::uint8_t { kScalar, kSse4, kAvx2, kAvx512, kNeon, kSve };

std::string_view target_name(Target target);
std::optional<Target> parse_target(std::string_view name);
// What this machine can run, best first; kScalar is always the last.
std::vector<Target> targets_here();

// The kernels of a target, fewest lanes first: OpenSSL's transform (one lane), then those of its vector unit.
// Empty if this machine can not run it.
std::vector<Kernel> kernels(Target target);

}  // namespace skep::compute
