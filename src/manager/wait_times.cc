// SPDX-License-Identifier: Apache-2.0
#include "manager/wait_times.h"

#include <algorithm>
#include <cmath>

#include "task/limits.h"

namespace skep::manager {
namespace {

// Where class `index` ends, in milliseconds.
double end_of(int index) {
  return std::exp2(index / 2.0);
}

std::size_t class_of(Duration waited) {
  const double ms = std::chrono::duration<double, std::milli>(waited).count();
  if (ms < 1) return 0;
  const auto index = static_cast<std::size_t>(std::log2(ms) * 2) + 1;
  return std::min(index, WaitTimes::kClasses - 1);
}

std::uint64_t quantile(const api::v1::Waits& waits, double part) {
  const double rank = part * static_cast<double>(waits.count());
  double below = 0;
  for (int i = 0; i < waits.buckets_size(); ++i) {
    const double here = waits.buckets(i);
    if (here > 0 && below + here >= rank) {
      const double low = i == 0 ? 0 : end_of(i - 1);
      return static_cast<std::uint64_t>(std::llround(low + (end_of(i) - low) * (rank - below) / here));
    }
    below += here;
  }
  return 0;
}

void count_again(api::v1::Waits& waits) {
  std::uint64_t count = 0;
  for (const auto bucket : waits.buckets()) count += bucket;
  waits.set_count(count);
  waits.set_p50_ms(quantile(waits, 0.5));
  waits.set_p95_ms(quantile(waits, 0.95));
}

std::int64_t slice_number(Instant now, Duration slice) {
  return now.time_since_epoch() / slice;
}

}  // namespace

void WaitTimes::note(Instant now, Duration waited) {
  const std::int64_t number = slice_number(now, kSlice);
  Slice& slice = slices_[static_cast<std::size_t>(number) % kSlices];
  if (slice.number != number) slice = Slice{number, {}};
  ++slice.counts[class_of(waited)];
}

void WaitTimes::fill(Instant now, api::v1::Waits& out) const {
  std::array<std::uint32_t, kClasses> sums{};
  const std::int64_t newest = slice_number(now, kSlice);
  for (const auto& slice : slices_) {
    if (slice.number <= newest - static_cast<std::int64_t>(kSlices)) continue;
    for (std::size_t i = 0; i < kClasses; ++i) sums[i] += slice.counts[i];
  }
  std::size_t used = kClasses;
  while (used > 0 && sums[used - 1] == 0) --used;
  out.clear_buckets();
  for (std::size_t i = 0; i < used; ++i) out.add_buckets(sums[i]);
  count_again(out);
}

bool WaitTimes::is_empty(Instant now) const {
  const std::int64_t newest = slice_number(now, kSlice);
  return std::all_of(slices_.begin(), slices_.end(), [&](const Slice& slice) {
    return slice.number <= newest - static_cast<std::int64_t>(kSlices);
  });
}

void QueueWaits::note(Instant now, const std::string& queue, Duration waited) {
  auto found = by_queue_.find(queue);
  if (found == by_queue_.end()) {
    if (by_queue_.size() >= limits::kQueuesMax) return;
    found = by_queue_.emplace(queue, WaitTimes()).first;
  }
  found->second.note(now, waited);
}

void QueueWaits::fill(Instant now, const std::string& queue, api::v1::Waits& out) const {
  if (const auto found = by_queue_.find(queue); found != by_queue_.end()) found->second.fill(now, out);
}

void QueueWaits::drop_old(Instant now) {
  std::erase_if(by_queue_, [now](const auto& entry) { return entry.second.is_empty(now); });
}

void add_waits(const api::v1::Waits& more, api::v1::Waits& sum) {
  while (sum.buckets_size() < more.buckets_size()) sum.add_buckets(0);
  for (int i = 0; i < more.buckets_size(); ++i) sum.set_buckets(i, sum.buckets(i) + more.buckets(i));
  count_again(sum);
}

}  // namespace skep::manager
