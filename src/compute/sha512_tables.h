// SPDX-License-Identifier: Apache-2.0
// sha512_tables.h - the constants of SHA-512 (FIPS 180-4, sections 4.2.3 and 5.3.5) and what follows from
// them for the hash of a digest.
//
// They are defined in a file of their own on purpose: a kernel that saw their values would build them from
// immediates, two instructions and a port of the vector unit each, where a broadcast load costs neither.
//
// Threads:   constants.
#pragma once

#include <cstdint>

namespace skep::compute {

extern const std::uint64_t kRound[80];   // K
extern const std::uint64_t kInitial[8];  // H(0)

// The message that holds one digest is one block: eight words of digest, then words that never change.
constexpr std::uint64_t kPadBegin = 0x8000000000000000;  // word 8: the bit after the message
constexpr std::uint64_t kPadLength = 512;                // word 15: its length in bits; words 9-14 are zero

struct ChainTable {
  // Round 0 begins with the initial state alone, so that only the first word is missing from its sums:
  // e = first_e + w[0], a = first_a + w[0].
  std::uint64_t first_e;
  std::uint64_t first_a;
  // Rounds 1-3: K plus the h that the initial state brings to the round. At 1, 2 and 3.
  std::uint64_t round_and_h[4];
  // Rounds 8-15: K plus the constant word of the message. At 8 to 15 less 8.
  std::uint64_t round_and_word[8];
  std::uint64_t pad[8];         // words 8-15 of the message
  std::uint64_t sigma1_length;  // the small sigmas of the constant words that are not zero
  std::uint64_t sigma0_begin;
  std::uint64_t sigma0_length;
};
extern const ChainTable kChainTable;

}  // namespace skep::compute
