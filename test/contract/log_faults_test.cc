// SPDX-License-Identifier: Apache-2.0
// Goal: whatever the disk does to the log engine, what was acknowledged is there, and what was refused is
// not. Method: the same history with the power gone before each operation in turn, also while the store is
// opened again; and each fault of testing/faulty_segment_disk.h. The oracle is the sequence of commits
// itself.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "driver.h"
#include "engines.h"
#include "sound_store.h"
#include "store/log_store.h"
#include "store/segment_disk.h"
#include "store/store_directory.h"
#include "store/testing/faulty_segment_disk.h"

namespace skep::contract {
namespace {

using store::BlobKind;
using store::EraseTask;
using store::PutTask;
using store::Sync;
using store::testing::FaultySegmentDisk;
using Fault = FaultySegmentDisk::Fault;

constexpr std::uint64_t kSegmentBytes = 1 << 13;

TaskRecord task(std::uint64_t sequence, std::uint32_t lease_number = 0) {
  TaskRecord record;
  record.id = {0, 1, sequence};
  record.lease_number = lease_number;
  return record;
}
store::Blob blob(std::size_t bytes, std::uint32_t number) {
  return std::make_shared<const std::string>(bytes, static_cast<char>('a' + number % 26));
}

class LogFaults : public ::testing::Test {
 protected:
  Result<void> open() {
    store::LogOptions options;
    options.directory = path_;
    options.segment_bytes = kSegmentBytes;
    options.slack_bytes = 4 * kSegmentBytes;
    options.disk = disk_->disk();
    SKEP_TRY(store_, store::open_log(options, Logger()));
    driver_ = std::make_unique<Driver>(*store_);
    return ok();
  }
  // As a new process with a disk that works.
  void open_anew() {
    leave();
    disk_ = std::make_unique<FaultySegmentDisk>();
    const auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message;
    claim();
  }
  void leave() {
    driver_.reset();
    store_.reset();
  }
  void claim() {
    const auto claimed = driver_->claim_all();
    ASSERT_TRUE(claimed) << claimed.error().message;
    epoch_ = claimed.value()[0];
  }
  // Task 1 counts the commits; its body is large enough for segments to fill up.
  Result<void> commit(std::uint32_t number, Sync sync = Sync::kDurable, std::size_t bytes = 3'000) {
    return driver_->commit({{0, epoch_, {PutTask{task(1, number), blob(bytes, number), nullptr}}}}, sync);
  }
  Contents contents() {
    auto all = driver_->contents({epoch_});
    EXPECT_TRUE(all) << all.error().message;
    return all ? all.value() : Contents();
  }
  // The number of the last commit that is there, with the body that came with it; 0: none.
  std::uint32_t last_commit() {
    const auto all = contents();
    if (all.tasks.empty() || all.tasks[0].id != task(1).id) return 0;
    const std::uint32_t number = all.tasks[0].lease_number;
    const auto body = all.blobs.find({BlobKind::kBody, task(1).id});
    EXPECT_TRUE(body != all.blobs.end() && body->second[0] == static_cast<char>('a' + number % 26)) << number;
    return number;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/store";
  std::unique_ptr<FaultySegmentDisk> disk_ = std::make_unique<FaultySegmentDisk>();
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Driver> driver_;
  Epoch epoch_ = 0;
};

TEST_F(LogFaults, APowerLossBeforeAnyOperationLosesNothingThatWasAcknowledged) {
  constexpr std::uint32_t kCommits = 30;
  std::uint64_t runs = 0;
  for (std::uint64_t operation = 1; operation < 10'000; ++operation, ++runs) {
    SCOPED_TRACE("power lost before operation " + std::to_string(operation));
    Random random(operation);
    std::filesystem::remove_all(path_);
    disk_ = std::make_unique<FaultySegmentDisk>();
    ASSERT_TRUE(open());
    claim();
    // It stays, so that segments are collected and not only found empty.
    ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(9), blob(700, 9), blob(70, 10)}}}}));
    const std::uint64_t operation_at = disk_->operations() + operation;
    disk_->power_off_before(operation_at);
    std::uint32_t durable = 0;
    std::uint32_t tried = 0;
    for (std::uint32_t number = 1; number <= kCommits; ++number) {
      const Sync sync = number % 3 == 0 ? Sync::kSoft : Sync::kDurable;
      tried = number;
      if (!commit(number, sync)) break;
      if (sync == Sync::kDurable) durable = number;
    }
    const bool is_through = disk_->operations() < operation_at;
    leave();
    disk_->lose_unsynced(random);
    // The power goes again while the store is opened: a little later each time.
    for (std::uint64_t again = 1; again <= 4; ++again) {
      disk_ = std::make_unique<FaultySegmentDisk>();
      disk_->power_off_before(again * 2);
      if (open()) (void)driver_->claim_all();
      leave();
      disk_->lose_unsynced(random);
    }
    open_anew();
    const std::uint32_t found = last_commit();
    ASSERT_GE(found, durable);
    ASSERT_LE(found, tried);
    ASSERT_FALSE(HasFailure());
    ASSERT_TRUE(commit(tried + 1));
    open_anew();
    ASSERT_EQ(last_commit(), tried + 1);
    const auto all = contents();
    ASSERT_EQ(all.tasks.size(), 2u);
    ASSERT_EQ(all.blobs.at({BlobKind::kBody, task(9).id}), *blob(700, 9));
    ASSERT_EQ(all.blobs.at({BlobKind::kResult, task(9).id}), *blob(70, 10));
    leave();
    if (is_through) break;
  }
  EXPECT_GT(runs, 100u);
}

TEST_F(LogFaults, AWriteThatFailsIsRefusedAndLeavesNoTrace) {
  ASSERT_TRUE(open());
  claim();
  ASSERT_TRUE(commit(1));
  for (std::uint32_t round = 0; round < 6; ++round) {
    disk_->set_fault(Fault::kWriteFull);
    const auto refused = commit(100);
    ASSERT_FALSE(refused);
    // The header can not be taken back either, so nobody knows; or the frame that vouches for the commit
    // before met the fault, and this one was not tried.
    EXPECT_TRUE(refused.error().code == Code::kUnknownOutcome || refused.error().code == Code::kUnavailable);
    disk_->set_fault(Fault::kNone);
    claim();
    EXPECT_EQ(last_commit(), round + 1);
    ASSERT_TRUE(commit(round + 2));
  }
  open_anew();
  EXPECT_EQ(last_commit(), 7u);
}

TEST_F(LogFaults, WithoutRoomForASegmentCommitsAreRefusedUntilThereIsSome) {
  ASSERT_TRUE(open());
  claim();
  disk_->set_fault(Fault::kAllocateFull);
  std::uint32_t number = 0;
  Result<void> last = ok();
  while (number < 100 &&
         (last = driver_->commit({{0, epoch_, {PutTask{task(10 + number), blob(3'000, 1), nullptr}}}})))
    ++number;
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, Code::kUnavailable);
  EXPECT_NE(last.error().message.find("No space left"), std::string::npos) << last.error().message;
  EXPECT_GT(number, 0u);
  EXPECT_EQ(contents().tasks.size(), number);
  disk_->set_fault(Fault::kNone);
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(500), blob(3'000, 1), nullptr}}}}));
  EXPECT_EQ(contents().tasks.size(), number + 1);
  open_anew();
  EXPECT_EQ(contents().tasks.size(), number + 1);
}

TEST_F(LogFaults, AfterASyncThatFailedTheOutcomeIsUnknownAndTheStoreGoesOn) {
  ASSERT_TRUE(open());
  claim();
  std::uint32_t number = 0;
  for (std::uint64_t round = 0; round < 12; ++round) {
    ASSERT_TRUE(commit(++number));
    ASSERT_TRUE(commit(++number, Sync::kSoft, 100));
    disk_->set_fault(Fault::kSync);
    const auto unknown = commit(++number);
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, Code::kUnknownOutcome);
    EXPECT_EQ(driver_->claim_all().error().code, Code::kUnavailable) << "the disk still fails";
    disk_->set_fault(Fault::kNone);
    claim();
    const auto found = last_commit();
    EXPECT_GE(found, number - 2);
    EXPECT_LE(found, number);
    // What is there now is there for good, though the sectors that were not synced are lost.
    leave();
    disk_->power_off();
    Random random(round);
    disk_->lose_unsynced(random);
    open_anew();
    EXPECT_EQ(last_commit(), found);
  }
}

// Not kInvalid, which says that the request is wrong: who is told that does not try again, and a worker lets
// its result go.
TEST_F(LogFaults, ADirectoryThatIsAwayIsAnOutageToACommit) {
  ASSERT_TRUE(open());
  claim();
  ASSERT_TRUE(commit(1));
  disk_->set_fault(Fault::kSync);
  ASSERT_FALSE(commit(2));
  disk_->set_fault(Fault::kNone);
  std::filesystem::rename(path_, path_ + ".away");
  const auto refused = commit(3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable) << refused.error().message;
  EXPECT_EQ(store_->claim(0).error().code, Code::kUnavailable);
  std::filesystem::rename(path_ + ".away", path_);
  claim();
  ASSERT_TRUE(commit(4));
}

TEST_F(LogFaults, ASyncOfTheDirectoryThatFailsIsSurvived) {
  ASSERT_TRUE(open());
  claim();
  std::uint32_t number = 0;
  for (int round = 0; round < 40; ++round) {
    disk_->set_fault(round % 4 == 0 ? Fault::kDirectorySync : Fault::kNone);
    if (commit(number + 1)) {
      ++number;
      continue;
    }
    disk_->set_fault(Fault::kNone);
    claim();
    EXPECT_EQ(last_commit(), number);
  }
  EXPECT_GT(number, 20u);
  open_anew();
  EXPECT_EQ(last_commit(), number);
}

TEST_F(LogFaults, ATaskThatStaysDoesNotKeepTheStoreFromBeingSmall) {
  ASSERT_TRUE(open());
  claim();
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(0), blob(2'000, 7), blob(500, 8)}}}}));
  QueueRecord queue;
  queue.name = "kept";
  ASSERT_TRUE(driver_->commit({{0, epoch_, {store::PutQueue{queue}}}}));
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    std::vector<store::Mutation> changes{PutTask{task(i), blob(300, 1), nullptr}};
    if (i > 5) changes.push_back(EraseTask{task(i - 5).id});
    ASSERT_TRUE(
        driver_->commit({{0, epoch_, std::move(changes)}}, i % 10 == 0 ? Sync::kDurable : Sync::kSoft));
    if (i % 1'000 == 0) {
      EXPECT_LT(store_->stats().disk_bytes, 12 * kSegmentBytes);
    }
  }
  for (int round = 0; round < 2; ++round) {
    const auto all = contents();
    ASSERT_EQ(all.tasks.size(), 6u);
    EXPECT_EQ(all.tasks[0], task(0));
    EXPECT_EQ(all.queues, std::vector{queue});
    EXPECT_EQ(all.blobs.at({BlobKind::kBody, task(0).id}), *blob(2'000, 7));
    EXPECT_EQ(all.blobs.at({BlobKind::kResult, task(0).id}), *blob(500, 8));
    open_anew();
  }
}

// The machine's disk, which counts what is made and removed, and opens nothing for reading for a while, as a
// process without a descriptor left.
class WatchedDisk final : public store::SegmentDisk {
 public:
  Result<std::shared_ptr<store::SegmentFile>> create(const std::string& path, std::uint64_t bytes) override {
    ++created;
    return machine_->create(path, bytes);
  }
  Result<std::shared_ptr<store::SegmentFile>> open(const std::string& path, store::Access access) override {
    if (is_short && access == store::Access::kRead)
      return fail(Code::kUnavailable, "open " + path + ": Too many open files");
    return machine_->open(path, access);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return machine_->rename(from, to);
  }
  Result<void> remove(const std::string& path) override {
    ++removed;
    return machine_->remove(path);
  }
  Result<void> sync_directory(const std::string& directory) override {
    return machine_->sync_directory(directory);
  }

  std::atomic<bool> is_short = false;
  std::atomic<int> created = 0;
  std::atomic<int> removed = 0;

 private:
  std::shared_ptr<store::SegmentDisk> machine_ = store::machine_disk();
};

std::unique_ptr<store::Store> open_on(const std::shared_ptr<WatchedDisk>& disk, const std::string& path,
                                      std::uint64_t slack) {
  store::LogOptions options;
  options.directory = path;
  options.segment_bytes = kSegmentBytes;
  options.slack_bytes = slack;
  options.disk = disk;
  return store::open_log(options, Logger()).value();
}

// To make a file and to remove it costs a disk more than the bytes in it: between two bursts they are kept.
TEST_F(LogFaults, BurstsAfterTheFirstAreWrittenToTheSameFiles) {
  const auto disk = std::make_shared<WatchedDisk>();
  store_ = open_on(disk, path_, 100 * kSegmentBytes);
  driver_ = std::make_unique<Driver>(*store_);
  claim();
  std::uint64_t last = 0;
  for (int burst = 0; burst < 20; ++burst) {
    const std::uint64_t first = last + 1;
    while (last < first + 30)
      ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(++last), blob(6'000, 1), nullptr}}}}));
    for (std::uint64_t i = first; i <= last; ++i)
      ASSERT_TRUE(driver_->commit({{0, epoch_, {EraseTask{task(i).id}}}}));
  }
  EXPECT_LE(disk->created, 100) << "no more than the bound has room for";
  EXPECT_EQ(disk->removed, 0);
  EXPECT_LT(store_->stats().disk_bytes, 100 * kSegmentBytes);
}

TEST_F(LogFaults, WhatABurstLeavesGoes) {
  const auto disk = std::make_shared<WatchedDisk>();
  store_ = open_on(disk, path_, 4 * kSegmentBytes);
  driver_ = std::make_unique<Driver>(*store_);
  claim();
  for (std::uint64_t i = 1; i <= 100; ++i)
    ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(i), blob(6'000, 1), nullptr}}}}));
  EXPECT_GT(store_->stats().disk_bytes, 100 * kSegmentBytes);
  std::vector<store::Mutation> all;
  for (std::uint64_t i = 1; i <= 100; ++i) all.push_back(EraseTask{task(i).id});
  ASSERT_TRUE(driver_->commit({{0, epoch_, std::move(all)}}));
  // Collecting takes commits, for it is paid by what is written.
  for (std::uint64_t i = 101; i <= 130; ++i)
    ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(i), nullptr, nullptr}}}}));
  EXPECT_LT(store_->stats().disk_bytes, 7 * kSegmentBytes);
}

TEST_F(LogFaults, AStoreThatIsClosedWhileSegmentsAreRemovedOpensAgain) {
  store::LogOptions options;
  options.directory = path_;
  options.segment_bytes = 1 << 16;
  options.slack_bytes = 4 << 16;  // disk: the machine's, with a remover of its own
  store_ = store::open_log(options, Logger()).value();
  driver_ = std::make_unique<Driver>(*store_);
  claim();
  for (std::uint64_t i = 1; i <= 600; ++i)
    ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(i), blob(60'000, 1), nullptr}}}}));
  std::vector<store::Mutation> all;
  for (std::uint64_t i = 1; i <= 600; ++i) all.push_back(EraseTask{task(i).id});
  ASSERT_TRUE(driver_->commit({{0, epoch_, std::move(all)}}));
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(1000), nullptr, nullptr}}}}));
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(1001), nullptr, nullptr}}}}));
  driver_.reset();
  const auto closed = store_->close();
  EXPECT_TRUE(closed) << closed.error().message;
  store_.reset();
  const auto again = store::open_log(options, Logger());
  ASSERT_TRUE(again) << again.error().message;
}

TEST_F(LogFaults, ASegmentThatCouldNotBeOpenedForAWhileIsCollectedAfterAll) {
  const auto disk = std::make_shared<WatchedDisk>();
  store_ = open_on(disk, path_, 4 * kSegmentBytes);
  driver_ = std::make_unique<Driver>(*store_);
  claim();
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(0), blob(2'000, 7), blob(500, 8)}}}}));
  for (std::uint64_t i = 1; i <= 4'000; ++i) {
    disk->is_short = i > 1'000 && i < 1'100;
    std::vector<store::Mutation> changes{PutTask{task(i), blob(300, 1), nullptr}};
    if (i > 5) changes.push_back(EraseTask{task(i - 5).id});
    ASSERT_TRUE(driver_->commit({{0, epoch_, std::move(changes)}}, Sync::kSoft));
  }
  EXPECT_LT(store_->stats().disk_bytes, 12 * kSegmentBytes);
}

TEST_F(LogFaults, ManyRestartsDoNotMakeTheStoreLarge) {
  ASSERT_TRUE(open());
  claim();
  ASSERT_TRUE(driver_->commit({{0, epoch_, {PutTask{task(9), blob(2'000, 7), nullptr}}}}));
  for (std::uint32_t number = 1; number <= 60; ++number) {
    ASSERT_TRUE(commit(number));
    open_anew();
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_EQ(last_commit(), 60u);
  EXPECT_EQ(contents().tasks.size(), 2u);
  EXPECT_LT(store_->stats().disk_bytes, 20 * kSegmentBytes);
}

TEST_F(LogFaults, TheOtherEngineRefusesTheDirectory) {
  ASSERT_TRUE(open());
  leave();
  const auto refused = open_sound(path_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_NE(refused.error().message.find("open it as log:" + path_), std::string::npos)
      << refused.error().message;
  std::filesystem::remove_all(path_);
  ASSERT_TRUE(open_sound(path_));
  const auto too = open();
  ASSERT_FALSE(too);
  EXPECT_EQ(too.error().code, Code::kInvalid);
  EXPECT_NE(too.error().message.find("open it as rocksdb:" + path_), std::string::npos)
      << too.error().message;
}

TEST_F(LogFaults, ASecondOpenIsRefused) {
  ASSERT_TRUE(open());
  store::LogOptions options;
  options.directory = path_;
  const auto refused = store::open_log(options, Logger());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("is open in this process"), std::string::npos);
  leave();
  EXPECT_TRUE(store::open_log(options, Logger()));
}

}  // namespace
}  // namespace skep::contract
