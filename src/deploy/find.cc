// SPDX-License-Identifier: Apache-2.0
#include "deploy/find.h"

#include <algorithm>
#include <tuple>

#include "aws/s3.h"
#include "aws/ssm.h"

namespace skep::deploy {
namespace {

constexpr int kTriesMax = 12;

// A refusal that there is no such thing is no error.
template <class T>
Result<std::optional<T>> if_there(Result<T> asked) {
  if (asked) return std::optional<T>(std::move(asked.value()));
  if (asked.error().code == Code::kNotFound) return std::optional<T>();
  return asked.error();
}

std::string stranger(const std::string& what) {
  return what + " has this cluster's name and not its tag";
}

}  // namespace

aws::CallOptions patient(const aws::Client& client, Duration patience) {
  return {client.now() + patience, kTriesMax};
}

Result<std::string> find_account(aws::Client& client) {
  SKEP_TRY(const aws::Identity identity, aws::Iam(client).identity(patient(client)));
  return identity.account;
}

bool Finder::is_ours(const aws::Tags& tags) const {
  const auto found = tags.find(kClusterTag);
  return found != tags.end() && found->second == names_.cluster();
}

aws::Filters Finder::filters(const std::string& name, const std::string& value) const {
  return {{"tag:" + std::string(kClusterTag), {names_.cluster()}}, {name, {value}}};
}

Result<Found> Finder::look() {
  Found found;
  SKEP_TRY(find_network(found));
  SKEP_TRY(find_identities(found));
  SKEP_TRY(find_bucket(found));
  SKEP_TRY(find_database(found));
  SKEP_TRY(find_parameters(found));
  SKEP_TRY(find_machines(found));
  return found;
}

Result<void> Finder::find_network(Found& found) {
  aws::Ec2 ec2(client_);
  const aws::Names names{names_.group(), names_.database_group()};
  SKEP_TRY(auto groups, ec2.groups({{"group-name", names}}, patient(client_)));
  for (aws::SecurityGroup& group : groups) {
    if (is_ours(group.tags)) {
      (group.name == names_.group() ? found.group : found.database_group) = std::move(group);
    } else {
      found.strangers.push_back(stranger("security group " + group.id));
    }
  }
  return ok();
}

Result<void> Finder::find_identities(Found& found) {
  aws::Iam iam(client_);
  for (const Part part : kParts) {
    SKEP_TRY(auto role, if_there(iam.role(names_.role(part), patient(client_))));
    if (role && !is_ours(role->tags)) {
      found.strangers.push_back(stranger("role " + role->name));
    } else if (role) {
      SKEP_TRY(auto policy, if_there(iam.policy(role->name, names_.policy(), patient(client_))));
      if (policy) found.policies[part] = std::move(*policy);
      found.roles[part] = std::move(*role);
    }
    SKEP_TRY(auto profile, if_there(iam.profile(names_.profile(part), patient(client_))));
    if (profile && !is_ours(profile->tags)) {
      found.strangers.push_back(stranger("instance profile " + profile->name));
    } else if (profile) {
      found.profiles[part] = std::move(*profile);
    }
  }
  return ok();
}

// A bucket without tags is one of ours that was just made: nobody else's account is in its name.
Result<void> Finder::find_bucket(Found& found) {
  aws::S3 s3(client_);
  const auto there = s3.find_bucket(names_.bucket(), patient(client_));
  if (!there && there.error().code == Code::kNotFound) return ok();
  if (!there && there.error().code == Code::kForbidden) {
    found.strangers.push_back("bucket " + names_.bucket() + " is somebody else's, or may not be looked at");
    return ok();
  }
  if (!there) return there.error();
  SKEP_TRY(found.bucket_tags, s3.bucket_tags(names_.bucket(), patient(client_)));
  if (!found.bucket_tags.empty() && !is_ours(found.bucket_tags)) {
    found.strangers.push_back(stranger("bucket " + names_.bucket()));
    return ok();
  }
  found.has_bucket = true;
  SKEP_TRY(found.keys, s3.keys(names_.bucket(), patient(client_)));
  return ok();
}

Result<void> Finder::find_database(Found& found) {
  aws::Rds rds(client_);
  SKEP_TRY(auto database, if_there(rds.database(names_.database(), patient(client_))));
  if (database && !is_ours(database->tags)) {
    found.strangers.push_back(stranger("database " + database->id));
  } else if (database) {
    found.database = std::move(*database);
  }
  SKEP_TRY(const auto group, if_there(rds.subnet_group(names_.subnet_group(), patient(client_))));
  if (!group) return ok();
  SKEP_TRY(const auto tags, if_there(rds.tags(group->arn, patient(client_))));
  found.has_subnet_group = tags && is_ours(*tags);
  if (tags && !is_ours(*tags)) found.strangers.push_back(stranger("database subnet group " + group->name));
  return ok();
}

Result<void> Finder::find_parameters(Found& found) {
  aws::Ssm ssm(client_);
  SKEP_TRY(found.parameters, ssm.names_below(names_.parameters(), patient(client_)));
  const auto read = [&](const std::string& name, std::string& into) -> Result<void> {
    if (!found.has_parameter(name)) return ok();
    SKEP_TRY(auto value, if_there(ssm.parameter(name, patient(client_))));
    if (value) into = std::move(*value);
    return ok();
  };
  SKEP_TRY(read(names_.worker_parameter("managers"), found.managers));
  SKEP_TRY(read(names_.store_parameter(), found.store));
  SKEP_TRY(read(names_.password_parameter(), found.password));
  return read(names_.manager_parameter("born"), found.born);
}

Result<void> Finder::find_machines(Found& found) {
  aws::Ec2 ec2(client_);
  const aws::Names names{names_.worker_template("x86_64"), names_.worker_template("arm64")};
  SKEP_TRY(auto templates, ec2.templates({{"launch-template-name", names}}, patient(client_)));
  for (aws::Template& one : templates) {
    if (is_ours(one.tags)) {
      found.templates.push_back(std::move(one));
    } else {
      found.strangers.push_back(stranger("launch template " + one.name));
    }
  }
  SKEP_TRY(found.volumes, volumes());
  SKEP_TRY(found.instances, instances());
  return ok();
}

Result<std::vector<aws::Volume>> Finder::volumes() {
  SKEP_TRY(auto volumes,
           aws::Ec2(client_).volumes(filters("tag:" + std::string(kRoleTag), "store"), patient(client_)));
  std::sort(volumes.begin(), volumes.end(),
            [](const aws::Volume& a, const aws::Volume& b) { return a.id < b.id; });
  return volumes;
}

Result<std::vector<aws::Instance>> Finder::instances() {
  aws::Filters asked = filters("instance-state-name", "pending");
  asked.back().values = {"pending", "running", "shutting-down", "stopping", "stopped"};
  SKEP_TRY(auto instances, aws::Ec2(client_).instances(asked, patient(client_)));
  std::sort(instances.begin(), instances.end(), [](const aws::Instance& a, const aws::Instance& b) {
    return std::tie(a.launched, a.id) < std::tie(b.launched, b.id);
  });
  return instances;
}

Result<std::vector<aws::Subnet>> Finder::find_subnets(const ClusterWish& wish, std::string& vpc) {
  aws::Ec2 ec2(client_);
  if (!wish.subnets.empty()) {
    SKEP_TRY(auto subnets, ec2.subnets({{"subnet-id", wish.subnets}}, patient(client_)));
    if (subnets.size() != wish.subnets.size())
      return fail(Code::kNotFound, "region " + names_.region() + " does not have all of --subnets");
    vpc = subnets.front().vpc;
    for (const aws::Subnet& subnet : subnets) {
      if (subnet.vpc != vpc || (!wish.fleet.vpc.empty() && subnet.vpc != wish.fleet.vpc))
        return fail(Code::kInvalid,
                    "subnet " + subnet.id + " is in VPC " + subnet.vpc +
                        ": all of --subnets are to be of one VPC, and of --vpc if it is given");
    }
    return subnets;
  }
  const std::string wanted = wish.fleet.vpc;
  SKEP_TRY(const auto vpcs,
           ec2.vpcs({wanted.empty() ? aws::Filter{"is-default", {"true"}} : aws::Filter{"vpc-id", {wanted}}},
                    patient(client_)));
  if (vpcs.empty() && wanted.empty()) {
    return fail(Code::kNotFound, "region " + names_.region() +
                                     " has no default VPC: name subnets with --subnets, or a VPC with --vpc");
  }
  if (vpcs.empty()) return fail(Code::kNotFound, "region " + names_.region() + " has no VPC " + wanted);
  vpc = vpcs.front().id;
  SKEP_TRY(auto subnets, ec2.subnets({{"vpc-id", {vpc}}}, patient(client_)));
  if (subnets.empty()) return fail(Code::kNotFound, "VPC " + vpc + " has no subnets: make one in each zone");
  return subnets;
}

Result<Ground> Finder::look_at_ground(const ClusterWish& wish) {
  Ground ground;
  SKEP_TRY(ground.subnets, find_subnets(wish, ground.vpc));
  std::sort(ground.subnets.begin(), ground.subnets.end(), [](const aws::Subnet& a, const aws::Subnet& b) {
    return std::tie(a.zone, a.id) < std::tie(b.zone, b.id);
  });
  const std::string& type = wish.fleet.manager_type;
  SKEP_TRY(const aws::Names zones, aws::Ec2(client_).zones_with(type, patient(client_)));
  for (const aws::Subnet& subnet : ground.subnets) {
    if (std::count(zones.begin(), zones.end(), subnet.zone) > 0) ground.manager_subnets.push_back(subnet);
  }
  if (ground.manager_subnets.empty())
    return fail(Code::kNotFound,
                "no zone with a subnet of VPC " + ground.vpc + " offers --instance-type " + type);
  for (const std::string& architecture : wish.architectures()) {
    if (!wish.image.empty() && architecture == architecture_of(type)) {
      ground.images[architecture] = wish.image;
      continue;
    }
    SKEP_TRY(ground.images[architecture],
             aws::Ssm(client_).parameter("/aws/service/debian/release/12/latest/" + architecture,
                                         patient(client_)));
  }
  return ground;
}

}  // namespace skep::deploy
