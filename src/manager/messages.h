// SPDX-License-Identifier: Apache-2.0
// messages.h - between the messages of the API and what the service takes and gives where speed matters.
//
// Enqueue, acquire and complete are nearly all that a busy manager is asked. The service speaks of them in
// plain records, and protobuf is written straight from those: a message object has an allocation for each of
// its strings. The schema is api/skep.proto all the same; a test holds the two against each other.
//
// Threads:   any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/skep.pb.h"
#include "base/result.h"
#include "manager/shard_host.h"
#include "queue/command.h"

namespace skep::manager {

// What an acquire gets.
struct Granted {
  std::vector<GrantedLease> leases;
  std::uint64_t lease_ms = 0;
  bool must_drain = false;
};

// How an attempt ended, as a worker tells it.
struct Outcome {
  std::string lease;                // as it was sent
  std::optional<LeaseToken> token;  // nothing if `lease` is none
  bool is_failed = false;
  Blob result;        // of a success; never null
  std::string error;  // of a failure
  bool is_permanent = false;
  bool is_timeout = false;
  std::uint64_t run_us = 0;
  Usage usage{};
};
struct Report {
  std::string worker;
  std::vector<Outcome> outcomes;
};

// What became of an outcome. `status` is a constant: "ok", or the name of an error code.
struct SettledOutcome {
  std::string lease;
  std::string_view status;
  std::string detail;
};
struct Settled {
  std::vector<SettledOutcome> outcomes;
};

Report from_message(api::v1::CompleteRequest&& request);

api::v1::AcquireReply to_message(const Granted& granted);
api::v1::CompleteReply to_message(const Settled& settled);
api::v1::EnqueueReply to_message(const queue::Enqueued& enqueued);
api::v1::EnqueueBatchReply to_message(const queue::EnqueueReply& enqueued);
inline const google::protobuf::Message& to_message(const google::protobuf::Message& message) {
  return message;
}

std::string to_protobuf(const Granted& granted);
std::string to_protobuf(const Settled& settled);
std::string to_protobuf(const queue::Enqueued& enqueued);
std::string to_protobuf(const queue::EnqueueReply& enqueued);
inline std::string to_protobuf(const google::protobuf::Message& message) {
  return message.SerializeAsString();
}

}  // namespace skep::manager
