// SPDX-License-Identifier: Apache-2.0
// bytes.h - the alphabet of stored records: a writer and a reader with the same verbs.
//
// A record's fields are listed once, in a function that takes either of them (task/record.cc), so that both
// directions and the bounds can not drift apart. Numbers are LEB128 varints in their shortest form,
// checksums, hashes and instants fixed little-endian: every value has exactly one stored form.
//
// Threads:   value; one executor at a time.
// Errors:    the reader keeps the first problem and reads defaults from then on; the writer aborts on a value
// that
//            the reader would refuse, for such a record could be stored but never be loaded.
// Ownership: both borrow their bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/time.h"

namespace skep {

// Puts the low `bytes` bytes of `value`, the lowest first.
inline void append_fixed(std::string& out, std::uint64_t value, int bytes) {
  if constexpr (std::endian::native == std::endian::little) {
    char fixed[sizeof value];
    std::memcpy(fixed, &value, sizeof value);
    out.append(fixed, static_cast<std::size_t>(bytes));
  } else {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  }
}

// The inverse, of all of `bytes` (at most 8).
inline std::uint64_t read_fixed(std::string_view bytes) {
  std::uint64_t value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  template <class T>
  void number(std::string_view name, const T& value, std::uint64_t min, std::uint64_t max) {
    const auto wide = static_cast<std::uint64_t>(value);
    SKEP_CHECK(wide >= min && wide <= max, name);
    varint(wide);
  }
  void flag(std::string_view, const bool& value) { out_.push_back(value ? 1 : 0); }
  void fixed64(std::string_view, const std::uint64_t& value) { append_fixed(out_, value, 8); }
  void instant(std::string_view name, const Instant& value) {
    SKEP_CHECK(value >= kNoInstant, name);
    append_fixed(out_, static_cast<std::uint64_t>(value.time_since_epoch().count()), 8);
  }
  void duration(std::string_view name, const Duration& value) {
    SKEP_CHECK(value >= Duration::zero(), name);
    varint(static_cast<std::uint64_t>(value.count()));
  }
  void text(std::string_view name, const std::string& value, std::size_t max) {
    SKEP_CHECK(value.size() <= max, name);
    varint(value.size());
    out_.append(value);
  }
  template <class T, class Item>
  void list(std::string_view name, const std::vector<T>& values, std::size_t max, Item item) {
    SKEP_CHECK(values.size() <= max, name);
    varint(values.size());
    for (const T& value : values) item(value);
  }
  template <class T, class Item>
  void optional(std::string_view, const std::optional<T>& value, Item item) {
    out_.push_back(value ? 1 : 0);
    if (value) item(*value);
  }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }

  std::string& out_;
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  void number(std::string_view name, T& value, std::uint64_t min, std::uint64_t max) {
    const std::uint64_t wide = varint(name);
    if (wide < min || wide > max) {
      refuse(std::string(name) + " is " + std::to_string(wide) + ", not from " + std::to_string(min) +
             " to " + std::to_string(max));
    }
    if (!has_failed()) value = static_cast<T>(wide);
  }
  void flag(std::string_view name, bool& value) {
    const auto byte = take(name, 1);
    if (!byte.empty() && static_cast<unsigned char>(byte[0]) > 1)
      refuse(std::string(name) + " is neither 0 nor 1");
    if (!has_failed()) value = byte[0] != 0;
  }
  void fixed64(std::string_view name, std::uint64_t& value) { value = read_fixed(take(name, 8)); }
  void instant(std::string_view name, Instant& value) {
    const auto count = static_cast<std::int64_t>(read_fixed(take(name, 8)));
    if (count < 0) refuse(std::string(name) + " is before 1970");
    if (!has_failed()) value = Instant(Duration(count));
  }
  void duration(std::string_view name, Duration& value) {
    std::int64_t count = 0;
    number(name, count, 0, std::numeric_limits<std::int64_t>::max());
    value = Duration(count);
  }
  void text(std::string_view name, std::string& value, std::size_t max) {
    std::size_t size = 0;
    number(name, size, 0, max);
    value = take(name, size);
  }
  template <class T, class Item>
  void list(std::string_view name, std::vector<T>& values, std::size_t max, Item item) {
    std::size_t count = 0;
    number(name, count, 0, max);
    for (std::size_t i = 0; i < count && !has_failed(); ++i) item(values.emplace_back());
  }
  template <class T, class Item>
  void optional(std::string_view name, std::optional<T>& value, Item item) {
    bool is_there = false;
    flag(name, is_there);
    if (is_there) item(value.emplace());
  }

  // To be called after the last field: bytes that are left over are a problem too.
  void finish() {
    if (!bytes_.empty()) refuse(std::to_string(bytes_.size()) + " bytes are left over");
  }
  bool has_failed() const { return !problem_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  void refuse(std::string problem) {
    if (!has_failed()) problem_ = std::move(problem);
    bytes_ = {};
  }
  // Empty after a problem.
  std::string_view take(std::string_view name, std::size_t size) {
    if (has_failed()) return {};
    if (size > bytes_.size()) {
      refuse(std::string(name) + " is cut off");
      return {};
    }
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  std::uint64_t varint(std::string_view name) {
    std::uint64_t value = 0;
    if (!bytes_.empty() && (static_cast<unsigned char>(bytes_[0]) & 0x80u) == 0) {  // most of them
      value = static_cast<unsigned char>(bytes_[0]);
      bytes_.remove_prefix(1);
      return value;
    }
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = take(name, 1);
      if (byte.empty()) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      value |= std::uint64_t{bits & 0x7fu} << shift;
      if ((bits & 0x80u) != 0) continue;
      const bool overflows = shift == 63 && bits > 1;
      const bool is_padded = shift > 0 && bits == 0;
      if (overflows || is_padded) break;
      return value;
    }
    refuse(std::string(name) + " is not a number in its shortest form");
    return 0;
  }

  std::string_view bytes_;
  std::string problem_;
};

}  // namespace skep
