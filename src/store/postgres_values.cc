// SPDX-License-Identifier: Apache-2.0
#include "store/postgres_values.h"

#include <charconv>

#include "base/check.h"

namespace skep::store {
namespace {

constexpr std::size_t kHeaderBytes = 20;  // of an array with one dimension
constexpr std::string_view kHex = "0123456789abcdef";

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t read_big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

Error malformed(std::string_view what) {
  return fail(Code::kCorrupt, "the database's " + std::string(what) + " does not parse");
}

// How long the character at the beginning is as UTF-8; 0: it is none. Overlong forms, surrogates and what
// lies beyond U+10FFFF are none, as PostgreSQL holds it.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const bool is_out = (first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) > 0x9f) ||
                      (first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) > 0x8f);
  return is_out ? 0 : length;
}

}  // namespace

// ---- parameters ----

PgArray::PgArray(PgType type) : type_(type), bytes_(kHeaderBytes, '\0') {}

void PgArray::begin_item(std::uint32_t bytes) {
  ++size_;
  append_big_endian(bytes_, bytes, 4);
}

void PgArray::add(std::int64_t value) {
  SKEP_CHECK(type_ == PgType::kInt8, "a number goes into an array of numbers");
  begin_item(8);
  append_big_endian(bytes_, static_cast<std::uint64_t>(value), 8);
}

void PgArray::add(bool value) {
  SKEP_CHECK(type_ == PgType::kBool, "a flag goes into an array of flags");
  begin_item(1);
  bytes_.push_back(value ? 1 : 0);
}

void PgArray::add(std::string_view bytes) {
  SKEP_CHECK(type_ == PgType::kText || type_ == PgType::kBytea, "bytes go into an array of bytes");
  begin_item(static_cast<std::uint32_t>(bytes.size()));
  bytes_ += bytes;
}

void PgArray::add_null() {
  begin_item(0xffffffff);
}

std::string PgArray::take() {
  // One dimension, may hold NULLs, type of the items, how many, counted from 1.
  std::string header;
  append_big_endian(header, 1, 4);
  append_big_endian(header, 1, 4);
  append_big_endian(header, static_cast<std::uint32_t>(type_), 4);
  append_big_endian(header, size_, 4);
  append_big_endian(header, 1, 4);
  bytes_.replace(0, kHeaderBytes, header);
  return std::move(bytes_);
}

std::string pg_bigint(std::int64_t value) {
  std::string bytes;
  append_big_endian(bytes, static_cast<std::uint64_t>(value), 8);
  return bytes;
}

// ---- fields ----

Result<std::int64_t> pg_read_number(std::string_view bytes) {
  const std::uint64_t value = read_big_endian(bytes);
  switch (bytes.size()) {
    case 2:
      return static_cast<std::int16_t>(value);
    case 4:
      return static_cast<std::int32_t>(value);
    case 8:
      return static_cast<std::int64_t>(value);
    default:
      return malformed("number");
  }
}

Result<bool> pg_read_bool(std::string_view bytes) {
  if (bytes.size() != 1) return malformed("flag");
  return bytes[0] != 0;
}

Result<std::vector<std::string>> pg_read_texts(std::string_view bytes) {
  if (bytes.size() < 12) return malformed("array");
  std::vector<std::string> texts;
  const std::uint64_t dimensions = read_big_endian(bytes.substr(0, 4));
  if (dimensions == 0) return texts;
  if (dimensions != 1 || bytes.size() < kHeaderBytes) return malformed("array");
  std::uint64_t left = read_big_endian(bytes.substr(12, 4));
  bytes.remove_prefix(kHeaderBytes);
  for (; left > 0; --left) {
    if (bytes.size() < 4) return malformed("array");
    const std::uint64_t length = read_big_endian(bytes.substr(0, 4));
    if (length > bytes.size() - 4) return malformed("array");  // NULL too
    texts.emplace_back(bytes.substr(4, length));
    bytes.remove_prefix(4 + length);
  }
  return texts;
}

// ---- text ----

std::string pg_escape(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) {
      const auto byte = static_cast<unsigned char>(bytes[0]);
      text += "\\x";
      text.push_back(kHex[byte >> 4]);
      text.push_back(kHex[byte & 15]);
    } else if (bytes[0] == '\\') {
      text += "\\\\";
    } else {
      text += bytes.substr(0, length);
    }
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return text;
}

Result<std::string> pg_unescape(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(text[i]);
    } else if (text.substr(i, 2) == "\\\\") {
      bytes.push_back('\\');
      ++i;
    } else {
      unsigned value = 0;
      const char* const digits = text.data() + i + 2;
      if (text.substr(i, 2) != "\\x" || text.size() < i + 4) return malformed("text");
      if (std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) return malformed("text");
      bytes.push_back(static_cast<char>(value));
      i += 3;
    }
  }
  return bytes;
}

std::string pg_array_literal(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const auto& text : texts) {
    if (literal.size() > 1) literal.push_back(',');
    literal.push_back('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') literal.push_back('\\');
      literal.push_back(c);
    }
    literal.push_back('"');
  }
  return literal + "}";
}

}  // namespace skep::store
