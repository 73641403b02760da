// SPDX-License-Identifier: Apache-2.0
// none.h - the provisioner that starts nothing: the wanted size is only published.
//
// For fleets that something else sizes (an Auto Scaling group, KEDA, a person) by /v1/scaling or the metrics.
//
// Threads:   one executor.
// Errors:    launch: kUnavailable for each instance.
// Ownership: borrows the executor.
#pragma once

#include "base/executor.h"
#include "scaler/provisioner.h"

namespace skep::provision {

class NoneProvisioner final : public scaler::Provisioner {
 public:
  explicit NoneProvisioner(Executor& executor) : executor_(executor) {}

  std::string name() const override { return "none"; }
  bool can_launch() const override { return false; }
  void list(ListDone done) override;
  void launch(std::uint32_t count, std::string token, LaunchDone done) override;
  void terminate(std::vector<std::string> ids, TerminateDone done) override;
  void on_change(Changed changed) override;

 private:
  Executor& executor_;
};

}  // namespace skep::provision
