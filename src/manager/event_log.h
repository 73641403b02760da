// SPDX-License-Identifier: Apache-2.0
// event_log.h - the last things that happened, and who wants to hear of the next.
//
// Threads:   one executor at a time; subscribers are called on it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "api/skep.pb.h"
#include "base/time.h"

namespace skep::manager {

class EventLog {
 public:
  // False: the subscriber is gone and is forgotten.
  using Subscriber = std::function<bool(const api::v1::Event&)>;

  explicit EventLog(std::size_t kept_max) : kept_max_(kept_max) {}

  void add(Instant at, std::string kind, std::string subject, std::string what, std::string detail) {
    api::v1::Event event;
    event.set_sequence(++sequence_);
    event.set_at_ms(to_unix_ms(at));
    event.set_kind(std::move(kind));
    event.set_subject(std::move(subject));
    event.set_what(std::move(what));
    event.set_detail(std::move(detail));
    std::erase_if(subscribers_, [&](auto& entry) { return !entry.second(event); });
    kept_.push_back(std::move(event));
    if (kept_.size() > kept_max_) kept_.pop_front();
  }

  // First gets what is kept after sequence `after`, then everything new.
  void subscribe(std::uint64_t after, Subscriber subscriber) {
    for (const auto& event : kept_) {
      if (event.sequence() > after && !subscriber(event)) return;
    }
    subscribers_[next_subscriber_++] = std::move(subscriber);
  }

 private:
  const std::size_t kept_max_;
  std::uint64_t sequence_ = 0;
  std::uint64_t next_subscriber_ = 1;
  std::deque<api::v1::Event> kept_;
  std::map<std::uint64_t, Subscriber> subscribers_;
};

}  // namespace skep::manager
