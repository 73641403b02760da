// SPDX-License-Identifier: Apache-2.0
// contender.h - one way of computing SHA-512, as `./dev bench compute` measures it.
//
// A contender of chains holds width() digests and replaces each by its digest, again and again. A contender
// of bulk has bodies and hashes width() of them at a time, one after the other and then again from the first.
// The timed code is the checked code: see check_chains() and check_bulk().
//
// Threads:   one thread.
// Units:     what unit() says of one hash of a chain or one body: 1, or its bytes.
// Errors:    a digest that is wrong, or a library that does not start, ends the program with a sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compute/engine.h"

namespace skep::bench {

using Bodies = std::vector<std::shared_ptr<const std::string>>;

class Contender {
 public:
  Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
  virtual ~Contender() = default;

  virtual std::string name() const = 0;
  virtual std::string what() const = 0;  // for people: what is called, and how
  virtual std::uint64_t width() const = 0;
  virtual std::uint64_t unit() const = 0;
  // Goes on with each chain, or takes width() bodies, `rounds` times.
  virtual void run(std::uint64_t rounds) = 0;
  // Of each chain; in bulk, of each body as far as it was hashed.
  virtual std::vector<compute::Digest> digests() const = 0;
};

using Contenders = std::vector<std::unique_ptr<Contender>>;

// Where chain number `i` begins.
compute::Digest first_digest(std::size_t i);
std::vector<compute::Digest> first_digests(std::size_t count);
// 8 MiB in bodies of so many bytes: for all contenders the same, and more than a core's own caches hold.
Bodies bulk_bodies(std::size_t bytes);
inline constexpr std::size_t kBulkBytes = 256 * 1024;

// What this machine can run.
void add_openssl_chains(Contenders& out);
void add_openssl_bulk(Contenders& out);
void add_ipsec_mb_chains(Contenders& out);
void add_ipsec_mb_bulk(Contenders& out);
void add_engine_chains(Contenders& out);  // each target as a worker has it, and each kernel alone
void add_engine_bulk(Contenders& out);
void add_engine_by_jobs(Contenders& out);  // the best target with few jobs
void add_kernels(Contenders& out);         // without the engine
void add_clock(Contenders& out);           // one unit takes one cycle

// Against reference_digest(). Ends the program at a difference.
void check_chains(Contender& contender);
void check_bulk(Contender& contender);

std::string ipsec_mb_version();

[[noreturn]] void fail(const std::string& why);

}  // namespace skep::bench
