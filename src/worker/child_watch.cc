// SPDX-License-Identifier: Apache-2.0
#include "worker/child_watch.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace skep::worker {
namespace {

constexpr int kReadsMax = 64;
constexpr Duration kCpuLook = milliseconds(200);

}  // namespace

bool Collected::read_from(const Descriptor& descriptor) {
  std::array<char, 16 * 1024> buffer;
  // Bounded, so that a child which writes without end does not keep its deadline from being seen. More than
  // a pipe holds: what a child leaves behind is taken whole.
  for (int i = 0; i < kReadsMax && !is_too_long(); ++i) {
    const ssize_t size = read(descriptor.number(), buffer.data(), buffer.size());
    if (size > 0) {
      add({buffer.data(), static_cast<std::size_t>(size)});
    } else if (size == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
  return !is_too_long();
}

void Collected::add(std::string_view more) {
  bytes_ += more;
  if (keep_ == Keep::kEnd && bytes_.size() > bytes_max_) bytes_.erase(0, bytes_.size() - bytes_max_);
}

Ended ChildWatch::run() {
  while (true) {
    std::array<pollfd, 4> waits{{{stop_.descriptor(), POLLIN, 0},
                                 {child_.exit_descriptor(), POLLIN, 0},
                                 {has_output_ ? child_.output().number() : -1, POLLIN, 0},
                                 {has_errors_ ? child_.errors().number() : -1, POLLIN, 0}}};
    poll(waits.data(), waits.size(), patience_ms());
    if (waits[0].revents != 0) return Ended::kStopped;
    // Read before the end is looked at: what the child wrote last is in the pipe by then.
    const bool has_ended = waits[1].revents != 0;
    if (has_ended || waits[2].revents != 0) has_output_ = has_output_ && output.read_from(child_.output());
    if (has_ended || waits[3].revents != 0) has_errors_ = has_errors_ && errors.read_from(child_.errors());
    if (const auto ended = look(has_ended)) return *ended;
  }
}

std::optional<Ended> ChildWatch::look(bool has_ended) {
  if (output.is_too_long()) return Ended::kTooLong;
  if (has_ended) return ending_.value_or(Ended::kByItself);
  const Instant now = clock_.now();
  if (now >= kill_at_) return ending_;
  if (ending_) return std::nullopt;
  if (group_ != nullptr && options_.cpu > Duration::zero() &&
      microseconds(static_cast<std::int64_t>(group_->cpu_us().value_or(0))) > options_.cpu)
    return Ended::kTooMuchCpu;
  if (now < options_.deadline) return std::nullopt;
  ending_ = Ended::kTooLate;
  kill_at_ = add_saturated(now, options_.grace);
  child_.ask_to_end();
  return std::nullopt;
}

int ChildWatch::patience_ms() const {
  Instant next = ending_ ? kill_at_ : options_.deadline;
  if (options_.cpu > Duration::zero() && !ending_)
    next = std::min(next, add_saturated(clock_.now(), kCpuLook));
  if (next == kNever) return -1;
  const auto left = std::chrono::ceil<milliseconds>(next - clock_.now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace skep::worker
