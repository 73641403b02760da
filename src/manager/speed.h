// SPDX-License-Identifier: Apache-2.0
// speed.h - what was learned of how long work takes.
//
// Work of kind sha512 is counted in compressions of one slot: one for each iteration and one for each 128
// bytes of body. Other kinds are counted in tasks. Both are exponentially weighted means of what workers
// reported.
//
// Threads:   one executor at a time.
// Units:     seconds of one slot.
#pragma once

#include <cstdint>

#include "queue/command.h"

namespace skep::manager {

class Speed {
 public:
  // One finished task: `run` seconds.
  void learn_sha512(std::uint64_t iterations, std::uint64_t bytes, double run) {
    const double work = compressions(iterations, bytes);
    if (run <= 0 || work <= 0) return;
    // Weighted by the work done, with a memory of about kMemory seconds of it: short tasks say little.
    const double weight = run / (run + kMemory);
    seconds_per_compression_ += (is_known_ ? weight : 1.0) * (run / work - seconds_per_compression_);
    is_known_ = true;
  }
  void learn_other(double run) {
    if (run <= 0) return;
    seconds_per_other_ += (is_other_known_ ? 0.1 : 1.0) * (run - seconds_per_other_);
    is_other_known_ = true;
  }

  double seconds(const queue::Work& work) const {
    return compressions(work.iterations, work.bytes) * seconds_per_compression_ +
           static_cast<double>(work.others) * seconds_per_other_;
  }
  double seconds_of(double iterations, double others) const {
    return iterations * seconds_per_compression_ + others * seconds_per_other_;
  }

 private:
  static constexpr double kMemory = 2.0;
  static double compressions(std::uint64_t iterations, std::uint64_t bytes) {
    return static_cast<double>(iterations) + static_cast<double>(bytes) / 128.0;
  }

  double seconds_per_compression_ = 2.5e-7;  // prior: 4 million a second
  double seconds_per_other_ = 1.0;
  bool is_known_ = false;
  bool is_other_known_ = false;
};

}  // namespace skep::manager
