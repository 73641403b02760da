// SPDX-License-Identifier: Apache-2.0
// find.h - looks what of a cluster is there, and what it can stand on.
//
// Threads:   one thread at a time; a look blocks for its calls.
// Errors:    those of the calls; what is not there is no error. kNotFound, kInvalid of look_at_ground(): what
// is
//            wanted can not be stood on, in one sentence.
// Ownership: borrows its client.
#pragma once

#include "deploy/found.h"

namespace skep::deploy {

// How long one call is tried, and how often.
aws::CallOptions patient(const aws::Client& client, Duration patience = minutes(2));

class Finder {
 public:
  Finder(aws::Client& client, const Names& names) : client_(client), names_(names) {}

  // All that belongs to the cluster. What was just made may be missing, or what was just ended be there.
  Result<Found> look();
  Result<std::vector<aws::Instance>> instances();
  Result<std::vector<aws::Volume>> volumes();
  Result<Ground> look_at_ground(const ClusterWish& wish);

 private:
  bool is_ours(const aws::Tags& tags) const;
  aws::Filters filters(const std::string& name, const std::string& value) const;
  Result<void> find_network(Found& found);
  Result<void> find_identities(Found& found);
  Result<void> find_bucket(Found& found);
  Result<void> find_database(Found& found);
  Result<void> find_parameters(Found& found);
  Result<void> find_machines(Found& found);
  Result<std::vector<aws::Subnet>> find_subnets(const ClusterWish& wish, std::string& vpc);

  aws::Client& client_;
  const Names names_;
};

// The account that the credentials are of.
Result<std::string> find_account(aws::Client& client);

}  // namespace skep::deploy
