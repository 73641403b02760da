// SPDX-License-Identifier: Apache-2.0
// Goal: the index has the newest place of everything and counts to the byte how much of each segment is
// present. Method: short stories, and random ones against a map.
#include "store/log_index.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "task/record.h"

namespace skep::store {
namespace {

ItemHead head(ItemKind kind, const TaskId& id, std::uint32_t length = 0) {
  return {kind, id, length};
}

TEST(LogIndex, EachItemReplacesWhatWasThere) {
  LogIndex index(2);
  const TaskId id{1, 1, 70};
  ASSERT_TRUE(index.apply(head(ItemKind::kTask, id, 100), {1, 8, 100}, {}));
  ASSERT_TRUE(index.apply(head(ItemKind::kBody, id, 50), {1, 108, 50}, {}));
  EXPECT_EQ(index.live().of(1), 150 + 2 * kItemHeadBytes);
  ASSERT_TRUE(index.apply(head(ItemKind::kTask, id, 90), {2, 8, 90}, {}));
  ASSERT_TRUE(index.apply(head(ItemKind::kResult, id, 7), {2, 98, 7}, {}));
  ASSERT_TRUE(index.apply(head(ItemKind::kEraseBody, id), {2, 0, 0}, {}));
  EXPECT_EQ(index.live().of(1), 0u);
  EXPECT_EQ(index.find(id).record, (Place{2, 8, 90}));
  EXPECT_FALSE(index.find(BlobKey{BlobKind::kBody, id}));
  EXPECT_EQ(index.find(BlobKey{BlobKind::kResult, id}), (Place{2, 98, 7}));
  EXPECT_TRUE(index.is_present(head(ItemKind::kTask, id), {2, 8, 90}));
  EXPECT_FALSE(index.is_present(head(ItemKind::kTask, id), {1, 8, 100}));
  ASSERT_TRUE(index.apply(head(ItemKind::kEraseTask, id), {3, 0, 0}, {}));
  ASSERT_TRUE(index.apply(head(ItemKind::kEraseTask, {1, 1, 71}), {3, 0, 0}, {}));
  EXPECT_EQ(index.live().total(), 0u);
  EXPECT_EQ(index.task_count(), 0u);
  EXPECT_TRUE(index.tasks_after(1, nullptr, 10).empty());
}

TEST(LogIndex, QueuesAndEpochsArePresentToo) {
  LogIndex index(2);
  QueueRecord queue;
  queue.name = "b";
  std::string stored;
  encode(queue, stored);
  const auto length = static_cast<std::uint32_t>(stored.size());
  ASSERT_TRUE(index.apply(head(ItemKind::kQueue, {1, 0, 0}, length), {1, 8, length}, stored));
  ASSERT_TRUE(index.apply(head(ItemKind::kQueue, {1, 0, 0}, length), {2, 8, length}, stored));
  ASSERT_TRUE(index.apply(head(ItemKind::kEpoch, {1, 7, 0}), {2, 60, 0}, {}));
  EXPECT_EQ(index.live().of(1), 0u);
  EXPECT_EQ(index.live().of(2), length + 2 * kItemHeadBytes);
  EXPECT_EQ(index.epoch(1), 7u);
  EXPECT_EQ(index.epoch(0), 0u);
  EXPECT_EQ(index.queues(1), std::vector{stored});
  EXPECT_TRUE(index.queues(0).empty());
  EXPECT_TRUE(index.is_present(head(ItemKind::kQueue, {1, 0, 0}), {2, 8, length}));
  EXPECT_FALSE(index.is_present(head(ItemKind::kQueue, {1, 0, 0}), {1, 8, length}));
  EXPECT_EQ(index.apply(head(ItemKind::kQueue, {1, 0, 0}), {2, 8, 3}, "abc").error().code, Code::kCorrupt);
  EXPECT_EQ(index.apply(head(ItemKind::kTask, {2, 1, 0}), {2, 8, 3}, {}).error().code, Code::kCorrupt);
}

TEST(LogIndex, TasksComeByIdInPartsOfAnySize) {
  LogIndex index(3);
  std::vector<TaskId> ids{{1, 1, 0}, {1, 1, 63}, {1, 1, 64}, {1, 1, kSequenceMax}, {1, 2, 0}, {1, 9, 5}};
  for (auto at = ids.rbegin(); at != ids.rend(); ++at) {
    ASSERT_TRUE(index.apply(head(ItemKind::kTask, *at, 1), {1, 8, 1}, {}));
  }
  ASSERT_TRUE(index.apply(head(ItemKind::kTask, {0, 5, 5}, 1), {1, 8, 1}, {}));
  ASSERT_TRUE(index.apply(head(ItemKind::kTask, {2, 1, 1}, 1), {1, 8, 1}, {}));
  for (std::size_t count = 1; count <= 7; ++count) {
    std::vector<TaskId> found;
    for (;;) {
      const auto part = index.tasks_after(1, found.empty() ? nullptr : &found.back(), count);
      if (part.empty()) break;
      EXPECT_LE(part.size(), count);
      for (const auto& [id, places] : part) found.push_back(id);
    }
    EXPECT_EQ(found, ids);
  }
}

TEST(LogIndex, AnyHistoryCountsAsAMapDoes) {
  Random random(1);
  LogIndex index(1);
  std::map<std::pair<TaskId, int>, Place> map;
  constexpr ItemKind kKinds[] = {ItemKind::kTask, ItemKind::kBody, ItemKind::kResult};
  for (std::uint32_t step = 1; step < 20'000; ++step) {
    const TaskId id{0, 1, random.below(300)};
    const Place place{1 + step / 1'000, step, static_cast<std::uint32_t>(random.below(100))};
    const auto dice = random.below(5);
    if (dice < 3) {
      ASSERT_TRUE(index.apply(head(kKinds[dice], id, place.length), place, {}));
      map[{id, static_cast<int>(dice)}] = place;
    } else {
      ASSERT_TRUE(index.apply(head(dice == 3 ? ItemKind::kEraseBody : ItemKind::kEraseTask, id), place, {}));
      for (int part = 0; part < 3; ++part) {
        if (dice == 4 || part == 1) map.erase({id, part});
      }
    }
  }
  std::map<std::uint32_t, std::uint64_t> live;
  std::uint64_t total = 0;
  for (const auto& [key, place] : map) {
    live[place.segment] += place.length + kItemHeadBytes;
    total += place.length + kItemHeadBytes;
    EXPECT_TRUE(index.is_present(head(kKinds[key.second], key.first), place));
  }
  for (std::uint32_t segment = 1; segment <= 20; ++segment)
    EXPECT_EQ(index.live().of(segment), live[segment]);
  EXPECT_EQ(index.live().total(), total);
}

}  // namespace
}  // namespace skep::store
