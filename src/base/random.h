// SPDX-License-Identifier: Apache-2.0
// random.h - a seeded source of randomness that comes in as an argument.
//
// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): small, fast, and the
// same on every machine, unlike the distributions of <random>. Not for secrets.
//
// Threads:   value; one executor at a time.
#pragma once

#include <cstdint>

namespace skep {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  // Uniform over all 64-bit values.
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // Uniform over [0, bound); 0 if bound is 0. The bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }

  // Uniform over [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  // True with probability p.
  bool chance(double p) { return unit() < p; }

  // An independent source; the parent goes on.
  Random split() { return Random(next()); }

 private:
  __extension__ using Wide = unsigned __int128;  // no ISO type; every 64-bit target has it
  std::uint64_t state_;
};

}  // namespace skep
