// SPDX-License-Identifier: Apache-2.0
// patience.h - how what AWS does late is waited for: asked again, with pauses that grow, until a deadline.
//
// Threads:   one thread at a time; blocks.
// Ownership: borrows clock and pauses.
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>

#include "aws/environment.h"
#include "base/executor.h"
#include "base/random.h"

namespace skep::deploy {

class Patience {
 public:
  Patience(const Clock& clock, aws::Pauses& pauses, std::uint64_t seed)
      : clock_(clock), pauses_(pauses), random_(seed) {}

  Instant in(Duration time) const { return add_saturated(clock_.now(), time); }
  Instant now() const { return clock_.now(); }

  // Calls `act` until it succeeds, fails with a code that is none of `passing`, or `end` has come; the last
  // answer.
  template <class T>
  Result<T> repeat(Instant end, std::initializer_list<Code> passing, const std::function<Result<T>()>& act) {
    Duration most = kFirst;
    for (;;) {
      Result<T> answer = act();
      if (answer) return answer;
      const bool is_passing = std::find(passing.begin(), passing.end(), answer.error().code) != passing.end();
      const Duration pause{
          static_cast<Duration::rep>((0.5 + random_.unit() / 2) * static_cast<double>(most.count()))};
      if (!is_passing || clock_.now() + pause >= end) return answer;
      pauses_.pause(pause);
      most = std::min<Duration>(most * 8 / 5, kMost);
    }
  }

 private:
  static constexpr Duration kFirst = milliseconds(250);
  static constexpr Duration kMost = seconds(5);

  const Clock& clock_;
  aws::Pauses& pauses_;
  Random random_;
};

}  // namespace skep::deploy
