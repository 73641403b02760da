// SPDX-License-Identifier: Apache-2.0
// Goal: verify finds a sound store of the log engine clean, touches nothing, and names what is wrong in one.
// Method: a store made through the real store; then items put into it under the store's feet, through the
// engine, or bytes changed. Every byte of a small store is flipped in turn.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>

#include "sound_store.h"
#include "store/log_engine.h"
#include "store/segment_disk.h"
#include "store/store_directory.h"
#include "store/verify.h"
#include "task/record.h"

namespace skep::contract {
namespace {

namespace fs = std::filesystem;

using store::BlobKind;
using store::FrameBuilder;
using store::ItemKind;
using store::kLogEngine;
using store::VerifyReport;

class LogVerify : public ::testing::Test {
 protected:
  VerifyReport report() {
    auto report = store::verify_store({.directory = path_});
    EXPECT_TRUE(report) << report.error().message;
    return report ? report.value() : VerifyReport();
  }
  // Writes what no store does.
  void tamper(const std::function<void(FrameBuilder&)>& change) {
    const auto file = store::look_at_directory(path_);
    ASSERT_TRUE(file && file.value());
    store::LogEngineOptions options;
    options.directory = path_;
    options.shard_count = kSoundShards;
    options.secret = file.value()->secret;
    options.segment_bytes = 1 << 16;
    options.slack_bytes = 1 << 20;
    options.disk = store::machine_disk();
    auto engine = store::LogEngine::open(std::move(options), Logger());
    ASSERT_TRUE(engine) << engine.error().message;
    ASSERT_TRUE(engine.value()->write(store::Sync::kDurable, [&](FrameBuilder& frame) -> Result<void> {
      change(frame);
      return ok();
    }));
    ASSERT_TRUE(engine.value()->close());
  }
  static std::string all(const VerifyReport& report) {
    std::string text;
    for (const auto& finding : report.findings) text += finding.to_string() + "\n";
    return text;
  }
  std::string newest_segment() {
    std::string newest;
    const auto segments = store::list_segments(path_).value();
    for (const auto& segment : segments) {
      if (written(segment.path) > 0) newest = segment.path;
    }
    return newest;
  }
  static std::size_t written(const std::string& path) {
    return store::read_file(path).value().find_last_not_of('\0') + 1;
  }
  static void flip(const std::string& path, std::size_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/store";
};

// Sequence 3 is done (state 1 + 3 % 6), 1 is queued.
constexpr TaskId kDone{0, 1, 3};
constexpr TaskId kQueued{0, 1, 1};

TEST_F(LogVerify, ASoundStoreIsCleanAndCounted) {
  for (const bool is_sealed : {true, false}) {
    fs::remove_all(path_);
    is_sealed ? make_sealed_store(path_, kLogEngine) : make_killed_store(path_, kLogEngine);
    const auto found = report();
    EXPECT_TRUE(found.is_clean()) << all(found);
    EXPECT_TRUE(found.notes.empty());
    const std::uint64_t epochs = is_sealed ? 2 : 3;
    const std::uint64_t tasks = epochs * kSoundShards * kSoundTasks;
    EXPECT_TRUE(found.was_read);
    EXPECT_EQ(found.engine, "log");
    EXPECT_EQ(found.was_sealed, is_sealed);
    EXPECT_EQ(found.shards, kSoundShards);
    EXPECT_EQ(found.queues, kSoundShards);
    EXPECT_EQ(found.tasks, tasks);
    EXPECT_EQ(found.tasks_by_state[static_cast<std::size_t>(TaskState::kDone)], tasks / 6);
    EXPECT_EQ(found.bodies, epochs * kSoundShards * kSoundBodies);
    EXPECT_EQ(found.results, tasks / 6);
    EXPECT_GT(found.data_files, 1u);
    EXPECT_GT(found.data_bytes, found.body_bytes);
  }
}

TEST_F(LogVerify, NothingIsTouched) {
  const auto stock = [this] {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(path_)) {
      files[entry.path().filename()] = store::read_file(entry.path()).value() +
                                       std::to_string(entry.last_write_time().time_since_epoch().count());
    }
    return files;
  };
  for (const bool is_sealed : {true, false}) {
    fs::remove_all(path_);
    is_sealed ? make_sealed_store(path_, kLogEngine) : make_killed_store(path_, kLogEngine);
    fs::remove(path_ + "/LOCK");
    const auto before = stock();
    EXPECT_TRUE(report().is_clean());
    EXPECT_EQ(before, stock());
  }
}

TEST_F(LogVerify, AStoreInUseIsRefused) {
  auto opened = open_sound(path_, kLogEngine);
  ASSERT_TRUE(opened);
  const auto refused = store::verify_store({.directory = path_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("is open in this process"), std::string::npos);
  ASSERT_TRUE(opened.value()->close());
  EXPECT_TRUE(report().is_clean());
}

TEST_F(LogVerify, ATornEndIsANoteAndStaysAndIsCutOffByTheNextStart) {
  make_killed_store(path_, kLogEngine);
  const std::string newest = newest_segment();
  // The frame that vouches for the last commit, and a part of that commit, did not reach the disk.
  const auto bytes = written(newest);
  const std::string zeros(600, '\0');
  std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(bytes - zeros.size()));
  file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
  file.close();
  const auto found = report();
  EXPECT_TRUE(found.is_clean()) << all(found);
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_NE(found.notes[0].find(newest), std::string::npos) << found.notes[0];
  EXPECT_EQ(found.tasks, 3 * kSoundShards * kSoundTasks - 1);
  ASSERT_TRUE(open_sound(path_, kLogEngine));
  const auto after = report();
  EXPECT_TRUE(after.is_clean() && after.notes.empty()) << all(after);
  EXPECT_EQ(after.tasks, found.tasks);
}

TEST_F(LogVerify, EachRuleThatIsBrokenIsNamedWithItsPlace) {
  const auto blob = [](std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); };
  const std::string done = "task " + kDone.to_string() + ": ";
  const std::string queued = "task " + kQueued.to_string() + ": ";
  const std::vector<std::pair<std::string, std::function<void(FrameBuilder&)>>> damages{
      {queued + "its body is missing", [](FrameBuilder& f) { f.erase(ItemKind::kEraseBody, kQueued); }},
      {done + "a body is there and it is over",
       [&](FrameBuilder& f) { f.put_blob(BlobKind::kBody, kDone, blob("b")); }},
      {queued + "a result is there and it is not done",
       [&](FrameBuilder& f) { f.put_blob(BlobKind::kResult, kQueued, blob("r")); }},
      {queued + "its body has 3 bytes, and its record says 10",
       [&](FrameBuilder& f) { f.put_blob(BlobKind::kBody, kQueued, blob("abc")); }},
      {done + "its result is not the one that its record has the hash of",
       [&](FrameBuilder& f) { f.put_blob(BlobKind::kResult, kDone, blob(std::string(128, 'x'))); }},
      {"task " + TaskId{0, 1, 99}.to_string() + ": a body is there and no record",
       [&](FrameBuilder& f) {
         f.put_blob(BlobKind::kBody, {0, 1, 99}, blob("b"));
       }},
      {"the record is of another task",
       [](FrameBuilder& f) {
         std::string stored;
         encode(*sound_task(kDone).record, stored);
         f.put_stored({ItemKind::kTask, kQueued, 0}, stored);
       }},
      {queued + "it is queued and has a reason",
       [](FrameBuilder& f) {
         auto record = *sound_task(kQueued).record;
         record.reason = "why";
         f.put_task(record);
       }},
  };
  const std::string sound = directory_.path() + "/sound";
  make_sealed_store(sound, kLogEngine);
  for (const auto& [expected, change] : damages) {
    copy_directory(sound, path_);
    tamper(change);
    const auto found = report();
    EXPECT_NE(all(found).find(expected), std::string::npos) << "wanted: " << expected << "\nfound:\n"
                                                            << all(found);
    EXPECT_LE(found.findings.size(), 4u) << expected << "\nfound:\n" << all(found);
  }
}

TEST_F(LogVerify, DamageInOneFrameDoesNotHideTheRest) {
  make_killed_store(path_, kLogEngine);
  const auto segments = store::list_segments(path_).value();
  flip(segments[0].path, 20);
  flip(segments[0].path, 5'000);
  flip(segments[1].path, 20'000);
  const auto found = report();
  EXPECT_TRUE(found.was_read);
  EXPECT_GE(found.findings.size(), 3u) << all(found);
  EXPECT_GT(found.tasks, kSoundShards * kSoundTasks);
}

TEST_F(LogVerify, EveryFlippedByteIsFoundAndNothingWrongIsServed) {
  auto opened = open_sound(path_, kLogEngine);
  ASSERT_TRUE(opened);
  {
    Driver driver(*opened.value());
    const auto epochs = driver.claim_all();
    ASSERT_TRUE(epochs);
    for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
      ASSERT_TRUE(driver.commit({{0, epochs.value()[0], {sound_task({0, 1, sequence})}}}));
    }
  }
  const std::string sound = directory_.path() + "/sound";
  copy_directory(path_, sound);  // as a kill leaves it
  opened.value().reset();
  const std::string name = fs::path(newest_segment()).filename();
  const std::size_t bytes = written(sound + "/" + name);
  for (std::size_t at = 0; at < bytes; ++at) {
    copy_directory(sound, path_);
    flip(path_ + "/" + name, at);
    const auto found = report();
    EXPECT_NE(all(found).find(name), std::string::npos) << "byte " << at;
    auto served = open_sound(path_, kLogEngine);
    if (!served) {
      EXPECT_EQ(served.error().code, Code::kCorrupt) << "byte " << at << ": " << served.error().message;
      continue;
    }
    Driver driver(*served.value());
    const auto claimed = driver.claim_all();
    ASSERT_TRUE(claimed) << "byte " << at;
    const auto contents = driver.contents(claimed.value());
    if (!contents) continue;
    ASSERT_EQ(contents.value().tasks.size(), 4u) << "byte " << at;
    for (const auto& record : contents.value().tasks) EXPECT_EQ(record, sound_task(record.id).record);
  }
}

}  // namespace
}  // namespace skep::contract
