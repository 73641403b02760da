// SPDX-License-Identifier: Apache-2.0
// Goal: verify finds a sound store clean and names every rule that a store breaks, with its place.
// Method: a store made through the real store, then entries put into it and taken out of it under the store's
// feet, through the engine.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>

#include "sound_store.h"
#include "store/rocksdb_engine.h"
#include "store/store_directory.h"
#include "store/verify.h"
#include "task/record.h"

namespace skep::contract {
namespace {

namespace fs = std::filesystem;

using store::KvBatch;
using store::Table;
using store::task_key;
using store::VerifyReport;

std::string encoded(const TaskRecord& record) {
  std::string bytes;
  encode(record, bytes);
  return bytes;
}

std::string encoded_blob(const TaskId& id, const std::string& blob) {
  std::string bytes;
  encode_blob(id, blob, bytes);
  return bytes;
}

class StoreVerify : public ::testing::Test {
 protected:
  Result<VerifyReport> verify() { return store::verify_store({.directory = path_}); }
  VerifyReport report() {
    auto report = verify();
    EXPECT_TRUE(report) << report.error().message;
    return report ? report.value() : VerifyReport();
  }
  // Changes entries as no store does.
  void tamper(const std::function<void(KvBatch&)>& change) {
    store::EngineOptions options;
    options.directory = path_;
    options.secret = store::look_at_directory(path_).value()->secret;
    auto engine = store::RocksdbEngine::open(std::move(options), Logger());
    ASSERT_TRUE(engine) << engine.error().message;
    ASSERT_TRUE(engine.value()->write(store::Sync::kDurable, [&](KvBatch& kv) -> Result<void> {
      change(kv);
      return ok();
    }));
    ASSERT_TRUE(engine.value()->close());
  }
  static std::string all(const VerifyReport& report) {
    std::string text;
    for (const auto& finding : report.findings) text += finding.to_string() + "\n";
    return text;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/store";
};

// Sequence 3 is done (state 1 + 3 % 6), 1 is queued, 4 is dead.
constexpr TaskId kDone{0, 1, 3};
constexpr TaskId kQueued{0, 1, 1};
constexpr TaskId kDead{1, 2, 4};

TEST_F(StoreVerify, ASoundStoreIsCleanAndCounted) {
  for (const bool is_sealed : {true, false}) {
    fs::remove_all(path_);
    is_sealed ? make_sealed_store(path_) : make_killed_store(path_);
    const auto found = report();
    EXPECT_TRUE(found.is_clean()) << all(found);
    const std::uint64_t epochs = is_sealed ? 2 : 3;
    const std::uint64_t tasks = epochs * kSoundShards * kSoundTasks;
    EXPECT_TRUE(found.was_read);
    EXPECT_EQ(found.was_sealed, is_sealed);
    EXPECT_EQ(found.shards, kSoundShards);
    EXPECT_EQ(found.queues, kSoundShards);
    EXPECT_EQ(found.tasks, tasks);
    EXPECT_EQ(found.tasks_by_state[static_cast<std::size_t>(TaskState::kDone)], tasks / 6);
    EXPECT_EQ(found.bodies, epochs * kSoundShards * kSoundBodies);
    EXPECT_EQ(found.results, tasks / 6);
    EXPECT_GT(found.data_files, 4u);
    EXPECT_GT(found.body_bytes, 50'000u);
    EXPECT_EQ(found.logs > 0, !is_sealed);
  }
}

TEST_F(StoreVerify, NothingIsTouched) {
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
    is_sealed ? make_sealed_store(path_) : make_killed_store(path_);
    fs::remove(path_ + "/LOCK");  // of a copy that lacks it, none is made
    const auto before = stock();
    EXPECT_TRUE(report().is_clean());
    EXPECT_EQ(before, stock());
  }
}

TEST_F(StoreVerify, WhatIsNoStoreIsRefusedAndNotMade) {
  EXPECT_EQ(verify().error().code, Code::kNotFound);
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_EQ(store::verify_store({.directory = path_ + "/below/it"}).error().code, Code::kNotFound);
  fs::create_directory(path_);
  EXPECT_EQ(verify().error().code, Code::kNotFound);
  EXPECT_TRUE(fs::is_empty(path_));
  std::ofstream(path_ + "/letter.txt") << "mine";
  EXPECT_EQ(verify().error().code, Code::kInvalid);
  EXPECT_EQ(store::verify_store({.directory = path_ + "/letter.txt"}).error().code, Code::kInvalid);
  fs::remove(path_ + "/letter.txt");
  ASSERT_TRUE(store::write_store_file(path_, {store::kStoreFormat, 1, false, "0", "now"}));
  EXPECT_EQ(verify().error().code, Code::kNotFound);
  ASSERT_TRUE(store::write_store_file(path_, {store::kStoreFormat + 1, 1, true, "9", "later"}));
  EXPECT_EQ(verify().error().code, Code::kInvalid);
}

TEST_F(StoreVerify, AStoreInUseIsRefused) {
  auto opened = open_sound(path_);
  ASSERT_TRUE(opened);
  const auto refused = verify();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("is open in this process"), std::string::npos)
      << refused.error().message;
  ASSERT_TRUE(opened.value()->close());
  EXPECT_TRUE(report().is_clean());
}

TEST_F(StoreVerify, ATornEndIsANoteAndStays) {
  make_killed_store(path_);
  std::string log;
  for (const auto& entry : fs::directory_iterator(path_)) {
    if (entry.path().extension() == ".log" && entry.file_size() > 0) log = entry.path();
  }
  fs::resize_file(log, fs::file_size(log) - 3);
  const auto bytes = fs::file_size(log);
  const auto found = report();
  // The last commit was durable, yet no later one vouches for it: what is gone looks like a write that never
  // was.
  EXPECT_TRUE(found.is_clean()) << all(found);
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_NE(found.notes[0].find(log), std::string::npos);
  EXPECT_EQ(found.tasks, 3 * kSoundShards * kSoundTasks - 1);
  EXPECT_EQ(fs::file_size(log), bytes);
}

struct Damage {
  std::string expected;
  std::function<void(KvBatch&)> change;
};

// Blobs that are missing, too many or another's; records that are no records.
std::vector<Damage> damage_to_blobs() {
  const std::string done = "task " + kDone.to_string() + ": ";
  const std::string queued = "task " + kQueued.to_string() + ": ";
  return {
      {queued + "its body is missing", [](KvBatch& kv) { kv.erase(Table::kBodies, task_key(kQueued)); }},
      {done + "it is done and its result is missing",
       [](KvBatch& kv) { kv.erase(Table::kResults, task_key(kDone)); }},
      {done + "a body is there and it is over",
       [](KvBatch& kv) { kv.put(Table::kBodies, task_key(kDone), encoded_blob(kDone, "b")); }},
      {queued + "a body is there and no record",
       [](KvBatch& kv) { kv.erase(Table::kTasks, task_key(kQueued)); }},
      {done + "a result is there and no record",
       [](KvBatch& kv) { kv.erase(Table::kTasks, task_key(kDone)); }},
      {queued + "a result is there and it is not done",
       [](KvBatch& kv) { kv.put(Table::kResults, task_key(kQueued), encoded_blob(kQueued, "r")); }},
      {queued + "its body has 3 bytes, and its record says 10",
       [](KvBatch& kv) { kv.put(Table::kBodies, task_key(kQueued), encoded_blob(kQueued, "abc")); }},
      {done + "its result has 1 bytes, and its record says 128",
       [](KvBatch& kv) { kv.put(Table::kResults, task_key(kDone), encoded_blob(kDone, "r")); }},
      {done + "its result is not the one that its record has the hash of",
       [](KvBatch& kv) {
         kv.put(Table::kResults, task_key(kDone), encoded_blob(kDone, std::string(128, 'x')));
       }},
      {queued + "its body: blob of task " + kQueued.to_string() + ": its checksum does not match",
       [](KvBatch& kv) { kv.put(Table::kBodies, task_key(kQueued), encoded_blob(kDone, "of another")); }},
      {queued + "task record: its checksum does not match",
       [](KvBatch& kv) { kv.put(Table::kTasks, task_key(kQueued), "\x01T not a record"); }},
      {queued + "the record is of task " + kDone.to_string(),
       [](KvBatch& kv) { kv.put(Table::kTasks, task_key(kQueued), encoded(*sound_task(kDone).record)); }},
      {"table tasks: key short", [](KvBatch& kv) { kv.put(Table::kTasks, "short", "x"); }},
      {"record of task " + TaskId{7, 1, 1}.to_string() + ": there is no such shard",
       [](KvBatch& kv) {
         const TaskId id{7, 1, 1};
         kv.put(Table::kTasks, task_key(id), encoded(*sound_task(id).record));
       }},
  };
}

// Records of tasks whose fields do not agree.
std::vector<Damage> damage_to_tasks() {
  const auto put_record = [](TaskId id, const std::function<void(TaskRecord&)>& change) {
    TaskRecord record = *sound_task(id).record;
    change(record);
    return [id, record](KvBatch& kv) { kv.put(Table::kTasks, task_key(id), encoded(record)); };
  };
  const std::string done = "task " + kDone.to_string() + ": ";
  const std::string queued = "task " + kQueued.to_string() + ": ";
  return {
      {queued + "it is queued and has a reason", put_record(kQueued, [](auto& r) { r.reason = "why"; })},
      {done + "its completion has epoch 9, its shard has epoch 2",
       put_record(kDone, [](auto& r) { r.completion_epoch = 9; })},
      {"task " + TaskId{0, 1, 9}.to_string() + ": it has the completion number of task " + kDone.to_string(),
       put_record({0, 1, 9}, [](auto& r) { r.completion = 3; })},
      {"task " + TaskId{0, 2, 5}.to_string() + ": it has the idempotency key of task " +
           TaskId{0, 1, 5}.to_string(),
       put_record({0, 2, 5},
                  [](auto& r) {
                    r.spec.idempotency_key = "key" + TaskId{0, 1, 5}.to_string();
                  })},
      {"task " + kDead.to_string() + ": it is dead and has no reason",
       put_record(kDead, [](auto& r) { r.reason.clear(); })},
  };
}

std::vector<Damage> damage_to_queues_and_meta() {
  const auto put_queue = [](ShardId shard, const std::string& key, const std::string& name) {
    QueueRecord queue;
    queue.name = name;
    std::string bytes;
    encode(queue, bytes);
    return [shard, key, bytes](KvBatch& kv) { kv.put(Table::kQueues, store::queue_key(shard, key), bytes); };
  };
  return {
      {"record of queue 'default' in shard 0: queue record: its checksum",
       [](KvBatch& kv) { kv.put(Table::kQueues, store::queue_key(0, "default"), "no record"); }},
      {"record of queue 'other' in shard 1: the record is of another queue",
       put_queue(1, "other", "default")},
      {"record of queue 'a\\x20b' in shard 1: its name must be", put_queue(1, "a b", "a b")},
      {"epoch of shard 1: it is missing", [](KvBatch& kv) { kv.erase(Table::kMeta, store::epoch_key(1)); }},
      {"epoch of shard 0: meta value",
       [](KvBatch& kv) { kv.put(Table::kMeta, store::epoch_key(0), std::string(13, 'x')); }},
      {"epoch of shard 9: it belongs to nothing",
       [](KvBatch& kv) {
         kv.put(Table::kMeta, store::epoch_key(9), store::encode_meta(store::epoch_key(9), 1));
       }},
      {"meta value shards: it is 3, and skep.store says 2",
       [](KvBatch& kv) {
         kv.put(Table::kMeta, store::kMetaShardCount, store::encode_meta(store::kMetaShardCount, 3));
       }},
      {"meta value format: it is missing", [](KvBatch& kv) { kv.erase(Table::kMeta, store::kMetaFormat); }},
  };
}

TEST_F(StoreVerify, EachRuleThatIsBrokenIsNamedWithItsPlace) {
  std::vector<Damage> damages = damage_to_blobs();
  for (auto more : {damage_to_tasks(), damage_to_queues_and_meta()}) {
    damages.insert(damages.end(), more.begin(), more.end());
  }
  const std::string sound = directory_.path() + "/sound";
  make_sealed_store(sound);
  for (const auto& damage : damages) {
    copy_directory(sound, path_);
    tamper(damage.change);
    const auto found = report();
    EXPECT_NE(all(found).find(damage.expected), std::string::npos)
        << "wanted: " << damage.expected << "\nfound:\n"
        << all(found);
    EXPECT_LE(found.findings.size(), 4u) << damage.expected << "\nfound:\n" << all(found);
  }
}

TEST_F(StoreVerify, FindingsBeyondTheBoundAreCounted) {
  make_sealed_store(path_);
  tamper([](KvBatch& kv) {
    for (std::uint64_t i = 1; i <= kSoundTasks; ++i) kv.erase(Table::kBodies, store::task_key({0, 1, i}));
  });
  const auto found = store::verify_store({.directory = path_, .findings_max = 5});
  ASSERT_TRUE(found);
  EXPECT_EQ(found.value().findings.size(), 5u);
  EXPECT_EQ(found.value().findings_left_out, kSoundBodies - 5);
}

}  // namespace
}  // namespace skep::contract
