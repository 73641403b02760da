// SPDX-License-Identifier: Apache-2.0
// Digests as text: 128 lower-case digits, byte by byte.
#include <gtest/gtest.h>

#include "compute/engine.h"

namespace skep::compute {
namespace {

TEST(Hex, EveryByteHasTwoLowerCaseDigits) {
  Digest digest{};
  digest[0] = 0x0f;
  digest[1] = 0xa0;
  digest[63] = 0xff;
  EXPECT_EQ(to_hex(digest), "0fa0" + std::string(122, '0') + "ff");
}

}  // namespace
}  // namespace skep::compute
