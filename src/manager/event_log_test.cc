// SPDX-License-Identifier: Apache-2.0
// What is kept of what happened, and who hears of it. Method: events in, sequences out.
#include "manager/event_log.h"

#include <gtest/gtest.h>

#include <vector>

namespace skep::manager {
namespace {

class EventLogTest : public ::testing::Test {
 protected:
  void add_task() { log.add_of_task(Instant{}, TaskId{}, "enqueued", ""); }
  void add_worker() { log.add(Instant{}, "worker", "w1", "registered", ""); }
  EventLog::Subscriber subscriber() {
    return [this](const api::v1::Event& event) {
      seen.push_back(event.sequence());
      return !is_gone;
    };
  }

  EventLog log{3};
  std::vector<std::uint64_t> seen;
  bool is_gone = false;
};

TEST_F(EventLogTest, SubscriberGetsWhatIsKeptInOrderThenWhatComes) {
  add_task();
  add_worker();
  add_task();
  log.subscribe(1, {}, subscriber());
  add_worker();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{2, 3, 4}));
}

TEST_F(EventLogTest, TasksDoNotPushOutTheOthers) {
  add_worker();
  for (int i = 0; i < 10; ++i) add_task();
  log.subscribe(0, {}, subscriber());
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 9, 10, 11}));
}

TEST_F(EventLogTest, OnlyTheKindsThatAreWantedAreTold) {
  add_task();
  add_worker();
  log.subscribe(0, {"worker", "store"}, subscriber());
  add_task();
  add_worker();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{2, 4}));
}

TEST_F(EventLogTest, WhoIsGoneIsToldNothingMore) {
  log.subscribe(0, {}, subscriber());
  add_task();
  is_gone = true;
  add_task();
  add_task();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2}));
  add_worker();
  log.subscribe(0, {}, subscriber());
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 1})) << "gone while it was told what is kept";
}

}  // namespace
}  // namespace skep::manager
