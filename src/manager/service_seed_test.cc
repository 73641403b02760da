// SPDX-License-Identifier: Apache-2.0
// Goal: a result that comes without a name goes to the task that it is of, and to no other. Method: a service
// on virtual time; "hashing" is a table from bodies to digests.
#include "manager/digest_matcher.h"
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;

class SeedLeases : public testing::ServiceWorld {};

TEST_F(SeedLeases, AResultOfACancelledTaskIsTakenForNoOther) {
  const TaskId cancelled = enqueue();
  const TaskId other = enqueue();
  seed_get_work(1);
  seed_get_work(2);
  ASSERT_TRUE(
      call<v1::Task>([&](auto done) { service->cancel_task(cancelled, std::move(done)); }).has_value());
  EXPECT_EQ(seed_push(1, '1').error().code, Code::kConflict);
  EXPECT_EQ(get(other).state(), "leased");
  EXPECT_TRUE(seed_push(2, '2').has_value());
  EXPECT_EQ(get(other).result(), std::string(128, '2'));
}

TEST_F(SeedLeases, ALiveLeaseIsMeantBeforeOneThatRanOut) {
  const TaskId late = enqueue();
  seed_get_work(1);
  executor.run_for(minutes(10));
  const auto worker = add_worker();
  ASSERT_EQ(acquire(worker).leases_size(), 1);
  const TaskId live = enqueue();
  seed_get_work(2);
  EXPECT_TRUE(seed_push(3, '2').has_value());
  EXPECT_EQ(get(late).state(), "leased");
  EXPECT_EQ(get(live).result(), std::string(128, '2'));
}

TEST_F(SeedLeases, AfterARestartTheOldestLiveLeaseIsMeantToo) {
  const TaskId first = enqueue();
  enqueue();
  enqueue();
  seed_get_work(1);
  seed_get_work(2);
  settle();
  disk->crash(100);  // the leases were stored
  restart();
  seed_get_work(7);
  EXPECT_TRUE(seed_push(8, '1').has_value());
  EXPECT_EQ(get(first).result(), std::string(128, '1'));
}

TEST_F(SeedLeases, ManyLeasesOfOneAddressKeepTheirConnections) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(enqueue());
  for (std::uint64_t i = 0; i < 100; ++i) seed_get_work(1 + i);
  EXPECT_TRUE(seed_push(100, 'f').has_value());
  EXPECT_TRUE(seed_push(1, '0').has_value());
  EXPECT_EQ(get(ids[99]).result(), std::string(128, 'f'));
  EXPECT_EQ(get(ids[0]).result(), std::string(128, '0'));
}

// With a matcher: body "a" and 3 iterations give 128 times 'a', in as many slices.
class SeedMatching : public testing::ServiceWorld {
 protected:
  SeedMatching() {
    options.match_digest = [this](auto candidates, std::string hex, auto done) {
      matcher.match(std::move(candidates), std::move(hex), std::move(done));
    };
    restart();
  }
  TaskId enqueue_body(const std::string& body, std::uint64_t iterations = 3) {
    TaskSpec spec;
    spec.iterations = iterations;
    return enqueue(spec, body);
  }

  DigestMatcher matcher{executor, executor,
                        [this](Blob body, std::uint64_t iterations) -> DigestMatcher::Chain {
                          return [this, body, left = iterations]() mutable -> std::optional<std::string> {
                            ++slices;
                            if (--left > 0) return std::nullopt;
                            return std::string(128, body->front());
                          };
                        }};
  int slices = 0;
};

TEST_F(SeedMatching, OutOfOrderResultsOfOneAddressFindTheirTasks) {
  const TaskId a = enqueue_body("a");
  const TaskId b = enqueue_body("b");
  const TaskId c = enqueue_body("c");
  for (std::uint64_t connection : {1u, 2u, 3u}) seed_get_work(connection);
  EXPECT_TRUE(seed_push(4, 'c').has_value());
  EXPECT_TRUE(seed_push(5, 'a').has_value());
  EXPECT_TRUE(seed_push(6, 'b').has_value());
  EXPECT_EQ(get(a).result(), std::string(128, 'a'));
  EXPECT_EQ(get(b).result(), std::string(128, 'b'));
  EXPECT_EQ(get(c).result(), std::string(128, 'c'));
}

TEST_F(SeedMatching, AResultOfNoneOfThemIsRefused) {
  const TaskId a = enqueue_body("a");
  const TaskId b = enqueue_body("b");
  seed_get_work(1);
  seed_get_work(2);
  EXPECT_EQ(seed_push(3, 'f').error().code, Code::kConflict);
  EXPECT_EQ(get(a).state(), "leased");
  EXPECT_EQ(get(b).state(), "leased");
}

TEST_F(SeedMatching, ALateResultOfALeaseThatRanOutIsNotTakenForTheLiveOne) {
  const TaskId late = enqueue_body("a");
  seed_get_work(1);
  executor.run_for(minutes(10));
  const TaskId live = enqueue_body("b");
  const auto worker = add_worker();
  ASSERT_EQ(acquire(worker).leases_size(), 1);  // the late one, elsewhere
  seed_get_work(2);
  EXPECT_TRUE(seed_push(3, 'a').has_value());
  EXPECT_EQ(get(late).result(), std::string(128, 'a'));
  EXPECT_EQ(get(live).state(), "leased");
}

TEST_F(SeedMatching, NothingIsComputedWhereOnlyOneTaskCanBeMeant) {
  enqueue_body("a");
  seed_get_work(1);
  EXPECT_TRUE(seed_push(2, 'a').has_value());
  enqueue_body("b");
  enqueue_body("c");
  seed_get_work(3);
  seed_get_work(4);
  EXPECT_TRUE(seed_push(4, 'c').has_value()) << "its connection names it";
  EXPECT_EQ(slices, 0);
}

TEST_F(SeedMatching, AChainThatIsTooLongIsTakenOnTrust) {
  const TaskId long_one = enqueue_body("a", 200'000'000);
  const TaskId short_one = enqueue_body("b");
  seed_get_work(1);
  seed_get_work(2);
  EXPECT_TRUE(seed_push(3, 'b').has_value());
  EXPECT_EQ(get(short_one).result(), std::string(128, 'b'));
  enqueue_body("c");
  seed_get_work(4);
  EXPECT_TRUE(seed_push(5, 'a').has_value());
  EXPECT_EQ(get(long_one).result(), std::string(128, 'a'));
}

}  // namespace
}  // namespace skep::manager
