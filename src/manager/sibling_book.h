// SPDX-License-Identifier: Apache-2.0
// sibling_book.h - what a manager knows of its siblings: what each last said of itself, and who is silent.
//
// Where each has a store of its own, the number of that store tells which tasks, leases and receipts are
// whose (task/id.h). Who has the number of this manager's store, or of a sibling's that is named before it,
// is the same manager under another name, or can not be told from it: it is not asked for anything.
//
// Threads:   value; one executor at a time.
// Ownership: pointers that are given last until the next call that is not const.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "manager/balance.h"
#include "task/store_number.h"

namespace skep::manager {

class SiblingBook {
 public:
  // What one says of itself.
  struct Said {
    StoreNumber number = 0;          // 0: it can not say now, and has the one that it had
    std::int64_t started_at_ms = 0;  // of this life of it
    std::uint64_t queued = 0;
    std::uint64_t oldest_ms = 0;  // how long the oldest of these has waited
    std::uint32_t workers = 0;    // active ones
    std::uint32_t protocol = 0;   // api/protocol.h
    std::string version = {};     // of the program, for people
  };

  // Managers that share a store have no numbers. `self` of those that do not: of this manager.
  static SiblingBook of_shared_store();
  static SiblingBook of_own_store(Said self);

  // These are all that there are. Those that are new have not been heard yet.
  void keep(const std::vector<std::string>& addresses, Instant now);
  void note_heard(const std::string& address, const Said& said, Instant now);
  void note_silent(const std::string& address, const std::string& why);

  // Whose store has that number; null: nobody's that is known.
  const std::string* owner_of(StoreNumber number) const;
  // One was never heard: nobody knows what it has.
  bool has_unheard() const;
  // Since it was heard last, or became known, if it did not answer when it was asked last; else nothing.
  std::optional<Duration> silence(const std::string& address, Instant now) const;

  // The number of its protocol, as it said last; 0 if it was never heard.
  std::uint32_t protocol_of(const std::string& address) const;
  // It is not the same as another one, and can be told from all.
  bool may_be_asked(const std::string& address) const;
  // Those that have been silent for longer than `most`.
  std::vector<std::string> silent_for(Duration most, Instant now) const;

  // Of those that answer, where something waits: the one whose oldest task waits longest. Null: none.
  // `wish`: what is looked for, in words that are compared; one that had nothing of it is left out.
  const std::string* longest_backlog(const std::string& wish) const;
  // So many of its tasks were leased; or it has none for that wish, until it is heard again.
  void note_leased(const std::string& address, std::uint64_t tasks);
  void note_nothing_there(const std::string& address, const std::string& wish);

  // Those that have answered for longer than `least`, with their workers: one that has just come, or comes
  // and goes, counts for nobody yet.
  std::vector<WorkerCount> steady(Duration least, Instant now) const;

  // What an operator should know, a sentence; "": nothing.
  std::string problem(Instant now) const;

 private:
  struct Sibling {
    std::string address;
    bool is_heard = false;  // ever
    bool is_silent = false;
    Instant heard_at{};  // or when it became known
    Instant answers_since{};
    std::string why;  // it is silent
    Said said;
    std::set<std::string> has_nothing_for;  // wishes, since it was heard
  };

  explicit SiblingBook(std::optional<Said> self) : self_(self) {}
  Sibling* find(const std::string& address);
  const Sibling* find(const std::string& address) const;
  bool is_told_apart(const Sibling& sibling) const;
  std::string problem_of(const Sibling& sibling, Instant now) const;

  std::optional<Said> self_;
  std::vector<Sibling> siblings_;  // in the order in which they became known
};

}  // namespace skep::manager
