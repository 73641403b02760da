// SPDX-License-Identifier: Apache-2.0
#include "store/log_scan.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/hash.h"
#include "task/bytes.h"

namespace skep::store {
namespace {

// RocksDB's log format: blocks of 32 KiB; a record is CRC (4, masked, over type and payload), length (2),
// type (1), payload, and is split at the end of a block. The rest of a block that holds no header is zeros.
constexpr std::uint64_t kBlockBytes = 32'768;
constexpr std::uint64_t kHeaderBytes = 7;
constexpr std::uint64_t kPageBytes = 4'096;
constexpr std::size_t kZeroBytesMin = 64;  // fewer zeros than these happen in records too
enum : unsigned { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

// The payload is a write batch: sequence (8), count (4), then operations; ours begin with the voucher.
constexpr std::size_t kBatchHeaderBytes = 12;
constexpr char kLogDataTag = 3;
constexpr std::size_t kVoucherBytes = 16;  // the store's secret, and a sequence
constexpr std::size_t kHeadBytes = kBatchHeaderBytes + 2 + kVoucherBytes;

struct Fragment {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  unsigned type = 0;
  std::string_view payload;
};

enum class Step { kFragment, kEnd, kBroken };

class LogBytes {
 public:
  explicit LogBytes(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t size() const { return bytes_.size(); }

  // The fragment that begins at `place`, or after the rest of its block. On kBroken only `begin` is set.
  Step read(std::uint64_t place, Fragment& out) const {
    const std::uint64_t left = kBlockBytes - place % kBlockBytes;
    if (left < kHeaderBytes) place += left;
    out.begin = place;
    if (place >= size()) return Step::kEnd;
    if (size() - place < kHeaderBytes) return Step::kBroken;
    out.type = static_cast<unsigned char>(bytes_[place + 6]);
    const std::uint64_t length = read_fixed(bytes_.substr(place + 4, 2));
    if (out.type < kFull || out.type > kLast || !matches(place, length, out.type)) return Step::kBroken;
    out.end = place + kHeaderBytes + length;
    out.payload = bytes_.substr(place + kHeaderBytes, length);
    return Step::kFragment;
  }

  // Where the next fragment after `place` begins for which `is_ours`, or size().
  template <class IsOurs>
  std::uint64_t next_after(std::uint64_t place, IsOurs is_ours) const {
    Fragment fragment;
    while (place < size() && find(place + 1, fragment)) {
      if (is_ours(fragment)) return fragment.begin;
      place = fragment.begin;
    }
    return size();
  }
  // The next fragment at or after `place`, wherever it begins.
  bool find(std::uint64_t place, Fragment& out) const {
    for (; place + kHeaderBytes <= size(); ++place) {
      if (read(place, out) == Step::kFragment && out.begin == place) return true;
    }
    return false;
  }

  // Does what is broken at `place` look like a write that did not get to the disk as a whole? `next` is where
  // something readable follows, or size().
  bool looks_torn(std::uint64_t place, std::uint64_t next) const {
    const bool is_followed = next < size();
    if (size() - place < kHeaderBytes) return !is_followed;
    const std::uint64_t end = block_end(place);
    const std::uint64_t length = read_fixed(bytes_.substr(place + 4, 2));
    for (unsigned type = kFull; type <= kLast; ++type) {
      // All bytes are there, and only the length or the type is wrong: that is no torn write.
      if (matches(place, end - place - kHeaderBytes, type) || matches(place, length, type)) return false;
    }
    if (end == size() && place + kHeaderBytes + length > size()) return !is_followed;
    return has_zero_page(place, next);
  }

 private:
  std::uint64_t block_end(std::uint64_t place) const {
    return std::min(size(), (place / kBlockBytes + 1) * kBlockBytes);
  }
  bool matches(std::uint64_t place, std::uint64_t length, unsigned type) const {
    if (place + kHeaderBytes + length > block_end(place)) return false;
    const auto stored = static_cast<std::uint32_t>(read_fixed(bytes_.substr(place, 4)));
    const char type_byte = static_cast<char>(type);
    const std::uint32_t crc = crc32c(bytes_.substr(place + kHeaderBytes, length), crc32c({&type_byte, 1}));
    return stored == ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  }
  // A page that was never written reads as zeros.
  bool has_zero_page(std::uint64_t place, std::uint64_t limit) const {
    while (place < limit) {
      const std::uint64_t end = std::min(limit, (place / kPageBytes + 1) * kPageBytes);
      const auto page = bytes_.substr(place, end - place);
      if (page.size() >= kZeroBytesMin || end == size()) {
        if (page.find_first_not_of('\0') == std::string_view::npos) return true;
      }
      place = end;
    }
    return false;
  }

  std::string_view bytes_;
};

// What is known of a commit from its first bytes.
struct Commit {
  std::uint64_t sequence = 0;
  std::uint64_t count = 0;
  bool is_ours = false;       // it has a voucher of this store
  std::uint64_t durable = 0;  // what that says

  std::uint64_t next() const { return sequence + count; }
};

Commit read_commit(std::string_view head, std::optional<std::uint64_t> secret) {
  Commit commit;
  if (head.size() < kBatchHeaderBytes) return commit;
  commit.sequence = read_fixed(head.substr(0, 8));
  commit.count = read_fixed(head.substr(8, 4));
  if (head.size() != kHeadBytes || head[12] != kLogDataTag || head[13] != kVoucherBytes) return commit;
  commit.is_ours = !secret || read_fixed(head.substr(14, 8)) == *secret;
  if (commit.is_ours) commit.durable = read_fixed(head.substr(22, 8));
  return commit;
}

// Puts fragments together, as far as their first bytes.
class Assembler {
 public:
  explicit Assembler(std::optional<std::uint64_t> secret) : secret_(secret) {}

  enum class Verdict { kOpen, kCommit, kOutOfOrder };

  Verdict add(const Fragment& fragment) {
    const bool is_start = fragment.type == kFull || fragment.type == kFirst;
    if (is_start == is_open_) return Verdict::kOutOfOrder;
    if (is_start) {
      begin_ = fragment.begin;
      head_.clear();
    }
    head_.append(fragment.payload.substr(0, kHeadBytes - std::min(kHeadBytes, head_.size())));
    is_open_ = fragment.type == kFirst || fragment.type == kMiddle;
    return is_open_ ? Verdict::kOpen : Verdict::kCommit;
  }
  void reset() { is_open_ = false; }
  bool is_open() const { return is_open_; }
  std::uint64_t begin() const { return begin_; }
  Commit commit() const { return read_commit(head_, secret_); }

 private:
  const std::optional<std::uint64_t> secret_;
  bool is_open_ = false;
  std::uint64_t begin_ = 0;
  std::string head_;
};

// Where a log stops being readable.
struct Break {
  std::uint64_t keep = 0;   // end of the last whole commit
  std::uint64_t place = 0;  // of the first byte that can not be read
};

class Scan {
 public:
  Scan(const std::vector<LogFile>& logs, std::optional<std::uint64_t> secret)
      : logs_(logs), secret_(secret) {}

  Result<std::vector<LogCut>> run() {
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      const auto broken = read_log(i);
      if (!broken) continue;
      SKEP_TRY(const bool is_end, judge(i, *broken));
      cut(i, broken->keep);
      if (!is_end) continue;
      for (std::size_t later = i + 1; later < logs_.size(); ++later) cut(later, 0);
      break;
    }
    return std::move(cuts_);
  }

 private:
  void cut(std::size_t i, std::uint64_t keep) {
    const std::uint64_t size = logs_[i].bytes.size();
    if (keep < size) cuts_.push_back({logs_[i].name, keep, size - keep});
  }

  // Reads commits as long as they are whole.
  std::optional<Break> read_log(std::size_t i) {
    const LogBytes log(logs_[i].bytes);
    Assembler assembler(secret_);
    Fragment fragment;
    std::uint64_t place = 0;
    std::uint64_t keep = 0;
    for (;;) {
      const Step step = log.read(place, fragment);
      if (step == Step::kEnd) {
        if (!assembler.is_open()) return std::nullopt;
        return Break{keep, log.size()};
      }
      if (step == Step::kBroken) return Break{keep, fragment.begin};
      const auto verdict = assembler.add(fragment);
      if (verdict == Assembler::Verdict::kOutOfOrder) return Break{keep, fragment.begin};
      place = fragment.end;
      if (verdict != Assembler::Verdict::kCommit) continue;
      keep = place;
      next_sequence_ = assembler.commit().next();
    }
  }

  // Whether the log's writer put it there, and no client: blocks begin with nothing else, and a commit
  // carries the secret. One whose first bytes stand in two blocks is told by the second.
  bool is_ours(const Fragment& fragment) const {
    if (fragment.begin % kBlockBytes == 0) return true;
    return (fragment.type == kFull || fragment.type == kFirst) &&
           read_commit(fragment.payload.substr(0, kHeadBytes), secret_).is_ours;
  }

  // Calls `visit` with every commit whose beginning can be read after the break. It says whether to go on.
  template <class Visit>
  void visit_later(std::size_t i, std::uint64_t place, Visit visit) const {
    for (std::size_t later = i; later < logs_.size(); ++later, place = 0) {
      const LogBytes log(logs_[later].bytes);
      Assembler assembler(secret_);
      Fragment fragment;
      while (log.find(place, fragment)) {
        place = fragment.end;
        if (assembler.add(fragment) == Assembler::Verdict::kOutOfOrder) {
          assembler.reset();
          if (assembler.add(fragment) == Assembler::Verdict::kOutOfOrder) continue;
        }
        if (assembler.is_open()) continue;
        if (const Commit commit = assembler.commit(); commit.is_ours && !visit(later, commit)) return;
      }
    }
  }

  // Success: whether the history ends at the break; if not, the next log goes on with it.
  Result<bool> judge(std::size_t i, const Break& broken) const {
    const LogBytes log(logs_[i].bytes);
    const std::uint64_t next =
        log.next_after(broken.place, [this](const Fragment& fragment) { return is_ours(fragment); });
    const bool is_followed = next < log.size();
    const bool is_torn = broken.place == log.size() || log.looks_torn(broken.place, next);
    bool is_first = true;
    bool goes_on = false;
    bool is_promised = false;
    std::uint64_t first_missing = next_sequence_;
    visit_later(i, std::min<std::uint64_t>(broken.place + 1, log.size()),
                [&](std::size_t file, const Commit& commit) {
                  if (is_first) {
                    is_first = false;
                    goes_on =
                        !is_followed && file > i && next_sequence_ != 0 && commit.sequence == next_sequence_;
                    if (goes_on) return false;
                    if (first_missing == 0) first_missing = commit.sequence - 1;
                  }
                  is_promised = is_promised || (commit.durable != 0 && commit.durable >= first_missing);
                  return !is_promised;
                });
    if (is_torn && !is_promised) return !goes_on;
    return fail(Code::kCorrupt, logs_[i].name + " is damaged at byte " + std::to_string(broken.place) +
                                    (is_promised ? ": commits that were acknowledged can not be read"
                                                 : ": a commit is there and its checksum does not match"));
  }

  const std::vector<LogFile>& logs_;
  const std::optional<std::uint64_t> secret_;
  std::uint64_t next_sequence_ = 0;  // 0: no commit was read yet
  std::vector<LogCut> cuts_;
};

}  // namespace

Result<std::vector<LogCut>> scan_logs(const std::vector<LogFile>& logs, std::optional<std::uint64_t> secret) {
  return Scan(logs, secret).run();
}

Result<void> scan_manifest(const LogFile& manifest) {
  const LogBytes log(manifest.bytes);
  Fragment fragment;
  for (std::uint64_t place = 0;; place = fragment.end) {
    const Step step = log.read(place, fragment);
    if (step == Step::kEnd) return ok();
    if (step == Step::kFragment) continue;
    const std::uint64_t broken = fragment.begin;
    if (log.looks_torn(broken, log.next_after(broken, [](const Fragment&) { return true; }))) return ok();
    return fail(Code::kCorrupt, manifest.name + " is damaged at byte " + std::to_string(broken));
  }
}

std::string encode_voucher(std::uint64_t secret, std::uint64_t durable_sequence) {
  std::string voucher;
  append_fixed(voucher, secret, 8);
  append_fixed(voucher, durable_sequence, 8);
  return voucher;
}

}  // namespace skep::store
