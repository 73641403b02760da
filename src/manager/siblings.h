// SPDX-License-Identifier: Apache-2.0
// siblings.h - calls from this manager to another one: one try, one hop, a bound in time.
//
// A call that a sibling makes carries a header, and is answered from what its receiver has: never passed on.
//
// Threads:   the executor given; replies run there, too.
// Errors:    as http/client.h. A status of 4xx or 5xx is an answer.
// Ownership: replies that come after the end of a caller are the caller's to ignore.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "http/client.h"

namespace skep::manager {

// In a request of a sibling.
inline constexpr std::string_view kForwardedHeader = "Skep-Forwarded";

class SiblingCalls {
 public:
  virtual ~SiblingCalls() = default;
  // `address`: HOST:PORT. The request gets the header. `done` never inside the call.
  virtual void send(const std::string& address, http::ClientRequest request, Duration patience,
                    http::Client::Done done) = 0;
};

// What siblings are called with.
struct SiblingAccess {
  http::TlsClientOptions tls;           // whom to trust
  std::function<std::string()> bearer;  // a token of the role sibling, where there are tokens; may be empty
  bool is_tls = false;                  // they speak it
};

// Over HTTP.
std::unique_ptr<SiblingCalls> make_sibling_calls(Executor& executor, const Clock& clock,
                                                 SiblingAccess access);

}  // namespace skep::manager
