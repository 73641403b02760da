// SPDX-License-Identifier: Apache-2.0
// Digests as text, as engine.h declares it.
#include "compute/engine.h"

namespace skep::compute {

std::string to_hex(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace skep::compute
