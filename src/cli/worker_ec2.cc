// SPDX-License-Identifier: Apache-2.0
#include "cli/worker_ec2.h"

#include <utility>

namespace skep::cli {
namespace {

// As EC2 advises: a notice comes 2 min before the end.
constexpr Duration kLookEvery = seconds(5);

}  // namespace

Result<std::unique_ptr<WorkerEc2>> WorkerEc2::open() {
  std::unique_ptr<WorkerEc2> made(new WorkerEc2());
  SKEP_TRY(made->self_, aws::find_self(made->metadata_, made->clock_.now()));
  return made;
}

void WorkerEc2::watch(worker::DrainHandle worker, Logger log) {
  worker_ = std::move(worker);
  log_ = std::move(log);
  runner_.post([this] { look(); });
}

void WorkerEc2::look() {
  const auto notice = aws::find_notice(metadata_, clock_.now());
  if (!notice) {
    log_.debug("the metadata service does not answer", {{"error", notice.error().message}});
  } else if (notice.value().text != told_) {
    told_ = notice.value().text;
    worker_.note(told_);
  }
  if (notice && notice.value().is_interrupted) return worker_.drain(worker::DrainCause::kSpotNotice);
  runner_.post_at(clock_.now() + kLookEvery, [this] { look(); });
}

}  // namespace skep::cli
