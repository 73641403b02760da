// SPDX-License-Identifier: Apache-2.0
// Goal: a byte that flips anywhere in a store's directory is found by verify with its place, and what is
// opened for service after it answers with an error that names a place, or with exactly what was committed.
// Method: a sealed and a killed store of each engine; each place is every byte of the small files and bytes
// drawn from a seed of the large ones. The two lists below say where a flip is harmless, and why.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "sound_store.h"
#include "store/store_directory.h"
#include "store/verify.h"

namespace skep::contract {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSmallFile = 20;  // bytes: every one of them is flipped
constexpr std::size_t kFlips = 6;       // in each larger file
constexpr std::size_t kFlipsOfEnd = 2;  // in its last 60 bytes, too: footers stand there
constexpr std::size_t kEndBytes = 60;

// Read by people, or written and never read again.
bool is_never_read(const std::string& name) {
  // LOG: RocksDB's log for its authors. OPTIONS: what RocksDB was set up with; it is given every option anew.
  // skep.pid: who has the store open, for a message.
  return name.starts_with("LOG") || name.starts_with("OPTIONS-") || name == "skep.pid" ||
         // The database's name. RocksDB takes any text, and skep uses it for nothing.
         name == "IDENTITY";
}

struct Place {
  std::string file;
  std::size_t offset = 0;
};

// Of a file that is allocated before it is written: what was written.
std::size_t written_bytes(const fs::directory_entry& entry) {
  if (entry.path().extension() != ".segment") return static_cast<std::size_t>(entry.file_size());
  return store::read_file(entry.path()).value().find_last_not_of('\0') + 1;
}

std::vector<Place> places_in(const std::string& directory, Random& random) {
  std::vector<Place> places;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    const std::size_t size = written_bytes(entry);
    if (is_never_read(name) || size == 0) continue;
    const std::size_t count = size <= kSmallFile ? size : kFlips;
    for (std::size_t i = 0; i < count; ++i) {
      places.push_back({name, size <= kSmallFile ? i : random.below(size)});
    }
    for (std::size_t i = 0; size > kSmallFile && i < kFlipsOfEnd; ++i) {
      places.push_back({name, size - 1 - random.below(kEndBytes)});
    }
  }
  return places;
}

void flip(const std::string& directory, const Place& place, Random& random) {
  const std::string path = directory + "/" + place.file;
  std::string bytes = store::read_file(path).value();
  bytes[place.offset] = static_cast<char>(bytes[place.offset] ^ (1 + random.below(255)));
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string show(const Place& place) {
  return place.file + " byte " + std::to_string(place.offset);
}

// What the store must hold: all commits of these epochs.
void expect_exact(const Contents& contents, Epoch epochs, const std::string& where) {
  EXPECT_EQ(contents.tasks.size(), epochs * kSoundShards * kSoundTasks) << where;
  for (const auto& record : contents.tasks) {
    const auto expected = sound_task(record.id);
    EXPECT_EQ(record, expected.record) << where << " " << record.id.to_string();
    const auto body = contents.blobs.find({store::BlobKind::kBody, record.id});
    ASSERT_EQ(body != contents.blobs.end(), expected.body != nullptr)
        << where << " " << record.id.to_string();
    if (expected.body) {
      EXPECT_TRUE(body->second == *expected.body) << where << " " << record.id.to_string();
    }
    const auto result = contents.blobs.find({store::BlobKind::kResult, record.id});
    ASSERT_EQ(result != contents.blobs.end(), expected.result != nullptr) << where;
    if (!expected.result) continue;
    EXPECT_TRUE(result->second == *expected.result) << where;
  }
}

// Opens for service and reads all. Success: it is all there, exactly.
Result<void> serve(const std::string& directory, std::string_view engine, Epoch epochs,
                   const std::string& where) {
  SKEP_TRY(const auto opened, open_sound(directory, engine));
  Driver driver(*opened);
  SKEP_TRY(const auto claimed, driver.claim_all());
  SKEP_TRY(const auto contents, driver.contents(claimed));
  expect_exact(contents, epochs, where);
  return ok();
}

struct Kind {
  std::string_view engine;
  bool is_sealed = true;

  Epoch epochs() const { return is_sealed ? 2 : 3; }
};
std::string name_of(const ::testing::TestParamInfo<Kind>& kind) {
  return std::string(kind.param.engine) + (kind.param.is_sealed ? "_sealed" : "_killed");
}

class StoreDamage : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    GetParam().is_sealed ? make_sealed_store(sound_, engine()) : make_killed_store(sound_, engine());
  }
  static std::string_view engine() { return GetParam().engine; }
  static bool is_log() { return engine() == store::kLogEngine; }

  TemporaryDirectory directory_;
  const std::string sound_ = directory_.path() + "/sound";
  const std::string path_ = directory_.path() + "/store";
};

constexpr Kind kKinds[] = {{store::kRocksdbEngine, true},
                           {store::kRocksdbEngine, false},
                           {store::kLogEngine, true},
                           {store::kLogEngine, false}};
INSTANTIATE_TEST_SUITE_P(Stores, StoreDamage, ::testing::ValuesIn(kKinds), name_of);

TEST_P(StoreDamage, VerifyFindsEveryFlippedByteAndNamesItsFile) {
  Random random(1);
  std::set<std::string> kinds;
  for (const Place& place : places_in(sound_, random)) {
    copy_directory(sound_, path_);
    flip(path_, place, random);
    kinds.insert(fs::path(place.file).extension());
    const auto report = store::verify_store({.directory = path_});
    if (!report) {
      ADD_FAILURE() << show(place) << ": no report but " << report.error().message;
      continue;
    }
    bool is_named = false;
    std::string all;
    for (const auto& finding : report.value().findings) {
      is_named = is_named || finding.to_string().find(place.file) != std::string::npos;
      all += finding.to_string() + "\n";
    }
    EXPECT_TRUE(is_named) << show(place) << " is not named:\n" << all;
  }
  EXPECT_EQ(kinds.contains(".segment"), is_log());
  EXPECT_EQ(kinds.contains(".sst") && kinds.contains(".blob"), !is_log());
  EXPECT_EQ(kinds.contains(".log"), !is_log() && !GetParam().is_sealed);
}

TEST_P(StoreDamage, WhatIsServedAfterAFlippedByteIsExactOrAnErrorWithItsPlace) {
  Random random(2);
  std::size_t refused = 0;
  for (const Place& place : places_in(sound_, random)) {
    copy_directory(sound_, path_);
    flip(path_, place, random);
    const auto served = serve(path_, engine(), GetParam().epochs(), show(place));
    if (served) continue;
    ++refused;
    const std::string& message = served.error().message;
    EXPECT_EQ(served.error().code, Code::kCorrupt) << show(place) << ": " << message;
    const bool has_place =
        message.find(place.file) != std::string::npos || message.find("task ") != std::string::npos;
    EXPECT_TRUE(has_place) << show(place) << ": " << message;
  }
  EXPECT_GT(refused, is_log() ? 25u : 50u);
}

TEST_P(StoreDamage, AMissingFileIsFoundByBoth) {
  std::size_t removed = 0;
  std::string newest;
  for (const auto& entry : fs::directory_iterator(sound_)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".segment") && written_bytes(entry) > 0) newest = std::max(newest, name);
  }
  for (const auto& entry : fs::directory_iterator(sound_)) {
    const std::string name = entry.path().filename();
    // Without the seal a store is as if it had not been closed; the newest log is listed nowhere else.
    const bool is_newest_log =
        (name.ends_with(".log") || (name.ends_with(".segment") && name >= newest)) && !GetParam().is_sealed;
    if (is_never_read(name) || name == "LOCK" || name == "skep.seal" || is_newest_log) continue;
    ++removed;
    copy_directory(sound_, path_);
    fs::remove(path_ + "/" + name);
    const auto report = store::verify_store({.directory = path_});
    const bool is_found = report ? !report.value().is_clean() : report.error().code == Code::kInvalid;
    EXPECT_TRUE(is_found) << name;
    const auto served = serve(path_, engine(), GetParam().epochs(), name);
    ASSERT_FALSE(served) << name;
    EXPECT_NE(served.error().message.find(path_), std::string::npos)
        << name << ": " << served.error().message;
    const Code expected = name == "skep.store" ? Code::kInvalid : Code::kCorrupt;
    EXPECT_EQ(served.error().code, expected) << name << ": " << served.error().message;
  }
  EXPECT_GT(removed, is_log() ? 2u : 8u);
}

// RocksDB parses the last blocks of a table before it compares their checksum, and some bits there end the
// process.
using TableDamage = StoreDamage;
INSTANTIATE_TEST_SUITE_P(Tables, TableDamage, ::testing::Values(kKinds[0], kKinds[1]), name_of);

TEST_P(TableDamage, NoBitOfATableEndsTheProcess) {
  std::string table;
  for (const auto& entry : fs::directory_iterator(sound_)) {
    const std::string path = entry.path();
    if (path.ends_with(".sst") && (table.empty() || fs::file_size(path) < fs::file_size(table))) table = path;
  }
  const std::string bytes = store::read_file(table).value();
  for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
    std::string changed = bytes;
    changed[offset] = static_cast<char>(changed[offset] ^ 0x80);
    std::ofstream(table, std::ios::binary | std::ios::trunc) << changed;
    const auto report = store::verify_store({.directory = sound_});
    ASSERT_TRUE(report) << offset;
    ASSERT_FALSE(report.value().is_clean()) << offset;
    EXPECT_EQ(report.value().findings[0].to_string(), table + ": is damaged: its checksum does not match");
  }
}

}  // namespace
}  // namespace skep::contract
