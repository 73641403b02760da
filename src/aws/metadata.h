// SPDX-License-Identifier: Apache-2.0
// metadata.h - the metadata service of an EC2 instance, version 2: a token first, then paths.
//
// Threads:   one thread at a time.
// Errors:    kUnavailable: this is no instance, AWS_EC2_METADATA_DISABLED is true, or the service does not
// answer in
//            1 s. kNotFound: it has no such path.
// Ownership: borrows what it is made of.
#pragma once

#include <string>

#include "aws/environment.h"
#include "aws/request.h"

namespace skep::aws {

class Metadata {
 public:
  Metadata(Transport& transport, const Environment& environment)
      : transport_(transport), environment_(environment) {}

  // The text at "/latest/meta-data/..." or the like, `path` from its first '/'.
  Result<std::string> get(const std::string& path, Instant now);

 private:
  Result<void> fetch_token(Instant now);

  Transport& transport_;
  const Environment& environment_;
  std::string token_;
  Instant token_end_{};
};

}  // namespace skep::aws
