// SPDX-License-Identifier: Apache-2.0
// The plain loop that engine.h declares and every engine is held against.
#include <openssl/evp.h>

#include <memory>

#include "base/check.h"
#include "compute/engine.h"

namespace skep::compute {

// EVP and not the bare transform of the engine, so that the two share as little as one library allows; with
// one context for the chain, as SHA512() spends more than half of its time on making one.
Digest reference_digest(const std::string& body, std::uint64_t iterations) {
  SKEP_CHECK(iterations > 0, "a chain has at least one hash");
  const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> sha512(EVP_MD_fetch(nullptr, "SHA512", nullptr),
                                                               EVP_MD_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Digest digest;
  bool is_done = EVP_DigestInit_ex2(context.get(), sha512.get(), nullptr) == 1 &&
                 EVP_DigestUpdate(context.get(), body.data(), body.size()) == 1 &&
                 EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  for (std::uint64_t i = 1; i < iterations && is_done; ++i) {
    is_done = EVP_DigestInit_ex2(context.get(), nullptr, nullptr) == 1 &&
              EVP_DigestUpdate(context.get(), digest.data(), digest.size()) == 1 &&
              EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  }
  SKEP_CHECK(is_done, "OpenSSL has SHA-512");
  return digest;
}

}  // namespace skep::compute
