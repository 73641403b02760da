// SPDX-License-Identifier: Apache-2.0
// event_log.h - the last things that happened, and who wants to hear of the next.
//
// Most events are of tasks and nobody listens, so that they are kept as they come and put into words for
// those who ask.
//
// Threads:   one executor at a time; subscribers are called on it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "api/skep.pb.h"
#include "base/time.h"
#include "task/id.h"

namespace skep::manager {

class EventLog {
 public:
  // False: the subscriber is gone and is forgotten.
  using Subscriber = std::function<bool(const api::v1::Event&)>;

  explicit EventLog(std::size_t kept_max) : kept_max_(kept_max) {}

  // `kind` and `what` are constants.
  void add(Instant at, std::string_view kind, std::string subject, std::string_view what,
           std::string detail) {
    keep({++sequence_, at, kind, {}, std::move(subject), what, std::move(detail)});
  }
  void add_of_task(Instant at, const TaskId& task, std::string_view what, std::string detail) {
    keep({++sequence_, at, "task", task, {}, what, std::move(detail)});
  }

  // First gets what is kept after sequence `after`, then everything new.
  void subscribe(std::uint64_t after, Subscriber subscriber) {
    for (const auto& entry : kept_) {
      if (entry.sequence > after && !subscriber(to_event(entry))) return;
    }
    subscribers_[next_subscriber_++] = std::move(subscriber);
  }

 private:
  struct Entry {
    std::uint64_t sequence = 0;
    Instant at{};
    std::string_view kind;
    TaskId task;  // the subject, if that is empty
    std::string subject;
    std::string_view what;
    std::string detail;
  };

  void keep(Entry entry) {
    if (!subscribers_.empty()) {
      const auto event = to_event(entry);
      std::erase_if(subscribers_, [&](auto& subscriber) { return !subscriber.second(event); });
    }
    kept_.push_back(std::move(entry));
    if (kept_.size() > kept_max_) kept_.pop_front();
  }

  static api::v1::Event to_event(const Entry& entry) {
    api::v1::Event event;
    event.set_sequence(entry.sequence);
    event.set_at_ms(to_unix_ms(entry.at));
    event.set_kind(std::string(entry.kind));
    event.set_subject(entry.subject.empty() ? entry.task.to_string() : entry.subject);
    event.set_what(std::string(entry.what));
    event.set_detail(entry.detail);
    return event;
  }

  const std::size_t kept_max_;
  std::uint64_t sequence_ = 0;
  std::uint64_t next_subscriber_ = 1;
  std::deque<Entry> kept_;
  std::map<std::uint64_t, Subscriber> subscribers_;
};

}  // namespace skep::manager
