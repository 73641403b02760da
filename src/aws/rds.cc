// SPDX-License-Identifier: Apache-2.0
#include "aws/rds.h"

#include <charconv>

namespace skep::aws {
namespace {

constexpr int kBackupDays = 7;

int number_of(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Tags rds_tags_of(const Element& item) {
  Tags tags;
  for (const Element& tag : item.list("TagList")) tags[tag.text_of("Key")] = tag.text_of("Value");
  return tags;
}

Database database_of(const Element& item) {
  Database found;
  found.id = item.text_of("DBInstanceIdentifier");
  found.resource = item.text_of("DbiResourceId");
  found.status = item.text_of("DBInstanceStatus");
  found.type = item.text_of("DBInstanceClass");
  found.host = item.at("Endpoint").text_of("Address");
  found.port = number_of(item.at("Endpoint").text_of("Port"));
  found.size_gib = number_of(item.text_of("AllocatedStorage"));
  found.is_in_two_zones = item.text_of("MultiAZ") == "true";
  found.is_protected = item.text_of("DeletionProtection") == "true";
  found.tags = rds_tags_of(item);
  return found;
}

}  // namespace

Result<Element> Rds::call(const std::string& operation, Form form, const CallOptions& options) {
  Call call;
  call.service = Service::kRds;
  call.operation = operation;
  call.form = form.take();
  SKEP_TRY(const Element answer, client_.send_xml(call, options));
  return answer.at(operation + "Result");
}

Result<Database> Rds::database(const std::string& id, const CallOptions& options) {
  SKEP_TRY(const Element answer,
           call("DescribeDBInstances", Form().set("DBInstanceIdentifier", id), options));
  const auto& found = answer.list("DBInstances");
  if (found.empty()) return fail(Code::kNotFound, "RDS DescribeDBInstances: there is no database " + id);
  return database_of(found.front());
}

Result<void> Rds::create_database(const DatabaseSpec& spec, const CallOptions& options) {
  Form form;
  form.set("DBInstanceIdentifier", spec.id).set("DBInstanceClass", spec.type);
  form.set("Engine", "postgres").set("EngineVersion", spec.version).flag("AutoMinorVersionUpgrade", true);
  form.set("AllocatedStorage", std::to_string(spec.size_gib)).set("StorageType", "gp3");
  form.flag("StorageEncrypted", true).flag("MultiAZ", true).flag("PubliclyAccessible", false);
  form.set("DBName", spec.name).set("MasterUsername", spec.user).set("MasterUserPassword", spec.password);
  form.set("DBSubnetGroupName", spec.subnet_group);
  form.list("VpcSecurityGroupIds.VpcSecurityGroupId", spec.groups);
  form.set("BackupRetentionPeriod", std::to_string(kBackupDays)).flag("CopyTagsToSnapshot", true);
  form.flag("DeletionProtection", true).tags("Tags.Tag", spec.tags);
  SKEP_TRY(call("CreateDBInstance", std::move(form), options));
  return ok();
}

Result<void> Rds::unprotect(const std::string& id, const CallOptions& options) {
  Form form;
  form.set("DBInstanceIdentifier", id).flag("DeletionProtection", false).flag("ApplyImmediately", true);
  SKEP_TRY(call("ModifyDBInstance", std::move(form), options));
  return ok();
}

Result<void> Rds::delete_database(const std::string& id, const std::string& snapshot,
                                  const CallOptions& options) {
  Form form;
  form.set("DBInstanceIdentifier", id).flag("SkipFinalSnapshot", false);
  form.set("FinalDBSnapshotIdentifier", snapshot);
  SKEP_TRY(call("DeleteDBInstance", std::move(form), options));
  return ok();
}

Result<SubnetGroup> Rds::subnet_group(const std::string& name, const CallOptions& options) {
  SKEP_TRY(const Element answer,
           call("DescribeDBSubnetGroups", Form().set("DBSubnetGroupName", name), options));
  const auto& found = answer.list("DBSubnetGroups");
  if (found.empty()) return fail(Code::kNotFound, "RDS DescribeDBSubnetGroups: there is no " + name);
  return SubnetGroup{name, found.front().text_of("DBSubnetGroupArn"), found.front().text_of("VpcId")};
}

Result<void> Rds::create_subnet_group(const std::string& name, const Names& subnets, const Tags& tags,
                                      const CallOptions& options) {
  Form form;
  form.set("DBSubnetGroupName", name).set("DBSubnetGroupDescription", name);
  form.list("SubnetIds.SubnetIdentifier", subnets).tags("Tags.Tag", tags);
  SKEP_TRY(call("CreateDBSubnetGroup", std::move(form), options));
  return ok();
}

Result<void> Rds::delete_subnet_group(const std::string& name, const CallOptions& options) {
  SKEP_TRY(call("DeleteDBSubnetGroup", Form().set("DBSubnetGroupName", name), options));
  return ok();
}

Result<Tags> Rds::tags(const std::string& arn, const CallOptions& options) {
  SKEP_TRY(const Element answer, call("ListTagsForResource", Form().set("ResourceName", arn), options));
  return rds_tags_of(answer);
}

}  // namespace skep::aws
