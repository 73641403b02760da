// SPDX-License-Identifier: Apache-2.0
// Goal: what goes into the table comes out unchanged and in order, and a queued task takes little memory.
// Method: records drawn over every field's range against a map; the allocator counts bytes.
#include "queue/task_table.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <ctime>
#include <map>

#include "task/testing/arbitrary_record.h"

namespace skep::queue {
namespace {

using skep::testing::any_task_record;

// Of a range that its checks allow.
TaskRecord any_record(Random& random, const TaskId& id) {
  TaskRecord record = any_task_record(random);
  record.id = id;
  record.attempts_failed %= limits::kAttemptsMaxMax + 1;
  record.workers_lost %= limits::kWorkersLostMax + 1;
  record.body_bytes &= 0xffffffff;
  record.result_bytes &= 0xffffffff;
  return record;
}

std::vector<TaskRecord> all_after(const TaskTable& table, const TaskId& after) {
  std::vector<TaskRecord> found;
  table.visit_after(after, [&](TaskRecord record) {
    found.push_back(std::move(record));
    return true;
  });
  return found;
}

TEST(TaskTable, KeepsEveryFieldOfEveryRecord) {
  Random random(1);
  TaskTable table;
  std::map<TaskId, TaskRecord> model;
  for (int i = 0; i < 20'000; ++i) {
    const TaskId id{3, static_cast<Epoch>(1 + random.below(2)),
                    1 + random.below(300) * (1 + random.below(900))};
    if (random.chance(0.3)) {
      table.erase(id);
      model.erase(id);
    } else {
      model[id] = any_record(random, id);
      table.set(model[id]);
    }
    ASSERT_EQ(table.size(), model.size());
    ASSERT_EQ(table.contains(id), model.contains(id));
  }
  for (const auto& [id, record] : model) {
    ASSERT_EQ(table.at(id), record);
    ASSERT_EQ(table.state_of(id), record.state);
  }
  const TaskId middle{3, 1, 5'000};
  std::vector<TaskRecord> expected;
  for (auto at = model.upper_bound(middle); at != model.end(); ++at) expected.push_back(at->second);
  EXPECT_EQ(all_after(table, middle), expected);
  for (const auto& entry : model) table.erase(entry.first);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_TRUE(all_after(table, {}).empty());
}

TEST(TaskTable, AnEmptyPlaceIsNotATask) {
  TaskTable table;
  EXPECT_FALSE(table.get({0, 1, 1}).has_value());
  EXPECT_FALSE(table.state_of({0, 1, 1}).has_value());
  table.erase({0, 1, 1});
  EXPECT_EQ(table.size(), 0u);
}

TEST(TaskTable, AQueuedTaskTakes64Bytes) {
  constexpr std::size_t kTasks = 100'000;
  TaskTable table;
  TaskRecord record;
  record.enqueued_at = record.queued_at = Instant(seconds(1));
  const auto before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < kTasks; ++i) {
    record.id = {0, 1, 1 + i};
    record.spec.iterations = i + 1;
    table.set(record);
  }
  const double bytes = static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(kTasks);
  EXPECT_LT(bytes, 66);
  EXPECT_GE(bytes, 60) << "the allocator's count is what is measured";
}

// Dead tasks are kept for a month, while thousands of others came and went between them.
TEST(TaskTable, ATaskWhoseNeighboursAreGoneTakesNoMoreThanAnOrdinaryRecord) {
  constexpr std::size_t kTasks = 640'000;
  constexpr std::size_t kKeptOneIn = 64;
  TaskTable table;
  TaskRecord record;
  record.enqueued_at = record.queued_at = Instant(seconds(1));
  const auto before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < kTasks; ++i) {
    record.id = {0, 1, 1 + i};
    table.set(record);
  }
  for (std::size_t i = 0; i < kTasks; ++i) {
    if (i % kKeptOneIn != 0) table.erase({0, 1, 1 + i});
  }
  EXPECT_LT((mallinfo2().uordblks - before) / table.size(), sizeof(TaskRecord)) << "bytes a task";
}

TEST(SpecPool, KeepsOneOfEachKindWhateverTheIterations) {
  SpecPool pool;
  TaskSpec spec;
  spec.iterations = 7;
  const auto first = pool.share(spec);
  spec.iterations = 8;
  EXPECT_EQ(pool.share(spec), first);
  spec.priority = 9;
  EXPECT_NE(pool.share(spec), first);
  EXPECT_EQ(pool.size(), 2u);
}

// Of specs that differ in what `set` changes, in seconds of processor time for each.
template <class Set>
double seconds_each(std::size_t count, Set set) {
  SpecPool pool;
  std::vector<std::shared_ptr<const TaskSpec>> kept;
  const std::clock_t begin = std::clock();
  for (std::size_t i = 0; i < count; ++i) {
    TaskSpec spec;
    set(spec, static_cast<std::int64_t>(i));
    kept.push_back(pool.share(spec));
  }
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / static_cast<double>(count);
}

// A client may give every task a delay, a deadline or a time-out of its own.
TEST(SpecPool, FindsASpecWithoutLookingAtTheOthersWhateverTheyDifferIn) {
  constexpr std::size_t kSpecs = 8'000;
  const double by_key =
      seconds_each(kSpecs, [](TaskSpec& spec, std::int64_t i) { spec.idempotency_key = std::to_string(i); });
  const auto check = [&](const char* what, auto set) {
    EXPECT_LT(seconds_each(kSpecs, set), 20 * by_key) << what << "; by key " << by_key;
  };
  check("delay", [](TaskSpec& spec, std::int64_t i) { spec.delay = milliseconds(i + 1); });
  check("start_deadline", [](TaskSpec& spec, std::int64_t i) { spec.start_deadline = milliseconds(i + 1); });
  check("run_timeout", [](TaskSpec& spec, std::int64_t i) { spec.run_timeout = milliseconds(i + 1); });
}

TEST(SpecPool, LetsGoOfWhatNobodyUses) {
  SpecPool pool;
  TaskSpec spec;
  for (int i = 0; i < 10'000; ++i) {
    spec.idempotency_key = std::to_string(i);
    (void)pool.share(spec);
  }
  EXPECT_LT(pool.size(), 200u);
}

}  // namespace
}  // namespace skep::queue
