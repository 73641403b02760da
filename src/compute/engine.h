// SPDX-License-Identifier: Apache-2.0
// engine.h - computes iterated SHA-512 for a stream of jobs.
//
// The work: digest = SHA-512(body), then SHA-512(digest) again, `iterations` hashes in all. A chain is
// sequential, so one job can not go faster than one lane; but the lanes of a vector unit are independent. The
// engine takes jobs at any time, gives each a lane, refills a lane the moment its job ends, and hands results
// back as they end, in any order. Bodies and chains share the lanes. It runs only inside run(), in slices, so
// that its owner can add, take out and stop between them.
//
// Threads:   one thread at a time; one engine for each core.
// Ownership: shares the bodies until their first hash is done.
// Errors:    none; a key that is in the engine already is a broken invariant.
// Cost:      an event of a lane (a job begins, its body ends, it ends) costs some hundred nanoseconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compute/plan.h"

namespace skep::compute {

using Digest = std::array<std::uint8_t, 64>;

// Where a chain is: the digest after some of its iterations.
struct Checkpoint {
  std::uint64_t iterations_done = 0;  // 0: nothing yet, and `digest` says nothing
  Digest digest{};

  bool operator==(const Checkpoint&) const = default;
};

struct Job {
  std::uint64_t key = 0;                    // the owner's name for it
  std::shared_ptr<const std::string> body;  // not needed when `from` is given
  std::uint64_t iterations = 1;             // from 1
  Checkpoint from;                          // go on from here; fewer iterations than `iterations`
};

struct JobDone {
  std::uint64_t key = 0;
  Digest digest{};
};

// A job that has a lane.
struct JobRunning {
  std::uint64_t key = 0;
  Checkpoint at;
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual void add(Job job) = 0;
  // Takes the job out. What is left of it, with `from` as far as it came; nothing if it is not here (any
  // more).
  virtual std::optional<Job> take(std::uint64_t key) = 0;

  // Works until about `compressions_max` are done or nothing is left, and appends what ended to `done`.
  // Returns the compressions done, of all lanes; 0 means idle.
  virtual std::uint64_t run(std::uint64_t compressions_max, std::vector<JobDone>& done) = 0;

  // Every job that has a lane. One whose body is being hashed has 0 iterations done.
  virtual std::vector<JobRunning> running() const = 0;

  virtual std::size_t jobs() const = 0;   // in the engine, with a lane or without
  virtual std::size_t lanes() const = 0;  // worked on at once
  // What part of its full rate the engine reaches with so many lanes in use, 0 < share <= 1.
  virtual double share(std::size_t lanes_used) const = 0;
};

std::unique_ptr<Engine> make_engine(Plan plan);

// Compressions of 128-byte blocks that SHA-512 needs for a message: padding adds a byte and a 16-byte length.
constexpr std::uint64_t compressions_of(std::uint64_t bytes) {
  return (bytes + 16) / 128 + 1;
}

// One chain, at once, by OpenSSL's digest in a loop: the independent computation that results are checked
// against.
Digest reference_digest(const std::string& body, std::uint64_t iterations);

// 128 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);

}  // namespace skep::compute
