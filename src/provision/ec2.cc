// SPDX-License-Identifier: Apache-2.0
#include "provision/ec2.h"

#include <algorithm>
#include <utility>

#include "base/runner.h"

namespace skep::provision {
namespace {

// EC2 counts calls of the whole account: a fleet is looked at no more often than it changes.
constexpr Duration kListGap = seconds(2);

}  // namespace

struct Ec2Provisioner::Impl {
  Impl(Executor& e, const Clock& clock, std::shared_ptr<aws::Client> c, std::function<void()> i, Ec2Options o,
       Logger log)
      : executor(e),
        client(std::move(c)),
        interrupt(std::move(i)),
        fleet(*client, std::move(o), std::move(log)),
        thread(clock, "ec2") {}

  Executor& executor;
  const std::shared_ptr<aws::Client> client;
  const std::function<void()> interrupt;
  Ec2Fleet fleet;                // of the thread
  Instant list_at = kNoInstant;  // of the thread: not before
  Runner thread;                 // last: it ends first
};

Ec2Provisioner::Ec2Provisioner(Executor& executor, const Clock& clock, std::shared_ptr<aws::Client> client,
                               std::function<void()> interrupt, Ec2Options options, Logger log)
    : list_lag_(options.list_lag),
      impl_(std::make_unique<Impl>(executor, clock, std::move(client), std::move(interrupt),
                                   std::move(options), std::move(log))) {}

Ec2Provisioner::~Ec2Provisioner() {
  if (impl_->interrupt) impl_->interrupt();
  impl_->thread.stop();
}

void Ec2Provisioner::list(ListDone done) {
  impl_->thread.post([impl = impl_.get(), done = std::move(done)]() mutable {
    const Instant at = std::max(impl->list_at, impl->thread.now());
    impl->thread.post_at(at, [impl, done = std::move(done)]() mutable {
      impl->list_at = impl->thread.now() + kListGap;
      impl->executor.post(
          [done = std::move(done), listed = impl->fleet.list()]() mutable { done(std::move(listed)); });
    });
  });
}

void Ec2Provisioner::launch(std::uint32_t count, std::string token, LaunchDone done) {
  impl_->thread.post([impl = impl_.get(), count, token = std::move(token), done = std::move(done)]() mutable {
    impl->executor.post([done = std::move(done), reply = impl->fleet.launch(count, token)]() mutable {
      done(std::move(reply));
    });
  });
}

void Ec2Provisioner::terminate(std::vector<std::string> ids, TerminateDone done) {
  impl_->thread.post([impl = impl_.get(), ids = std::move(ids), done = std::move(done)]() mutable {
    impl->executor.post([done = std::move(done), outcome = impl->fleet.terminate(ids)]() mutable {
      done(std::move(outcome));
    });
  });
}

void Ec2Provisioner::on_change(Changed) {}

}  // namespace skep::provision
