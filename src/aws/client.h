// SPDX-License-Identifier: Apache-2.0
// client.h - one call to a service of AWS: signed, tried again, its clock and credentials put right, read.
//
// Threads:   one thread at a time; a call blocks until its answer or its deadline.
// Errors:    of send(): those of Transport, with kTimeout at the deadline; those of the credentials. What a
//            service refuses is a Reply with its error code, and no Error: to_error() makes it one.
// Ownership: borrows what it is made of.
// Units:     deadlines are instants of the clock given.
#pragma once

#include <optional>
#include <string>

#include "aws/endpoint.h"
#include "aws/environment.h"
#include "aws/request.h"
#include "aws/retry.h"
#include "aws/signer.h"
#include "aws/xml.h"
#include "base/executor.h"

namespace skep::aws {

class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // What is valid at `now`. kUnauthenticated: there are none.
  virtual Result<Credentials> get(Instant now) = 0;
  // The service said that those given last have ended.
  virtual void forget() = 0;
};

// One call, before it has an address, a date and a signature.
struct Call {
  Service service = Service::kEc2;
  std::string operation;  // "RunInstances": the action, and what errors name
  Pairs form;             // of EC2, IAM and STS: parameters besides Action and Version
  HttpRequest http;       // of the others; its origin is filled in
  std::string bucket;     // of S3
  bool is_signed = true;
};

struct CallOptions {
  Instant deadline{};
  int tries_max = 3;
  Duration try_timeout = seconds(60);  // of one try; a large body takes longer
};

struct Reply {
  HttpResponse http;
  std::string error_code;  // "" for success
  std::string error_message;
  std::string subject;  // "EC2 RunInstances": what was called, for messages

  bool is_ok() const { return http.status >= 200 && http.status < 300; }
};

// What the client is made of; all of it outlives it.
struct ClientParts {
  Transport& transport;
  const Clock& clock;
  Pauses& pauses;
  CredentialSource& credentials;
  const Environment& environment;
  std::string region;
  std::uint64_t random_seed = 0;
};

class Client {
 public:
  explicit Client(ClientParts parts) : parts_(std::move(parts)), random_(parts_.random_seed) {}

  Result<Reply> send(const Call& call, const CallOptions& options);
  // The same; an Error for what is refused, else the parsed answer.
  Result<Element> send_xml(const Call& call, const CallOptions& options);

  const std::string& region() const { return parts_.region; }
  Instant now() const { return parts_.clock.now(); }
  // How far the services' clock is ahead of ours, as far as it had to be corrected.
  Duration clock_skew() const { return skew_; }

 private:
  struct Try;
  Result<Reply> once(const Call& call, const CallOptions& options);
  // Whether, and after which pause, the call is tried again.
  std::optional<Duration> next_pause(Try& state, const Result<Reply>& reply);
  bool corrects_clock(const Reply& reply);
  std::optional<Duration> with_fresh_credentials(Try& state);

  ClientParts parts_;
  Random random_;
  RetryBudget budget_;
  Duration skew_{};
};

// The error code and message of an answer that is none of success, in whatever form the service writes them.
void read_service_error(Reply& reply);
// The same refusal as an Error: "EC2 RunInstances: VcpuLimitExceeded: ...".
Error to_error(const Reply& reply);
// kConflict: is there already, or in use. kNotFound. kExhausted: a quota, or no capacity. kForbidden,
// kUnauthenticated. kUnavailable: throttled, or the service is ill. kInvalid: all that is the caller's
// mistake.
Code code_of(std::string_view error_code, int status);

}  // namespace skep::aws
