// SPDX-License-Identifier: Apache-2.0
// event_log.h - the last things that happened, and who wants to hear of the next.
//
// Most events are of tasks and nobody listens, so that they are kept as they come and put into words for
// those who ask. Those of tasks do not push out the others, which are few and tell more.
//
// Threads:   one executor at a time; subscribers are called on it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
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
  using Kinds = std::set<std::string, std::less<>>;
  static constexpr std::string_view kKinds[] = {"task", "worker", "scaling", "store"};

  // So many of tasks are kept, and so many others.
  explicit EventLog(std::size_t kept_max) : kept_max_(kept_max) {}

  // `kind` and `what` are constants.
  void add(Instant at, std::string_view kind, std::string subject, std::string_view what,
           std::string detail) {
    keep({++sequence_, at, kind, {}, std::move(subject), what, std::move(detail)});
  }
  void add_of_task(Instant at, const TaskId& task, std::string_view what, std::string detail) {
    keep({++sequence_, at, "task", task, {}, what, std::move(detail)});
  }

  // First gets what is kept after sequence `after`, then everything new; of `kinds`, or all if that is empty.
  void subscribe(std::uint64_t after, Kinds kinds, Subscriber subscriber) {
    Listener listener{std::move(kinds), std::move(subscriber)};
    auto task = of_tasks_.begin();
    auto other = others_.begin();
    while (task != of_tasks_.end() || other != others_.end()) {
      const bool is_task_next =
          other == others_.end() || (task != of_tasks_.end() && task->sequence < other->sequence);
      const Entry& entry = is_task_next ? *task++ : *other++;
      if (entry.sequence > after && listener.wants(entry) && !listener.tell(to_event(entry))) return;
    }
    listeners_[next_listener_++] = std::move(listener);
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

  struct Listener {
    Kinds kinds;
    Subscriber tell;
    bool wants(const Entry& entry) const { return kinds.empty() || kinds.contains(entry.kind); }
  };

  void keep(Entry entry) {
    std::optional<api::v1::Event> event;
    std::erase_if(listeners_, [&](auto& item) {
      if (!item.second.wants(entry)) return false;
      if (!event) event = to_event(entry);
      return !item.second.tell(*event);
    });
    auto& kept = entry.kind == kKinds[0] ? of_tasks_ : others_;
    kept.push_back(std::move(entry));
    if (kept.size() > kept_max_) kept.pop_front();
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
  std::uint64_t next_listener_ = 1;
  std::deque<Entry> of_tasks_;
  std::deque<Entry> others_;
  std::map<std::uint64_t, Listener> listeners_;
};

}  // namespace skep::manager
