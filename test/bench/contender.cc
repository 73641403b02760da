// SPDX-License-Identifier: Apache-2.0
#include "contender.h"

#include <cstdio>
#include <cstdlib>

#include "base/random.h"

namespace skep::bench {
namespace {

constexpr std::uint64_t kChecked = 37;  // hashes of each chain
constexpr std::uint64_t kSeed = 1;
constexpr std::size_t kBulkSum = std::size_t{8} << 20;

std::string random_bytes(Random& random, std::size_t bytes) {
  std::string out(bytes, '\0');
  for (auto& byte : out) byte = static_cast<char>(random.next());
  return out;
}

std::string first_body(std::size_t i) {
  return "chain " + std::to_string(i);
}

}  // namespace

void fail(const std::string& why) {
  std::fprintf(stderr, "compute_bench: %s\n", why.c_str());
  std::exit(1);
}

compute::Digest first_digest(std::size_t i) {
  return compute::reference_digest(first_body(i), 1);
}

std::vector<compute::Digest> first_digests(std::size_t count) {
  std::vector<compute::Digest> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(first_digest(i));
  return out;
}

Bodies bulk_bodies(std::size_t bytes) {
  Random random(kSeed);
  Bodies out;
  for (std::size_t sum = 0; sum + bytes <= kBulkSum; sum += bytes) {
    out.push_back(std::make_shared<const std::string>(random_bytes(random, bytes)));
  }
  return out;
}

void check_chains(Contender& contender) {
  contender.run(kChecked - 1);
  contender.run(1);
  const auto digests = contender.digests();
  if (digests.size() != contender.width()) fail(contender.name() + " has lost a chain");
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (digests[i] != compute::reference_digest(first_body(i), 1 + kChecked)) {
      fail(contender.name() + " computes another digest than the reference");
    }
  }
}

void check_bulk(Contender& contender) {
  const auto bodies = bulk_bodies(contender.unit());
  contender.run((bodies.size() + contender.width() - 1) / contender.width());
  const auto digests = contender.digests();
  if (digests.size() != bodies.size()) fail(contender.name() + " has lost a body");
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    if (digests[i] != compute::reference_digest(*bodies[i], 1)) {
      fail(contender.name() + " computes another digest of a body than the reference");
    }
  }
}

}  // namespace skep::bench
