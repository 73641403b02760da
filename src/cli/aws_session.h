// SPDX-License-Identifier: Apache-2.0
// aws_session.h - a client of AWS as this machine's environment and two flags make it.
//
// Threads:   one thread at a time, but for interrupt().
// Errors:    of open(): kInvalid (no region), kNotFound (no such profile). Keys are looked for at the first
// call. Ownership: owns all that its client is made of.
#pragma once

#include <memory>
#include <string>

#include "aws/client.h"
#include "aws/credentials.h"
#include "aws/transport_curl.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace skep::cli {

class AwsSession {
 public:
  // "" leaves region and profile to the environment.
  static Result<std::unique_ptr<AwsSession>> open(const std::string& region, const std::string& profile);

  aws::Client& client() { return *client_; }
  aws::Transport& transport() { return transport_; }
  aws::Pauses& pauses() { return pauses_; }
  const Clock& clock() const { return clock_; }
  const aws::Environment& environment() const { return environment_; }
  // Ends what waits, and makes all that comes fail. Any thread.
  void interrupt();
  // Where the keys in use came from.
  const std::string& credentials_place() const { return credentials_->place(); }

 private:
  class Sleeping final : public aws::Pauses {
   public:
    void pause(Duration duration) override;
    void interrupt();
    bool is_interrupted();

   private:
    Mutex mutex_;
    Condition changed_;
    bool is_interrupted_ SKEP_GUARDED_BY(mutex_) = false;
  };

  AwsSession() = default;
  aws::FinderParts finder(const std::string& region, const std::string& profile);

  SystemClock clock_;
  Sleeping pauses_;
  aws::CurlTransport transport_{[this] { return pauses_.is_interrupted(); }};
  aws::Environment environment_ = aws::own_environment();
  std::unique_ptr<aws::FoundCredentials> credentials_;
  std::unique_ptr<aws::Client> client_;
};

}  // namespace skep::cli
