// SPDX-License-Identifier: Apache-2.0
#include "task/id.h"

#include <charconv>

namespace skep {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr int kIdChars = 20;                   // 100 bits hold the 96 of an id
__extension__ using Bits = unsigned __int128;  // no ISO type; every 64-bit target has it

template <class T>
bool parse_decimal(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string TaskId::to_string() const {
  Bits bits = (Bits{shard} << 80) | (Bits{epoch} << 48) | sequence;
  std::string text(kIdChars, '0');
  for (int i = kIdChars - 1; i >= 0; --i, bits >>= 5)
    text[static_cast<std::size_t>(i)] = kAlphabet[bits & 31];
  return text;
}

Result<TaskId> TaskId::parse(std::string_view text) {
  const auto refuse = [&] {
    return fail(Code::kInvalid,
                "'" + std::string(text.substr(0, 64)) +
                    "' is not a task id: expected 20 characters of 0-9 a-z without i, l, o, u");
  };
  if (text.size() != kIdChars) return refuse();
  Bits bits = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return refuse();
    bits = (bits << 5) | digit;
  }
  if (bits >> 96 != 0) return refuse();
  return TaskId{static_cast<ShardId>(bits >> 80), static_cast<Epoch>(bits >> 48),
                static_cast<std::uint64_t>(bits) & kSequenceMax};
}

std::string LeaseToken::to_string() const {
  return task.to_string() + "." + std::to_string(epoch) + "." + std::to_string(number);
}

Result<LeaseToken> LeaseToken::parse(std::string_view text) {
  const auto first = text.find('.');
  const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
  LeaseToken token;
  if (second == std::string_view::npos ||
      !parse_decimal(text.substr(first + 1, second - first - 1), token.epoch) ||
      !parse_decimal(text.substr(second + 1), token.number) || token.number == 0) {
    return fail(Code::kInvalid,
                "'" + std::string(text.substr(0, 64)) + "' is not a lease: expected TASK.EPOCH.NUMBER");
  }
  SKEP_TRY(const auto task, TaskId::parse(text.substr(0, first)));
  token.task = task;
  return token;
}

}  // namespace skep
