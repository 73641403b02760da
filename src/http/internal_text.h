// SPDX-License-Identifier: Apache-2.0
// internal_text.h - small comparisons and the writing of header fields, for the files of http.
//
// Threads:   any thread.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "http/message.h"

namespace skep::http {

// ASCII letters compare without case.
inline bool equal_without_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [lower](char x, char y) { return lower(x) == lower(y); });
}

// Fields that describe the connection belong to server and client, never to their user.
inline bool is_framing_field(std::string_view name) {
  return equal_without_case(name, "Content-Length") || equal_without_case(name, "Transfer-Encoding") ||
         equal_without_case(name, "Connection") || equal_without_case(name, "Date");
}

// Appends "name: value\r\n". Line ends inside become blanks: a value from outside cannot start a field of its
// own.
inline void append_field(std::string& head, std::string_view name, std::string_view value) {
  const auto append = [&head](std::string_view text) {
    for (const char c : text) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  };
  append(name);
  head += ": ";
  append(value);
  head += "\r\n";
}

inline void append_fields(std::string& head, const Headers& headers) {
  for (const auto& [name, value] : headers.all()) {
    if (!is_framing_field(name)) append_field(head, name, value);
  }
}

}  // namespace skep::http
