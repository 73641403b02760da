// SPDX-License-Identifier: Apache-2.0
// request.h - an HTTP request to AWS and its response, and the seam over which they are exchanged.
//
// Threads:   values; a Transport is used by one thread at a time.
// Errors:    of exchange(): kUnavailable (nothing was sent), kUnknownOutcome (sent, no whole answer),
// kTimeout
//            (nothing was sent in time), kUnauthenticated (the server's certificate is not trusted). A status
//            of 4xx or 5xx is an answer. Messages name the host and never a header or a body.
// Units:     body sizes are bytes.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace skep::aws {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method = "POST";
  std::string origin;      // "https://host" or "http://host:port"; no default port, no trailing '/'
  std::string path = "/";  // percent-encoded, as it is sent
  Pairs query;             // not encoded; sent in canonical order
  Pairs headers;           // without Host and Content-Length, which the transport adds
  std::string body;
  bool is_direct = false;  // never over a proxy: for what this machine alone may be told
};

struct HttpResponse {
  int status = 0;
  Pairs headers;  // names in lower case
  std::string body;

  // The first of that name (lower case), "" if there is none.
  std::string_view header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Sends once and waits for the answer, for `timeout` at most.
  virtual Result<HttpResponse> exchange(const HttpRequest& request, Duration timeout) = 0;
};

// "a=1&b=2", sorted and encoded as a signature wants it; "" for no query.
std::string canonical_query(const Pairs& query);
// "host" or "host:port" of the origin.
std::string_view authority_of(const HttpRequest& request);

}  // namespace skep::aws
