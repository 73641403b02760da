// SPDX-License-Identifier: Apache-2.0
#include "bodies.h"

#include <cstring>

#include "base/random.h"
#include "plan.h"

namespace skep::bench::queue {
namespace {

constexpr std::size_t kPlaces = std::size_t{1} << 20;
constexpr std::uint64_t kSeed = 1;

}  // namespace

Pool::Pool(std::size_t body_bytes) : body_bytes_(body_bytes), random_(kPlaces + body_bytes, '\0') {
  if (body_bytes < kStampBytes) fail("a body needs room for its number");
  Random random(kSeed);
  for (std::size_t i = 0; i + sizeof(std::uint64_t) <= random_.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random.next();
    std::memcpy(random_.data() + i, &bits, sizeof bits);
  }
}

std::string_view Pool::rest_of(std::uint64_t number) const {
  return std::string_view(random_).substr(Ledger::hash(number) % kPlaces, body_bytes_ - kStampBytes);
}

void Pool::write(std::uint64_t number, std::span<char> out) const {
  const auto rest = rest_of(number);
  std::memcpy(out.data(), &number, kStampBytes);
  std::memcpy(out.data() + kStampBytes, rest.data(), rest.size());
}

std::uint64_t Pool::check(std::string_view body) const {
  if (body.size() != body_bytes_) {
    fail("a body of " + std::to_string(body.size()) + " bytes came back for " + std::to_string(body_bytes_));
  }
  std::uint64_t number = 0;
  std::memcpy(&number, body.data(), kStampBytes);
  if (body.substr(kStampBytes) != rest_of(number)) fail("a body came back with other bytes");
  return number;
}

void Ledger::enqueued(std::uint64_t tasks, std::uint64_t hashes) {
  hashes_in_ += hashes;
  tasks_in_ += tasks;
}

void Ledger::completed(std::uint64_t tasks, std::uint64_t hashes) {
  hashes_out_ += hashes;
  tasks_out_ += tasks;
}

std::uint64_t Ledger::open() const {
  const std::uint64_t out = tasks_out_.load();  // first: what is enqueued meanwhile may only add
  const std::uint64_t in = tasks_in_.load();
  return in > out ? in - out : 0;
}

void Ledger::check_all_done() const {
  if (tasks_in_ != tasks_out_) {
    fail(std::to_string(tasks_in_) + " tasks were enqueued, " + std::to_string(tasks_out_) + " completed");
  }
  if (hashes_in_ != hashes_out_) fail("other tasks were completed than were enqueued");
}

std::uint64_t Ledger::hash(std::uint64_t number) {
  return Random(number).next();
}

}  // namespace skep::bench::queue
