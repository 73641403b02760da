// SPDX-License-Identifier: Apache-2.0
// provider.h - the provisioner as one manager's life sees it.
//
// Hands calls on to the imagined machines (scaler/testing/fake_provisioner.h), which outlive a manager or die
// with it, and runs the replies in the manager's own process, so that none reaches one that stands still or
// is gone. A manager that was replaced is refused: what it may start is its successor's affair.
//
// Threads:   one executor at a time.
// Ownership: shares machines and process.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scaler/testing/fake_provisioner.h"
#include "sim/process.h"
#include "sim/world.h"

namespace skep::sim {

using Machines = scaler::testing::FakeProvisioner;

class Provider final : public scaler::Provisioner {
 public:
  Provider(World& world, std::shared_ptr<Machines> machines, std::shared_ptr<Process> process,
           std::size_t node)
      : world_(world), machines_(std::move(machines)), process_(std::move(process)), node_(node) {}

  std::string name() const override { return "simulated"; }
  bool is_cluster_wide() const override { return machines_->is_cluster_wide(); }
  void refuse() { is_refused_ = true; }

  void list(ListDone done) override {
    if (is_cut_off(done)) return;
    machines_->list(in_process<Result<std::vector<scaler::Instance>>>(std::move(done)));
  }

  void launch(std::uint32_t count, std::string token, LaunchDone done) override {
    if (is_refused_ || process_->is_dead()) {
      scaler::LaunchReply reply;
      reply.errors.assign(count, skep::fail(Code::kUnavailable, "this manager was replaced, by script"));
      process_->post([reply, done = std::move(done)]() mutable { done(reply); });
      return;
    }
    world_.event("instances launched", token + " x" + std::to_string(count));
    if (is_cluster_wide()) world_.tell([this](Checker& checker) { checker.on_launch(node_); });
    if (world_.config.breakage == Breakage::kLaunchTwice)
      machines_->launch(count, token + "-again", [](auto) {});
    machines_->launch(count, std::move(token), in_process<scaler::LaunchReply>(std::move(done)));
  }

  void terminate(std::vector<std::string> ids, TerminateDone done) override {
    if (is_cut_off(done)) return;
    for (const auto& id : ids) world_.event("instance terminated", id);
    if (world_.config.breakage == Breakage::kLeakWorker) {
      process_->post([done = std::move(done)]() mutable { done(ok()); });
      return;
    }
    machines_->terminate(std::move(ids), in_process<Result<void>>(std::move(done)));
  }

  void on_change(Changed changed) override {
    auto shared = std::make_shared<Changed>(std::move(changed));
    machines_->on_change([process = process_, shared] { process->post([shared] { (*shared)(); }); });
  }

 private:
  template <class Done>
  bool is_cut_off(Done& done) {
    if (!is_refused_ && !process_->is_dead()) return false;
    process_->post([done = std::move(done)]() mutable {
      done(skep::fail(Code::kUnavailable, "this manager was replaced, by script"));
    });
    return true;
  }

  template <class T>
  UniqueFunction<void(T)> in_process(UniqueFunction<void(T)> done) {
    return [process = process_, done = std::move(done)](T reply) mutable {
      process->post([done = std::move(done), reply = std::move(reply)]() mutable { done(std::move(reply)); });
    };
  }

  World& world_;
  std::shared_ptr<Machines> machines_;
  std::shared_ptr<Process> process_;
  const std::size_t node_;
  bool is_refused_ = false;
};

}  // namespace skep::sim
