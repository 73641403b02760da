// SPDX-License-Identifier: Apache-2.0
// worker_ec2.h - a worker on an instance of EC2: who it is to the manager, and what its machine is told.
//
// Threads:   made and ended on the main thread; the metadata service is asked on a thread of its own.
// Errors:    of open(): those of aws/instance_self.h.
// Ownership: owns all that it needs; shares the handle.
#pragma once

#include <memory>
#include <string>

#include "aws/instance_self.h"
#include "aws/transport_curl.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/runner.h"
#include "worker/worker.h"

namespace skep::cli {

class WorkerEc2 {
 public:
  static Result<std::unique_ptr<WorkerEc2>> open();
  WorkerEc2(const WorkerEc2&) = delete;
  WorkerEc2& operator=(const WorkerEc2&) = delete;

  const aws::InstanceSelf& self() const { return self_; }
  // Looks at once, and every 5 s from then on, whether the machine is to be taken away: then the worker
  // drains. Once.
  void watch(worker::DrainHandle worker, Logger log);

 private:
  WorkerEc2() = default;
  void look();

  SystemClock clock_;
  aws::CurlTransport transport_;
  aws::Environment environment_ = aws::own_environment();
  aws::Metadata metadata_{transport_, environment_};
  aws::InstanceSelf self_;
  worker::DrainHandle worker_;
  Logger log_;
  std::string told_;
  Runner runner_{clock_, "ec2"};  // last: it ends first
};

}  // namespace skep::cli
