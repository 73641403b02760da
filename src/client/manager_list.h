// SPDX-License-Identifier: Apache-2.0
// manager_list.h - the managers that a client knows, and which of them it talks to now.
//
// Calls that run at once share the list: when several of them fail at one manager, the first moves the list
// on and the others find it moved.
//
// The first of the list is preferred. Where it failed, and the list moved on, a call tries it again some
// seconds later: not all clients at the same time, and less often while it goes on failing.
//
// Threads:   any thread; one short lock.
// Errors:    none.
// Ownership: value inside.
#pragma once

#include <cstddef>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "base/time.h"
#include "http/client.h"

namespace skep::client {

// Until the preferred manager is tried again: from half to one and a half of this, doubling up to the second.
inline constexpr Duration kReturnFirst = seconds(5);
inline constexpr Duration kReturnMax = minutes(1);

// What a list does when its preferred manager may be back.
enum class Habit : std::uint8_t {
  kReturn,  // tries it again
  kStay,    // stays where it is until that fails: who uses it decides
};

// So that of many clients with the same list each manager is preferred by about as many.
std::vector<http::Url> in_random_order(std::vector<http::Url> managers, Random& random);

class ManagerList {
 public:
  // `managers`: at least one.
  explicit ManagerList(std::vector<http::Url> managers, Habit habit = Habit::kReturn);

  http::Url current() const;
  // Where a call goes that begins now.
  http::Url choose(Instant now);
  std::size_t size() const;

  // Moves on to the next one.
  void next();
  // The same as that one failed, unless another call has already moved on from `from`.
  void next_after(const http::Url& from, Instant now, Random& random);
  // That one answered.
  void note_answer(const http::Url& from);
  // Moves to that one, if it is in the list.
  void move_to(const http::Url& to);
  // Replaces the list; the current one stays if it is in the new list. An empty list is ignored.
  void replace(std::vector<http::Url> managers);

 private:
  const Habit habit_;
  mutable Mutex mutex_;
  std::vector<http::Url> managers_ SKEP_GUARDED_BY(mutex_);
  std::size_t current_ SKEP_GUARDED_BY(mutex_) = 0;
  // Of the preferred one, while it is not the current one, and until it answers.
  Duration back_off_ SKEP_GUARDED_BY(mutex_) = Duration::zero();
  Instant return_at_ SKEP_GUARDED_BY(mutex_) = kNever;
};

}  // namespace skep::client
