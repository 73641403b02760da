// SPDX-License-Identifier: Apache-2.0
#include "aws/ec2.h"

#include <algorithm>
#include <charconv>

namespace skep::aws {
namespace {

constexpr int kPagesMax = 1'000;

int number_of(const std::string& text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

template <class T, class Read>
std::vector<T> all_of(const std::vector<Element>& items, Read read) {
  std::vector<T> found;
  for (const Element& item : items) found.push_back(read(item));
  return found;
}

std::vector<IngressRule> rules_of(const Element& group) {
  std::vector<IngressRule> rules;
  for (const Element& permission : group.list("ipPermissions")) {
    IngressRule rule;
    rule.protocol = permission.text_of("ipProtocol");
    rule.first_port = number_of(permission.text_of("fromPort"));
    rule.last_port = number_of(permission.text_of("toPort"));
    for (const Element& range : permission.list("ipRanges")) {
      rules.push_back(rule);
      rules.back().cidr = range.text_of("cidrIp");
    }
    for (const Element& range : permission.list("ipv6Ranges")) {
      rules.push_back(rule);
      rules.back().cidr = range.text_of("cidrIpv6");
    }
    for (const Element& pair : permission.list("groups")) {
      rules.push_back(rule);
      rules.back().group = pair.text_of("groupId");
    }
  }
  return rules;
}

Form form_of(const std::string& group, const std::vector<IngressRule>& rules) {
  Form form;
  form.set("GroupId", group);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const IngressRule& rule = rules[i];
    const std::string name = "IpPermissions." + std::to_string(i + 1);
    form.set(name + ".IpProtocol", rule.protocol);
    if (rule.protocol != "-1") {
      form.set(name + ".FromPort", std::to_string(rule.first_port));
      form.set(name + ".ToPort", std::to_string(rule.last_port));
    }
    const bool is_v6 = rule.cidr.find(':') != std::string::npos;
    form.set_if(name + (is_v6 ? ".Ipv6Ranges.1.CidrIpv6" : ".IpRanges.1.CidrIp"), rule.cidr);
    form.set_if(name + ".Groups.1.GroupId", rule.group);
  }
  return form;
}

}  // namespace

Tags tags_of(const Element& element) {
  Tags tags;
  for (const Element& tag : element.list("tagSet")) tags[tag.text_of("key")] = tag.text_of("value");
  return tags;
}

Result<Element> Ec2::call(const std::string& operation, Form form, const CallOptions& options) {
  Call call;
  call.service = Service::kEc2;
  call.operation = operation;
  call.form = form.take();
  return client_.send_xml(call, options);
}

Result<std::vector<Element>> Ec2::describe(const std::string& operation, const std::string& set,
                                           const Form& form, const CallOptions& options) {
  std::vector<Element> found;
  std::string next;
  for (int page = 0; page < kPagesMax; ++page) {
    Form asked = form;
    asked.set_if("NextToken", next);
    SKEP_TRY(Element answer, call(operation, std::move(asked), options));
    for (const Element& item : answer.list(set)) found.push_back(item);
    next = answer.text_of("nextToken");
    if (next.empty()) return found;
  }
  return fail(Code::kCorrupt, "EC2 " + operation + ": the answer has no last page");
}

Result<void> Ec2::may(const std::string& operation, Form form, const CallOptions& options) {
  Call call;
  call.service = Service::kEc2;
  call.operation = operation;
  call.form = form.flag("DryRun", true).take();
  SKEP_TRY(const Reply reply, client_.send(call, options));
  if (reply.is_ok() || reply.error_code == "DryRunOperation") return ok();
  return to_error(reply);
}

Result<std::vector<Vpc>> Ec2::vpcs(const Filters& filters, const CallOptions& options) {
  SKEP_TRY(const auto items, describe("DescribeVpcs", "vpcSet", Form().filters(filters), options));
  return all_of<Vpc>(items, [](const Element& item) {
    return Vpc{item.text_of("vpcId"), item.text_of("cidrBlock"), item.text_of("isDefault") == "true"};
  });
}

Result<std::vector<Subnet>> Ec2::subnets(const Filters& filters, const CallOptions& options) {
  SKEP_TRY(const auto items, describe("DescribeSubnets", "subnetSet", Form().filters(filters), options));
  return all_of<Subnet>(items, [](const Element& item) {
    return Subnet{item.text_of("subnetId"),
                  item.text_of("vpcId"),
                  item.text_of("availabilityZone"),
                  number_of(item.text_of("availableIpAddressCount")),
                  item.text_of("defaultForAz") == "true",
                  item.text_of("cidrBlock")};
  });
}

Result<Names> Ec2::zones(const CallOptions& options) {
  const Filters filters{{"state", {"available"}}, {"opt-in-status", {"opt-in-not-required"}}};
  SKEP_TRY(const auto items,
           describe("DescribeAvailabilityZones", "availabilityZoneInfo", Form().filters(filters), options));
  Names names = all_of<std::string>(items, [](const Element& item) { return item.text_of("zoneName"); });
  std::sort(names.begin(), names.end());
  return names;
}

Result<Names> Ec2::zones_with(const std::string& type, const CallOptions& options) {
  Form form;
  form.set("LocationType", "availability-zone").filters({{"instance-type", {type}}});
  SKEP_TRY(const auto items,
           describe("DescribeInstanceTypeOfferings", "instanceTypeOfferingSet", form, options));
  Names names = all_of<std::string>(items, [](const Element& item) { return item.text_of("location"); });
  std::sort(names.begin(), names.end());
  return names;
}

Result<int> Ec2::vcpus_of(const std::string& type, const CallOptions& options) {
  SKEP_TRY(const auto items, describe("DescribeInstanceTypes", "instanceTypeSet",
                                      Form().filters({{"instance-type", {type}}}), options));
  if (items.empty()) return fail(Code::kNotFound, "the region has no instance type " + type);
  return number_of(items.front().at("vCpuInfo").text_of("defaultVCpus"));
}

Result<std::vector<SecurityGroup>> Ec2::groups(const Filters& filters, const CallOptions& options) {
  SKEP_TRY(const auto items,
           describe("DescribeSecurityGroups", "securityGroupInfo", Form().filters(filters), options));
  return all_of<SecurityGroup>(items, [](const Element& item) {
    return SecurityGroup{item.text_of("groupId"), item.text_of("groupName"), item.text_of("vpcId"),
                         rules_of(item), tags_of(item)};
  });
}

Result<std::string> Ec2::create_group(const std::string& name, const std::string& description,
                                      const std::string& vpc, const Tags& tags, const CallOptions& options) {
  Form form;
  form.set("GroupName", name).set("GroupDescription", description).set("VpcId", vpc);
  form.tag_specification("", 1, "security-group", tags);
  SKEP_TRY(const Element answer, call("CreateSecurityGroup", std::move(form), options));
  return answer.text_of("groupId");
}

Result<void> Ec2::allow_ingress(const std::string& group, const std::vector<IngressRule>& rules,
                                const CallOptions& options) {
  SKEP_TRY(call("AuthorizeSecurityGroupIngress", form_of(group, rules), options));
  return ok();
}

Result<void> Ec2::revoke_ingress(const std::string& group, const std::vector<IngressRule>& rules,
                                 const CallOptions& options) {
  SKEP_TRY(call("RevokeSecurityGroupIngress", form_of(group, rules), options));
  return ok();
}

Result<void> Ec2::delete_group(const std::string& group, const CallOptions& options) {
  SKEP_TRY(call("DeleteSecurityGroup", Form().set("GroupId", group), options));
  return ok();
}

Result<std::vector<Volume>> Ec2::volumes(const Filters& filters, const CallOptions& options) {
  SKEP_TRY(const auto items, describe("DescribeVolumes", "volumeSet", Form().filters(filters), options));
  return all_of<Volume>(items, [](const Element& item) {
    const auto& attached = item.list("attachmentSet");
    return Volume{item.text_of("volumeId"),
                  item.text_of("availabilityZone"),
                  item.text_of("status"),
                  attached.empty() ? std::string() : attached.front().text_of("instanceId"),
                  tags_of(item),
                  number_of(item.text_of("size"))};
  });
}

Result<std::string> Ec2::create_volume(const VolumeSpec& spec, const CallOptions& options) {
  Form form;
  form.set("AvailabilityZone", spec.zone).set("Size", std::to_string(spec.size_gib)).set("VolumeType", "gp3");
  form.flag("Encrypted", true).set_if("ClientToken", spec.client_token);
  form.tag_specification("", 1, "volume", spec.tags);
  SKEP_TRY(const Element answer, call("CreateVolume", std::move(form), options));
  return answer.text_of("volumeId");
}

Result<void> Ec2::attach_volume(const std::string& volume, const std::string& instance,
                                const std::string& device, const CallOptions& options) {
  Form form;
  form.set("VolumeId", volume).set("InstanceId", instance).set("Device", device);
  SKEP_TRY(call("AttachVolume", std::move(form), options));
  return ok();
}

Result<void> Ec2::delete_volume(const std::string& volume, const CallOptions& options) {
  SKEP_TRY(call("DeleteVolume", Form().set("VolumeId", volume), options));
  return ok();
}

Result<void> Ec2::tag(const Names& ids, const Tags& tags, const CallOptions& options) {
  SKEP_TRY(call("CreateTags", Form().list("ResourceId", ids).tags("Tag", tags), options));
  return ok();
}

}  // namespace skep::aws
