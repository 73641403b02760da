// SPDX-License-Identifier: Apache-2.0
// The text encodings that json.h declares: UTF-8 and base64 (RFC 4648 section 4).
#include <array>
#include <cstdint>
#include <cstring>

#include "api/json.h"

namespace skep::api {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> digits() {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr std::array<std::uint8_t, 256> kDigits = digits();

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

bool is_continuation(std::uint8_t byte) {
  return (byte & 0xc0) == 0x80;
}

// Bytes of the well-formed character that begins at `at` (Unicode 15, table 3-7), 0 if none does.
std::size_t character_length(std::string_view text, std::size_t at) {
  const std::uint8_t first = byte_at(text, at);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  const std::uint8_t second = byte_at(text, at + 1);
  // Overlong forms, surrogates and what lies above U+10FFFF show in the second byte.
  std::uint8_t least = 0x80;
  std::uint8_t most = 0xbf;
  if (first == 0xe0) least = 0xa0;
  if (first == 0xed) most = 0x9f;
  if (first == 0xf0) least = 0x90;
  if (first == 0xf4) most = 0x8f;
  if (second < least || second > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!is_continuation(byte_at(text, at + i))) return 0;
  }
  return length;
}

// Length of the longest valid beginning from `at` on. Eight ASCII bytes are passed at once: bodies can be
// large.
std::size_t valid_until(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const std::size_t length = character_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return at;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  return valid_until(text, 0) == text.size();
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = valid_until(text, at);
    out.append(text.substr(at, end - at));
    at = end;
    if (at == text.size()) break;
    out += '?';
    ++at;
  }
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t at = 0;
  for (; at + 3 <= bytes.size(); at += 3) {
    const std::uint32_t group = (std::uint32_t{byte_at(bytes, at)} << 16) |
                                (std::uint32_t{byte_at(bytes, at + 1)} << 8) | byte_at(bytes, at + 2);
    for (const int shift : {18, 12, 6, 0}) out += kAlphabet[(group >> shift) & 63];
  }
  const std::size_t rest = bytes.size() - at;
  if (rest == 0) return out;
  std::uint32_t group = std::uint32_t{byte_at(bytes, at)} << 16;
  if (rest == 2) group |= std::uint32_t{byte_at(bytes, at + 1)} << 8;
  out += kAlphabet[(group >> 18) & 63];
  out += kAlphabet[(group >> 12) & 63];
  out += rest == 2 ? kAlphabet[(group >> 6) & 63] : '=';
  out += '=';
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  const auto refuse = [](std::string_view why) {
    return fail(Code::kInvalid, "not base64: " + std::string(why));
  };
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return refuse("its length with padding is not a multiple of 4");
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  if (text.size() % 4 == 1) return refuse("one character is missing or too many");
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const std::uint8_t digit = kDigits[static_cast<unsigned char>(c)];
    if (digit == kNoDigit) return refuse("a character is outside of A-Z a-z 0-9 + /");
    group = (group << 6) | digit;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>((group >> bits) & 0xff);
  }
  // One value, one text: bits that no byte uses must be zero.
  if ((group & ((1u << bits) - 1)) != 0) return refuse("its last character has bits that belong to no byte");
  return out;
}

}  // namespace skep::api
