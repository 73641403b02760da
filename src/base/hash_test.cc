// SPDX-License-Identifier: Apache-2.0
// Stored checksums must never change: the published vectors, and both implementations against each other.
#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace skep {
namespace {

std::string rising(int from, int step) {
  std::string bytes;
  for (int i = 0; i < 32; ++i) bytes += static_cast<char>(from + i * step);
  return bytes;
}

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(rising(0, 1)), 0x46dd794eu);
  EXPECT_EQ(crc32c(rising(31, -1)), 0x113fdb5cu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, PortableAndFastestAgreeAtEveryLengthAndAlignment) {
  Random random(1);
  std::string bytes;
  for (int i = 0; i < 300; ++i) bytes += static_cast<char>(random.next());
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; from + size <= bytes.size(); ++size) {
      const std::string_view part = std::string_view(bytes).substr(from, size);
      ASSERT_EQ(crc32c(part, 77), crc32c_portable(part, 77)) << from << " " << size;
    }
  }
}

TEST(Crc32c, SeedContinuesAnEarlierChecksum) {
  const std::string_view text = "the quick brown fox";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(crc32c(text.substr(cut), crc32c(text.substr(0, cut))), crc32c(text));
  }
}

TEST(Fnv1a, MatchesPublishedVectors) {
  EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a("foobar"), 0x85944171f73967e8u);
}

}  // namespace
}  // namespace skep
