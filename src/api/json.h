// SPDX-License-Identifier: Apache-2.0
// json.h - the JSON form of the messages in skep.proto, by reflection.
//
// Names are those of the schema. 64-bit integers are JSON numbers. A bytes field `x` is text in "x" when it
// is valid UTF-8 and base64 in "x_base64" when it is not; both are read. Fields with their zero value are
// written, so that a reader sees them, except empty bytes and unset optional or message fields; kSparse
// leaves them out: an older manager refuses names that it does not know, and is to be told those that are
// used alone. Unknown names are refused, not ignored. Read leniently where nothing is lost: whole numbers
// also as strings ("7") or with a zero fraction or an exponent (1e3, up to 2^53), null as absent.
//
// Threads:   any thread.
// Errors:    from_json: kInvalid with a sentence that names the field by its path ("tasks[3].body") or the
//            place in the text. The message is empty then.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace google::protobuf {
class Message;
}

namespace skep::api {

inline constexpr std::size_t kJsonBytesMax = std::size_t{256} << 20;
inline constexpr std::size_t kJsonDepthMax = 32;

enum class JsonStyle : std::uint8_t { kCompact, kIndented, kSparse };

std::string to_json(const google::protobuf::Message& message, JsonStyle style = JsonStyle::kCompact);
// Replaces what `message` holds.
Result<void> from_json(std::string_view text, google::protobuf::Message& message);

// `text` with every byte that is not part of valid UTF-8 replaced by '?'.
std::string to_valid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);

std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);

}  // namespace skep::api
