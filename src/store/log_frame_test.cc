// SPDX-License-Identifier: Apache-2.0
// Goal: a frame is read back as it was built, and one that is changed, stale or of another store is not taken
// for one. Method: frames with every kind of item; each byte of one is changed in turn.
#include "store/log_frame.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "task/record.h"

namespace skep::store {
namespace {

const FrameKey kKey = frame_key(0x0123456789abcdef);

std::string bytes_of(const FrameBuilder& frame, std::uint64_t fill = 0) {
  std::string bytes;
  for (const auto& piece : frame.pieces(fill)) {
    bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return bytes;
}

TaskRecord task(std::uint64_t sequence) {
  TaskRecord record;
  record.id = {3, 2, sequence};
  return record;
}
Blob blob(std::size_t bytes) {
  return std::make_shared<const std::string>(bytes, 'x');
}

FrameBuilder full_frame() {
  FrameBuilder frame;
  QueueRecord queue;
  queue.name = "q";
  frame.put_task(task(1));
  frame.put_blob(BlobKind::kBody, task(1).id, blob(10));
  frame.put_blob(BlobKind::kResult, task(1).id, blob(100'000));
  frame.put_queue(3, queue);
  frame.put_epoch(3, 9);
  frame.erase(ItemKind::kEraseBody, task(2).id);
  frame.erase(ItemKind::kEraseTask, task(3).id);
  frame.put_blob(BlobKind::kBody, task(4).id, blob(0));
  frame.put_task(task(4));
  return frame;
}

FrameHeader header_of(std::uint64_t sequence) {
  FrameHeader header;
  header.segment = 5;
  header.sequence = sequence;
  header.voucher = sequence - 1;
  header.tail = 4;
  header.ordinal = 6;
  return header;
}

TEST(LogFrame, WhatIsBuiltIsReadBack) {
  FrameBuilder frame = full_frame();
  const FrameHeader sealed = frame.seal(header_of(40), kKey);
  const std::string bytes = bytes_of(frame, 100);
  ASSERT_EQ(bytes.size(), sealed.bytes + 100u);
  EXPECT_EQ(frame.bytes(), sealed.bytes);
  EXPECT_EQ(sealed.bytes % 8, 0u);
  const auto seen = read_header(std::string_view(bytes).substr(0, kFrameHeaderBytes), kKey, 5, 40);
  ASSERT_EQ(seen.sight, HeaderSight::kWhole);
  EXPECT_EQ(seen.header.voucher, 39u);
  EXPECT_EQ(seen.header.tail, 4u);
  EXPECT_EQ(seen.header.first(), 34u);
  EXPECT_FALSE(seen.header.is_close);
  const auto heads =
      read_heads(std::string_view(bytes).substr(kFrameHeaderBytes, seen.header.items * kItemHeadBytes),
                 seen.header, kKey);
  ASSERT_TRUE(heads) << heads.error().message;
  ASSERT_EQ(heads.value().size(), frame.items().size());
  for (std::size_t i = 0; i < heads.value().size(); ++i) {
    const auto& item = frame.items()[i];
    EXPECT_EQ(heads.value()[i].head.kind, item.head.kind);
    EXPECT_EQ(heads.value()[i].head.id, item.head.id);
    EXPECT_EQ(heads.value()[i].at, item.at);
    const auto stored = std::string_view(bytes).substr(item.at, item.head.length);
    EXPECT_TRUE(check_item(item.head, stored)) << describe_item(item.head);
  }
  EXPECT_EQ(
      decode_task(std::string_view(bytes).substr(frame.items()[0].at, frame.items()[0].head.length)).value(),
      task(1));
  EXPECT_EQ(decode_queue(frame.stored_queue(0)).value().name, "q");
}

TEST(LogFrame, AHeaderIsToldFromNoneAndFromADamagedOne) {
  FrameBuilder frame;
  frame.put_epoch(0, 1);
  (void)frame.seal(header_of(40), kKey);
  const std::string bytes = bytes_of(frame).substr(0, kFrameHeaderBytes);
  EXPECT_EQ(read_header(bytes, kKey, 5, std::nullopt).sight, HeaderSight::kWhole);
  // Of what a recycled file held before, of another store, or nothing.
  EXPECT_EQ(read_header(bytes, kKey, 6, 50).sight, HeaderSight::kNone);
  EXPECT_EQ(read_header(bytes, kKey, 5, 50).sight, HeaderSight::kNone);
  EXPECT_EQ(read_header(std::string(kFrameHeaderBytes, '\0'), kKey, 5, 40).sight, HeaderSight::kNone);
  EXPECT_EQ(read_header("short", kKey, 5, 40).sight, HeaderSight::kNone);
  EXPECT_NE(read_header(bytes, frame_key(77), 5, 40).sight, HeaderSight::kWhole);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    EXPECT_EQ(read_header(changed, kKey, 5, 40).sight, HeaderSight::kDamaged) << i;
  }
}

TEST(LogFrame, AChangedByteOfTheRestIsNoticed) {
  FrameBuilder frame;
  frame.put_task(task(1));
  frame.put_blob(BlobKind::kBody, task(1).id, blob(5'000));
  const FrameHeader sealed = frame.seal(header_of(40), kKey);
  const std::string bytes = bytes_of(frame);
  const std::size_t heads_end = kFrameHeaderBytes + sealed.items * kItemHeadBytes;
  for (std::size_t i = kFrameHeaderBytes; i < frame.items()[1].at + frame.items()[1].head.length; ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const std::string_view view = changed;
    const auto heads =
        read_heads(view.substr(kFrameHeaderBytes, heads_end - kFrameHeaderBytes), sealed, kKey);
    if (i < heads_end) {
      ASSERT_FALSE(heads) << i;
      continue;
    }
    ASSERT_TRUE(heads) << i;
    bool is_noticed = false;
    for (const auto& item : frame.items()) {
      is_noticed = is_noticed || !check_item(item.head, view.substr(item.at, item.head.length));
    }
    ASSERT_TRUE(is_noticed) << i;
  }
}

TEST(LogFrame, NoHeaderLiesAcrossTwoSectors) {
  for (std::uint64_t offset = 0; offset < 3 * kSectorBytes; ++offset) {
    const std::uint64_t start = frame_start(offset);
    EXPECT_GE(start, offset);
    EXPECT_LT(start - offset, kFrameHeaderBytes + 8);
    EXPECT_EQ(start % 8, 0u);
    EXPECT_EQ(start / kSectorBytes, (start + kFrameHeaderBytes - 1) / kSectorBytes);
  }
}

TEST(LogFrame, LargeBlobsAreNotCopied) {
  FrameBuilder frame;
  const Blob large = blob(1 << 20);
  frame.put_blob(BlobKind::kBody, task(1).id, large);
  (void)frame.seal(header_of(1), kKey);
  bool is_shared = false;
  for (const auto& piece : frame.pieces(0)) is_shared = is_shared || piece.iov_base == large->data();
  EXPECT_TRUE(is_shared);
}

}  // namespace
}  // namespace skep::store
