// SPDX-License-Identifier: Apache-2.0
#include "provision/none.h"

#include <utility>

namespace skep::provision {

void NoneProvisioner::list(ListDone done) {
  executor_.post([done = std::move(done)]() mutable { done(std::vector<scaler::Instance>()); });
}

void NoneProvisioner::launch(std::uint32_t count, std::string, LaunchDone done) {
  executor_.post([count, done = std::move(done)]() mutable {
    scaler::LaunchReply reply;
    reply.errors.assign(count, fail(Code::kUnavailable, "the provisioner 'none' starts no workers"));
    done(std::move(reply));
  });
}

void NoneProvisioner::terminate(std::vector<std::string>, TerminateDone done) {
  executor_.post([done = std::move(done)]() mutable { done(ok()); });
}

// Nothing it has can change.
void NoneProvisioner::on_change(Changed) {}

}  // namespace skep::provision
