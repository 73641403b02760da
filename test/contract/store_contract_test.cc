// SPDX-License-Identifier: Apache-2.0
// Goal: every engine keeps every sentence of store.h.
// Method: one test a sentence, run for each engine of engines.h.
#include <gtest/gtest.h>

#include "driver.h"
#include "engines.h"
#include "store/store.h"
#include "task/testing/arbitrary_record.h"

namespace skep::contract {
namespace {

using store::Blob;
using store::BlobKey;
using store::BlobKind;
using store::EraseTask;
using store::Mutation;
using store::PutQueue;
using store::PutTask;
using store::ShardBatch;
using store::Sync;

constexpr ShardId kShards = 3;

TaskRecord task(ShardId shard, std::uint64_t sequence, std::uint32_t lease_number = 0) {
  TaskRecord record;
  record.id = {shard, 1, sequence};
  record.lease_number = lease_number;
  return record;
}
QueueRecord queue(const std::string& name, std::uint64_t depth_max = 0) {
  QueueRecord record;
  record.name = name;
  record.depth_max = depth_max;
  return record;
}
Blob blob(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

class StoreContract : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (!GetParam().why_not.empty()) GTEST_SKIP() << GetParam().why_not;
    open();
  }
  void open() {
    auto opened = engine_->open(kShards);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(opened.value());
    driver_ = std::make_unique<Driver>(*store_);
  }
  void leave() {
    driver_.reset();
    store_.reset();
  }
  void close_and_open() {
    driver_.reset();
    ASSERT_TRUE(store_->close());
    leave();
    open();
  }
  void lose_power(std::uint64_t seed = 1) {
    Random random(seed);
    engine_->power_off();
    leave();
    engine_->power_on(random);
    open();
  }

  std::vector<ShardBatch> batch(std::vector<Mutation> mutations, ShardId shard = 0) {
    return {{shard, epochs_[shard], std::move(mutations)}};
  }
  void claim_all() {
    const auto claimed = driver_->claim_all();
    ASSERT_TRUE(claimed) << claimed.error().message;
    epochs_ = claimed.value();
  }
  Contents contents() {
    auto all = driver_->contents(epochs_);
    EXPECT_TRUE(all) << all.error().message;
    return all ? all.value() : Contents();
  }
  std::string body(const TaskId& id) { return blob_of({BlobKind::kBody, id}); }
  std::string result(const TaskId& id) { return blob_of({BlobKind::kResult, id}); }
  std::string blob_of(const BlobKey& key) {
    const auto blobs = driver_->read({key});
    EXPECT_TRUE(blobs);
    return blobs.value()[0] ? *blobs.value()[0] : "(null)";
  }

  const std::unique_ptr<Engine> engine_ = GetParam().make();
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Driver> driver_;
  std::vector<Epoch> epochs_;
};

INSTANTIATE_TEST_SUITE_P(Engines, StoreContract, ::testing::ValuesIn(all_engines()),
                         [](const auto& engine) { return engine.param.name; });

// ---- mutations ----

TEST_P(StoreContract, EraseBodyLeavesRecordAndResult) {
  claim_all();
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1), blob("body"), nullptr}})));
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1, 7), nullptr, blob("result")},
                                     store::EraseBody{task(0, 1).id}, store::EraseBody{task(0, 9).id}})));
  EXPECT_EQ(contents().tasks, std::vector{task(0, 1, 7)});
  EXPECT_EQ(body(task(0, 1).id), "(null)");
  EXPECT_EQ(result(task(0, 1).id), "result");
}

TEST_P(StoreContract, PutTaskWritesBlobsOnlyWhereGiven) {
  claim_all();
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1), blob("body"), nullptr}})));
  EXPECT_EQ(body(task(0, 1).id), "body");
  EXPECT_EQ(result(task(0, 1).id), "(null)");
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1, 7), nullptr, blob("result")}})));
  EXPECT_EQ(body(task(0, 1).id), "body");
  EXPECT_EQ(result(task(0, 1).id), "result");
  EXPECT_EQ(contents().tasks, std::vector{task(0, 1, 7)});
}

TEST_P(StoreContract, EraseTaskRemovesRecordBodyAndResult) {
  claim_all();
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1), blob("body"), blob("result")}})));
  ASSERT_TRUE(driver_->commit(batch({EraseTask{task(0, 1).id}, EraseTask{task(0, 99).id}})));
  EXPECT_EQ(contents(), Contents());
  EXPECT_EQ(body(task(0, 1).id), "(null)");
  EXPECT_EQ(result(task(0, 1).id), "(null)");
}

TEST_P(StoreContract, PutQueueReplaces) {
  claim_all();
  ASSERT_TRUE(driver_->commit(batch({PutQueue{queue("a", 1)}, PutQueue{queue("b", 2)}})));
  ASSERT_TRUE(driver_->commit(batch({PutQueue{queue("a", 3)}})));
  EXPECT_EQ(contents().queues, (std::vector{queue("a", 3), queue("b", 2)}));
}

TEST_P(StoreContract, LaterMutationsOfABatchWin) {
  claim_all();
  ASSERT_TRUE(driver_->commit(
      batch({PutTask{task(0, 1, 1), blob("old"), nullptr}, EraseTask{task(0, 1).id},
             PutTask{task(0, 1, 2), nullptr, nullptr}, PutTask{task(0, 2, 1), blob("a"), nullptr},
             PutTask{task(0, 2, 2), blob("b"), nullptr}, PutQueue{queue("q", 1)}, PutQueue{queue("q", 2)},
             PutTask{task(0, 3), blob("c"), nullptr}, EraseTask{task(0, 3).id}})));
  EXPECT_EQ(contents().tasks, (std::vector{task(0, 1, 2), task(0, 2, 2)}));
  EXPECT_EQ(contents().queues, std::vector{queue("q", 2)});
  EXPECT_EQ(body(task(0, 1).id), "(null)");
  EXPECT_EQ(body(task(0, 2).id), "b");
}

TEST_P(StoreContract, EveryFieldComesBack) {
  claim_all();
  Random random(1);
  std::vector<Mutation> mutations;
  Contents expected;
  for (std::uint64_t i = 0; i < 200; ++i) {
    TaskRecord record = skep::testing::any_task_record(random);
    record.id = task(0, i).id;
    mutations.push_back(PutTask{record, nullptr, nullptr});
    expected.tasks.push_back(record);
  }
  QueueRecord settings = skep::testing::any_queue_record(random);
  mutations.push_back(PutQueue{settings});
  expected.queues.push_back(settings);
  ASSERT_TRUE(driver_->commit(batch(std::move(mutations))));
  EXPECT_EQ(contents(), expected);
  close_and_open();
  claim_all();
  EXPECT_EQ(contents(), expected);
}

TEST_P(StoreContract, BlobsMayBeEmptyOrLarge) {
  claim_all();
  Random random(2);
  std::string large(std::size_t{1} << 20, '\0');
  for (char& c : large) c = static_cast<char>(random.next());
  ASSERT_TRUE(driver_->commit(
      batch({PutTask{task(0, 1), blob(""), blob(large)}, PutTask{task(0, 2), blob(large), blob("")}})));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(body(task(0, 1).id), "");
    EXPECT_TRUE(result(task(0, 1).id) == large);
    EXPECT_TRUE(body(task(0, 2).id) == large);
    EXPECT_EQ(result(task(0, 2).id), "");
    close_and_open();
  }
}

// ---- commits ----

TEST_P(StoreContract, AnEmptyCommitSucceeds) {
  claim_all();
  EXPECT_TRUE(driver_->commit({}));
  EXPECT_TRUE(driver_->commit({}, Sync::kSoft));
  EXPECT_TRUE(driver_->commit(batch({})));
  EXPECT_EQ(driver_->commit({{0, epochs_[0] + 1, {}}}).error().code, Code::kFenced);
}

TEST_P(StoreContract, OtherEpochsAreFencedAndNothingIsWritten) {
  EXPECT_EQ(driver_->commit({{0, 1, {PutTask{task(0, 1), nullptr, nullptr}}}}).error().code, Code::kFenced);
  EXPECT_EQ(driver_->commit({{0, 0, {PutTask{task(0, 1), nullptr, nullptr}}}}).error().code, Code::kFenced);
  claim_all();
  const auto old_epochs = epochs_;
  claim_all();
  for (const Epoch epoch : {old_epochs[0], epochs_[0] + 1, Epoch{0}}) {
    const auto refused = driver_->commit(
        {{1, epochs_[1], {PutTask{task(1, 1), blob("b"), nullptr}}}, {0, epoch, {PutQueue{queue("q")}}}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kFenced);
  }
  EXPECT_EQ(contents(), Contents());
  EXPECT_EQ(body(task(1, 1).id), "(null)");
  EXPECT_TRUE(driver_->commit(batch({PutQueue{queue("q")}})));
}

TEST_P(StoreContract, AShardThatDoesNotExistIsRefused) {
  EXPECT_EQ(store_->claim(kShards).error().code, Code::kInvalid);
  EXPECT_EQ(driver_->commit({{kShards, 1, {}}}).error().code, Code::kInvalid);
  Contents all;
  EXPECT_EQ(store_->load(kShards, 1, all).error().code, Code::kInvalid);
}

TEST_P(StoreContract, RepliesComeOnTheExecutorAndInOrder) {
  claim_all();
  constexpr int kCommits = 50;
  std::promise<std::thread::id> executor;
  driver_->runner().post([&] { executor.set_value(std::this_thread::get_id()); });
  const auto executor_thread = executor.get_future().get();
  std::vector<int> order;
  std::promise<void> finished;
  driver_->runner().post([&] {
    for (int i = 0; i < kCommits; ++i) {
      bool is_inside = true;
      auto commit = batch({PutTask{task(0, 1, static_cast<std::uint32_t>(i)), nullptr, nullptr}});
      driver_->session().commit(std::move(commit), i % 3 == 0 ? Sync::kDurable : Sync::kSoft,
                                [&, i](Result<void> result) {
                                  EXPECT_TRUE(result);
                                  EXPECT_EQ(std::this_thread::get_id(), executor_thread);
                                  order.push_back(i);
                                  if (i == kCommits - 1) finished.set_value();
                                });
      EXPECT_TRUE(is_inside && order.empty()) << "a reply came inside the call";
    }
  });
  finished.get_future().get();
  for (int i = 0; i < kCommits; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(contents().tasks, std::vector{task(0, 1, kCommits - 1)});
}

TEST_P(StoreContract, RepliesComeAlsoAfterTheSessionEnded) {
  claim_all();
  std::vector<std::future<Result<void>>> results;
  for (std::uint64_t i = 0; i < 20; ++i) {
    results.push_back(driver_->begin_commit(batch({PutTask{task(0, i), nullptr, nullptr}}), Sync::kDurable));
  }
  driver_->end_session();
  for (auto& result : results) EXPECT_TRUE(result.get());
  driver_ = std::make_unique<Driver>(*store_);
  EXPECT_EQ(contents().tasks.size(), 20u);
}

TEST_P(StoreContract, SessionsSeeEachOthersCommits) {
  claim_all();
  Driver other(*store_);
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1), blob("a"), nullptr}}), Sync::kSoft));
  ASSERT_TRUE(other.commit(batch({PutTask{task(1, 1), blob("b"), nullptr}}, 1)));
  EXPECT_EQ(*other.read({{BlobKind::kBody, task(0, 1).id}}).value()[0], "a");
  EXPECT_EQ(body(task(1, 1).id), "b");
  EXPECT_EQ(contents().tasks.size(), 2u);
}

TEST_P(StoreContract, AfterAClaimNoCommitOfAnOlderEpochArrives) {
  claim_all();
  for (int round = 0; round < 20; ++round) {
    std::vector<std::future<Result<void>>> pending;
    for (std::uint64_t i = 0; i < 10; ++i) {
      pending.push_back(driver_->begin_commit(
          batch({PutTask{task(0, i, static_cast<std::uint32_t>(round)), nullptr, nullptr}}), Sync::kSoft));
    }
    const auto claimed = store_->claim(0);
    ASSERT_TRUE(claimed);
    Contents at_claim;
    ASSERT_TRUE(store_->load(0, claimed.value(), at_claim));
    std::size_t succeeded = 0;
    for (auto& result : pending) {
      const auto outcome = result.get();
      if (outcome) {
        ++succeeded;
      } else {
        EXPECT_EQ(outcome.error().code, Code::kFenced);
      }
    }
    Contents later;
    ASSERT_TRUE(store_->load(0, claimed.value(), later));
    EXPECT_EQ(at_claim, later);
    std::size_t written = 0;
    for (const auto& record : later.tasks)
      written += record.lease_number == static_cast<std::uint32_t>(round) ? 1 : 0;
    EXPECT_EQ(written, succeeded);
    epochs_[0] = claimed.value();
  }
}

// ---- reads ----

TEST_P(StoreContract, ReadAnswersInTheOrderOfTheKeys) {
  claim_all();
  EXPECT_TRUE(driver_->read({}).value().empty());
  ASSERT_TRUE(driver_->commit(
      batch({PutTask{task(0, 1), blob("b1"), blob("r1")}, PutTask{task(0, 2), blob("b2"), nullptr}})));
  const auto blobs = driver_->read({{BlobKind::kResult, task(0, 1).id},
                                    {BlobKind::kBody, task(0, 2).id},
                                    {BlobKind::kBody, task(0, 3).id},
                                    {BlobKind::kResult, task(0, 2).id},
                                    {BlobKind::kBody, task(0, 1).id},
                                    {BlobKind::kBody, task(0, 2).id}});
  ASSERT_TRUE(blobs);
  ASSERT_EQ(blobs.value().size(), 6u);
  EXPECT_EQ(*blobs.value()[0], "r1");
  EXPECT_EQ(*blobs.value()[1], "b2");
  EXPECT_EQ(blobs.value()[2], nullptr);
  EXPECT_EQ(blobs.value()[3], nullptr);
  EXPECT_EQ(*blobs.value()[4], "b1");
  EXPECT_EQ(*blobs.value()[5], "b2");
}

TEST_P(StoreContract, LoadGivesQueuesFirstThenTasksById) {
  claim_all();
  struct Order : store::RecordSink {
    void on_queue(QueueRecord record) override { text += "q:" + record.name + " "; }
    void on_task(TaskRecord record) override {
      text += "t:" + std::to_string(record.id.epoch) + "." + std::to_string(record.id.sequence) + " ";
    }
    std::string text;
  };
  std::vector<Mutation> mutations;
  for (const TaskId id :
       {TaskId{1, 2, 1}, {1, 1, 256}, {1, 1, 255}, {1, 1, kSequenceMax}, {1, 300, 0}, {1, 2, 0}}) {
    TaskRecord record;
    record.id = id;
    mutations.push_back(PutTask{record, nullptr, nullptr});
  }
  mutations.push_back(PutQueue{queue("b")});
  mutations.push_back(PutQueue{queue("a")});
  ASSERT_TRUE(driver_->commit(batch(std::move(mutations), 1)));
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 9), nullptr, nullptr}, PutQueue{queue("z")}}, 0)));
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(2, 9), nullptr, nullptr}, PutQueue{queue("z")}}, 2)));
  Order order;
  ASSERT_TRUE(store_->load(1, epochs_[1], order));
  EXPECT_EQ(order.text, "q:a q:b t:1.255 t:1.256 t:1.281474976710655 t:2.0 t:2.1 t:300.0 ");
}

TEST_P(StoreContract, LoadIsFencedToo) {
  Contents all;
  EXPECT_EQ(store_->load(0, 0, all).error().code, Code::kFenced);
  EXPECT_EQ(store_->load(0, 1, all).error().code, Code::kFenced);
  claim_all();
  const auto old_epochs = epochs_;
  claim_all();
  EXPECT_EQ(store_->load(0, old_epochs[0], all).error().code, Code::kFenced);
  EXPECT_TRUE(store_->load(0, epochs_[0], all));
}

// ---- ownership, closing, crashes ----

TEST_P(StoreContract, EpochsRiseForEverAndPerShard) {
  EXPECT_EQ(store_->claim(0).value(), 1u);
  EXPECT_EQ(store_->claim(0).value(), 2u);
  EXPECT_EQ(store_->claim(1).value(), 1u);
  close_and_open();
  EXPECT_EQ(store_->claim(0).value(), 3u);
  lose_power();
  EXPECT_EQ(store_->claim(0).value(), 4u);
  EXPECT_EQ(store_->claim(1).value(), 2u);
  EXPECT_EQ(store_->claim(2).value(), 1u);
}

TEST_P(StoreContract, TheNumberOfShardsIsFixedWhenTheStoreIsMade) {
  EXPECT_EQ(store_->shard_count(), kShards);
  leave();
  auto opened = engine_->open(kShards + 4);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened.value()->shard_count(), kShards);
}

TEST_P(StoreContract, CloseMakesSoftCommitsDurable) {
  claim_all();
  ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1), blob("body"), nullptr}}), Sync::kSoft));
  close_and_open();
  lose_power();
  claim_all();
  EXPECT_EQ(contents().tasks, std::vector{task(0, 1)});
  EXPECT_EQ(body(task(0, 1).id), "body");
}

TEST_P(StoreContract, AClosedStoreSaysSo) {
  claim_all();
  driver_.reset();
  EXPECT_TRUE(store_->close());
  EXPECT_TRUE(store_->close());
  EXPECT_EQ(store_->claim(0).error().code, Code::kUnavailable);
  Contents all;
  EXPECT_EQ(store_->load(0, 1, all).error().code, Code::kUnavailable);
}

TEST_P(StoreContract, DurableCommitsSurviveAPowerLossAndSoftOnesGoFromTheNewestOn) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    claim_all();
    const auto id = task(0, 1).id;
    ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1, 1), nullptr, nullptr}}), Sync::kSoft));
    ASSERT_TRUE(driver_->commit(batch({PutTask{task(0, 1, 2), blob(std::string(5'000, 'd')), nullptr}})));
    for (std::uint32_t number = 3; number <= 6; ++number) {
      ASSERT_TRUE(driver_->commit(
          batch({PutTask{task(0, 1, number), blob(std::string(3'000, static_cast<char>('0' + number))),
                         nullptr}}),
          Sync::kSoft));
    }
    lose_power(seed);
    claim_all();
    const auto tasks = contents().tasks;
    ASSERT_EQ(tasks.size(), 1u);
    const std::uint32_t survived = tasks[0].lease_number;
    ASSERT_GE(survived, 2u) << "seed " << seed;
    const std::string expected =
        survived == 2 ? std::string(5'000, 'd') : std::string(3'000, static_cast<char>('0' + survived));
    EXPECT_EQ(body(id), expected) << "seed " << seed;
  }
}

TEST_P(StoreContract, StatsNameTheEngine) {
  const auto stats = store_->stats();
  EXPECT_EQ(stats.engine, GetParam().name);
  if (!stats.place.empty()) {
    EXPECT_GT(stats.disk_bytes, 0u);
  }
  EXPECT_EQ(stats.free_bytes > 0, GetParam().has_own_disk);
  EXPECT_FALSE(stats.durability.empty());
}

}  // namespace
}  // namespace skep::contract
