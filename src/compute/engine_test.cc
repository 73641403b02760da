// SPDX-License-Identifier: Apache-2.0
// The engine computes what the standard says on every target that this machine can run, whatever the slices;
// it forgets what is taken out, and goes on where another left off.
// Method: vectors of FIPS 180-2 and NIST's validation suite, then comparison with OpenSSL's digest in a loop.
#include "compute/engine.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "compute/testing/plans.h"

namespace skep::compute {
namespace {

Job job(std::uint64_t key, std::string body, std::uint64_t iterations = 1) {
  return {key, std::make_shared<const std::string>(std::move(body)), iterations, {}};
}

std::map<std::uint64_t, Digest> run_all(Engine& engine, std::uint64_t slice = 1'000'000) {
  std::vector<JobDone> done;
  while (engine.run(slice, done) != 0) {
  }
  std::map<std::uint64_t, Digest> out;
  for (const auto& item : done) EXPECT_TRUE(out.emplace(item.key, item.digest).second) << item.key;
  return out;
}

class EngineTest : public testing::TestWithParam<NamedPlan> {
 protected:
  std::unique_ptr<Engine> engine_ = make_engine(GetParam().plan);

  std::string hash(std::string body, std::uint64_t iterations = 1) {
    engine_->add(job(1, std::move(body), iterations));
    const auto done = run_all(*engine_);
    return done.size() == 1 ? to_hex(done.at(1)) : "";
  }
};

INSTANTIATE_TEST_SUITE_P(Plans, EngineTest, testing::ValuesIn(plans_here()), plan_name);

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

TEST_P(EngineTest, ComputesTheKnownVectors) {
  for (const auto& vector : vectors()) EXPECT_EQ(hash(vector.body, vector.iterations), vector.digest);
}

TEST(Reference, ComputesTheKnownVectors) {
  for (const auto& vector : vectors()) {
    EXPECT_EQ(to_hex(reference_digest(vector.body, vector.iterations)), vector.digest);
  }
}

// ---- NIST's validation suite, in Debian's python3-cryptography-vectors ----

// The values of the lines "NAME = VALUE", in order.
std::vector<std::pair<std::string, std::string>> read_vectors(const std::string& file) {
  const std::string path = "/usr/lib/python3/dist-packages/cryptography_vectors/hashes/SHA2/" + file;
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path << " is missing: install python3-cryptography-vectors (./dev deps test)";
  std::vector<std::pair<std::string, std::string>> out;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name, equals, value;
    if (words >> name >> equals >> value && equals == "=") out.emplace_back(name, value);
  }
  return out;
}

std::string unhex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return out;
}

// All messages of the files at once, so that lengths mix in the lanes.
TEST_P(EngineTest, ComputesNistsMessages) {
  std::map<std::uint64_t, std::string> expected;
  std::size_t bytes = 0;
  std::string message;
  for (const char* file : {"SHA512ShortMsg.rsp", "SHA512LongMsg.rsp"}) {
    for (const auto& [name, value] : read_vectors(file)) {
      if (name == "Len") bytes = std::stoull(value) / 8;
      if (name == "Msg") message = unhex(value).substr(0, bytes);  // no bytes are written as one zero
      if (name != "MD") continue;
      const std::uint64_t key = expected.size();
      engine_->add(job(key, message));
      expected[key] = value;
    }
  }
  EXPECT_EQ(expected.size(), 257u);
  const auto done = run_all(*engine_);
  ASSERT_EQ(done.size(), expected.size());
  for (const auto& [key, digest] : done) EXPECT_EQ(to_hex(digest), expected.at(key)) << key;
}

// SHAVS, section 6.4: each message is made of the three digests before it.
TEST_P(EngineTest, ComputesNistsMonteCarlo) {
  std::string seed;
  int count = 0;
  for (const auto& [name, value] : read_vectors("SHA512Monte.rsp")) {
    if (name == "Seed") seed = value;
    if (name != "MD") continue;
    std::string a = unhex(seed), b = a, c = a;
    for (int i = 0; i < 1'000; ++i) {
      const std::string next = unhex(hash(a + b + c));
      a = std::exchange(b, std::exchange(c, next));
    }
    std::string digest;
    for (const char byte : c) {
      constexpr char kDigits[] = "0123456789abcdef";
      digest += kDigits[(byte >> 4) & 15];
      digest += kDigits[byte & 15];
    }
    ASSERT_EQ(digest, value) << count;
    seed = value;
    ++count;
  }
  EXPECT_EQ(count, 100);
}

// ---- against the reference ----

TEST_P(EngineTest, AgreesWithTheReferenceForEveryLengthAroundTheBlocks) {
  std::string body;
  std::map<std::uint64_t, Digest> expected;
  for (std::size_t length = 0; length <= 600; ++length) {
    for (const std::uint64_t iterations : {1u, 2u, 3u}) {
      const std::uint64_t key = 10 * length + iterations;
      engine_->add(job(key, body, iterations));
      expected[key] = reference_digest(body, iterations);
    }
    body += static_cast<char>(length * 37 + 11);
  }
  EXPECT_EQ(run_all(*engine_, 777), expected);
}

TEST_P(EngineTest, AgreesWithTheReferenceAroundEveryBlockOfLongBodies) {
  std::map<std::uint64_t, Digest> expected;
  for (std::size_t blocks : {7u, 64u, 257u, 2'048u}) {
    for (int shift = -18; shift <= 2; ++shift) {
      std::string body(128 * blocks + shift, 'b');
      for (std::size_t i = 0; i < body.size(); i += 97) body[i] = static_cast<char>(i / 97 + blocks);
      const std::uint64_t key = expected.size();
      expected[key] = reference_digest(body, 1 + key % 3);
      engine_->add(job(key, std::move(body), 1 + key % 3));
    }
  }
  EXPECT_EQ(run_all(*engine_), expected);
}

TEST_P(EngineTest, EveryLaneIsRefilledTheMomentItIsFree) {
  // Two sets of jobs fill the lanes; the engine must take exactly the steps of the longest path. Were a lane
  // idle while a job waits, it would take more.
  const std::uint64_t lanes = engine_->lanes();
  for (std::uint64_t key = 0; key < 2 * lanes; ++key)
    engine_->add(job(key, "b", key < lanes ? 1 + key : lanes - (key - lanes)));
  std::vector<JobDone> done;
  EXPECT_EQ(engine_->run(1'000'000, done), lanes * (lanes + 1));
  EXPECT_EQ(done.size(), 2 * lanes);
}

TEST_P(EngineTest, CountsCompressionsAndNotHashes) {
  struct Case {
    std::size_t bytes;
    std::uint64_t compressions;
  };
  for (const auto& [bytes, compressions] :
       {Case{0, 1}, Case{111, 1}, Case{112, 2}, Case{239, 2}, Case{240, 3}, Case{1u << 20, 8'193}}) {
    EXPECT_EQ(compressions_of(bytes), compressions);
    engine_->add(job(1, std::string(bytes, 'x')));
    std::vector<JobDone> done;
    EXPECT_EQ(engine_->run(100'000, done), compressions) << bytes;
    EXPECT_EQ(engine_->run(100'000, done), 0u);
  }
}

TEST_P(EngineTest, SliceEndsWhenItsCompressionsAreSpent) {
  engine_->add(job(7, "body", 1'000));
  std::vector<JobDone> done;
  EXPECT_TRUE(engine_->running().empty());
  EXPECT_EQ(engine_->run(10, done), 10u);
  ASSERT_EQ(engine_->running().size(), 1u);
  EXPECT_EQ(engine_->running()[0].key, 7u);
  EXPECT_EQ(engine_->running()[0].at, (Checkpoint{10, reference_digest("body", 10)}));
  EXPECT_EQ(engine_->run(989, done), 989u);
  EXPECT_TRUE(done.empty());
  EXPECT_EQ(engine_->running()[0].at.iterations_done, 999u);
  EXPECT_EQ(engine_->jobs(), 1u);
  EXPECT_EQ(engine_->run(989, done), 1u);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].key, 7u);
  EXPECT_EQ(engine_->jobs(), 0u);
}

TEST_P(EngineTest, SliceIsShortEvenWithALaneInEveryPhase) {
  engine_->add(job(1, std::string(1 << 20, 'x')));
  engine_->add(job(2, "chain", 1'000'000'000));
  std::vector<JobDone> done;
  for (int i = 0; i < 10; ++i) EXPECT_LE(engine_->run(100, done), 100u);
}

TEST_P(EngineTest, TakenJobNeverEnds) {
  engine_->add(job(1, "a", 100));
  engine_->add(job(2, "b", 100));
  std::vector<JobDone> done;
  engine_->run(10, done);
  EXPECT_TRUE(engine_->take(1).has_value());
  EXPECT_FALSE(engine_->take(1).has_value());
  EXPECT_FALSE(engine_->take(99).has_value());
  engine_->add(job(1, "c", 5));  // the key is free again
  EXPECT_EQ(run_all(*engine_), (std::map<std::uint64_t, Digest>{{1, reference_digest("c", 5)},
                                                                {2, reference_digest("b", 100)}}));
}

// Taken out in any phase - waiting, in its body, in its padded end, in its chain - and put into another
// engine.
TEST_P(EngineTest, TakenJobGoesOnInAnotherEngine) {
  const std::string body(300, 'x');
  for (const std::uint64_t spent : {0u, 1u, 2u, 3u, 4u, 50u, 101u}) {
    const auto first = make_engine(GetParam().plan);
    const auto second = make_engine(GetParam().plan);
    first->add(job(1, body, 100));
    std::vector<JobDone> done;
    if (spent > 0) first->run(spent, done);
    auto taken = first->take(1);
    ASSERT_TRUE(taken.has_value()) << spent;
    EXPECT_EQ(taken->from.iterations_done, spent < 3 ? 0u : spent - 2) << spent;
    EXPECT_EQ(first->jobs(), 0u);
    second->add(std::move(*taken));
    EXPECT_EQ(run_all(*second), (std::map<std::uint64_t, Digest>{{1, reference_digest(body, 100)}})) << spent;
  }
}

TEST_P(EngineTest, TakingOneOutLeavesTheOthers) {
  const std::uint64_t lanes = engine_->lanes();
  std::map<std::uint64_t, Digest> expected;
  for (std::uint64_t key = 0; key < lanes + 3; ++key) {
    const std::string body(key * 100, static_cast<char>('a' + key));
    engine_->add(job(key, body, 50 + key));
    expected[key] = reference_digest(body, 50 + key);
  }
  std::vector<JobDone> done;
  for (std::uint64_t key = 0; key < lanes + 3; key += 3) {
    engine_->run(3 * lanes, done);
    if (engine_->take(key)) expected.erase(key);
  }
  ASSERT_TRUE(done.empty());
  EXPECT_EQ(run_all(*engine_), expected);
}

TEST_P(EngineTest, BodyIsLetGoAfterTheFirstHash) {
  auto body = std::make_shared<const std::string>("large");
  const std::weak_ptr<const std::string> seen = body;
  engine_->add({1, std::move(body), 100, {}});
  std::vector<JobDone> done;
  engine_->run(2, done);
  EXPECT_TRUE(seen.expired());
}

TEST_P(EngineTest, GoesOnFromACheckpointWithoutABody) {
  engine_->add({1, nullptr, 500, {400, reference_digest("abc", 400)}});
  std::vector<JobDone> done;
  EXPECT_EQ(engine_->run(1'000, done), 100u);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].digest, reference_digest("abc", 500));
}

TEST_P(EngineTest, ShareGrowsToOne) {
  EXPECT_EQ(engine_->share(engine_->lanes()), 1.0);
  EXPECT_GT(engine_->share(1), 0.0);
  EXPECT_LE(engine_->share(1), 1.0);
}

TEST(EngineTurns, JobsOfAOneLaneKernelTakeTurns) {
  const Kernel wide = kernels(targets_here().front()).back();
  if (wide.lanes < 4) GTEST_SKIP() << "this processor has no vector kernel";
  // Worth filling, but slower than the single lane for up to three.
  const Plan plan({{kernels(Target::kScalar).front(), 1.0}, {wide, 0.9 * static_cast<double>(wide.lanes)}});
  ASSERT_EQ(plan.kernel_for(3).kernel.lanes, 1u);
  const auto engine = make_engine(plan);
  for (std::uint64_t key = 0; key < 3; ++key) engine->add(job(key, std::string(1'000, 'x'), 1'000'000));
  std::vector<JobDone> done;
  EXPECT_EQ(engine->run(30'000, done), 30'000u);
  for (const auto& running : engine->running()) EXPECT_GT(running.at.iterations_done, 5'000u) << running.key;
}

using EngineDeathTest = EngineTest;
INSTANTIATE_TEST_SUITE_P(Plans, EngineDeathTest, testing::Values(plans_here().front()), plan_name);

TEST_P(EngineDeathTest, SameKeyTwiceIsABrokenInvariant) {
  engine_->add(job(1, "a"));
  EXPECT_DEATH(engine_->add(job(1, "b")), "already");
}

}  // namespace
}  // namespace skep::compute
