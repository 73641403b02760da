// SPDX-License-Identifier: Apache-2.0
// The plain loop that engine.h declares and every engine is held against.
#include <openssl/sha.h>

#include "base/check.h"
#include "compute/engine.h"

namespace skep::compute {

// SHA512() and not the EVP interface of the engine: the two share as little as one library allows.
Digest reference_digest(const std::string& body, std::uint64_t iterations) {
  SKEP_CHECK(iterations > 0, "a chain has at least one hash");
  Digest digest;
  SHA512(reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data());
  for (std::uint64_t i = 1; i < iterations; ++i) {
    const Digest input = digest;
    SHA512(input.data(), input.size(), digest.data());
  }
  return digest;
}

}  // namespace skep::compute
