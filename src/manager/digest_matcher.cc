// SPDX-License-Identifier: Apache-2.0
#include "manager/digest_matcher.h"

namespace skep::manager {

void DigestMatcher::match(std::vector<DigestCandidate> candidates, std::string hex,
                          UniqueFunction<void(std::optional<std::size_t>)> done) {
  auto match = std::make_unique<Match>();
  match->candidates = std::move(candidates);
  match->hex = std::move(hex);
  match->done = std::move(done);
  own_.post([this, match = std::move(match)]() mutable { go_on(std::move(match)); });
}

void DigestMatcher::go_on(std::unique_ptr<Match> match) {
  if (match->at == match->candidates.size()) return answer(std::move(match), std::nullopt);
  auto& candidate = match->candidates[match->at];
  if (!match->chain) match->chain = begin_(candidate.body, candidate.iterations);
  if (const auto digest = match->chain()) {
    if (*digest == match->hex) {
      const std::size_t found = match->at;
      return answer(std::move(match), found);
    }
    match->chain = nullptr;
    ++match->at;
  }
  own_.post([this, match = std::move(match)]() mutable { go_on(std::move(match)); });
}

void DigestMatcher::answer(std::unique_ptr<Match> match, std::optional<std::size_t> found) {
  reply_on_.post([match = std::move(match), found]() mutable { match->done(found); });
}

}  // namespace skep::manager
