// SPDX-License-Identifier: Apache-2.0
#include "cli/aws_session.h"

namespace skep::cli {

void AwsSession::Sleeping::pause(Duration duration) {
  const SystemClock clock;
  const Instant until = clock.now() + duration;
  const MutexLock lock(mutex_);
  while (!is_interrupted_ && clock.now() < until) changed_.wait_for(mutex_, until - clock.now());
}

void AwsSession::Sleeping::interrupt() {
  const MutexLock lock(mutex_);
  is_interrupted_ = true;
  changed_.notify_all();
}

bool AwsSession::Sleeping::is_interrupted() {
  const MutexLock lock(mutex_);
  return is_interrupted_;
}

void AwsSession::interrupt() {
  pauses_.interrupt();
}

aws::FinderParts AwsSession::finder(const std::string& region, const std::string& profile) {
  const auto seed = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
  return {transport_, clock_, pauses_, environment_, profile, region, seed};
}

Result<std::unique_ptr<AwsSession>> AwsSession::open(const std::string& region, const std::string& profile) {
  std::unique_ptr<AwsSession> session(new AwsSession());
  SKEP_TRY(const std::string found, aws::find_region(region, session->finder(region, profile)));
  const aws::FinderParts parts = session->finder(found, profile);
  session->credentials_ = std::make_unique<aws::FoundCredentials>(parts);
  session->client_ = std::make_unique<aws::Client>(
      aws::ClientParts{session->transport_, session->clock_, session->pauses_, *session->credentials_,
                       session->environment_, found, parts.random_seed});
  return session;
}

}  // namespace skep::cli
