// SPDX-License-Identifier: Apache-2.0
// Goal: secrets are random, hashes are the standard's. Method: known answers of FIPS 180-4.
#include "base/secret.h"

#include <gtest/gtest.h>

#include <set>

namespace skep {
namespace {

TEST(Secret, Sha256IsThatOfTheStandardHoweverItIsSplit) {
  const std::string digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(hex_of(sha256("abc", "")), digest);
  EXPECT_EQ(hex_of(sha256("", "abc")), digest);
  EXPECT_EQ(hex_of(sha256("a", "bc")), digest);
}

TEST(Secret, RandomBytesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(random_secret(16)).second);
  EXPECT_EQ(random_secret(5).size(), 5u);
}

TEST(Secret, ComparisonTellsEveryByteAndTheSize) {
  const std::string secret = random_secret(32);
  EXPECT_TRUE(is_equal_in_constant_time(secret, std::string(secret)));
  for (std::size_t i = 0; i < secret.size(); ++i) {
    std::string other = secret;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(is_equal_in_constant_time(secret, other));
  }
  EXPECT_FALSE(is_equal_in_constant_time(secret, secret.substr(1)));
  EXPECT_TRUE(is_equal_in_constant_time("", ""));
}

TEST(Secret, HexComesBackAndWhatIsNoneDoesNot) {
  const std::string bytes("\x00\xff\x10 z", 5);
  EXPECT_EQ(hex_of(bytes), "00ff10207a");
  EXPECT_EQ(bytes_of_hex(hex_of(bytes)), bytes);
  for (const char* bad : {"0", "0g", "FF"}) EXPECT_EQ(bytes_of_hex(bad), "") << bad;
}

}  // namespace
}  // namespace skep
