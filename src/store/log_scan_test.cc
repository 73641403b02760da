// SPDX-License-Identifier: Apache-2.0
// Goal: a torn end is cut off, damage is named, and no flipped byte makes an acknowledged commit disappear.
// Method: logs written here in RocksDB's format; every truncation, every flipped byte, pages that never got
// written. That RocksDB writes this format is shown by test/contract, which does the same to real logs.
#include "store/log_scan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hash.h"
#include "base/random.h"
#include "task/bytes.h"
#include "task/testing/arbitrary_record.h"

namespace skep::store {
namespace {

constexpr std::size_t kBlock = 32'768;
constexpr std::uint64_t kSecret = 0x0123456789abcdef;

std::string random_bytes(Random& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  return bytes;
}

// A log as RocksDB writes it.
class LogWriter {
 public:
  explicit LogWriter(std::uint64_t secret = kSecret) : secret_(secret) {}

  void append(const std::string& payload) {
    std::size_t done = 0;
    bool is_first = true;
    do {
      const std::size_t left = kBlock - bytes_.size() % kBlock;
      if (left < 7) {
        bytes_.append(left, '\0');
        continue;
      }
      const std::size_t length = std::min(payload.size() - done, left - 7);
      const bool is_last = done + length == payload.size();
      const char type = static_cast<char>(is_first ? (is_last ? 1 : 2) : (is_last ? 4 : 3));
      const std::string covered = type + payload.substr(done, length);
      const std::uint32_t crc = crc32c(covered);
      append_fixed(bytes_, ((crc >> 15) | (crc << 17)) + 0xa282ead8u, 4);
      append_fixed(bytes_, length, 2);
      bytes_ += covered;
      done += length;
      is_first = false;
    } while (done < payload.size());
  }
  void commit(std::uint64_t sequence, std::uint32_t count, std::uint64_t durable, const std::string& rest) {
    std::string payload;
    append_fixed(payload, sequence, 8);
    append_fixed(payload, count, 4);
    const std::string voucher = encode_voucher(secret_, durable);
    payload += '\x03';
    payload += static_cast<char>(voucher.size());
    append(payload + voucher + rest);
    ends_.push_back(bytes_.size());
  }
  const std::string& bytes() const { return bytes_; }
  std::size_t end_of(std::size_t commit) const { return ends_[commit]; }

 private:
  const std::uint64_t secret_;
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

// Ten commits of two operations, each vouching for all before it.
LogWriter ten_commits(std::uint64_t seed, std::size_t bytes_each, std::uint64_t first_sequence = 1) {
  Random random(seed);
  LogWriter log;
  for (std::uint64_t i = 0; i < 10; ++i) {
    const std::uint64_t sequence = first_sequence + 2 * i;
    log.commit(sequence, 2, sequence - 1, random_bytes(random, bytes_each));
  }
  return log;
}

void expect_corrupt(const std::vector<LogFile>& logs, const std::string& name) {
  const auto cuts = scan_logs(logs, kSecret);
  ASSERT_FALSE(cuts);
  EXPECT_EQ(cuts.error().code, Code::kCorrupt);
  EXPECT_NE(cuts.error().message.find(name + " is damaged at byte "), std::string::npos)
      << cuts.error().message;
}

TEST(LogScan, WholeLogsNeedNoCut) {
  EXPECT_TRUE(scan_logs({}, kSecret).value().empty());
  EXPECT_TRUE(scan_logs({{"a", ""}}, kSecret).value().empty());
  const auto first = ten_commits(1, 100);
  const auto second = ten_commits(2, 9'000, 21);
  EXPECT_TRUE(scan_logs({{"a", first.bytes()}, {"b", ""}, {"c", second.bytes()}, {"d", ""}}, kSecret)
                  .value()
                  .empty());
}

TEST(LogScan, RecordsAtTheEndOfABlockAreRead) {
  // The rest of the first block is 0 to 20 bytes: no header, a header alone, a header and a little.
  for (std::size_t rest = 0; rest <= 20; ++rest) {
    Random random(rest);
    LogWriter log;
    log.commit(1, 1, 0, random_bytes(random, kBlock - 7 - 26 - rest));
    log.commit(2, 1, 1, random_bytes(random, 50));
    log.commit(3, 1, 2, random_bytes(random, 50));
    EXPECT_TRUE(scan_logs({{"a", log.bytes()}}, kSecret).value().empty()) << rest;
  }
}

TEST(LogScan, EveryTruncationOfTheEndIsCutToTheLastWholeCommit) {
  for (const std::size_t bytes_each : {std::size_t{40}, std::size_t{12'000}}) {
    const auto log = ten_commits(3, bytes_each);
    const std::size_t step = bytes_each > 1'000 ? 97 : 1;
    for (std::size_t size = log.end_of(8) + 1; size < log.bytes().size(); size += step) {
      const auto cuts = scan_logs({{"a", log.bytes().substr(0, size)}}, kSecret);
      ASSERT_TRUE(cuts) << cuts.error().message;
      ASSERT_EQ(cuts.value().size(), 1u) << size;
      EXPECT_EQ(cuts.value()[0].keep_bytes, log.end_of(8));
      EXPECT_EQ(cuts.value()[0].torn_bytes, size - log.end_of(8));
    }
  }
}

TEST(LogScan, EveryFlippedByteIsFound) {
  for (const std::size_t bytes_each : {std::size_t{40}, std::size_t{12'000}}) {
    const auto log = ten_commits(4, bytes_each);
    Random random(5);
    const std::size_t step = bytes_each > 1'000 ? 61 : 1;
    for (std::size_t place = 0; place < log.bytes().size(); place += step) {
      std::string bytes = log.bytes();
      bytes[place] = static_cast<char>(bytes[place] ^ (1 + random.below(255)));
      expect_corrupt({{"a", bytes}}, "a");
    }
  }
}

TEST(LogScan, ALengthOrTypeThatEndsTheLogForRocksdbIsFound) {
  const auto log = ten_commits(6, 40);
  for (std::size_t commit = 0; commit < 9; ++commit) {
    const std::size_t header = log.end_of(commit);
    for (int value = 0; value < 256; ++value) {
      for (const std::size_t field : {4, 5, 6}) {
        std::string bytes = log.bytes();
        if (bytes[header + field] == static_cast<char>(value)) continue;
        bytes[header + field] = static_cast<char>(value);
        expect_corrupt({{"a", bytes}}, "a");
      }
    }
  }
}

TEST(LogScan, APageThatWasNeverWrittenEndsTheLogIfNobodyVouchesForIt) {
  Random random(7);
  LogWriter log;
  log.commit(1, 1, 0, random_bytes(random, 100));
  for (std::uint64_t i = 0; i < 5; ++i) log.commit(2 + i, 1, 1, random_bytes(random, 5'000));
  std::string bytes = log.bytes();
  std::fill(bytes.begin() + 8'192, bytes.begin() + 12'288, '\0');  // within the third commit, sequence 3
  const auto cuts = scan_logs({{"a", bytes}, {"b", ten_commits(8, 40, 7).bytes().substr(0, 10)}}, kSecret);
  ASSERT_TRUE(cuts) << cuts.error().message;
  ASSERT_EQ(cuts.value().size(), 2u);
  EXPECT_EQ(cuts.value()[0].keep_bytes, log.end_of(1));
  EXPECT_EQ(cuts.value()[1].keep_bytes, 0u);
}

TEST(LogScan, APageThatWasVouchedForIsDamage) {
  Random random(9);
  LogWriter log;
  for (std::uint64_t i = 0; i < 5; ++i) log.commit(1 + i, 1, i, random_bytes(random, 5'000));
  std::string bytes = log.bytes();
  std::fill(bytes.begin() + 8'192, bytes.begin() + 12'288, '\0');
  expect_corrupt({{"a", bytes}}, "a");
  // The same where only a later log vouches.
  LogWriter later;
  later.commit(6, 1, 5, "x");
  expect_corrupt({{"a", log.bytes().substr(0, log.end_of(3) + 100)}, {"b", later.bytes()}}, "a");
}

TEST(LogScan, ZerosAfterTheEndAreCutOff) {
  const auto log = ten_commits(10, 40);
  for (const std::size_t zeros : {1u, 6u, 7u, 100u, 5'000u, 70'000u}) {
    const auto cuts = scan_logs({{"a", log.bytes() + std::string(zeros, '\0')}}, kSecret);
    ASSERT_TRUE(cuts) << zeros << ": " << cuts.error().message;
    ASSERT_EQ(cuts.value().size(), 1u);
    EXPECT_EQ(cuts.value()[0].keep_bytes, log.bytes().size());
  }
}

TEST(LogScan, AnAppendThatFailedIsCutAndTheNextLogGoesOn) {
  const auto first = ten_commits(11, 400);
  LogWriter failed;
  Random random(12);
  const auto second = ten_commits(13, 400, 21);
  const std::string with_part = first.bytes() + first.bytes().substr(0, 150);
  const auto cuts = scan_logs({{"a", with_part}, {"b", second.bytes()}}, kSecret);
  ASSERT_TRUE(cuts) << cuts.error().message;
  ASSERT_EQ(cuts.value().size(), 1u);
  EXPECT_EQ(cuts.value()[0].name, "a");
  EXPECT_EQ(cuts.value()[0].keep_bytes, first.bytes().size());
}

TEST(LogScan, AnyBytesNeverCrash) {
  Random random(14);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = ten_commits(15, 40).bytes();
    for (int i = 0; i < 20; ++i) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    (void)scan_logs({{"a", bytes.substr(0, random.below(bytes.size()))}, {"b", bytes}}, kSecret);
    (void)scan_manifest({"m", random_bytes(random, random.below(2'000))});
  }
}

// A client may send what it likes: its body must not pass for a commit that vouches for what was torn.
TEST(LogScan, ATornBodyThatLooksLikeCommitsVouchesForNothing) {
  LogWriter fake(kSecret + 1);
  fake.commit(1'000'000, 1, 999'999, "");
  std::string body;
  while (body.size() < 5'000) body += fake.bytes();
  auto log = ten_commits(9, 100);
  log.commit(21, 1, 20, body);
  for (std::size_t size = log.end_of(9); size < log.end_of(10); size += 97) {
    const auto cuts = scan_logs({{"a", log.bytes().substr(0, size)}}, kSecret);
    ASSERT_TRUE(cuts) << size << " of " << log.end_of(10) << " bytes: " << cuts.error().message;
  }
}

TEST(LogScan, AManifestMayHaveATornEndAndNoDamage) {
  Random random(16);
  LogWriter manifest;
  for (int i = 0; i < 20; ++i) manifest.append(random_bytes(random, 60));
  EXPECT_TRUE(scan_manifest({"m", manifest.bytes()}));
  EXPECT_TRUE(scan_manifest({"m", ""}));
  for (std::size_t cut = 1; cut < 67; ++cut) {
    EXPECT_TRUE(scan_manifest({"m", manifest.bytes().substr(0, manifest.bytes().size() - cut)})) << cut;
  }
  for (std::size_t place = 0; place < manifest.bytes().size(); ++place) {
    std::string bytes = manifest.bytes();
    bytes[place] = static_cast<char>(bytes[place] ^ (1 + random.below(255)));
    const auto scanned = scan_manifest({"m", bytes});
    ASSERT_FALSE(scanned) << place;
    EXPECT_NE(scanned.error().message.find("m is damaged at byte"), std::string::npos);
  }
}

}  // namespace
}  // namespace skep::store
