// SPDX-License-Identifier: Apache-2.0
// found.h - what of a cluster is there, and what it can stand on: facts, as AWS shows them.
//
// Threads:   values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aws/ec2.h"
#include "aws/iam.h"
#include "aws/rds.h"
#include "deploy/cluster.h"

namespace skep::deploy {

// What carries the cluster's names and tag.
struct Found {
  std::optional<aws::SecurityGroup> group;
  std::optional<aws::SecurityGroup> database_group;
  std::optional<aws::Database> database;
  bool has_subnet_group = false;
  std::map<Part, aws::Role> roles;
  std::map<Part, std::string> policies;  // of the roles that have one
  std::map<Part, aws::InstanceProfile> profiles;
  bool has_bucket = false;
  aws::Tags bucket_tags;
  aws::Names keys;        // of objects in the bucket
  aws::Names parameters;  // names
  std::string managers;   // the addresses that workers are told
  std::string born;       // of the parameter: when the cluster was first made, "" before
  std::string store;      // of the parameter: the database's address, a secret
  std::string password;   // of the database, the same
  std::vector<aws::Template> templates;
  std::vector<aws::Volume> volumes;      // with data
  std::vector<aws::Instance> instances;  // also those that end; not those that have ended
  aws::Names strangers;                  // sentences: things that have our names and not our tag

  bool has_parameter(const std::string& name) const;
  const aws::Template* find_template(const std::string& name) const;
};

// What does not belong to the cluster, and is needed for it.
struct Ground {
  std::string vpc;
  std::vector<aws::Subnet> subnets;           // where instances may be, by zone and id
  std::vector<aws::Subnet> manager_subnets;   // of them those whose zone offers the managers' type
  std::map<std::string, std::string> images;  // by Debian's name of the architecture

  aws::Names subnet_ids() const;
  std::size_t zones() const;
};

// "1" is 1; 0: it has none.
int slot_of(const aws::Tags& tags);
bool is_manager(const aws::Instance& instance);
// Neither ended nor about to.
bool is_alive(const aws::Instance& instance);

}  // namespace skep::deploy
