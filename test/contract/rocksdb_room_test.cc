// SPDX-License-Identifier: Apache-2.0
// Goal: RocksDB gives back the room of what was erased when it is asked to, and keeps what was not. Method:
// bodies in files of their own, erased, and the bytes of the directory.
#include <gtest/gtest.h>

#include <string>

#include "engines.h"
#include "store/rocksdb_engine.h"
#include "store/store_directory.h"

namespace skep::contract {
namespace {

using store::Sync;
using store::Table;

constexpr std::size_t kBodyBytes = 1 << 20;
constexpr int kBodies = 40;
constexpr std::uint64_t kMuchFree = std::uint64_t{1} << 40;

class RocksdbRoom : public ::testing::Test {
 protected:
  void SetUp() override {
    store::EngineOptions options;
    options.directory = directory_.path() + "/store";
    options.mode = store::EngineMode::kCreate;
    options.secret = 1;
    ASSERT_TRUE(store::make_directory(options.directory));
    path_ = options.directory;
    auto opened = store::RocksdbEngine::open(std::move(options), Logger());
    ASSERT_TRUE(opened) << opened.error().message;
    engine_ = std::move(opened.value());
    for (int i = 0; i <= kBodies; ++i)
      ASSERT_TRUE(write([&](auto& kv) { kv.put(Table::kBodies, key(i), body(i)); }));
  }
  static std::string key(int number) { return "body" + std::to_string(100 + number); }
  // Nothing that compresses.
  static std::string body(int number) {
    Random random(static_cast<std::uint64_t>(number));
    std::string bytes(kBodyBytes, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    return bytes;
  }
  template <class Fill>
  Result<void> write(Fill fill) {
    return engine_->write(Sync::kDurable, [&](store::KvBatch& kv) -> Result<void> {
      fill(kv);
      return ok();
    });
  }
  void erase_all_but_the_last() {
    for (int i = 0; i < kBodies; ++i) ASSERT_TRUE(write([&](auto& kv) { kv.erase(Table::kBodies, key(i)); }));
  }
  std::uint64_t bytes() const { return store::directory_bytes(path_); }

  TemporaryDirectory directory_;
  std::string path_;
  std::unique_ptr<store::RocksdbEngine> engine_;
};

TEST_F(RocksdbRoom, ComesBackWhenItIsAskedForAndWhatIsThereStays) {
  ASSERT_TRUE(engine_->give_back(kMuchFree));  // so that bodies lie in files
  erase_all_but_the_last();
  ASSERT_GT(bytes(), std::uint64_t{kBodies} * kBodyBytes);
  const auto given = engine_->give_back(kMuchFree);
  ASSERT_TRUE(given) << given.error().message;
  EXPECT_TRUE(given.value());
  EXPECT_LT(bytes(), std::uint64_t{kBodies} * kBodyBytes / 2 + 2 * kBodyBytes);
  int seen = 0;
  ASSERT_TRUE(engine_->get(Table::kBodies, {key(0), key(kBodies)},
                           [&](std::size_t index, std::optional<std::string_view> value) -> Result<void> {
                             ++seen;
                             EXPECT_EQ(value.has_value(), index == 1);
                             EXPECT_TRUE(!value || *value == body(kBodies));
                             return ok();
                           }));
  EXPECT_EQ(seen, 2);
}

TEST_F(RocksdbRoom, IsNotAskedForWhereThereIsNoneForNewTables) {
  const auto given = engine_->give_back(1);
  ASSERT_TRUE(given) << given.error().message;
  EXPECT_FALSE(given.value());
}

TEST_F(RocksdbRoom, AStoreThatIsToCloseGivesNothingBackAnyMore) {
  engine_->stop_giving_back();
  EXPECT_FALSE(engine_->give_back(kMuchFree));
  EXPECT_TRUE(engine_->close());
  EXPECT_FALSE(engine_->give_back(kMuchFree));
  engine_->stop_giving_back();
}

}  // namespace
}  // namespace skep::contract
