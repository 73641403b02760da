// SPDX-License-Identifier: Apache-2.0
// ec2_fleet.h - the workers' instances of one cluster at EC2, by calls that block.
//
// What belongs to the cluster is known by its tags: skep:cluster, skep:role=worker, and skep:token, the token
// of its launch; where managers have stores of their own also skep:manager, whose it is. What an instance is
// made of stands in the launch template skep-CLUSTER-worker-x86_64 or -arm64. Never more instances are asked
// for than `instances_max` less what may exist.
//
// Threads:   one thread at a time.
// Errors:    as scaler/provisioner.h says of the same calls.
// Ownership: borrows the client.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "aws/ec2.h"
#include "base/log.h"
#include "provision/ec2_census.h"
#include "provision/ec2_choices.h"
#include "provision/ec2_launch.h"
#include "scaler/provisioner.h"

namespace skep::provision {

struct Ec2Options {
  std::string cluster;
  std::string manager;               // URL of the one that they are of alone; "": of all, which share a store
  std::vector<std::string> types;    // best first
  std::vector<std::string> subnets;  // ids
  bool is_spot = false;
  std::uint32_t on_demand_base = 0;  // of a spot fleet: so many on demand before the first at the spot price
  std::uint32_t instances_max = 1;
  Duration list_lag = seconds(30);  // scaler::Provisioner::list_lag
};

// kInvalid: a name that can be none, or nothing to choose from; one sentence.
Result<void> validate(const Ec2Options& options);

class Ec2Fleet {
 public:
  Ec2Fleet(aws::Client& client, Ec2Options options, Logger log);

  Result<std::vector<scaler::Instance>> list();
  scaler::LaunchReply launch(std::uint32_t count, const std::string& token);
  Result<void> terminate(const std::vector<std::string>& ids);

 private:
  Result<std::vector<aws::Instance>> describe(const std::string& token);
  // How many may still be launched, by a list that is not old.
  Result<std::uint32_t> room();
  Ec2LaunchPlan plan(std::uint32_t count, const std::string& token);
  Result<aws::Fleet> carry_out(const Ec2Step& step, const std::string& token, Instant deadline);
  scaler::LaunchReply settle(const Ec2Launch& launch, const std::string& token, std::uint32_t refused);
  scaler::Instance started(const std::string& id, const std::string& token, const std::string& detail) const;
  aws::Tags tags(const std::string& token) const;
  std::string template_of(const std::string& type) const;
  aws::CallOptions within(Duration patience) const { return {client_.now() + patience, 3}; }

  aws::Client& client_;
  aws::Ec2 ec2_;
  const Ec2Options options_;
  const Logger log_;
  Ec2Choices choices_;
  Ec2Census census_;
  Instant listed_at_ = kNoInstant;
  std::deque<std::pair<std::string, scaler::LaunchReply>> launches_;  // that a repeated one may be of
};

}  // namespace skep::provision
