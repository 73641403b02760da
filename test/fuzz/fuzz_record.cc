// fuzz: links task
// SPDX-License-Identifier: Apache-2.0
// Goal: no bytes make a decoder of stored records crash, and whatever it takes has exactly one stored form.
// Method: the input as it is, and once more under a matching checksum, so that the fields are reached too.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "task/bytes.h"
#include "task/record.h"

namespace {

using namespace skep;  // NOLINT(google-build-using-namespace): one file, no header

constexpr TaskId kTask{1, 2, 3};

template <class Decode>
void decode_and_compare(std::string_view bytes, Decode decode) {
  const auto record = decode(bytes);
  if (!record) {
    if (record.error().code != Code::kCorrupt) std::abort();
    return;
  }
  std::string again;
  encode(record.value(), again);
  if (bytes.front() == again.front() && again != bytes) std::abort();
  // One of an older version is written anew in the newest, and means the same.
  const auto same = decode(again);
  if (!same || !(same.value() == record.value())) std::abort();
}

void decode_all(std::string_view bytes) {
  decode_and_compare(bytes, [](std::string_view input) { return decode_task(input); });
  decode_and_compare(bytes, [](std::string_view input) { return decode_queue(input); });
  if (const auto blob = decode_blob(kTask, bytes)) {
    std::string again;
    encode_blob(kTask, blob.value(), again);
    if (again != bytes) std::abort();
  }
}

std::string sealed(std::string_view head, std::string_view bytes) {
  std::string out(head);
  out.append(bytes);
  append_fixed(out, crc32c(out), 4);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  decode_all(input);
  decode_all(sealed("", input));
  decode_all(sealed("\x01T", input));
  decode_all(sealed("\x02T", input));
  decode_all(sealed("\x01Q", input));
  decode_all(sealed("\x02Q", input));
  return 0;
}
