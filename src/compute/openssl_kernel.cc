// SPDX-License-Identifier: Apache-2.0
// The transform is of OpenSSL's low-level interface, deprecated since 3.0 in favour of EVP: EVP's bookkeeping
// costs more than a third of a hash of one block (docs/benchmarks.md).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "compute/openssl_kernel.h"

#include <openssl/sha.h>

#include <bit>
#include <cstring>

#include "compute/sha512_tables.h"

namespace skep::compute {
namespace {

constexpr std::size_t kBlockBytes = 128;
static_assert(sizeof(SHA_LONG64) == sizeof(std::uint64_t));

std::uint64_t big_endian(std::uint64_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

void chain(LaneState& state, std::uint64_t steps) {
  std::uint64_t block[16];
  for (int i = 0; i < 8; ++i) block[i] = big_endian(state.words[i][0]);
  for (int i = 8; i < 16; ++i) block[i] = big_endian(kChainTable.pad[i - 8]);
  SHA512_CTX context;
  for (; steps != 0; --steps) {
    for (int i = 0; i < 8; ++i) context.h[i] = kInitial[i];
    SHA512_Transform(&context, reinterpret_cast<const unsigned char*>(block));
    for (int i = 0; i < 8; ++i) block[i] = big_endian(context.h[i]);
  }
  for (int i = 0; i < 8; ++i) state.words[i][0] = context.h[i];
}

void mixed(LaneState& state, std::uint64_t steps) {
  if (state.phase[0] == LaneState::kInChain) return chain(state, steps);
  SHA512_CTX context;
  for (int i = 0; i < 8; ++i) context.h[i] = state.words[i][0];
  const std::uint8_t* block = state.blocks[0];
  for (; steps != 0; --steps, block += kBlockBytes) SHA512_Transform(&context, block);
  for (int i = 0; i < 8; ++i) state.words[i][0] = context.h[i];
}

}  // namespace

Kernel openssl_kernel() {
  return {"openssl", 1, chain, mixed};
}

}  // namespace skep::compute
