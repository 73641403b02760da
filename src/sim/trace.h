// SPDX-License-Identifier: Apache-2.0
// trace.h - what happened in a run: the last lines to read, a hash of all of them, and how often each kind.
//
// Two runs of one seed are the same run if their hashes are equal.
//
// Threads:   value; one executor at a time.
// Cost:      one short string a line.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace skep::sim {

class Trace {
 public:
  static constexpr std::size_t kTail = 60;

  void add(Instant at, std::string_view what, std::string_view detail = {}) {
    mix(static_cast<std::uint64_t>(at.time_since_epoch().count()));
    mix(what);
    mix(detail);
    ++lines_;
    tail_.push_back({at, std::string(what), std::string(detail)});
    if (tail_.size() > kTail && !keeps_all_) tail_.pop_front();
  }
  void keep_all() { keeps_all_ = true; }

  std::uint64_t hash() const { return hash_; }
  std::uint64_t lines() const { return lines_; }

  // The last lines, with the time since `start`.
  std::string text(Instant start) const {
    std::string out;
    for (const auto& line : tail_) {
      std::string at = std::to_string((line.at - start) / milliseconds(1));
      out += "  " + std::string(at.size() < 8 ? 8 - at.size() : 0, ' ') + at + " ms  " + line.what + " " +
             line.detail + "\n";
    }
    return out;
  }

 private:
  struct Line {
    Instant at;
    std::string what;
    std::string detail;
  };
  void mix(std::uint64_t value) { hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u ^ (hash_ >> 29); }
  void mix(std::string_view text) {
    for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }

  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::uint64_t lines_ = 0;
  std::deque<Line> tail_;
  bool keeps_all_ = false;
};

// How often something happened. Names are sentences' subjects: "manager crashed", "commit fenced".
class Counters {
 public:
  void add(std::string_view name, std::uint64_t by = 1) {
    auto found = counts_.find(name);
    if (found == counts_.end()) found = counts_.emplace(std::string(name), 0).first;
    found->second += by;
  }
  std::uint64_t of(std::string_view name) const {
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }
  void merge(const Counters& other) {
    for (const auto& [name, count] : other.counts_) add(name, count);
  }
  const std::map<std::string, std::uint64_t, std::less<>>& all() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace skep::sim
