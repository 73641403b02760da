// SPDX-License-Identifier: Apache-2.0
// task_text.h - the bodies of simulated tasks, and what a worker is to make of them.
//
// A body names its intent (what the client meant, in the auditor's books), how the task behaves, and is
// unique. The result is a function of body and iterations that takes next to no time, and can be computed in
// parts; a worker's and the auditor's computation meet only here.
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
#include "task/bytes.h"

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

// A chain of cheap steps in the place of SHA-512's: whoever goes on from a digest of 64 bytes comes to the
// same end as who began with the body, and to another end from any other 64 bytes.
inline std::string chain_digest(std::uint64_t word) {
  Random random(word);
  std::string digest;
  for (std::uint64_t part = word; digest.size() < 64; part = random.next()) append_fixed(digest, part, 8);
  return digest;
}
inline std::string go_on_from(std::string_view digest, std::uint64_t iterations) {
  std::uint64_t word = read_fixed(digest.substr(0, 8));
  if (digest != chain_digest(word)) word = fnv1a(digest);
  for (std::uint64_t i = 0; i < iterations; ++i) word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9u + 1;
  return chain_digest(word);
}
inline std::string digest_of(std::string_view body, std::uint64_t iterations) {
  return go_on_from(chain_digest(fnv1a(body)), iterations);
}

// 128 hexadecimal digits.
inline std::string to_result(std::string_view digest) {
  std::string hex;
  for (const char c : digest) {
    const auto byte = static_cast<unsigned char>(c);
    hex += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  }
  return hex;
}
inline std::string result_of(std::string_view body, std::uint64_t iterations) {
  return to_result(digest_of(body, iterations));
}

}  // namespace skep::sim
