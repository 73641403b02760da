// SPDX-License-Identifier: Apache-2.0
// Goal: whatever bytes clients send as bodies, the log engine starts again. Method: bodies that look like
// the headers of frames lie in segments that die and are written anew as others; then the process ends, and
// what the new frames do not cover is what a client sent.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "driver.h"
#include "engines.h"
#include "store/log_frame.h"
#include "store/log_store.h"
#include "store/segment_disk.h"
#include "store/store_directory.h"

namespace skep::contract {
namespace {

using store::EraseTask;
using store::FrameBuilder;
using store::PutTask;

constexpr std::uint64_t kSegmentBytes = 1 << 16;
constexpr std::size_t kBodyBytes = 14'000;

class LogHostile : public ::testing::Test {
 protected:
  Result<void> open() {
    store::LogOptions options;
    options.directory = path_;
    options.segment_bytes = kSegmentBytes;
    options.slack_bytes = 4 * kSegmentBytes;
    SKEP_TRY(store_, store::open_log(options, Logger()));
    driver_ = std::make_unique<Driver>(*store_);
    SKEP_TRY(const auto epochs, driver_->claim_all());
    epoch_ = epochs[0];
    return ok();
  }
  // As a process that is killed, once what its threads were about is done.
  void leave() {
    driver_.reset();
    store_.reset();
  }
  TaskRecord task() {
    TaskRecord record;
    record.id = {0, 1, ++tasks_};
    return record;
  }
  void commit_and_erase(std::string body) {
    const TaskRecord record = task();
    ASSERT_TRUE(driver_->commit(
        {{0, epoch_, {PutTask{record, std::make_shared<const std::string>(std::move(body)), nullptr}}}}));
    ASSERT_TRUE(driver_->commit({{0, epoch_, {EraseTask{record.id}}}}));
    // Answered once the thread is through with what follows a durable commit.
    ASSERT_TRUE(driver_->commit({{0, epoch_, {EraseTask{record.id}}}}, store::Sync::kSoft));
  }
  std::uint32_t newest() const { return store::list_segments(path_).value().back().number; }
  store::FrameKey key() const { return store::frame_key(store::look_at_directory(path_).value()->secret); }
  std::string bytes_of(std::uint32_t segment) const {
    std::ifstream in(store::segment_path(path_, segment), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }
  // Where the frames that were written to the segment end; 0: there are none.
  std::uint64_t end_of(std::uint32_t segment, const std::string& bytes) const {
    std::uint64_t end = 0;
    for (;;) {
      const std::uint64_t at = store::frame_start(end);
      const auto seen = store::read_header(std::string_view(bytes).substr(std::min(at, bytes.size()), 48),
                                           key(), segment, std::nullopt);
      if (seen.sight != store::HeaderSight::kWhole) return end;
      end = at + seen.header.bytes;
    }
  }
  std::uint32_t current() const {
    for (std::uint32_t number = newest(); number > 0; --number) {
      const std::string bytes = bytes_of(number);
      if (!bytes.empty() && end_of(number, bytes) > 0) return number;
    }
    return 0;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/store";
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Driver> driver_;
  Epoch epoch_ = 0;
  std::uint64_t tasks_ = 0;
};

void put_word(std::string& bytes, std::size_t at, std::uint32_t word) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(word >> (8 * i));
}

// Of what a header is made of a client can know the number that a segment may get, and nothing of the secret.
TEST_F(LogHostile, WhatAClientSentIsNoDamagedHeader) {
  ASSERT_TRUE(open());
  for (std::uint32_t round = 0; round < 2'000; ++round) {
    std::string body(kBodyBytes, 'x');
    const std::uint32_t top = newest();
    for (std::size_t at = round % 16, i = 0; at + 16 <= body.size(); at += 16, ++i) {
      body.replace(at, 4, "Slog");
      put_word(body, at + 8, top + 1 + static_cast<std::uint32_t>((i / 50 + round) % 4));
    }
    commit_and_erase(std::move(body));
    const std::uint32_t segment = current();
    const std::string bytes = bytes_of(segment);
    const std::uint64_t end = end_of(segment, bytes);
    // A page where such bytes are where a header would be, were the page before full.
    std::uint64_t page = (end / 4'096 + 1) * 4'096;
    std::string wanted(12, '\0');
    wanted.replace(0, 4, "Slog");
    put_word(wanted, 8, segment);
    for (; page + 48 <= bytes.size(); page += 4'096) {
      if (bytes.compare(page, 4, wanted, 0, 4) == 0 && bytes.compare(page + 8, 4, wanted, 8, 4) == 0) break;
    }
    if (page + 48 > bytes.size()) continue;
    // One commit up to so far before the page's end that the frame which vouches for it fills it.
    const TaskRecord record = task();
    FrameBuilder frame;
    frame.put_task(record);
    frame.put_blob(store::BlobKind::kBody, record.id, std::make_shared<const std::string>());
    const std::uint64_t room = page - store::kFrameHeaderBytes - store::frame_start(end);
    if (room < frame.bytes() || room > (std::uint64_t{1} << 20)) continue;
    ASSERT_TRUE(driver_->commit(
        {{0,
          epoch_,
          {PutTask{record, std::make_shared<const std::string>(room - frame.bytes(), 'y'), nullptr}}}}));
    leave();
    ASSERT_EQ(end_of(segment, bytes_of(segment)), page) << "the log ends with the page";
    const auto opened = open();
    EXPECT_TRUE(opened) << "round " << round << ": " << opened.error().message;
    return;
  }
  FAIL() << "nothing was tried";
}

// A body of a megabyte has room for 20'000 guesses of the secret; whole frames under another one are not
// commits.
TEST_F(LogHostile, NoClientCanMakeAFrame) {
  ASSERT_TRUE(open());
  for (std::uint32_t round = 0; round < 200; ++round) {
    std::string body(round % 8, 'x');
    const std::uint32_t top = newest();
    for (std::uint32_t i = 0; body.size() + 48 <= kBodyBytes; ++i) {
      store::FrameHeader header;
      header.segment = top + 1 + i % 4;
      header.sequence = header.voucher = std::uint64_t{1} << 60;
      header.tail = 1;
      header.bytes = 48;
      body += store::encode_header(header, store::frame_key(round));
    }
    commit_and_erase(std::move(body));
    if (round < 40) continue;
    leave();
    const auto opened = open();
    ASSERT_TRUE(opened) << "round " << round << ": " << opened.error().message;
  }
}

}  // namespace
}  // namespace skep::contract
