// SPDX-License-Identifier: Apache-2.0
// endpoint.h - where a service is in a region, and what a request to it is signed as.
//
// AWS_ENDPOINT_URL_<SERVICE> and AWS_ENDPOINT_URL stand in for AWS's own addresses, so that any emulator can.
//
// Threads:   any thread; values in, values out.
#pragma once

#include <string>

#include "aws/environment.h"
#include "aws/signer.h"

namespace skep::aws {

enum class Service { kEc2, kIam, kSts, kSsm, kS3, kRds, kServiceQuotas };

std::string_view service_name(Service service);     // "ec2": in addresses and signatures
std::string_view service_version(Service service);  // "2016-11-15"; "" where a request carries none

struct Endpoint {
  std::string origin;
  SigningScope scope;
  bool is_own = false;  // AWS's own, not one from the environment
};

// kInvalid: no region, or a variable that holds no http URL.
Result<Endpoint> find_endpoint(Service service, const std::string& region, const Environment& environment);

}  // namespace skep::aws
