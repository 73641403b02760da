// SPDX-License-Identifier: Apache-2.0
// digest_matcher.h - which of several chains of hashes gives a digest: computed, a slice at a time.
//
// Not here: the hashing itself, which comes in as a function (manager does not know compute/).
//
// Threads:   match() from any thread; the slices run on `own`, the answer on `reply_on`.
// Ownership: borrows both executors. Where `own` stops, what is under way ends without an answer.
// Cost:      as long as the chains up to the one that fits take; one match after the other gets a slice.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "manager/service.h"

namespace skep::manager {

class DigestMatcher {
 public:
  // Each call computes a slice; the digest as hexadecimal digits once it is there.
  using Chain = UniqueFunction<std::optional<std::string>()>;
  using BeginChain = std::function<Chain(Blob body, std::uint64_t iterations)>;

  DigestMatcher(Executor& own, Executor& reply_on, BeginChain begin)
      : own_(own), reply_on_(reply_on), begin_(std::move(begin)) {}

  void match(std::vector<DigestCandidate> candidates, std::string hex,
             UniqueFunction<void(std::optional<std::size_t>)> done);

 private:
  struct Match {
    std::vector<DigestCandidate> candidates;
    std::string hex;
    UniqueFunction<void(std::optional<std::size_t>)> done;
    std::size_t at = 0;
    Chain chain;
  };
  void go_on(std::unique_ptr<Match> match);
  void answer(std::unique_ptr<Match> match, std::optional<std::size_t> found);

  Executor& own_;
  Executor& reply_on_;
  const BeginChain begin_;
};

}  // namespace skep::manager
