// SPDX-License-Identifier: Apache-2.0
// The scalar engine computes what the standard says, whatever the slices, and forgets what is cancelled.
// Method: vectors of FIPS 180-2 and of another implementation, then comparison with the reference over random
// jobs.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "compute/engine.h"

namespace skep::compute {
namespace {

Job job(std::uint64_t key, std::string body, std::uint64_t iterations = 1) {
  return {key, std::make_shared<const std::string>(std::move(body)), iterations};
}

std::string hash(std::string body, std::uint64_t iterations = 1) {
  const auto engine = make_scalar_engine();
  engine->add(job(1, std::move(body), iterations));
  std::vector<JobDone> done;
  while (engine->run(1'000'000, done) != 0) {
  }
  EXPECT_EQ(done.size(), 1u);
  return done.empty() ? "" : to_hex(done[0].digest);
}

struct Vector {
  std::string body;
  std::uint64_t iterations;
  std::string digest;
};

std::vector<Vector> vectors() {
  return {
      {"", 1,
       "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
       "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
      {"abc", 1,
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
       "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
       1,
       "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
       "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"},
      {std::string(1'000'000, 'a'), 1,
       "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
       "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
      {"abc", 1'000,
       "aeda6ba3d982a646b0152707c3c31b985cf0722b56a4f002f79593272b937641"
       "f8baa610e883521af88d076b2f71fd14acad76649159ba3933b00bc7f5ade179"},
      {"hello", 100'000,
       "6088ade865b1936af5c9e307689f27bf2c13051d7d1a438c8383f25965a824f0"
       "d2d228a879b0226a35cd59a3edb63f44c930be6eddc783c3cba78913cbc7d6f3"},
  };
}

TEST(ScalarEngine, ComputesTheKnownVectors) {
  for (const auto& vector : vectors()) EXPECT_EQ(hash(vector.body, vector.iterations), vector.digest);
}

TEST(Reference, ComputesTheKnownVectors) {
  for (const auto& vector : vectors()) {
    EXPECT_EQ(to_hex(reference_digest(vector.body, vector.iterations)), vector.digest);
  }
}

TEST(ScalarEngine, AgreesWithTheReferenceForEveryLengthAroundTheBlocks) {
  std::string body;
  for (std::size_t length = 0; length <= 300; ++length) {
    for (const std::uint64_t iterations : {1u, 2u, 3u}) {
      EXPECT_EQ(hash(body, iterations), to_hex(reference_digest(body, iterations))) << length;
    }
    body += static_cast<char>(length * 37 + 11);
  }
}

TEST(ScalarEngine, CountsCompressionsAndNotHashes) {
  struct Case {
    std::size_t bytes;
    std::uint64_t compressions;
  };
  for (const auto& [bytes, compressions] :
       {Case{0, 1}, Case{111, 1}, Case{112, 2}, Case{239, 2}, Case{240, 3}, Case{1u << 20, 8'193}}) {
    const auto engine = make_scalar_engine();
    engine->add(job(1, std::string(bytes, 'x')));
    std::vector<JobDone> done;
    EXPECT_EQ(engine->run(100'000, done), compressions) << bytes;
    EXPECT_EQ(engine->run(100'000, done), 0u);
  }
}

TEST(ScalarEngine, SliceEndsWhenItsCompressionsAreSpent) {
  const auto engine = make_scalar_engine();
  engine->add(job(7, "body", 1'000));
  std::vector<JobDone> done;
  EXPECT_EQ(engine->progress(7), 0u);
  EXPECT_EQ(engine->run(10, done), 10u);
  EXPECT_EQ(engine->progress(7), 10u);
  EXPECT_EQ(engine->run(989, done), 989u);
  EXPECT_TRUE(done.empty());
  EXPECT_EQ(engine->progress(7), 999u);
  EXPECT_EQ(engine->jobs(), 1u);
  EXPECT_EQ(engine->run(989, done), 1u);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].key, 7u);
  EXPECT_EQ(engine->progress(7), 0u);
  EXPECT_EQ(engine->jobs(), 0u);
}

TEST(ScalarEngine, WorksInTheOrderOfArrival) {
  const auto engine = make_scalar_engine();
  engine->add(job(3, "a", 50));
  engine->add(job(1, "b", 1));
  engine->add(job(2, "c", 1));
  std::vector<JobDone> done;
  engine->run(1'000, done);
  ASSERT_EQ(done.size(), 3u);
  EXPECT_EQ(done[0].key, 3u);
  EXPECT_EQ(done[1].key, 1u);
  EXPECT_EQ(done[2].key, 2u);
  EXPECT_EQ(engine->lanes(), 1u);
}

TEST(ScalarEngine, CancelledJobNeverEnds) {
  const auto engine = make_scalar_engine();
  engine->add(job(1, "a", 100));
  engine->add(job(2, "b", 100));
  std::vector<JobDone> done;
  engine->run(10, done);
  EXPECT_TRUE(engine->cancel(1));
  EXPECT_FALSE(engine->cancel(1));
  EXPECT_FALSE(engine->cancel(99));
  engine->add(job(1, "c", 5));  // the key is free again
  while (engine->run(1'000, done) != 0) {
  }
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0].key, 2u);
  EXPECT_EQ(done[0].digest, reference_digest("b", 100));
  EXPECT_EQ(done[1].digest, reference_digest("c", 5));
}

TEST(ScalarEngine, BodyIsLetGoAfterTheFirstHash) {
  const auto engine = make_scalar_engine();
  auto body = std::make_shared<const std::string>("large");
  const std::weak_ptr<const std::string> seen = body;
  engine->add({1, std::move(body), 100});
  std::vector<JobDone> done;
  engine->run(1, done);
  EXPECT_TRUE(seen.expired());
}

RC_GTEST_PROP(ScalarEngine, AnyJobsInAnySlicesAgreeWithTheReference, ()) {
  const auto engine = make_scalar_engine();
  std::map<std::uint64_t, Digest> expected;
  std::map<std::uint64_t, Digest> found;
  const auto note = [&](std::vector<JobDone>& done) {
    for (const auto& item : done) RC_ASSERT(found.emplace(item.key, item.digest).second);
    done.clear();
  };
  const int count = *rc::gen::inRange(0, 12);
  std::vector<JobDone> done;
  for (int i = 0; i < count; ++i) {
    const auto body = *rc::gen::arbitrary<std::string>();
    const auto iterations = *rc::gen::inRange<std::uint64_t>(1, 200);
    const auto key = static_cast<std::uint64_t>(i);
    engine->add(job(key, body, iterations));
    expected[key] = reference_digest(body, iterations);
    engine->run(*rc::gen::inRange<std::uint64_t>(1, 300), done);
    note(done);
    const auto victim = *rc::gen::inRange<std::uint64_t>(0, 12);
    if (*rc::gen::inRange(0, 4) == 0 && engine->cancel(victim)) expected.erase(victim);
  }
  while (engine->run(64, done) != 0) note(done);
  RC_ASSERT(found == expected);
}

using EngineDeathTest = testing::Test;

TEST(EngineDeathTest, SameKeyTwiceIsABrokenInvariant) {
  const auto engine = make_scalar_engine();
  engine->add(job(1, "a"));
  EXPECT_DEATH(engine->add(job(1, "b")), "already");
}

}  // namespace
}  // namespace skep::compute
