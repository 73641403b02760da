// SPDX-License-Identifier: Apache-2.0
// request.h - from a call's arguments to an HTTP request, and from its answer back. Pure.
//
// Threads:   any thread.
// Errors:    kInvalid: an argument that can not be sent; kInternal: an answer that is not what the API says;
// else
//            what the manager's Problem says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/endpoints.h"
#include "api/skep.pb.h"
#include "base/result.h"
#include "base/time.h"
#include "client/client.h"
#include "http/client.h"

namespace skep::client {

// What fills the blanks of an endpoint's row.
struct Arguments {
  std::string path_value;  // of {id} or {name}
  http::Query query;       // decoded
};

// Method, target and the Accept header; no body.
http::ClientRequest make_request(api::Endpoint endpoint, const Arguments& arguments, Encoding encoding);

// Adds the message in the encoding given.
void set_message(const google::protobuf::Message& message, Encoding encoding, http::ClientRequest& request);

// POST /v1/tasks: the options that are set go into the query, key and trace into their headers.
Result<http::ClientRequest> make_enqueue(const api::v1::TaskOptions& options, http::Body body,
                                         Encoding encoding);

// Success if the status is 2xx, else the error that the answer tells.
Result<void> check_status(const http::Response& response);
// The whole seconds of a Retry-After header.
std::optional<Duration> retry_after(const http::Response& response);

// The message in the encoding that the answer's Content-Type names.
Result<void> read_message(const http::Response& response, google::protobuf::Message& message);
std::string read_bytes(const http::Response& response);
// The answer to POST /pullCompleted. Results without ids are taken from "results" where there are no "items".
Result<std::vector<Client::PulledResult>> read_pull_completed(const http::Response& response);

}  // namespace skep::client
