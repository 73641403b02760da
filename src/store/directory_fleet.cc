// SPDX-License-Identifier: Apache-2.0
// The fleet's record of an embedded engine, in a file of its directory; and that of the engine without one.
#include <algorithm>
#include <deque>
#include <map>
#include <sstream>

#include "store/change_lock.h"
#include "store/fleet_store.h"
#include "store/store_directory.h"

namespace skep::store {
namespace {

constexpr std::string_view kFirstLine = "skep fleet 1";

// Who added last, and until when all is counted.
struct Account {
  std::string name;
  Instant until = kNoInstant;
  std::deque<Instant> ends{};  // of the last parts; of those in a directory the last one is `until`
};
constexpr std::size_t kEndsMax = 32;

// In a month that has begun nothing is spent yet. One that was kept as begun does not end again.
void begin_month(FleetRecord& record, const Clock& clock) {
  const std::string month = month_of(clock.now());
  if (month <= record.month) return;
  record.month = month;
  record.spent_micros = 0;
}

Result<void> add_to(FleetRecord& record, Account& last, const SpendingPart& part) {
  const bool is_counted = std::find(last.ends.begin(), last.ends.end(), part.until) != last.ends.end();
  if (part.account == last.name && (is_counted || part.until == last.until)) return ok();
  if (part.account == last.name && part.from < last.until)
    return fail(Code::kFenced, "what machines cost is counted until " + format_instant(last.until));
  last.name = part.account;
  last.until = part.until;
  last.ends.push_back(part.until);
  if (last.ends.size() > kEndsMax) last.ends.pop_front();
  record.spent_micros += part.micros;
  return ok();
}

std::string format_siblings(const std::vector<std::string>& siblings) {
  std::string text;
  for (const auto& sibling : siblings) text += "sibling " + sibling + "\n";
  return text;
}

// What the file holds.
struct Kept {
  FleetRecord record;
  Account last;
  std::vector<std::string> siblings;
};

// Behind the month, where a program that does not know of accounts reads no further.
std::string format_account(const Account& account) {
  return account.name.empty() ? "" : " " + account.name + " " + std::to_string(to_unix_ms(account.until));
}

std::string format_fleet(const Kept& kept) {
  const FleetRecord& record = kept.record;
  const FleetOrder& order = record.order;
  return std::string(kFirstLine) + "\norder " + std::to_string(static_cast<int>(order.kind)) + " " +
         std::to_string(order.workers) + " " + std::to_string(to_unix_ms(order.given_at)) + " " +
         std::to_string(to_unix_ms(order.until)) + "\nspent " + std::to_string(record.spent_micros) +
         (record.month.empty() ? "" : " " + record.month + format_account(kept.last)) + "\n" +
         format_siblings(kept.siblings);
}

Result<Kept> parse_fleet(const std::string& text) {
  std::istringstream lines(text);
  std::string line, word;
  std::getline(lines, line);
  if (line != kFirstLine) {
    return line.starts_with("skep fleet ")
               ? fail(Code::kInvalid, "it is of a newer skep: use that one")
               : fail(Code::kCorrupt, "it does not begin with '" + std::string(kFirstLine) + "'");
  }
  Kept kept;
  FleetRecord& record = kept.record;
  int kind = 0;
  std::int64_t given_ms = 0, until_ms = 0;
  std::getline(lines, line);
  std::istringstream order(line);
  order >> word >> kind >> record.order.workers >> given_ms >> until_ms;
  std::getline(lines, line);
  std::istringstream spent(line);
  std::string spent_word;
  spent >> spent_word >> record.spent_micros;
  const bool is_whole = !order.fail() && !spent.fail() && word == "order" && spent_word == "spent";
  if (!is_whole || kind < 0 || kind > static_cast<int>(FleetOrderKind::kPause))
    return fail(Code::kCorrupt, "its lines are not those of an order and of a sum");
  spent >> record.month;
  if (std::int64_t counted_ms = 0; spent >> word >> counted_ms)
    kept.last = {word, from_unix_ms(counted_ms), {}};
  record.order.kind = static_cast<FleetOrderKind>(kind);
  record.order.given_at = from_unix_ms(given_ms);
  record.order.until = from_unix_ms(until_ms);
  while (std::getline(lines, line)) {
    if (!line.starts_with("sibling ")) return fail(Code::kCorrupt, "one of its lines is not of a sibling");
    kept.siblings.push_back(line.substr(8));
  }
  return kept;
}

class DirectoryFleet final : public FleetStore {
 public:
  DirectoryFleet(std::string directory, const Clock& clock)
      : directory_(std::move(directory)),
        path_(directory_ + "/" + std::string(kFleetFileName)),
        clock_(clock) {}

  Result<FleetRecord> read() override {
    SKEP_TRY(auto kept, read_all());
    return std::move(kept.record);
  }

  Result<FleetRecord> set_order(const FleetOrder& order) override {
    return change([&](Kept& kept) -> Result<void> {
      kept.record.order = order;
      return ok();
    });
  }

  Result<FleetRecord> add_spending(const SpendingPart& part) override {
    return change([&](Kept& kept) { return add_to(kept.record, kept.last, part); });
  }

  Result<std::vector<std::string>> read_siblings() override {
    SKEP_TRY(auto kept, read_all());
    return std::move(kept.siblings);
  }

  Result<void> set_siblings(const std::vector<std::string>& siblings) override {
    SKEP_TRY(change([&](Kept& kept) -> Result<void> {
      kept.siblings = siblings;
      return ok();
    }));
    return ok();
  }

 private:
  Result<Kept> read_all() {
    auto text = read_checked_file(path_);
    if (!text && text.error().code != Code::kNotFound) return text.error();
    auto kept = text ? parse_fleet(text.value()) : Result<Kept>(Kept());
    if (!kept) return with_context(kept.error(), path_);
    begin_month(kept.value().record, clock_);
    if (kept.value().last.name == kClusterAccount)
      kept.value().record.counted_until = kept.value().last.until;
    return kept;
  }

  template <class Change>
  Result<FleetRecord> change(Change change) {
    SKEP_TRY(look_at_directory(directory_));
    SKEP_TRY(make_directory(directory_));
    ChangeLock lock;
    SKEP_TRY(lock.take(path_ + ".lock"));
    SKEP_TRY(auto kept, read_all());
    SKEP_TRY(change(kept));
    kept.record.counted_until = kept.last.name == kClusterAccount ? kept.last.until : kNoInstant;
    SKEP_TRY(write_secret_file(directory_, kFleetFileName, format_fleet(kept)));
    return std::move(kept.record);
  }

  const std::string directory_;
  const std::string path_;
  const Clock& clock_;
};

class MemoryFleet final : public FleetStore {
 public:
  explicit MemoryFleet(const Clock& clock) : clock_(clock) {}

  Result<FleetRecord> read() override {
    begin_month(record_, clock_);
    return record_;
  }
  Result<FleetRecord> set_order(const FleetOrder& order) override {
    record_.order = order;
    return read();
  }
  Result<FleetRecord> add_spending(const SpendingPart& part) override {
    begin_month(record_, clock_);
    SKEP_TRY(add_to(record_, last_[part.account], part));
    if (part.account == kClusterAccount) record_.counted_until = part.until;
    return record_;
  }
  Result<std::vector<std::string>> read_siblings() override { return siblings_; }
  Result<void> set_siblings(const std::vector<std::string>& siblings) override {
    siblings_ = siblings;
    return ok();
  }

 private:
  const Clock& clock_;
  FleetRecord record_;
  std::map<std::string, Account> last_;  // by account
  std::vector<std::string> siblings_;
};

}  // namespace

std::unique_ptr<FleetStore> make_memory_fleet(const Clock& clock) {
  return std::make_unique<MemoryFleet>(clock);
}

std::unique_ptr<FleetStore> open_directory_fleet(std::string directory, const Clock& clock) {
  return std::make_unique<DirectoryFleet>(std::move(directory), clock);
}

}  // namespace skep::store
