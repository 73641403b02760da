// SPDX-License-Identifier: Apache-2.0
// trouble.h - one condition that comes and goes, so that it is told when it begins, now and then, and when it
// ends.
//
// Threads:   value.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/time.h"

namespace skep::scaler {

class Trouble {
 public:
  enum class News : std::uint8_t { kNone, kBegan, kStill, kEnded };

  // `problem`: one sentence; "" if there is none. Another sentence is the same trouble.
  News update(Instant now, std::string problem) {
    const bool was = is_there();
    problem_ = std::move(problem);
    if (!is_there()) return was ? News::kEnded : News::kNone;
    if (was && now - told_at_ < kAgain) return News::kNone;
    told_at_ = now;
    if (!was) since_ = now;
    return was ? News::kStill : News::kBegan;
  }

  bool is_there() const { return !problem_.empty(); }
  const std::string& problem() const { return problem_; }
  Instant since() const { return since_; }  // of the present or the last one

 private:
  static constexpr Duration kAgain = minutes(5);

  std::string problem_;
  Instant since_ = kNoInstant;
  Instant told_at_ = kNoInstant;
};

}  // namespace skep::scaler
