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

ManagerList::ManagerList(std::vector<http::Url> managers) : managers_(std::move(managers)) {
  SKEP_CHECK(!managers_.empty(), "a client knows at least one manager");
}

http::Url ManagerList::current() const {
  const MutexLock lock(mutex_);
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

void ManagerList::next_after(const http::Url& from) {
  const MutexLock lock(mutex_);
  if (is_same(managers_[current_], from)) current_ = (current_ + 1) % managers_.size();
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
