// SPDX-License-Identifier: Apache-2.0
#include "store/log_frame.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "task/bytes.h"
#include "task/record.h"

namespace skep::store {
namespace {

constexpr std::uint32_t kCloseFlag = 1;
// Copying so much costs less than handing another piece to the system.
constexpr std::size_t kBlobBytesToShare = 4'096;
constexpr std::uint64_t kPaddingMax = 8;

// Numbers are stored with the lowest byte first.
template <class T>
void swap_on_big_endian(T& value) {
  if constexpr (std::endian::native != std::endian::big) return;
  char* bytes = reinterpret_cast<char*>(&value);
  std::reverse(bytes, bytes + sizeof value);
}
template <class T>
T load(const char* at) {
  T value = 0;
  std::memcpy(&value, at, sizeof value);
  swap_on_big_endian(value);
  return value;
}
template <class T>
void put(char* at, T value) {
  swap_on_big_endian(value);
  std::memcpy(at, &value, sizeof value);
}

std::uint32_t header_checksum(const char* bytes, const FrameKey& key) {
  return crc32c(std::string_view(bytes + 8, kFrameHeaderBytes - 8), key.salt);
}

bool carries_something(ItemKind kind) {
  return kind == ItemKind::kTask || kind == ItemKind::kBody || kind == ItemKind::kResult ||
         kind == ItemKind::kQueue;
}

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + kPaddingMax - 1) / kPaddingMax * kPaddingMax;
}

// Not const: a piece of the system's call is a pointer to what may change.
char* zeros() {
  static const std::array<char, kPageBytes + kPaddingMax> bytes{};
  return const_cast<char*>(bytes.data());
}

bool is_record(ItemKind kind) {
  return kind == ItemKind::kTask || kind == ItemKind::kQueue;
}

// Records stand before blobs, so that they can be read without them. The length of the frame without padding.
std::uint64_t place_items(std::vector<FrameItem>& items) {
  std::uint64_t at = kFrameHeaderBytes + items.size() * kItemHeadBytes;
  for (const bool of_records : {true, false}) {
    for (auto& item : items) {
      if (is_record(item.head.kind) != of_records) continue;
      item.at = at;
      at += item.head.length;
    }
  }
  return at;
}

ItemHead read_head(const char* at) {
  ItemHead head;
  head.kind = static_cast<ItemKind>(at[0]);
  head.id.shard = load<std::uint16_t>(at + 2);
  head.id.epoch = load<std::uint32_t>(at + 4);
  head.id.sequence = load<std::uint64_t>(at + 8);
  head.length = load<std::uint32_t>(at + 16);
  return head;
}

void write_head(const ItemHead& head, char* at) {
  at[0] = static_cast<char>(head.kind);
  at[1] = 0;
  put<std::uint16_t>(at + 2, head.id.shard);
  put<std::uint32_t>(at + 4, head.id.epoch);
  put<std::uint64_t>(at + 8, head.id.sequence);
  put<std::uint32_t>(at + 16, head.length);
}

bool is_known(const ItemHead& head) {
  return head.kind >= ItemKind::kTask && head.kind <= ItemKind::kEpoch && head.id.sequence <= kSequenceMax &&
         (carries_something(head.kind) || head.length == 0);
}

}  // namespace

FrameKey frame_key(std::uint64_t secret) {
  std::string bytes;
  append_fixed(bytes, secret, 8);
  return {static_cast<std::uint32_t>(secret), static_cast<std::uint32_t>(secret >> 32), crc32c(bytes)};
}

SeenHeader read_header(std::string_view bytes, const FrameKey& key, std::uint32_t segment,
                       std::optional<std::uint64_t> sequence) {
  SeenHeader seen;
  FrameHeader& header = seen.header;
  if (bytes.size() < kFrameHeaderBytes) return seen;
  const char* at = bytes.data();
  header.segment = load<std::uint32_t>(at + 8) ^ key.mask;
  header.items = load<std::uint32_t>(at + 12);
  header.sequence = load<std::uint64_t>(at + 16);
  header.voucher = load<std::uint64_t>(at + 24);
  header.tail = load<std::uint32_t>(at + 32);
  const auto flags = load<std::uint32_t>(at + 36);
  header.ordinal = flags >> 1;
  header.is_close = (flags & kCloseFlag) != 0;
  header.bytes = load<std::uint32_t>(at + 40);
  header.heads_checksum = load<std::uint32_t>(at + 44);
  const bool has_magic = load<std::uint32_t>(at) == key.magic;
  const bool is_of_segment = header.segment == segment;
  const bool is_next = !sequence || header.sequence == *sequence;
  const bool is_whole = has_magic && load<std::uint32_t>(at + 4) == header_checksum(at, key) &&
                        header.bytes >= kFrameHeaderBytes + std::uint64_t{header.items} * kItemHeadBytes;
  if (is_whole && is_of_segment && is_next) {
    seen.sight = HeaderSight::kWhole;
  } else if (!is_whole && has_magic + is_of_segment + (sequence && is_next) >= 2) {
    // A sector is written or not: what is right in part was right as a whole.
    seen.sight = HeaderSight::kDamaged;
  }
  return seen;
}

bool may_be_header(std::string_view bytes, const FrameKey& key) {
  return bytes.size() >= kFrameHeaderBytes && load<std::uint32_t>(bytes.data()) == key.magic;
}

std::string encode_header(const FrameHeader& header, const FrameKey& key) {
  std::string bytes(kFrameHeaderBytes, '\0');
  char* at = bytes.data();
  put<std::uint32_t>(at, key.magic);
  put<std::uint32_t>(at + 8, header.segment ^ key.mask);
  put<std::uint32_t>(at + 12, header.items);
  put<std::uint64_t>(at + 16, header.sequence);
  put<std::uint64_t>(at + 24, header.voucher);
  put<std::uint32_t>(at + 32, header.tail);
  put<std::uint32_t>(at + 36, header.ordinal << 1 | (header.is_close ? kCloseFlag : 0));
  put<std::uint32_t>(at + 40, header.bytes);
  put<std::uint32_t>(at + 44, header.heads_checksum);
  put<std::uint32_t>(at + 4, header_checksum(at, key));
  return bytes;
}

Result<std::vector<FrameItem>> read_heads(std::string_view bytes, const FrameHeader& header,
                                          const FrameKey& key) {
  if (bytes.size() != std::uint64_t{header.items} * kItemHeadBytes) {
    return fail(Code::kCorrupt, "the list of what is in the frame is cut off");
  }
  if (crc32c(bytes, key.salt) != header.heads_checksum) {
    return fail(Code::kCorrupt, "the checksum of the list of what is in the frame does not match");
  }
  std::vector<FrameItem> items(header.items);
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].head = read_head(bytes.data() + i * kItemHeadBytes);
    if (!is_known(items[i].head)) return fail(Code::kCorrupt, "the frame holds what no writer puts there");
  }
  if (padded(place_items(items)) != header.bytes) {
    return fail(Code::kCorrupt, "the frame has another length than what is in it");
  }
  return items;
}

std::string describe_item(const ItemHead& head) {
  const std::string task = "task " + head.id.to_string();
  switch (head.kind) {
    case ItemKind::kTask:
      return "record of " + task;
    case ItemKind::kBody:
      return "body of " + task;
    case ItemKind::kResult:
      return "result of " + task;
    case ItemKind::kEraseBody:
    case ItemKind::kEraseTask:
      return "removal of " + task;
    case ItemKind::kQueue:
      return "record of a queue of shard " + std::to_string(head.id.shard);
    case ItemKind::kEpoch:
      return "epoch of shard " + std::to_string(head.id.shard);
  }
  return "unknown item";
}

Result<void> check_item(const ItemHead& head, std::string_view stored) {
  const auto checked = [&]() -> Result<void> {
    if (head.kind == ItemKind::kTask || head.kind == ItemKind::kQueue) return check_record_bytes(stored);
    if (carries_something(head.kind)) return check_blob_bytes(head.id, stored);
    return ok();
  }();
  if (!checked) return with_context(checked.error(), describe_item(head));
  return ok();
}

// ---- building ----

void FrameBuilder::add(ItemKind kind, const TaskId& id, std::uint64_t length) {
  SKEP_CHECK(length <= kFrameBytesMax, "what a task carries fits into a frame");
  items_.push_back({{kind, id, static_cast<std::uint32_t>(length)}, 0});
  if (!is_record(kind)) blob_bytes_ += length;
}

// What was copied since `begin` stands next among the blobs.
void FrameBuilder::add_copied(std::size_t begin) {
  const std::size_t length = copied_.size() - begin;
  Piece* last = blobs_.empty() ? nullptr : &blobs_.back();
  if (last != nullptr && last->blob == nullptr && last->begin + last->length == begin) {
    last->length += length;
  } else {
    blobs_.push_back({nullptr, begin, length});
  }
}

void FrameBuilder::put_task(const TaskRecord& record) {
  const std::size_t begin = records_.size();
  encode(record, records_);
  add(ItemKind::kTask, record.id, records_.size() - begin);
}

void FrameBuilder::put_queue(ShardId shard, const QueueRecord& record) {
  const std::size_t begin = records_.size();
  encode(record, records_);
  add(ItemKind::kQueue, {shard, 0, 0}, records_.size() - begin);
  queues_.emplace_back(begin, records_.size() - begin);
}

void FrameBuilder::put_epoch(ShardId shard, Epoch epoch) {
  add(ItemKind::kEpoch, {shard, epoch, 0}, 0);
}

void FrameBuilder::erase(ItemKind kind, const TaskId& id) {
  add(kind, id, 0);
}

void FrameBuilder::put_blob(BlobKind kind, const TaskId& id, Blob blob) {
  char checksum[sizeof(std::uint32_t)];
  put(checksum, blob_checksum(id, *blob));
  add(kind == BlobKind::kBody ? ItemKind::kBody : ItemKind::kResult, id, blob->size() + kBlobFrameBytes);
  std::size_t begin = copied_.size();
  copied_.push_back(static_cast<char>(kBlobVersion));
  if (blob->size() >= kBlobBytesToShare) {
    add_copied(begin);
    blobs_.push_back({blob, 0, blob->size()});
    begin = copied_.size();
  } else {
    copied_.append(*blob);
  }
  copied_.append(checksum, sizeof checksum);
  add_copied(begin);
}

void FrameBuilder::put_stored(const ItemHead& head, std::string_view stored) {
  add(head.kind, head.id, stored.size());
  if (is_record(head.kind)) {
    if (head.kind == ItemKind::kQueue) queues_.emplace_back(records_.size(), stored.size());
    records_.append(stored);
  } else if (!stored.empty()) {
    copied_.append(stored);
    add_copied(copied_.size() - stored.size());
  }
}

std::uint64_t FrameBuilder::bytes() const {
  return padded(kFrameHeaderBytes + items_.size() * kItemHeadBytes + records_.size() + blob_bytes_);
}

std::string_view FrameBuilder::stored_queue(std::size_t index) const {
  return std::string_view(records_).substr(queues_[index].first, queues_[index].second);
}

FrameHeader FrameBuilder::seal(FrameHeader header, const FrameKey& key) {
  header.items = static_cast<std::uint32_t>(items_.size());
  header.bytes = static_cast<std::uint32_t>(bytes());
  place_items(items_);
  front_.assign(kFrameHeaderBytes + items_.size() * kItemHeadBytes, '\0');
  char* head = front_.data() + kFrameHeaderBytes;
  for (const auto& item : items_) {
    write_head(item.head, head);
    head += kItemHeadBytes;
  }
  header.heads_checksum = crc32c(std::string_view(front_).substr(kFrameHeaderBytes), key.salt);
  front_.replace(0, kFrameHeaderBytes, encode_header(header, key));
  return header;
}

std::vector<iovec> FrameBuilder::pieces(std::uint64_t fill) const {
  std::vector<iovec> out;
  out.reserve(blobs_.size() + 3);
  const auto add_piece = [&](const char* at, std::size_t length) {
    if (length > 0) out.push_back({const_cast<char*>(at), length});
  };
  add_piece(front_.data(), front_.size());
  add_piece(records_.data(), records_.size());
  for (const auto& piece : blobs_) {
    add_piece(piece.blob != nullptr ? piece.blob->data() : copied_.data() + piece.begin, piece.length);
  }
  SKEP_CHECK(fill <= kPageBytes, "a frame is filled up to a page at most");
  add_piece(zeros(), bytes() - (front_.size() + records_.size() + blob_bytes_) + fill);
  return out;
}

}  // namespace skep::store
