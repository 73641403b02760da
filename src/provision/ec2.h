// SPDX-License-Identifier: Apache-2.0
// ec2.h - the provisioner of EC2: workers are instances, of which all managers of a cluster know.
//
// They outlive the manager that launched them: the next one finds them by their tags (provision/ec2_fleet.h).
//
// Threads:   calls and replies on the executor; the calls of AWS block a thread of its own. The constructor
//            and destructor from any thread.
// Errors:    as scaler/provisioner.h says.
// Ownership: borrows the executor, shares the client. The destructor calls `interrupt`, which is to make
// calls
//            under way and to come fail at once, and waits for the thread. A reply that was on its way may
//            still run on the executor after that. on_change never runs: the list is asked for every 2 s.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "provision/ec2_fleet.h"

namespace skep::provision {

class Ec2Provisioner final : public scaler::Provisioner {
 public:
  Ec2Provisioner(Executor& executor, const Clock& clock, std::shared_ptr<aws::Client> client,
                 std::function<void()> interrupt, Ec2Options options, Logger log);
  ~Ec2Provisioner() override;
  Ec2Provisioner(const Ec2Provisioner&) = delete;
  Ec2Provisioner& operator=(const Ec2Provisioner&) = delete;

  std::string name() const override { return "ec2"; }
  bool is_cluster_wide() const override { return true; }
  Duration list_lag() const override { return list_lag_; }
  void list(ListDone done) override;
  void launch(std::uint32_t count, std::string token, LaunchDone done) override;
  void terminate(std::vector<std::string> ids, TerminateDone done) override;
  void on_change(Changed changed) override;

 private:
  struct Impl;
  const Duration list_lag_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::provision
