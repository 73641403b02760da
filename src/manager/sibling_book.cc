// SPDX-License-Identifier: Apache-2.0
#include "manager/sibling_book.h"

#include <algorithm>

#include "api/protocol.h"

namespace skep::manager {

SiblingBook SiblingBook::of_shared_store() {
  return SiblingBook(std::nullopt);
}

SiblingBook SiblingBook::of_own_store(Said self) {
  return SiblingBook(self);
}

SiblingBook::Sibling* SiblingBook::find(const std::string& address) {
  const auto found = std::find_if(siblings_.begin(), siblings_.end(),
                                  [&](const Sibling& sibling) { return sibling.address == address; });
  return found == siblings_.end() ? nullptr : &*found;
}

const SiblingBook::Sibling* SiblingBook::find(const std::string& address) const {
  return const_cast<SiblingBook*>(this)->find(address);
}

void SiblingBook::keep(const std::vector<std::string>& addresses, Instant now) {
  std::erase_if(siblings_, [&](const Sibling& sibling) {
    return std::find(addresses.begin(), addresses.end(), sibling.address) == addresses.end();
  });
  for (const auto& address : addresses) {
    if (find(address) == nullptr) siblings_.push_back({address, false, false, now, {}, "", {}, {}});
  }
}

void SiblingBook::note_heard(const std::string& address, const Said& said, Instant now) {
  Sibling* sibling = find(address);
  if (sibling == nullptr) return;
  const StoreNumber before = sibling->said.number;
  if (!sibling->is_heard || sibling->is_silent) sibling->answers_since = now;
  sibling->said = said;
  sibling->has_nothing_for.clear();
  if (said.number == 0) sibling->said.number = before;
  sibling->is_heard = true;
  sibling->is_silent = false;
  sibling->heard_at = now;
}

void SiblingBook::note_silent(const std::string& address, const std::string& why) {
  Sibling* sibling = find(address);
  if (sibling == nullptr) return;
  sibling->is_silent = true;
  sibling->why = why;
  sibling->said.queued = 0;
}

bool SiblingBook::is_told_apart(const Sibling& sibling) const {
  if (!self_) return true;
  if (!sibling.is_heard) return true;  // as far as anybody knows
  if (sibling.said.number == 0 || sibling.said.number == self_->number) return false;
  for (const auto& other : siblings_) {
    if (&other == &sibling) return true;
    if (other.is_heard && other.said.number == sibling.said.number) return false;
  }
  return true;
}

const std::string* SiblingBook::owner_of(StoreNumber number) const {
  for (const auto& sibling : siblings_) {
    if (sibling.is_heard && sibling.said.number == number && is_told_apart(sibling)) return &sibling.address;
  }
  return nullptr;
}

bool SiblingBook::has_unheard() const {
  return std::any_of(siblings_.begin(), siblings_.end(),
                     [](const Sibling& sibling) { return !sibling.is_heard; });
}

std::optional<Duration> SiblingBook::silence(const std::string& address, Instant now) const {
  const Sibling* sibling = find(address);
  if (sibling == nullptr || !sibling->is_silent) return std::nullopt;
  return now - sibling->heard_at;
}

bool SiblingBook::may_be_asked(const std::string& address) const {
  const Sibling* sibling = find(address);
  return sibling == nullptr || is_told_apart(*sibling);
}

std::vector<std::string> SiblingBook::silent_for(Duration most, Instant now) const {
  std::vector<std::string> addresses;
  for (const auto& sibling : siblings_) {
    if (sibling.is_silent && now - sibling.heard_at > most) addresses.push_back(sibling.address);
  }
  return addresses;
}

const std::string* SiblingBook::longest_backlog(const std::string& wish) const {
  const Sibling* longest = nullptr;
  for (const auto& sibling : siblings_) {
    if (sibling.is_silent || sibling.said.queued == 0 || !is_told_apart(sibling)) continue;
    if (sibling.has_nothing_for.contains(wish)) continue;
    if (longest == nullptr || sibling.said.oldest_ms > longest->said.oldest_ms) longest = &sibling;
  }
  return longest == nullptr ? nullptr : &longest->address;
}

void SiblingBook::note_leased(const std::string& address, std::uint64_t tasks) {
  if (Sibling* sibling = find(address)) sibling->said.queued -= std::min(sibling->said.queued, tasks);
}

// Others may find something there: of another kind.
void SiblingBook::note_nothing_there(const std::string& address, const std::string& wish) {
  if (Sibling* sibling = find(address)) sibling->has_nothing_for.insert(wish);
}

std::vector<WorkerCount> SiblingBook::steady(Duration least, Instant now) const {
  std::vector<WorkerCount> counts;
  for (const auto& sibling : siblings_) {
    const bool is_steady = sibling.is_heard && !sibling.is_silent && now - sibling.answers_since >= least;
    if (is_steady && is_told_apart(sibling)) counts.push_back({sibling.address, sibling.said.workers});
  }
  return counts;
}

std::uint32_t SiblingBook::protocol_of(const std::string& address) const {
  const Sibling* sibling = find(address);
  return sibling == nullptr ? 0 : sibling->said.protocol;
}

// What is to be said of one of a store of its own; "": nothing.
std::string SiblingBook::problem_of(const Sibling& sibling, Instant now) const {
  if (sibling.is_silent) {
    return "sibling " + sibling.address + " has not answered for " +
           describe_duration(now - sibling.heard_at) + ": " + sibling.why;
  }
  if (sibling.is_heard && sibling.said.number == 0) {
    return "sibling " + sibling.address +
           " is of a version whose task ids are not told from those of others: neither gets help from the "
           "other";
  }
  if (is_told_apart(sibling)) return "";
  const bool is_self = sibling.said.started_at_ms == self_->started_at_ms;
  const bool is_known = std::any_of(siblings_.begin(), siblings_.end(), [&](const Sibling& other) {
    return &other != &sibling && other.said.started_at_ms == sibling.said.started_at_ms;
  });
  if (is_self || is_known) return "";  // another name of it
  return "the store of sibling " + sibling.address +
         " has by chance the number of another one, so that their task ids are not told apart, and is left "
         "out: "
         "drain it and begin it anew";
}

std::string SiblingBook::problem(Instant now) const {
  std::string text;
  const auto add = [&](const std::string& sentence) {
    if (!sentence.empty()) text += (text.empty() ? "" : "; ") + sentence;
  };
  for (const auto& sibling : siblings_) {
    if (self_) add(problem_of(sibling, now));
    if (!sibling.is_heard || sibling.is_silent || sibling.said.protocol == api::kProtocol) continue;
    add("sibling " + sibling.address + " is of another version (" + sibling.said.version + ", protocol " +
        std::to_string(sibling.said.protocol) + "; this one " + std::to_string(api::kProtocol) +
        "): both serve, but end the upgrade soon");
  }
  return text;
}

}  // namespace skep::manager
