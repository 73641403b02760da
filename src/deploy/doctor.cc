// SPDX-License-Identifier: Apache-2.0
#include "deploy/doctor.h"

#include <algorithm>
#include <map>
#include <set>

#include "aws/iam.h"
#include "aws/ssm.h"
#include "aws/vcpu_quota.h"

namespace skep::deploy {
namespace {

constexpr Duration kPatience = seconds(30);  // for one call
constexpr int kTriesMax = 6;

// vCPUs that a fleet takes at most, by the quota that they count for.
using Needs = std::map<const aws::VcpuQuota*, int>;

}  // namespace

aws::CallOptions Doctor::soon() const {
  return {client_.now() + kPatience, kTriesMax};
}

int Doctor::look(const Show& show) {
  int problems = 0;
  const Show counted = [&](const Finding& finding) {
    problems += finding.judgement == Judgement::kProblem ? 1 : 0;
    show(finding);
  };
  const auto identity = aws::Iam(client_).identity(soon());
  if (!identity) {
    counted(judge_error("credentials", identity.error()));
    return std::max(problems, 1);
  }
  counted({"credentials", Judgement::kGood, identity.value().arn});
  counted(judge_clock(client_.clock_skew()));
  look_at_network(counted);
  look_at_types(counted);
  look_at_image(counted);
  look_at_quotas(counted);
  look_at_permissions(counted);
  return problems;
}

Result<std::string> Doctor::find_vpc() {
  aws::Ec2 ec2(client_);
  if (!wish_.vpc.empty()) {
    SKEP_TRY(const auto found, ec2.vpcs({{"vpc-id", {wish_.vpc}}}, soon()));
    if (found.empty())
      return fail(Code::kNotFound, "region " + client_.region() + " has no VPC " + wish_.vpc);
    return found.front().id;
  }
  SKEP_TRY(const auto found, ec2.vpcs({{"is-default", {"true"}}}, soon()));
  if (found.empty()) {
    return fail(Code::kNotFound,
                "region " + client_.region() +
                    " has no default VPC: name one with --vpc, or make the default one with aws ec2 "
                    "create-default-vpc");
  }
  return found.front().id;
}

void Doctor::look_at_network(const Show& show) {
  auto vpc = find_vpc();
  if (!vpc) return show(judge_error("network", vpc.error()));
  vpc_ = std::move(vpc.value());
  auto subnets = aws::Ec2(client_).subnets({{"vpc-id", {vpc_}}}, soon());
  if (!subnets) return show(judge_error("network", subnets.error()));
  subnets_ = std::move(subnets.value());
  show(judge_network(wish_, subnets_));
}

void Doctor::look_at_types(const Show& show) {
  std::set<std::string> types(wish_.worker_types.begin(), wish_.worker_types.end());
  types.insert(wish_.manager_type);
  for (const std::string& type : types) {
    const auto offered = aws::Ec2(client_).zones_with(type, soon());
    show(offered ? judge_offer(type, offered.value(), subnets_)
                 : judge_error("type " + type, offered.error()));
  }
}

void Doctor::look_at_image(const Show& show) {
  std::set<std::string> architectures{architecture_of(wish_.manager_type)};
  for (const std::string& type : wish_.worker_types) architectures.insert(architecture_of(type));
  for (const std::string& architecture : architectures) {
    const std::string subject = "image for " + architecture;
    const auto image =
        aws::Ssm(client_).parameter("/aws/service/debian/release/12/latest/" + architecture, soon());
    if (!image) {
      show(judge_error(subject, image.error()));
      continue;
    }
    if (architecture == architecture_of(wish_.manager_type)) image_ = image.value();
    show({subject, Judgement::kGood, "Debian 12 is " + image.value()});
  }
}

// Managers are on demand. All workers may be of one kind, and of it the largest type.
void Doctor::look_at_quotas(const Show& show) {
  aws::Ec2 ec2(client_);
  Needs on_demand, spot;
  const auto add = [&](Needs& needs, const std::string& type, int count) -> Result<void> {
    const aws::VcpuQuota* quota = aws::vcpu_quota_of(type);
    if (quota == nullptr)
      return fail(Code::kUnavailable,
                  "which one " + type + " counts for is not known here: look in Service Quotas");
    SKEP_TRY(const int vcpus, ec2.vcpus_of(type, soon()));
    needs[quota] = std::max(needs[quota], count * vcpus);
    return ok();
  };
  const auto told = [&](const Result<void>& added) {
    if (!added) show(judge_error("quota", added.error()));
  };
  for (const std::string& type : wish_.worker_types)
    told(add(wish_.is_spot ? spot : on_demand, type, wish_.workers_max));
  Needs managers;
  told(add(managers, wish_.manager_type, wish_.managers));
  for (const auto& [quota, vcpus] : managers) on_demand[quota] += vcpus;
  const auto look = [&](const Needs& needs, const std::string& market,
                        std::string_view aws::VcpuQuota::*code) {
    for (const auto& [quota, needed] : needs) {
      const std::string subject =
          "quota " + market + ", " + std::string(quota->name.substr(0, quota->name.find(" (")));
      const auto allowed = aws::Ssm(client_).quota("ec2", std::string(quota->*code), soon());
      show(allowed ? judge_quota(subject, needed, allowed.value()) : judge_error(subject, allowed.error()));
    }
  };
  look(on_demand, "on demand", &aws::VcpuQuota::on_demand);
  look(spot, "spot", &aws::VcpuQuota::spot);
}

void Doctor::look_at_permissions(const Show& show) {
  aws::Ec2 ec2(client_);
  const auto tell = [&](const std::string& action, const Result<void>& may) {
    const std::string subject = "may " + action;
    show(may ? Finding{subject, Judgement::kGood, "yes"} : judge_error(subject, may.error()));
  };
  const aws::Tags tags{{"skep:cluster", "doctor"}};
  if (image_.empty() || subnets_.empty()) {
    show({"may RunInstances", Judgement::kUnknown, "not asked: it wants an image and a subnet"});
  } else {
    aws::Form form;
    form.set("MinCount", "1").set("MaxCount", "1").set("ImageId", image_);
    form.set("InstanceType", wish_.manager_type).set("SubnetId", subnets_.front().id);
    form.tag_specification("", 1, "instance", tags);
    tell("RunInstances", ec2.may("RunInstances", std::move(form), soon()));
    aws::Form volume;
    volume.set("AvailabilityZone", subnets_.front().zone).set("Size", "1").set("VolumeType", "gp3");
    volume.tag_specification("", 1, "volume", tags);
    tell("CreateVolume", ec2.may("CreateVolume", std::move(volume), soon()));
  }
  if (!vpc_.empty()) {
    aws::Form form;
    form.set("GroupName", "skep-doctor").set("GroupDescription", "never made").set("VpcId", vpc_);
    form.tag_specification("", 1, "security-group", tags);
    tell("CreateSecurityGroup", ec2.may("CreateSecurityGroup", std::move(form), soon()));
  }
  aws::Form form;
  form.set("LaunchTemplateName", "skep-doctor").set("LaunchTemplateData.InstanceType", wish_.manager_type);
  tell("CreateLaunchTemplate", ec2.may("CreateLaunchTemplate", std::move(form), soon()));
  // IAM has no dry run: being told that there is no such role shows that it may be asked for one.
  const auto role = aws::Iam(client_).role("skep-doctor", soon());
  const bool is_answered = role || role.error().code == Code::kNotFound;
  tell("GetRole", is_answered ? Result<void>(ok()) : Result<void>(role.error()));
}

}  // namespace skep::deploy
