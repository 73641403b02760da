// SPDX-License-Identifier: Apache-2.0
// manager_list.h - the managers that a client knows, and which of them it talks to now.
//
// Calls that run at once share the list: when several of them fail at one manager, the first moves the list
// on and the others find it moved.
//
// Threads:   any thread; one short lock.
// Errors:    none.
// Ownership: value inside.
#pragma once

#include <cstddef>
#include <vector>

#include "base/mutex.h"
#include "http/client.h"

namespace skep::client {

class ManagerList {
 public:
  // `managers`: at least one.
  explicit ManagerList(std::vector<http::Url> managers);

  http::Url current() const;
  std::size_t size() const;

  // Moves on to the next one.
  void next();
  // The same, unless another call has already moved on from `from`.
  void next_after(const http::Url& from);
  // Replaces the list; the current one stays if it is in the new list. An empty list is ignored.
  void replace(std::vector<http::Url> managers);

 private:
  mutable Mutex mutex_;
  std::vector<http::Url> managers_ SKEP_GUARDED_BY(mutex_);
  std::size_t current_ SKEP_GUARDED_BY(mutex_) = 0;
};

}  // namespace skep::client
