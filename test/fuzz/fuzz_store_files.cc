// fuzz: links store
// SPDX-License-Identifier: Apache-2.0
// Goal: no bytes in the store's directory make a reader of ours crash: keys, meta values, logs, the list of
// files, frames. Method: the input as each of them. What a log is cut to is whole: it needs no second cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "store/log_frame.h"
#include "store/log_index.h"
#include "store/log_scan.h"
#include "store/rocksdb_keys.h"

namespace {

using namespace skep;         // NOLINT(google-build-using-namespace): one file, no header
using namespace skep::store;  // NOLINT(google-build-using-namespace)

void check(bool condition) {
  if (!condition) std::abort();
}

void parse_keys(std::string_view input) {
  if (const auto id = parse_task_key(input)) check(task_key(id.value()) == input);
  if (const auto queue = parse_queue_key(input)) {
    check(queue_key(queue.value().shard, queue.value().name) == input);
  }
  if (const auto shard = parse_epoch_key(input)) check(epoch_key(shard.value()) == input);
  for (std::size_t table = 0; table < kTableCount; ++table) {
    check(!describe_key(static_cast<Table>(table), input).empty());
  }
  for (const char c : show_key(input)) check(c >= 0x21 && c < 0x7f);
  if (const auto value = decode_meta("key", input)) check(encode_meta("key", value.value()) == input);
}

void scan(std::string_view input) {
  const std::size_t half = input.size() / 2;
  std::vector<LogFile> logs{{"a", std::string(input.substr(0, half))},
                            {"b", std::string(input.substr(half))}};
  const auto cuts = scan_logs(logs, std::nullopt);
  if (!cuts) {
    check(cuts.error().code == Code::kCorrupt);
  } else {
    for (const auto& cut : cuts.value()) {
      std::string& bytes = logs[cut.name == "a" ? 0 : 1].bytes;
      check(cut.keep_bytes + cut.torn_bytes == bytes.size());
      bytes.resize(cut.keep_bytes);
    }
    const auto again = scan_logs(logs, std::nullopt);
    check(again.has_value() && again.value().empty());
  }
  const auto manifest = scan_manifest({"m", std::string(input)});
  check(manifest.has_value() || manifest.error().code == Code::kCorrupt);
}

// With the checksums that a writer would have put there, so that what lies behind them is reached.
void read_frame(std::string_view input) {
  (void)read_header(input, frame_key(1), 1, std::nullopt);
  if (input.size() < kFrameHeaderBytes) return;
  FrameHeader header = read_header(input.substr(0, kFrameHeaderBytes), frame_key(1), 1, 1).header;
  header.items %= 64;
  const auto list = input.substr(kFrameHeaderBytes, header.items * kItemHeadBytes);
  header.heads_checksum = crc32c(list, frame_key(1).salt);
  header.bytes %= 1 << 16;
  const auto items = read_heads(list, header, frame_key(1));
  if (!items) {
    check(items.error().code == Code::kCorrupt);
    return;
  }
  LogIndex index(2);
  for (const auto& item : items.value()) {
    check(item.at + item.head.length <= header.bytes);
    const auto stored = input.substr(std::min<std::size_t>(item.at, input.size()), item.head.length);
    const auto checked = check_item(item.head, stored);
    check(checked || checked.error().code == Code::kCorrupt);
    const auto applied = index.apply(item.head, place_of(1, 0, item), stored);
    check(applied || applied.error().code == Code::kCorrupt);
    check(!describe_item(item.head).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  parse_keys(input);
  scan(input);
  read_frame(input);
  return 0;
}
