// SPDX-License-Identifier: Apache-2.0
// link.h - a Client with connections and an I/O thread of its own.
//
// For calls that must neither wait behind others nor be waited for: closing a link ends what is under way on
// it.
//
// Threads:   made and destroyed anywhere but on its own I/O thread; see client.h for the calls.
// Errors:    calls under way when the link goes end with kUnavailable, as long as the executor runs.
// Ownership: borrows executor and clock, which must outlive it.
#pragma once

#include <utility>
#include <vector>

#include "client/client.h"

namespace skep::client {

class Link {
 public:
  Link(Executor& executor, const Clock& clock, http::ClientOptions http, std::vector<http::Url> managers,
       Random random)
      : http_(clock, std::move(http)),
        client_(executor, http_, std::move(managers), random, Encoding::kProtobuf, Habit::kStay) {}

  Client& client() { return client_; }

 private:
  http::Client http_;
  Client client_;
};

}  // namespace skep::client
