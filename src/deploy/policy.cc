// SPDX-License-Identifier: Apache-2.0
#include "deploy/policy.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace skep::deploy {
namespace {

namespace json = boost::json;

json::array list_of(std::initializer_list<std::string> names) {
  json::array list;
  for (const std::string& name : names) list.emplace_back(name);
  return list;
}

// {"StringEquals": {KEY: VALUE}}
json::object equals(const std::string& key, const std::string& value) {
  return {{"StringEquals", json::object{{key, value}}}};
}

json::object allow(const std::string& name, json::array actions, json::array resources,
                   json::object condition = {}) {
  json::object statement{
      {"Sid", name}, {"Effect", "Allow"}, {"Action", std::move(actions)}, {"Resource", std::move(resources)}};
  if (!condition.empty()) statement["Condition"] = std::move(condition);
  return statement;
}

json::object document_of(json::array statements) {
  return {{"Version", "2012-10-17"}, {"Statement", std::move(statements)}};
}

class Arns {
 public:
  explicit Arns(const Names& names) : names_(names) {}
  std::string rds(const std::string& rest) const { return here("rds", rest); }
  std::string ec2(const std::string& rest) const { return here("ec2", rest); }
  std::string image() const { return "arn:aws:ec2:" + names_.region() + "::image/*"; }
  std::string role(const std::string& name) const {
    return "arn:aws:iam::" + names_.account() + ":role/" + name;
  }
  std::string profile(const std::string& name) const {
    return "arn:aws:iam::" + names_.account() + ":instance-profile/" + name;
  }
  std::string parameter(const std::string& path) const { return here("ssm", "parameter" + path); }
  static std::string s3(const std::string& name) { return "arn:aws:s3:::" + name; }

 private:
  std::string here(const std::string& service, const std::string& rest) const {
    return "arn:aws:" + service + ":" + names_.region() + ":" + names_.account() + ":" + rest;
  }
  const Names& names_;
};

json::object pass(const std::string& role) {
  return allow("HandOverTheRole", list_of({"iam:PassRole"}), list_of({role}),
               equals("iam:PassedToService", "ec2.amazonaws.com"));
}

json::array manager_statements(const Names& names) {
  const Arns arns(names);
  const std::string requested = std::string("aws:RequestTag/") + kClusterTag;
  const std::string present = std::string("aws:ResourceTag/") + kClusterTag;
  json::object tagging = equals(requested, names.cluster());
  tagging["StringEquals"].as_object()["ec2:CreateAction"] = list_of({"RunInstances", "CreateFleet"});
  json::array made;
  made.push_back(allow(
      "Look",
      list_of({"ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings",
               "ec2:DescribeSubnets", "ec2:DescribeLaunchTemplates", "ec2:DescribeSpotPriceHistory"}),
      list_of({"*"})));
  made.push_back(allow("LaunchWithTheTag", list_of({"ec2:RunInstances"}), list_of({arns.ec2("instance/*")}),
                       equals(requested, names.cluster())));
  made.push_back(allow("LaunchOfItsOwn", list_of({"ec2:RunInstances"}),
                       list_of({arns.ec2("security-group/*"), arns.ec2("launch-template/*")}),
                       equals(present, names.cluster())));
  made.push_back(allow(
      "LaunchWhere", list_of({"ec2:RunInstances"}),
      list_of({arns.ec2("volume/*"), arns.ec2("network-interface/*"), arns.ec2("subnet/*"), arns.image()})));
  made.push_back(
      allow("LaunchByFleet", list_of({"ec2:CreateFleet"}), list_of({arns.ec2("*"), arns.image()})));
  made.push_back(allow("TagWhatIsLaunched", list_of({"ec2:CreateTags"}),
                       list_of({arns.ec2("instance/*"), arns.ec2("volume/*")}), std::move(tagging)));
  made.push_back(allow("EndItsOwn", list_of({"ec2:TerminateInstances"}), list_of({arns.ec2("instance/*")}),
                       equals(present, names.cluster())));
  made.push_back(pass(arns.role(names.role(Part::kWorker))));
  return made;
}

// What AWS documents as the least for what up, status and down call.
// A database of RDS: its first in an account makes RDS's own role.
void allow_database(json::array& made, const Names& names) {
  const Arns arns(names);
  const std::string own = names.cluster() == "*" ? "skep-*" : names.database();
  const json::array things =
      list_of({arns.rds("db:" + own), arns.rds("subgrp:" + own), arns.rds("snapshot:" + own + "-final-*")});
  made.push_back(allow("LookAtDatabases", list_of({"rds:DescribeDBInstances", "rds:DescribeDBSubnetGroups"}),
                       list_of({"*"})));
  made.push_back(allow("Database",
                       list_of({"rds:CreateDBSubnetGroup", "rds:DeleteDBSubnetGroup", "rds:ModifyDBInstance",
                                "rds:DeleteDBInstance", "rds:CreateDBSnapshot", "rds:AddTagsToResource",
                                "rds:ListTagsForResource"}),
                       things));
  json::array used = things;
  used.emplace_back(arns.rds("pg:default.*"));
  used.emplace_back(arns.rds("og:default:*"));
  made.push_back(allow("MakeTheDatabase", list_of({"rds:CreateDBInstance"}), std::move(used)));
  made.push_back(allow("RoleOfRds", list_of({"iam:CreateServiceLinkedRole"}),
                       list_of({arns.role("aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS")}),
                       equals("iam:AWSServiceName", "rds.amazonaws.com")));
}

json::array deployer_statements(const Names& names) {
  const Arns arns(names);
  const std::string own = names.cluster() == "*" ? "skep-*" : "skep-" + names.cluster() + "-*";
  const std::string present = std::string("aws:ResourceTag/") + kClusterTag;
  json::array made;
  made.push_back(allow(
      "Look",
      list_of({"ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeInstances",
               "ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeVolumes",
               "ec2:DescribeSecurityGroups", "ec2:DescribeLaunchTemplates", "servicequotas:GetServiceQuota"}),
      list_of({"*"})));
  made.push_back(allow("Make",
                       list_of({"ec2:CreateSecurityGroup", "ec2:CreateLaunchTemplate", "ec2:CreateVolume",
                                "ec2:RunInstances", "ec2:CreateTags"}),
                       list_of({arns.ec2("*"), arns.image()})));
  made.push_back(allow(
      "ChangeItsOwn",
      list_of({"ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress",
               "ec2:DeleteSecurityGroup", "ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate",
               "ec2:DeleteLaunchTemplate", "ec2:AttachVolume", "ec2:DeleteVolume", "ec2:TerminateInstances"}),
      list_of({arns.ec2("*")}),
      names.cluster() == "*" ? json::object{{"Null", json::object{{present, "false"}}}}
                             : equals(present, names.cluster())));
  made.push_back(
      allow("Roles",
            list_of({"iam:GetRole", "iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy", "iam:GetRolePolicy",
                     "iam:DeleteRolePolicy", "iam:DeleteRole", "iam:GetInstanceProfile",
                     "iam:CreateInstanceProfile", "iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile",
                     "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"}),
            list_of({arns.role(own), arns.profile(own)})));
  made.push_back(pass(arns.role(own)));
  made.push_back(allow("Bucket",
                       list_of({"s3:CreateBucket", "s3:ListBucket", "s3:GetBucketTagging",
                                "s3:PutBucketTagging", "s3:DeleteBucket", "s3:PutObject", "s3:DeleteObject"}),
                       list_of({Arns::s3(own), Arns::s3(own + "/*")})));
  made.push_back(
      allow("Parameters",
            list_of({"ssm:PutParameter", "ssm:AddTagsToResource", "ssm:GetParameter",
                     "ssm:GetParametersByPath", "ssm:DeleteParameter"}),
            list_of({arns.parameter(names.parameters()), arns.parameter(names.parameters() + "/*")})));
  allow_database(made, names);
  made.push_back(allow("Images", list_of({"ssm:GetParameter"}),
                       list_of({"arn:aws:ssm:" + names.region() + "::parameter/aws/service/debian/*"})));
  return made;
}

void write_indented(const json::value& value, const std::string& margin, std::string& out) {
  const std::string inner = margin + "  ";
  const char* between = "";
  if (const json::object* object = value.if_object()) {
    out += "{\n";
    for (const auto& [key, item] : *object) {
      out += between + inner + json::serialize(json::value(key)) + ": ";
      write_indented(item, inner, out);
      between = ",\n";
    }
    out += "\n" + margin + "}";
  } else if (const json::array* array = value.if_array()) {
    out += "[\n";
    for (const json::value& item : *array) {
      out += between + inner;
      write_indented(item, inner, out);
      between = ",\n";
    }
    out += "\n" + margin + "]";
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string role_policy(Part part, const Names& names) {
  const Arns arns(names);
  json::array made = part == Part::kManager ? manager_statements(names) : json::array();
  const std::string parameters =
      part == Part::kManager ? names.parameters() + "/*" : names.worker_parameter("*");
  made.push_back(
      allow("ReadParameters", list_of({"ssm:GetParameter"}), list_of({arns.parameter(parameters)})));
  made.push_back(
      allow("ReadThePackage", list_of({"s3:GetObject"}), list_of({Arns::s3(names.bucket() + "/*")})));
  return json::serialize(document_of(std::move(made)));
}

std::string deployer_policy(const Names& names) {
  std::string text;
  write_indented(document_of(deployer_statements(names)), "", text);
  return text;
}

}  // namespace skep::deploy
