// SPDX-License-Identifier: Apache-2.0
// call.h - one call: tries at the managers of a list until one answers for good or the policy says stop.
//
// Threads:   start_call from any thread; everything after it on the executor given.
// Errors:    `done` gets the response of a 2xx, or the error of the last try.
// Ownership: a call owns itself until `done` ran; it borrows the executor.
#pragma once

#include <memory>

#include "base/executor.h"
#include "base/random.h"
#include "base/result.h"
#include "client/client.h"
#include "client/manager_list.h"
#include "client/retry_policy.h"
#include "client/transport.h"
#include "http/client.h"

namespace skep::client {

// One try gives up after this (beside the call's own deadline and the wait that the call asked for), so that
// a manager that hangs does not hold a call that another manager could answer.
inline constexpr Duration kTryMax = seconds(60);
// With several managers: one that says nothing to a call for so long, and then nothing for so long to a
// question after its health either, is passed over.
inline constexpr Duration kSilenceMax = milliseconds(450);
// Between two such questions, while it is well.
inline constexpr Duration kAskAgain = seconds(2);

// What the calls of one Client share.
struct Session {
  Session(Executor& e, http::Client& h, std::vector<http::Url> urls, Habit way, Random r)
      : executor(e), transport(h), managers(std::move(urls), way), random(r), habit(way) {}

  Executor& executor;
  Transport transport;  // closed: no further tries
  ManagerList managers;
  Random random;  // on the executor only
  const Habit habit;
};

struct CallPlan {
  http::ClientRequest request;
  Repeatable repeatable = Repeatable::kAlways;
  Duration wait{};  // of a long-poll
  CallOptions options;
};

void start_call(std::shared_ptr<Session> session, CallPlan plan,
                UniqueFunction<void(Result<http::Response>)> done);

}  // namespace skep::client
