// SPDX-License-Identifier: Apache-2.0
// Goal: what is written without message objects is what protobuf would have written. Method: every shape of a
// reply through both.
#include "manager/messages.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace skep::manager {
namespace {

Blob any_blob(Random& random, std::size_t max) {
  std::string bytes(random.below(max + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  return std::make_shared<const std::string>(bytes);
}

TaskId any_task(Random& random) {
  return {static_cast<ShardId>(random.below(100)), static_cast<Epoch>(random.next()), random.next() >> 17};
}

// The order of fields on the wire is not fixed; what is read back is.
template <class Message, class T>
void expect_same(const T& reply) {
  Message parsed;
  ASSERT_TRUE(parsed.ParseFromString(to_protobuf(reply)));
  EXPECT_EQ(parsed.SerializeAsString(), to_message(reply).SerializeAsString());
}

TEST(Messages, LeasesAreWrittenAsProtobufWritesThem) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    Granted granted;
    granted.lease_ms = random.next() >> random.below(64);
    granted.must_drain = random.chance(0.5);
    for (std::uint64_t i = random.below(5); i > 0; --i) {
      GrantedLease lease;
      lease.task.token = {any_task(random), static_cast<Epoch>(random.next()), 1};
      lease.task.kind = random.chance(0.5) ? "sha512" : "command";
      lease.task.iterations = random.next() >> random.below(64);
      if (random.chance(0.5)) lease.task.program = "resize";
      lease.task.run_timeout = milliseconds(static_cast<std::int64_t>(random.below(1'000'000)));
      lease.task.keeps_checkpoints = random.chance(0.5);
      if (random.chance(0.5))
        lease.task.checkpoint = Checkpoint{1 + random.below(1'000), std::string(64, 'd'), {}};
      if (random.chance(0.5)) lease.task.parameters = {"width=" + std::string(random.below(200), '1'), "x="};
      if (random.chance(0.5)) lease.task.trace = {std::string(55, '0'), std::string(random.below(200), 's')};
      lease.body = any_blob(random, random.chance(0.1) ? 70'000 : 300);
      granted.leases.push_back(std::move(lease));
    }
    expect_same<api::v1::AcquireReply>(granted);
  }
}

TEST(Messages, OutcomesAndIdsAreWrittenAsProtobufWritesThem) {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    Settled settled;
    queue::EnqueueReply enqueued;
    for (std::uint64_t i = random.below(5); i > 0; --i) {
      settled.outcomes.push_back({std::string(random.below(40), 'l'),
                                  random.chance(0.5) ? "ok" : "stale_lease",
                                  std::string(random.below(200), 'd')});
      enqueued.push_back({any_task(random), random.chance(0.5) ? TaskState::kQueued : TaskState::kDelayed,
                          random.chance(0.5)});
    }
    expect_same<api::v1::CompleteReply>(settled);
    expect_same<api::v1::EnqueueBatchReply>(enqueued);
    for (const auto& one : enqueued) expect_same<api::v1::EnqueueReply>(one);
  }
}

TEST(Messages, AReportKeepsWhatWasSentAndReadsItsLease) {
  const LeaseToken token{{1, 2, 3}, 4, 5};
  api::v1::CompleteRequest request;
  request.set_worker("w");
  auto& good = *request.add_outcomes();
  good.set_lease(token.to_string());
  good.set_result("result");
  good.set_run_us(7);
  good.set_cpu_us(8);
  good.set_memory_peak_bytes(9);
  auto& bad = *request.add_outcomes();
  bad.set_lease("no lease");
  bad.set_failed(true);
  bad.set_error("broke");
  bad.set_permanent(true);
  bad.set_timed_out(true);
  const Report report = from_message(std::move(request));
  EXPECT_EQ(report.worker, "w");
  ASSERT_EQ(report.outcomes.size(), 2u);
  EXPECT_EQ(report.outcomes[0].token, token);
  EXPECT_EQ(*report.outcomes[0].result, "result");
  EXPECT_EQ(report.outcomes[0].run_us, 7u);
  EXPECT_EQ(report.outcomes[0].usage, (Usage{8, 9}));
  EXPECT_EQ(report.outcomes[1].lease, "no lease");
  EXPECT_FALSE(report.outcomes[1].token.has_value());
  EXPECT_TRUE(report.outcomes[1].is_failed && report.outcomes[1].is_permanent &&
              report.outcomes[1].is_timeout);
  EXPECT_EQ(report.outcomes[1].error, "broke");
}

}  // namespace
}  // namespace skep::manager
