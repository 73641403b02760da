// fuzz: links store
// SPDX-License-Identifier: Apache-2.0
// Goal: no bytes in the store's directory make a reader of ours crash: keys, meta values, logs, the list of
// files. Method: the input as each of them. What a log is cut to is whole: it needs no second cut.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

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
  const auto cuts = scan_logs(logs);
  if (!cuts) {
    check(cuts.error().code == Code::kCorrupt);
  } else {
    for (const auto& cut : cuts.value()) {
      std::string& bytes = logs[cut.name == "a" ? 0 : 1].bytes;
      check(cut.keep_bytes + cut.torn_bytes == bytes.size());
      bytes.resize(cut.keep_bytes);
    }
    const auto again = scan_logs(logs);
    check(again.has_value() && again.value().empty());
  }
  const auto manifest = scan_manifest({"m", std::string(input)});
  check(manifest.has_value() || manifest.error().code == Code::kCorrupt);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  parse_keys(input);
  scan(input);
  return 0;
}
