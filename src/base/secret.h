// SPDX-License-Identifier: Apache-2.0
// secret.h - what secrets are made of and compared by: randomness, SHA-256, a comparison that takes the same
// time.
//
// Threads:   any thread.
// Errors:    a system without randomness, or without SHA-256, aborts.
// Units:     sizes are bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace skep {

inline constexpr std::size_t kSha256Bytes = 32;

// That many bytes that nobody can guess.
std::string random_secret(std::size_t size);

// SHA-256 of `first` and then `second`: 32 bytes.
std::string sha256(std::string_view first, std::string_view second);

// Takes as long for any two of the same size, equal or not. Sizes are no secret.
bool is_equal_in_constant_time(std::string_view a, std::string_view b);

// Two lower-case hexadecimal digits a byte; the inverse is "" for what is not that.
std::string hex_of(std::string_view bytes);
std::string bytes_of_hex(std::string_view text);

}  // namespace skep
