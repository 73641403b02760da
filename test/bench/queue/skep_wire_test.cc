// SPDX-License-Identifier: Apache-2.0
// Goal: what the driver writes and reads by hand is what the schema says.
// Method: each message through the code that is generated from src/api/skep.proto.
#include "skep_wire.h"

#include <gtest/gtest.h>

#include "api/skep.pb.h"

namespace skep::bench::queue {
namespace {

namespace v1 = api::v1;

template <class Message>
Message parsed(const std::string& bytes) {
  Message out;
  EXPECT_TRUE(out.ParseFromString(bytes));
  return out;
}

TEST(SkepWire, RequestsAreOfTheSchema) {
  const auto registration = parsed<v1::RegisterRequest>(wire::registration(64));
  EXPECT_EQ(registration.slots(), 64u);
  EXPECT_EQ(registration.kinds(0), "sha512");

  std::string out;
  const std::string large(300, 'x');
  const std::vector<std::string_view> bodies = {"a", large};
  wire::put_batch(out, bodies);
  const auto batch = parsed<v1::EnqueueBatchRequest>(out);
  ASSERT_EQ(batch.tasks_size(), 2);
  EXPECT_EQ(batch.tasks(0).options().iterations(), 1u);
  EXPECT_EQ(batch.tasks(0).body(), "a");
  EXPECT_EQ(batch.tasks(1).body(), large);
  EXPECT_EQ(wire::count_of(out, 1), 2u);

  out.clear();
  wire::put_acquire(out, "w1", 100, 250);
  const auto acquire = parsed<v1::AcquireRequest>(out);
  EXPECT_EQ(acquire.worker(), "w1");
  EXPECT_EQ(acquire.max(), 100u);
  EXPECT_EQ(acquire.wait_ms(), 250u);
  EXPECT_EQ(acquire.kinds(0), "sha512");

  out.clear();
  const std::vector<std::string> leases = {"l1", "l2"};
  wire::put_complete(out, "w1", leases);
  const auto complete = parsed<v1::CompleteRequest>(out);
  ASSERT_EQ(complete.outcomes_size(), 2);
  EXPECT_EQ(complete.outcomes(1).lease(), "l2");
  EXPECT_EQ(complete.outcomes(1).result().size(), 64u);
  EXPECT_EQ(wire::count_of(out, 2), 2u);
}

TEST(SkepWire, AnswersAreReadAsTheSchemaWritesThem) {
  v1::RegisterReply worker;
  worker.set_worker("w1");
  worker.set_lease_ms(15'000);
  const std::string worker_bytes = worker.SerializeAsString();
  EXPECT_EQ(wire::worker_of(worker_bytes), "w1");

  v1::AcquireReply acquired;
  for (const char* name : {"l1", "l2"}) {
    auto& lease = *acquired.add_leases();
    lease.set_lease(name);
    lease.set_iterations(1);
    lease.set_body(std::string(name) + " body");
  }
  const std::string acquired_bytes = acquired.SerializeAsString();
  std::vector<std::string_view> leases;
  BodyViews bodies;
  wire::read_leases(acquired_bytes, leases, bodies);
  EXPECT_EQ(leases, (std::vector<std::string_view>{"l1", "l2"}));
  EXPECT_EQ(bodies, (BodyViews{"l1 body", "l2 body"}));

  v1::CompleteReply completed;
  completed.add_outcomes()->set_status("ok");
  completed.add_outcomes()->set_status("stale_lease");
  EXPECT_EQ(wire::accepted_of(completed.SerializeAsString()), 1u);

  v1::EnqueueBatchReply enqueued;
  enqueued.add_tasks()->set_id("t1");
  enqueued.add_tasks();  // without an id: not enqueued
  EXPECT_EQ(wire::tasks_of(enqueued.SerializeAsString()), 1u);
}

TEST(SkepWire, BareServersAnswersAreOfTheSchema) {
  EXPECT_FALSE(parsed<v1::RegisterReply>(wire::worker_reply()).worker().empty());
  EXPECT_EQ(wire::tasks_of(wire::enqueued_reply(3)), 3u);
  EXPECT_EQ(wire::accepted_of(wire::accepted_reply(3)), 3u);
  const auto leases = parsed<v1::AcquireReply>(wire::leases_reply(2, 500));
  ASSERT_EQ(leases.leases_size(), 2);
  EXPECT_EQ(leases.leases(1).body().size(), 500u);
}

}  // namespace
}  // namespace skep::bench::queue
