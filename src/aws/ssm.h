// SPDX-License-Identifier: Apache-2.0
// ssm.h - the calls that speak JSON: parameters of Systems Manager, and what Service Quotas allows.
//
// Threads:   as Client.
// Errors:    those of Client. kNotFound: no such parameter or quota. kCorrupt: an answer that is not what it
// should be. Ownership: borrows its client.
#pragma once

#include "aws/client.h"
#include "aws/form.h"

namespace skep::aws {

class Ssm {
 public:
  explicit Ssm(Client& client) : client_(client) {}

  // A parameter's value, decrypted.
  Result<std::string> parameter(const std::string& name, const CallOptions& options);
  // Makes a SecureString with its tags. kConflict: there is a parameter of that name. Its value goes into no
  // error.
  Result<void> create_secret(const std::string& name, const std::string& value, const Tags& tags,
                             const CallOptions& options);
  // The names of all parameters below a path, "/skep/prod".
  Result<Names> names_below(const std::string& path, const CallOptions& options);
  // Makes or replaces a SecureString. Its value goes into no error.
  Result<void> put_secret(const std::string& name, const std::string& value, const CallOptions& options);
  Result<void> delete_parameter(const std::string& name, const CallOptions& options);
  Result<void> tag_parameter(const std::string& name, const Tags& tags, const CallOptions& options);

  // How much the account may have, "L-1216C47A" of "ec2": vCPUs of running standard instances.
  Result<double> quota(const std::string& service, const std::string& code, const CallOptions& options);

 private:
  Client& client_;
};

}  // namespace skep::aws
