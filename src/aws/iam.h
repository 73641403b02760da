// SPDX-License-Identifier: Apache-2.0
// iam.h - the calls of IAM and STS that skep needs: who calls, roles with one inline policy, instance
// profiles.
//
// What is made here is seen by EC2 some seconds to minutes later.
//
// Threads:   as Client.
// Errors:    those of Client. kConflict: it is there already, or is still used. kNotFound: there is none.
// Ownership: borrows its client.
#pragma once

#include "aws/client.h"
#include "aws/form.h"

namespace skep::aws {

struct Identity {
  std::string account;
  std::string arn;
};

struct Role {
  std::string name;
  std::string arn;
  Tags tags;
};

struct InstanceProfile {
  std::string name;
  std::string arn;
  Names roles;  // one at most
  Tags tags;
};

class Iam {
 public:
  explicit Iam(Client& client) : client_(client) {}

  Result<Identity> identity(const CallOptions& options);  // of STS

  Result<Role> role(const std::string& name, const CallOptions& options);
  // A role that instances of EC2 may take.
  Result<Role> create_role(const std::string& name, const Tags& tags, const CallOptions& options);
  // Sets or replaces an inline policy, a JSON document.
  Result<void> put_policy(const std::string& role, const std::string& policy, const std::string& document,
                          const CallOptions& options);
  // The document of an inline policy. kNotFound: the role has none of that name.
  Result<std::string> policy(const std::string& role, const std::string& policy, const CallOptions& options);
  Result<void> delete_policy(const std::string& role, const std::string& policy, const CallOptions& options);
  Result<void> delete_role(const std::string& name, const CallOptions& options);

  Result<InstanceProfile> profile(const std::string& name, const CallOptions& options);
  Result<InstanceProfile> create_profile(const std::string& name, const Tags& tags,
                                         const CallOptions& options);
  Result<void> add_role(const std::string& profile, const std::string& role, const CallOptions& options);
  Result<void> remove_role(const std::string& profile, const std::string& role, const CallOptions& options);
  Result<void> delete_profile(const std::string& name, const CallOptions& options);

 private:
  // The element OPERATIONResult of the answer.
  Result<Element> call(Service service, const std::string& operation, Form form, const CallOptions& options);
  Result<void> change(const std::string& operation, Form form, const CallOptions& options);

  Client& client_;
};

}  // namespace skep::aws
