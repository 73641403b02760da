// SPDX-License-Identifier: Apache-2.0
// admission.h - whether new tasks may come in: not once the store's disk has no more room than it needs to
// finish what is there.
//
// A store on a full disk can neither lease nor complete, so that nothing leaves it either. New tasks are
// refused before that, and everything else goes on, until what leaves has made room.
//
// Threads:   one executor at a time; `look` is called on it, at most every 200 ms or 16 MiB.
// Errors:    kUnavailable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace skep::manager {

class Admission {
 public:
  using Look = std::function<store::DiskRoom()>;

  // `reserve`: bytes that stay free, in the place of what the store asks for; 0 lets everything in.
  Admission(Look look, std::optional<std::uint64_t> reserve) : look_(std::move(look)), reserve_(reserve) {}

  // `bytes`: of the bodies that come with the tasks.
  Result<void> admit(Instant now, std::uint64_t bytes) {
    if (looked_at_ == kNoInstant || now - looked_at_ >= kLookAfter || admitted_ >= kLookAfterBytes) {
      room_ = look_();
      if (reserve_) room_.reserve = *reserve_;
      looked_at_ = now;
      admitted_ = 0;
    }
    const std::uint64_t left = room_.free - std::min(room_.free, kWrites * admitted_);
    // Once closed it stays so until there is clearly more: not open for one task and closed for the next.
    is_closed_ = left < room_.reserve + (is_closed_ ? room_.reserve / 8 : 0);
    if (is_closed_) {
      return fail(Code::kUnavailable,
                  "the disk of the store has " + describe_bytes(left) + " left, of which " +
                      describe_bytes(room_.reserve) +
                      " are kept to finish what is there: new tasks are taken again when tasks have left or "
                      "somebody has made room");
    }
    admitted_ += bytes;
    return ok();
  }

  bool is_closed() const { return is_closed_; }

 private:
  static constexpr Duration kLookAfter = milliseconds(200);
  static constexpr std::uint64_t kLookAfterBytes = std::uint64_t{16} << 20;
  static constexpr std::uint64_t kWrites = 2;  // a store may write a body twice

  const Look look_;
  const std::optional<std::uint64_t> reserve_;
  store::DiskRoom room_;
  Instant looked_at_ = kNoInstant;
  std::uint64_t admitted_ = 0;  // since then
  bool is_closed_ = false;
};

}  // namespace skep::manager
