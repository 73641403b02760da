// SPDX-License-Identifier: Apache-2.0
#include "worker/executor_sha512.h"

#include <memory>
#include <utility>
#include <vector>

#include "worker/run_clock.h"

namespace skep::worker {
namespace {

// A slice is some ten milliseconds on the machines of today: short enough to stop in time, long enough not to
// cost.
constexpr std::uint64_t kSliceCompressions = 20'000;
// An engine has one job here, so its key does not matter.
constexpr std::uint64_t kKey = 1;

}  // namespace

std::optional<api::v1::Outcome> run_sha512(api::v1::Lease lease, compute::Engine& engine, const Clock& clock,
                                           const StopSignal& stop,
                                           const std::function<void(std::uint64_t)>& progress) {
  api::v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  if (lease.iterations() == 0) {
    outcome.set_failed(true);
    outcome.set_permanent(true);
    outcome.set_error("iterations must be at least 1");
    return outcome;
  }
  const RunClock run(lease, clock);
  auto body = std::make_shared<const std::string>(std::move(*lease.mutable_body()));
  engine.add({kKey, std::move(body), lease.iterations(), {}});
  std::vector<compute::JobDone> done;
  while (true) {
    engine.run(kSliceCompressions, done);
    if (!done.empty()) break;
    const bool is_late = run.is_late();
    if (!is_late && !stop.is_raised()) {
      progress(engine.running().front().at.iterations_done);
      continue;
    }
    engine.take(kKey);
    if (!is_late) return std::nullopt;
    outcome.set_failed(true);
    outcome.set_timed_out(true);
    outcome.set_error(run.late_sentence());
    run.stop(outcome);
    return outcome;
  }
  outcome.set_result(compute::to_hex(done.front().digest));
  run.stop(outcome);
  return outcome;
}

}  // namespace skep::worker
