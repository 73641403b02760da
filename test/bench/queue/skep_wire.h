// SPDX-License-Identifier: Apache-2.0
// skep_wire.h - the messages of skep's API that the benchmark needs, in the encoding that costs both ends
// least.
//
// The only place that knows it. Protobuf of src/api/skep.proto, by hand: a body is copied once on its way
// out, and not at all on its way in.
//
// Threads:   values.
// Errors:    an answer that is not as expected ends the program.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver.h"

namespace skep::bench::queue::wire {

inline constexpr std::string_view kContentType = "application/x-protobuf";

// RegisterRequest, and the worker's id of its RegisterReply.
std::string registration(std::size_t slots);
std::string_view worker_of(std::string_view reply);

// EnqueueBatchRequest: each of one iteration. The reply's number of tasks.
void put_batch(std::string& out, std::span<const std::string_view> bodies);
std::size_t tasks_of(std::string_view reply);

// AcquireRequest.
void put_acquire(std::string& out, std::string_view worker, std::size_t max, int wait_ms);

// AcquireReply: both have as many elements after it. Views into the reply.
void read_leases(std::string_view reply, std::vector<std::string_view>& leases, BodyViews& bodies);

// CompleteRequest: each with a result of 64 bytes. The number of outcomes that the reply says "ok" to.
void put_complete(std::string& out, std::string_view worker, std::span<const std::string> leases);
std::size_t accepted_of(std::string_view reply);

// The bare server's end: how many messages a request has under `field`, and what a manager would answer.
std::size_t count_of(std::string_view request, unsigned field);
std::string worker_reply();
std::string enqueued_reply(std::size_t count);
std::string leases_reply(std::size_t count, std::size_t body_bytes);
std::string accepted_reply(std::size_t count);

}  // namespace skep::bench::queue::wire
