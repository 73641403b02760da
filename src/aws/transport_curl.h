// SPDX-License-Identifier: Apache-2.0
// transport_curl.h - requests over libcurl: connections, TLS, proxies; nothing is followed, changed or
// repeated.
//
// Threads:   one thread at a time.
// Errors:    as request.h says; a request that is cancelled counts as one that got no answer.
// Ownership: owns its connections.
#pragma once

#include <functional>
#include <memory>

#include "aws/request.h"

namespace skep::aws {

class CurlTransport final : public Transport {
 public:
  // `is_cancelled`, where given, is asked about each second: once it says so, requests fail.
  explicit CurlTransport(std::function<bool()> is_cancelled = {});
  ~CurlTransport() override;
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  Result<HttpResponse> exchange(const HttpRequest& request, Duration timeout) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::aws
