// SPDX-License-Identifier: Apache-2.0
// signer.h - AWS Signature Version 4: what must stand in a request's headers so that AWS believes who sent
// it.
//
// Signs host, every header but User-Agent, and the SHA-256 of the body, which is never left out. Nothing is
// changed after signing: a transport sends path, query and headers as they are.
//
// Threads:   any thread; values in, values out.
#pragma once

#include <string>

#include "aws/request.h"

namespace skep::aws {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // "" for keys of a user
  Instant expires = kNever;
};

struct SigningScope {
  std::string region;
  std::string service;  // "ec2", "iam", "s3", ...
};

// Adds x-amz-date, x-amz-security-token (with a session token), x-amz-content-sha256 (for S3) and
// Authorization. A request that was signed before is signed anew: the old ones are taken off. Paths of
// services other than S3 have no dot segments.
void sign(HttpRequest& request, const Credentials& credentials, const SigningScope& scope, Instant now);

}  // namespace skep::aws
