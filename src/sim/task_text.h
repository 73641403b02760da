// SPDX-License-Identifier: Apache-2.0
// task_text.h - the bodies of simulated tasks, and what a worker is to make of them.
//
// A body names its intent (what the client meant, in the auditor's books), how the task behaves, and is
// unique. The result is a function of body and iterations that takes next to no time; a worker's and the
// auditor's computation meet only here.
//
// Threads:   value.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/random.h"

namespace skep::sim {

enum class Behaviour : char {
  kNormal = 'n',
  kFailing = 'f',    // one attempt in two fails
  kPermanent = 'x',  // fails and says that a retry can not help
  kPoison = 'p',     // kills its worker
};

struct TaskText {
  std::uint32_t intent = 0;
  Behaviour behaviour = Behaviour::kNormal;
  std::uint64_t run_ms = 0;

  // "intent behaviour run_ms"
  std::string to_body() const {
    return std::to_string(intent) + " " + static_cast<char>(behaviour) + " " + std::to_string(run_ms);
  }
  static std::optional<TaskText> parse(std::string_view body) {
    TaskText text;
    const char* const end = body.data() + body.size();
    const auto [letter, bad] = std::from_chars(body.data(), end, text.intent);
    if (bad != std::errc{} || end - letter < 4) return std::nullopt;
    text.behaviour = static_cast<Behaviour>(letter[1]);
    const auto [last, wrong] = std::from_chars(letter + 3, end, text.run_ms);
    if (wrong != std::errc{} || last != end) return std::nullopt;
    return text;
  }
};

// 128 hexadecimal digits.
inline std::string result_of(std::string_view body, std::uint64_t iterations) {
  Random random(fnv1a(body) ^ (iterations * 0x9e3779b97f4a7c15u));
  std::string hex(128, '0');
  for (std::size_t i = 0; i < hex.size(); i += 16) {
    std::uint64_t word = random.next();
    for (std::size_t j = 0; j < 16; ++j, word >>= 4) hex[i + j] = "0123456789abcdef"[word & 15];
  }
  return hex;
}

}  // namespace skep::sim
