// SPDX-License-Identifier: Apache-2.0
// hash.h - CRC-32C for stored records and FNV-1a for comparing results.
//
// Threads:   any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace skep {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, starting from `seed` (the checksum of what came
// before).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);
// The same without the processor's instruction; what crc32c() is where there is none.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t seed = 0);

// 64-bit FNV-1a. Stable across versions: it is stored.
constexpr std::uint64_t fnv1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace skep
