// SPDX-License-Identifier: Apache-2.0
#include "task/trace_context.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "task/limits.h"

namespace skep {
namespace {

// 00-<trace id: 32>-<parent id: 16>-<flags: 2>
constexpr std::size_t kTraceIdAt = 3;
constexpr std::size_t kTraceIdBytes = 32;
constexpr std::size_t kParentIdAt = kTraceIdAt + kTraceIdBytes + 1;
constexpr std::size_t kParentIdBytes = 16;
constexpr std::size_t kFlagsAt = kParentIdAt + kParentIdBytes + 1;

constexpr std::size_t kMembersMax = 32;
constexpr std::size_t kLongMemberBytes = 128;  // beyond it a member is the first to go
constexpr std::size_t kKeyBytesMax = 256;
constexpr std::size_t kTenantBytesMax = 241;
constexpr std::size_t kSystemBytesMax = 14;
constexpr std::size_t kValueBytesMax = 256;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

std::string_view without_blanks_around(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Nothing if it is invalid.
std::optional<std::string> read_parent(std::string_view text) {
  constexpr std::size_t kBytes = limits::kTraceParentBytes;
  if (text.size() < kBytes) return std::nullopt;
  const std::string_view version = text.substr(0, 2);
  const std::string_view trace_id = text.substr(kTraceIdAt, kTraceIdBytes);
  const std::string_view parent_id = text.substr(kParentIdAt, kParentIdBytes);
  const std::string_view flags = text.substr(kFlagsAt, 2);
  for (const std::size_t dash : {kTraceIdAt - 1, kParentIdAt - 1, kFlagsAt - 1})
    if (text[dash] != '-') return std::nullopt;
  if (!is_hex(version) || !is_hex(trace_id) || !is_hex(parent_id) || !is_hex(flags)) return std::nullopt;
  if (version == "ff" || is_zero(trace_id) || is_zero(parent_id)) return std::nullopt;
  if (version == "00") return text.size() == kBytes ? std::optional(std::string(text)) : std::nullopt;
  // Of a later version the fields of this one are known, and of its flags the lowest alone.
  if (text.size() > kBytes && text[kBytes] != '-') return std::nullopt;
  const bool is_sampled = std::string_view("13579bdf").find(flags[1]) != std::string_view::npos;
  return "00-" + std::string(text.substr(kTraceIdAt, kFlagsAt - kTraceIdAt)) + (is_sampled ? "01" : "00");
}

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool are_key_bytes(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
  });
}

bool is_key(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos)
    return !key.empty() && key.size() <= kKeyBytesMax && is_lower(key[0]) && are_key_bytes(key);
  const std::string_view tenant = key.substr(0, at);
  const std::string_view system = key.substr(at + 1);
  return !tenant.empty() && tenant.size() <= kTenantBytesMax &&
         (is_lower(tenant[0]) || is_digit(tenant[0])) && are_key_bytes(tenant) && !system.empty() &&
         system.size() <= kSystemBytesMax && is_lower(system[0]) && are_key_bytes(system);
}

// Blanks at its end belong to the list, and are gone by now.
bool is_value(std::string_view value) {
  return !value.empty() && value.size() <= kValueBytesMax &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

// The members in their order, without those that are empty; nothing if one is invalid.
std::optional<std::vector<std::string_view>> read_members(std::string_view text) {
  std::vector<std::string_view> members;
  std::vector<std::string_view> keys;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view member = without_blanks_around(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos || members.size() == kMembersMax) return std::nullopt;
    const std::string_view key = member.substr(0, equals);
    if (!is_key(key) || !is_value(member.substr(equals + 1))) return std::nullopt;
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return std::nullopt;
    keys.push_back(key);
    members.push_back(member);
  }
  return members;
}

std::size_t joined_bytes(const std::vector<std::string_view>& members) {
  std::size_t bytes = members.empty() ? 0 : members.size() - 1;
  for (const auto& member : members) bytes += member.size();
  return bytes;
}

std::string read_state(std::string_view text) {
  auto members = read_members(text);
  if (!members) return {};
  while (joined_bytes(*members) > limits::kTraceStateBytesMax) {
    const auto last_long = std::find_if(members->rbegin(), members->rend(), [](std::string_view member) {
      return member.size() > kLongMemberBytes;
    });
    members->erase(last_long == members->rend() ? members->end() - 1 : last_long.base() - 1);
  }
  std::string out;
  for (const auto& member : *members) out += (out.empty() ? "" : ",") + std::string(member);
  return out;
}

}  // namespace

TraceContext parse_trace_context(std::string_view traceparent, std::string_view tracestate) {
  auto parent = read_parent(without_blanks_around(traceparent));
  if (!parent) return {};
  return {std::move(*parent), read_state(tracestate)};
}

}  // namespace skep
