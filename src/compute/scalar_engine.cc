// SPDX-License-Identifier: Apache-2.0
// The engine of one lane: OpenSSL, one reused context.
#include <openssl/evp.h>

#include <algorithm>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "compute/engine.h"

namespace skep::compute {
namespace {

// Compressions of 128-byte blocks that SHA-512 needs for `bytes`: padding adds one byte and a 16-byte length.
std::uint64_t compressions(std::size_t bytes) {
  return (bytes + 16) / 128 + 1;
}

// SHA-512 by EVP, with the algorithm looked up once and one context: a look-up for each hash would cost more
// than the hash.
class Hasher {
 public:
  Hasher() : algorithm_(EVP_MD_fetch(nullptr, "SHA512", nullptr)), context_(EVP_MD_CTX_new()) {
    SKEP_CHECK(algorithm_ != nullptr && context_ != nullptr, "OpenSSL has no SHA-512");
  }
  ~Hasher() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  // `out` may be the input.
  void hash(const void* data, std::size_t bytes, Digest& out) {
    const bool is_good = EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1 &&
                         EVP_DigestUpdate(context_, data, bytes) == 1 &&
                         EVP_DigestFinal_ex(context_, out.data(), nullptr) == 1;
    SKEP_CHECK(is_good, "OpenSSL could not compute SHA-512");
  }

 private:
  EVP_MD* algorithm_;
  EVP_MD_CTX* context_;
};

class ScalarEngine final : public Engine {
 public:
  void add(Job job) override {
    SKEP_CHECK(job.iterations > 0, "a chain has at least one hash");
    SKEP_CHECK(job.body != nullptr, "a job has a body, if only an empty one");
    const std::uint64_t key = job.key;
    jobs_.push_back({std::move(job), 0, {}});
    const bool is_new = places_.emplace(key, std::prev(jobs_.end())).second;
    SKEP_CHECK(is_new, "the key is in the engine already");
  }

  bool cancel(std::uint64_t key) override {
    const auto place = places_.find(key);
    if (place == places_.end()) return false;
    jobs_.erase(place->second);
    places_.erase(place);
    return true;
  }

  std::uint64_t run(std::uint64_t hashes_max, std::vector<JobDone>& done) override {
    std::uint64_t spent = 0;
    while (spent < hashes_max && !jobs_.empty()) {
      Chain& chain = jobs_.front();
      spent += chain.iterations_done == 0 ? begin(chain) : advance(chain, hashes_max - spent);
      if (chain.iterations_done < chain.job.iterations) continue;
      done.push_back({chain.job.key, chain.digest});
      places_.erase(chain.job.key);
      jobs_.pop_front();
    }
    return spent;
  }

  std::uint64_t progress(std::uint64_t key) const override {
    const auto place = places_.find(key);
    return place == places_.end() ? 0 : place->second->iterations_done;
  }

  std::size_t jobs() const override { return jobs_.size(); }
  std::size_t lanes() const override { return 1; }

 private:
  struct Chain {
    Job job;
    std::uint64_t iterations_done = 0;
    Digest digest{};
  };

  // The hash of the body; whole, however large it is. Returns its compressions.
  std::uint64_t begin(Chain& chain) {
    const std::size_t bytes = chain.job.body->size();
    hasher_.hash(chain.job.body->data(), bytes, chain.digest);
    chain.job.body.reset();
    chain.iterations_done = 1;
    return compressions(bytes);
  }

  // Hashes of hashes: one compression each.
  std::uint64_t advance(Chain& chain, std::uint64_t hashes_max) {
    const std::uint64_t count = std::min(hashes_max, chain.job.iterations - chain.iterations_done);
    for (std::uint64_t i = 0; i < count; ++i)
      hasher_.hash(chain.digest.data(), chain.digest.size(), chain.digest);
    chain.iterations_done += count;
    return count;
  }

  Hasher hasher_;
  std::list<Chain> jobs_;  // in the order of arrival; the first one is worked on
  std::unordered_map<std::uint64_t, std::list<Chain>::iterator> places_;
};

}  // namespace

std::unique_ptr<Engine> make_scalar_engine() {
  return std::make_unique<ScalarEngine>();
}

}  // namespace skep::compute
