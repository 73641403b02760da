// SPDX-License-Identifier: Apache-2.0
// rds.h - the calls of RDS that skep needs: one database, and the subnets that it may be in.
//
// A database takes minutes to come and to go; what it is at says its status.
//
// Threads:   as Client.
// Errors:    those of Client. kConflict: it is there already, or its status does not allow it now. kNotFound:
// there
//            is none. No password goes into an error.
// Ownership: borrows its client.
// Units:     sizes are GiB.
#pragma once

#include "aws/client.h"
#include "aws/form.h"

namespace skep::aws {

struct Database {
  std::string id;        // its identifier
  std::string resource;  // "db-ABC...": another one for each that ever had the identifier
  std::string status;    // "creating", "backing-up", "available", "deleting", ...
  std::string type;      // "db.m6g.large"
  std::string host;      // "": it has none yet
  int port = 0;
  int size_gib = 0;
  bool is_in_two_zones = false;
  bool is_protected = false;  // from being deleted
  Tags tags;
};

// A PostgreSQL in two zones, encrypted, with a week of backups, protected from being deleted, that only
// machines of its security groups reach.
struct DatabaseSpec {
  std::string id;
  std::string type;
  std::string version;  // "15": the newest of that
  int size_gib = 0;
  std::string name;  // of the database in it
  std::string user;
  std::string password;
  std::string subnet_group;
  Names groups;
  Tags tags;
};

struct SubnetGroup {
  std::string name;
  std::string arn;
  std::string vpc;
};

class Rds {
 public:
  explicit Rds(Client& client) : client_(client) {}

  Result<Database> database(const std::string& id, const CallOptions& options);
  Result<void> create_database(const DatabaseSpec& spec, const CallOptions& options);
  // From then on it may be deleted.
  Result<void> unprotect(const std::string& id, const CallOptions& options);
  // What it has is kept in a snapshot of that name.
  Result<void> delete_database(const std::string& id, const std::string& snapshot,
                               const CallOptions& options);

  Result<SubnetGroup> subnet_group(const std::string& name, const CallOptions& options);
  Result<void> create_subnet_group(const std::string& name, const Names& subnets, const Tags& tags,
                                   const CallOptions& options);
  Result<void> delete_subnet_group(const std::string& name, const CallOptions& options);
  // Of a subnet group, by its ARN.
  Result<Tags> tags(const std::string& arn, const CallOptions& options);

 private:
  // The element OPERATIONResult of the answer.
  Result<Element> call(const std::string& operation, Form form, const CallOptions& options);

  Client& client_;
};

}  // namespace skep::aws
