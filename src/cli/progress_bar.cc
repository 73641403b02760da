// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace skep::cli {
namespace {

constexpr std::size_t kWidth = 30;
constexpr Duration kRedraw = milliseconds(100);
constexpr Duration kLine = seconds(5);

}  // namespace

std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width) {
  const std::uint64_t filled = total == 0 ? width : std::min<std::uint64_t>(width, done * width / total);
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

ProgressBar::ProgressBar(const Clock& clock, std::string what, std::uint64_t total)
    : clock_(clock),
      what_(std::move(what)),
      total_(total),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      began_at_(clock.now()) {}

ProgressBar::~ProgressBar() {
  if (is_terminal_ && is_shown_) std::fputs("\n", stderr);
}

void ProgressBar::show(std::uint64_t done, const std::string& detail) {
  const Instant now = clock_.now();
  const bool is_last = done >= total_;
  if (is_shown_ && !is_last && now - shown_at_ < (is_terminal_ ? kRedraw : kLine)) return;
  shown_at_ = now;
  is_shown_ = true;
  const std::string figures = std::to_string(done) + "/" + std::to_string(total_) + "  " +
                              describe_duration(std::chrono::floor<std::chrono::seconds>(now - began_at_)) +
                              (detail.empty() ? "" : "  " + detail);
  if (is_terminal_) {
    std::fprintf(stderr, "\r%s %s %s\033[K", what_.c_str(), bar(done, total_, kWidth).c_str(),
                 figures.c_str());
  } else {
    std::fprintf(stderr, "%s %s\n", what_.c_str(), figures.c_str());
  }
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (!is_terminal_ || !is_shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  is_shown_ = false;
}

void ProgressBar::note(const std::string& line) {
  std::fprintf(stderr, "%s%s\n", is_terminal_ && is_shown_ ? "\r\033[K" : "", line.c_str());
  std::fflush(stderr);
  if (is_terminal_) is_shown_ = false;  // the bar is drawn again at once
}

}  // namespace skep::cli
