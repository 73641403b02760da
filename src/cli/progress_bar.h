// SPDX-License-Identifier: Apache-2.0
// progress_bar.h - how far something is: a bar on a terminal, a line now and then elsewhere.
//
// Threads:   one thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/executor.h"

namespace skep::cli {

class ProgressBar {
 public:
  // Draws on stderr. `what` stands before the bar.
  ProgressBar(const Clock& clock, std::string what, std::uint64_t total);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `detail` stands behind the figures ("2 workers").
  void show(std::uint64_t done, const std::string& detail);
  // Only where there is a terminal.
  void show_if_terminal(std::uint64_t done, const std::string& detail) {
    if (is_terminal_) show(done, detail);
  }
  // The bar's line is free for something else until it is shown again.
  void clear();
  // A line of its own.
  void note(const std::string& line);

 private:
  const Clock& clock_;
  const std::string what_;
  const std::uint64_t total_;
  const bool is_terminal_;
  const Instant began_at_;
  Instant shown_at_{};
  bool is_shown_ = false;
};

// The bar alone, `width` characters and their brackets: "[#####.....]".
std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width);

}  // namespace skep::cli
