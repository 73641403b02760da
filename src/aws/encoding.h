// SPDX-License-Identifier: Apache-2.0
// encoding.h - the text forms that AWS asks for: percent and base64 encoding, and its three forms of
// instants.
//
// Threads:   any thread; values in, values out.
// Units:     instants are to the second in all three forms.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace skep::aws {

enum class Slash { kEncoded, kKept };

// All but letters, digits and "-._~" as %XX; '/' as told.
std::string percent_encoded(std::string_view text, Slash slash = Slash::kEncoded);

// The inverse; what is no encoded byte stays as it is.
std::string percent_decoded(std::string_view text);

std::string base64_of(std::string_view bytes);

// "20260131T235959Z", as in x-amz-date; its first 8 characters are the day.
std::string amz_date(Instant at);
// The year 1970 to 9999 of "2026-01-31T23:59:59Z", also with a fraction or "+00:00"; nothing for other text.
std::optional<Instant> parse_iso_date(std::string_view text);
// "Sat, 31 Jan 2026 23:59:59 GMT", as in the header Date; nothing for other text.
std::optional<Instant> parse_http_date(std::string_view text);

}  // namespace skep::aws
