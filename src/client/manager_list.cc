// SPDX-License-Identifier: Apache-2.0
#include "client/manager_list.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace skep::client {
namespace {

bool is_same(const http::Url& a, const http::Url& b) {
  return a.host == b.host && a.port == b.port && a.base_path == b.base_path && a.is_tls == b.is_tls;
}

}  // namespace

std::vector<http::Url> in_random_order(std::vector<http::Url> managers, Random& random) {
  for (std::size_t left = managers.size(); left > 1; --left)
    std::swap(managers[left - 1], managers[random.below(left)]);
  return managers;
}

ManagerList::ManagerList(std::vector<http::Url> managers, Habit habit)
    : habit_(habit), managers_(std::move(managers)) {
  SKEP_CHECK(!managers_.empty(), "a client knows at least one manager");
}

http::Url ManagerList::current() const {
  const MutexLock lock(mutex_);
  return managers_[current_];
}

http::Url ManagerList::choose(Instant now) {
  const MutexLock lock(mutex_);
  if (habit_ == Habit::kReturn && current_ != 0 && now >= return_at_) current_ = 0;
  return managers_[current_];
}

std::size_t ManagerList::size() const {
  const MutexLock lock(mutex_);
  return managers_.size();
}

void ManagerList::next() {
  const MutexLock lock(mutex_);
  current_ = (current_ + 1) % managers_.size();
}

void ManagerList::next_after(const http::Url& from, Instant now, Random& random) {
  const MutexLock lock(mutex_);
  if (!is_same(managers_[current_], from)) return;
  if (current_ == 0) {
    back_off_ = back_off_ == Duration::zero() ? kReturnFirst : std::min(2 * back_off_, kReturnMax);
    const Duration jitter(
        static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(back_off_.count()))));
    return_at_ = add_saturated(now, back_off_ / 2 + jitter);
  }
  current_ = (current_ + 1) % managers_.size();
}

void ManagerList::note_answer(const http::Url& from) {
  const MutexLock lock(mutex_);
  if (current_ == 0 && is_same(managers_[0], from)) back_off_ = Duration::zero();
}

void ManagerList::move_to(const http::Url& to) {
  const MutexLock lock(mutex_);
  const auto found = std::find_if(managers_.begin(), managers_.end(),
                                  [&](const http::Url& url) { return is_same(url, to); });
  if (found != managers_.end()) current_ = static_cast<std::size_t>(found - managers_.begin());
}

void ManagerList::replace(std::vector<http::Url> managers) {
  if (managers.empty()) return;
  const MutexLock lock(mutex_);
  const http::Url before = managers_[current_];
  managers_ = std::move(managers);
  const auto found = std::find_if(managers_.begin(), managers_.end(),
                                  [&](const http::Url& url) { return is_same(url, before); });
  current_ = found == managers_.end() ? 0 : static_cast<std::size_t>(found - managers_.begin());
}

}  // namespace skep::client
