// SPDX-License-Identifier: Apache-2.0
#include "skep_wire.h"

#include <algorithm>
#include <cstdint>

namespace skep::bench::queue::wire {
namespace {

constexpr std::string_view kKind = "sha512";
constexpr std::uint64_t kRunMicroseconds = 1;
// As long as a digest. The manager takes any bytes for one.
constexpr std::string_view kResult = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
// The lengths of what a manager answers.
constexpr std::string_view kSomeTask = "00000000008000000002", kSomeLease = "00000000008000000002.1.1";

constexpr unsigned kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void put_number(std::string& out, std::uint64_t value) {
  for (; value > 0x7f; value >>= 7) out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_varint(std::string& out, unsigned field, std::uint64_t value) {
  put_number(out, field << 3 | kVarint);
  put_number(out, value);
}

void put_head(std::string& out, unsigned field, std::size_t bytes) {
  put_number(out, field << 3 | kBytes);
  put_number(out, bytes);
}

void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_head(out, field, bytes.size());
  out.append(bytes);
}

std::uint64_t take_number(std::string_view& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in.empty()) fail("an answer of skep ends within a number");
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("an answer of skep has a number that is too long");
}

std::string_view take(std::string_view& in, std::uint64_t bytes) {
  if (bytes > in.size()) fail("an answer of skep is too short");
  const auto out = in.substr(0, bytes);
  in.remove_prefix(bytes);
  return out;
}

// Calls `on(field, bytes)` for each field of bytes; numbers are passed over.
template <class F>
void for_each_field(std::string_view in, F on) {
  while (!in.empty()) {
    const auto tag = take_number(in);
    switch (tag & 7) {
      case kVarint:
        take_number(in);
        break;
      case kFixed64:
        take(in, 8);
        break;
      case kFixed32:
        take(in, 4);
        break;
      case kBytes:
        on(static_cast<unsigned>(tag >> 3), take(in, take_number(in)));
        break;
      default:
        fail("an answer of skep is no protobuf");
    }
  }
}

std::string_view field_of(std::string_view message, unsigned wanted) {
  std::string_view out;
  for_each_field(message, [&](unsigned field, std::string_view bytes) {
    if (field == wanted) out = bytes;
  });
  return out;
}

}  // namespace

std::string registration(std::size_t slots) {
  std::string out;
  put_bytes(out, 1, "bench");
  put_varint(out, 2, std::min<std::size_t>(slots, 1000));
  put_bytes(out, 3, kKind);
  return out;
}

std::string_view worker_of(std::string_view reply) {
  return field_of(reply, 1);
}

void put_batch(std::string& out, std::span<const std::string_view> bodies) {
  std::string options, rest;
  put_varint(options, 3, 1);
  for (const auto body : bodies) {
    rest.clear();
    put_bytes(rest, 1, options);
    put_head(rest, 2, body.size());
    put_head(out, 1, rest.size() + body.size());
    out.append(rest);
    out.append(body);
  }
}

std::size_t tasks_of(std::string_view reply) {
  std::size_t count = 0;
  for_each_field(reply, [&](unsigned field, std::string_view task) {
    count += field == 1 && !field_of(task, 1).empty() ? 1 : 0;
  });
  return count;
}

void put_acquire(std::string& out, std::string_view worker, std::size_t max, int wait_ms) {
  put_bytes(out, 1, worker);
  put_varint(out, 2, max);
  put_varint(out, 3, static_cast<std::uint64_t>(wait_ms));
  put_bytes(out, 4, kKind);
}

void read_leases(std::string_view reply, std::vector<std::string_view>& leases, BodyViews& bodies) {
  for_each_field(reply, [&](unsigned field, std::string_view message) {
    if (field != 1) return;
    std::string_view lease, body;
    for_each_field(message, [&](unsigned inner, std::string_view bytes) {
      if (inner == 1) lease = bytes;
      if (inner == 8) body = bytes;
    });
    leases.push_back(lease);
    bodies.push_back(body);
  });
}

std::string leases_reply(std::size_t count, std::size_t body_bytes) {
  std::string lease;
  put_bytes(lease, 1, kSomeLease);
  put_bytes(lease, 2, kSomeTask);
  put_bytes(lease, 3, kKind);
  put_varint(lease, 4, 1);
  put_bytes(lease, 8, std::string(body_bytes, 'x'));
  std::string out;
  for (std::size_t i = 0; i < count; ++i) put_bytes(out, 1, lease);
  return out;
}

void put_complete(std::string& out, std::string_view worker, std::span<const std::string> leases) {
  put_bytes(out, 1, worker);
  std::string outcome;
  for (const auto& lease : leases) {
    outcome.clear();
    put_bytes(outcome, 1, lease);
    put_bytes(outcome, 3, kResult);
    put_varint(outcome, 7, kRunMicroseconds);
    put_bytes(out, 2, outcome);
  }
}

std::size_t accepted_of(std::string_view reply) {
  std::size_t count = 0;
  for_each_field(reply, [&](unsigned field, std::string_view outcome) {
    count += field == 1 && field_of(outcome, 2) == "ok" ? 1 : 0;
  });
  return count;
}

std::size_t count_of(std::string_view request, unsigned field) {
  std::size_t count = 0;
  for_each_field(request, [&](unsigned each, std::string_view) { count += each == field ? 1 : 0; });
  return count;
}

std::string worker_reply() {
  std::string out;
  put_bytes(out, 1, kSomeTask);
  return out;
}

std::string accepted_reply(std::size_t count) {
  std::string outcome, out;
  put_bytes(outcome, 1, kSomeLease);
  put_bytes(outcome, 2, "ok");
  for (std::size_t i = 0; i < count; ++i) put_bytes(out, 1, outcome);
  return out;
}

std::string enqueued_reply(std::size_t count) {
  std::string task, out;
  put_bytes(task, 1, kSomeTask);
  put_bytes(task, 2, "queued");
  for (std::size_t i = 0; i < count; ++i) put_bytes(out, 1, task);
  return out;
}

}  // namespace skep::bench::queue::wire
