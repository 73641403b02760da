// SPDX-License-Identifier: Apache-2.0
// engine.h - computes iterated SHA-512 for a stream of jobs.
//
// The work: digest = SHA-512(body), then SHA-512(digest) again, `iterations` hashes in all. An engine takes
// jobs at any time, works on as many at once as it has lanes, and hands results back as they end, in any
// order. It runs only inside run(), in slices, so that its owner can add, cancel and stop between them.
//
// Threads:   one thread at a time; one engine for each core.
// Ownership: shares the bodies until their first hash is done.
// Errors:    none; a key that is in the engine already is a broken invariant.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace skep::compute {

using Digest = std::array<std::uint8_t, 64>;

struct Job {
  std::uint64_t key = 0;  // the owner's name for it
  std::shared_ptr<const std::string> body;
  std::uint64_t iterations = 1;  // from 1
};

struct JobDone {
  std::uint64_t key = 0;
  Digest digest{};
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual void add(Job job) = 0;
  // Forgets the job. False if it is not here (any more).
  virtual bool cancel(std::uint64_t key) = 0;

  // Works until about `hashes_max` hash compressions are done or nothing is left, and appends what ended to
  // `done`. Returns the compressions done; 0 means idle.
  virtual std::uint64_t run(std::uint64_t hashes_max, std::vector<JobDone>& done) = 0;

  // Iterations done of a job, 0 if unknown.
  virtual std::uint64_t progress(std::uint64_t key) const = 0;

  virtual std::size_t jobs() const = 0;   // in the engine
  virtual std::size_t lanes() const = 0;  // worked on at once
};

// One lane, OpenSSL's EVP interface with a context that is reused.
std::unique_ptr<Engine> make_scalar_engine();

// One chain, at once, by OpenSSL's one-shot digest: the independent computation that results are checked
// against.
Digest reference_digest(const std::string& body, std::uint64_t iterations);

// 128 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);

}  // namespace skep::compute
