// SPDX-License-Identifier: Apache-2.0
// log_frame.h - one commit of the log engine as bytes: a header, the heads of its items, their records, their
// blobs.
//
// docs/store_format.md describes it byte by byte. A header never lies across two sectors, so a power loss
// leaves it whole or not at all; what comes after it may be torn. A key that is the store's own goes into
// each, so that bytes that a client sent never pass for a frame.
//
// Threads:   value; one executor at a time.
// Ownership: a builder shares the blobs that were put into it, and borrows nothing.
// Cost:      blobs of 4 KiB and more are written from where they are; all else is copied once.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/store.h"
#include "task/task.h"

namespace skep::store {

inline constexpr std::size_t kFrameHeaderBytes = 48;
inline constexpr std::size_t kItemHeadBytes = 20;
inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::uint64_t kPageBytes = 4'096;
// Offsets within a segment are 32 bits.
inline constexpr std::uint64_t kFrameBytesMax = (std::uint64_t{1} << 32) - (std::uint64_t{1} << 20);

// The numbers are stored.
enum class ItemKind : std::uint8_t {
  kTask = 1,  // a task's record
  kBody = 2,
  kResult = 3,
  kEraseBody = 4,
  kEraseTask = 5,  // the record, the body and the result
  kQueue = 6,      // a queue's record; its name stands there alone
  kEpoch = 7,      // the epoch of a shard
};

struct FrameHeader {
  std::uint32_t segment = 0;   // that it was written to; tells it from what a recycled file held before
  std::uint32_t items = 0;     // how many
  std::uint64_t sequence = 0;  // one more than the frame's before it
  std::uint64_t voucher = 0;   // all frames up to this one were durable when it was made
  std::uint32_t tail = 0;      // the oldest segment that was still needed then
  std::uint32_t bytes = 0;     // of the whole frame
  std::uint32_t ordinal = 0;   // how many frames of its segment come before it; 31 bits
  bool is_close = false;       // the last one before the store was closed
  std::uint32_t heads_checksum = 0;

  // The sequence of the first frame of its segment.
  std::uint64_t first() const { return sequence - ordinal; }
};

struct ItemHead {
  ItemKind kind = ItemKind::kTask;
  TaskId id;  // of a queue: its shard; of an epoch: shard and epoch
  std::uint32_t length = 0;
};

// The first byte at or after `offset` where a header may begin.
constexpr std::uint64_t frame_start(std::uint64_t offset) {
  const std::uint64_t aligned = (offset + 7) / 8 * 8;
  const std::uint64_t in_sector = aligned % kSectorBytes;
  return in_sector + kFrameHeaderBytes <= kSectorBytes ? aligned : aligned - in_sector + kSectorBytes;
}

// An item and where what it carries begins, from the beginning of its frame.
struct FrameItem {
  ItemHead head;
  std::uint64_t at = 0;
};

// What tells the headers of a store from bytes that a client sent. From the secret of skep.store.
struct FrameKey {
  std::uint32_t magic = 0;  // what a header begins with
  std::uint32_t mask = 0;   // over the segment's number
  std::uint32_t salt = 0;   // what every checksum begins with
};
FrameKey frame_key(std::uint64_t secret);

// What the bytes at a place where a frame may begin are.
enum class HeaderSight : std::uint8_t {
  kWhole,
  kNone,     // never written here, or before the file was recycled
  kDamaged,  // a header that was written here and changed since
};
struct SeenHeader {
  HeaderSight sight = HeaderSight::kNone;
  FrameHeader header;  // if whole
};
// `bytes` are those of a header. `segment` and, if it is known, `sequence` are what is expected.
SeenHeader read_header(std::string_view bytes, const FrameKey& key, std::uint32_t segment,
                       std::optional<std::uint64_t> sequence);

// Whether it is worth the look: begins as a header does.
bool may_be_header(std::string_view bytes, const FrameKey& key);

std::string encode_header(const FrameHeader& header, const FrameKey& key);

// Those of a frame. kCorrupt: the checksum does not match, or they and the header do not agree.
Result<std::vector<FrameItem>> read_heads(std::string_view bytes, const FrameHeader& header,
                                          const FrameKey& key);
// Whether what the item carries is what was written. kCorrupt says what it is of.
Result<void> check_item(const ItemHead& head, std::string_view stored);
// "body of task ID"
std::string describe_item(const ItemHead& head);

class FrameBuilder {
 public:
  void put_task(const TaskRecord& record);
  void put_blob(BlobKind kind, const TaskId& id, Blob blob);
  void put_queue(ShardId shard, const QueueRecord& record);
  void put_epoch(ShardId shard, Epoch epoch);
  void erase(ItemKind kind, const TaskId& id);
  // An item as it is stored elsewhere.
  void put_stored(const ItemHead& head, std::string_view stored);

  // Of the whole frame.
  std::uint64_t bytes() const;
  bool is_empty() const { return items_.empty(); }
  // Their places are right once it is sealed.
  const std::vector<FrameItem>& items() const { return items_; }
  // The queues' items in their order, as stored.
  std::string_view stored_queue(std::size_t index) const;

  // Completes the header's items, bytes and checksum; then pieces() are the frame's bytes. `fill`: zeros
  // after it.
  FrameHeader seal(FrameHeader header, const FrameKey& key);
  std::vector<iovec> pieces(std::uint64_t fill) const;

 private:
  // A whole blob that lies elsewhere, or bytes of `copied_`.
  struct Piece {
    Blob blob;
    std::size_t begin = 0;
    std::size_t length = 0;
  };

  void add(ItemKind kind, const TaskId& id, std::uint64_t length);
  void add_copied(std::size_t begin);

  std::vector<FrameItem> items_;
  std::string records_;
  std::string copied_;  // of what stands around blobs, and the small ones
  std::vector<Piece> blobs_;
  std::uint64_t blob_bytes_ = 0;
  std::vector<std::pair<std::size_t, std::size_t>> queues_;  // their places in `records_`
  std::string front_;                                        // header and heads, once sealed
};

}  // namespace skep::store
