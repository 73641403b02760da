// SPDX-License-Identifier: Apache-2.0
#include "aws/iam.h"

#include "aws/encoding.h"

namespace skep::aws {
namespace {

constexpr const char* kTrustOfEc2 =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",)"
    R"("Principal":{"Service":"ec2.amazonaws.com"}}]})";

Tags iam_tags_of(const Element& item) {
  Tags tags;
  for (const Element& tag : item.list("Tags")) tags[tag.text_of("Key")] = tag.text_of("Value");
  return tags;
}

Role role_of(const Element& item) {
  return {item.text_of("RoleName"), item.text_of("Arn"), iam_tags_of(item)};
}

InstanceProfile profile_of(const Element& item) {
  InstanceProfile profile{item.text_of("InstanceProfileName"), item.text_of("Arn"), {}, iam_tags_of(item)};
  for (const Element& role : item.list("Roles")) profile.roles.push_back(role.text_of("RoleName"));
  return profile;
}

}  // namespace

Result<Element> Iam::call(Service service, const std::string& operation, Form form,
                          const CallOptions& options) {
  Call call;
  call.service = service;
  call.operation = operation;
  call.form = form.take();
  SKEP_TRY(const Element answer, client_.send_xml(call, options));
  return answer.at(operation + "Result");
}

Result<void> Iam::change(const std::string& operation, Form form, const CallOptions& options) {
  SKEP_TRY(call(Service::kIam, operation, std::move(form), options));
  return ok();
}

Result<Identity> Iam::identity(const CallOptions& options) {
  SKEP_TRY(const Element answer, call(Service::kSts, "GetCallerIdentity", Form(), options));
  return Identity{answer.text_of("Account"), answer.text_of("Arn")};
}

Result<Role> Iam::role(const std::string& name, const CallOptions& options) {
  SKEP_TRY(const Element answer, call(Service::kIam, "GetRole", Form().set("RoleName", name), options));
  return role_of(answer.at("Role"));
}

Result<Role> Iam::create_role(const std::string& name, const Tags& tags, const CallOptions& options) {
  Form form;
  form.set("RoleName", name).set("AssumeRolePolicyDocument", kTrustOfEc2).tags("Tags.member", tags);
  SKEP_TRY(const Element answer, call(Service::kIam, "CreateRole", std::move(form), options));
  return role_of(answer.at("Role"));
}

Result<void> Iam::put_policy(const std::string& role, const std::string& policy, const std::string& document,
                             const CallOptions& options) {
  Form form;
  form.set("RoleName", role).set("PolicyName", policy).set("PolicyDocument", document);
  return change("PutRolePolicy", std::move(form), options);
}

Result<std::string> Iam::policy(const std::string& role, const std::string& policy,
                                const CallOptions& options) {
  Form form;
  form.set("RoleName", role).set("PolicyName", policy);
  SKEP_TRY(const Element answer, call(Service::kIam, "GetRolePolicy", std::move(form), options));
  return percent_decoded(answer.text_of("PolicyDocument"));
}

Result<void> Iam::delete_policy(const std::string& role, const std::string& policy,
                                const CallOptions& options) {
  return change("DeleteRolePolicy", Form().set("RoleName", role).set("PolicyName", policy), options);
}

Result<void> Iam::delete_role(const std::string& name, const CallOptions& options) {
  return change("DeleteRole", Form().set("RoleName", name), options);
}

Result<InstanceProfile> Iam::profile(const std::string& name, const CallOptions& options) {
  Form form;
  form.set("InstanceProfileName", name);
  SKEP_TRY(const Element answer, call(Service::kIam, "GetInstanceProfile", std::move(form), options));
  return profile_of(answer.at("InstanceProfile"));
}

Result<InstanceProfile> Iam::create_profile(const std::string& name, const Tags& tags,
                                            const CallOptions& options) {
  Form form;
  form.set("InstanceProfileName", name).tags("Tags.member", tags);
  SKEP_TRY(const Element answer, call(Service::kIam, "CreateInstanceProfile", std::move(form), options));
  return profile_of(answer.at("InstanceProfile"));
}

Result<void> Iam::add_role(const std::string& profile, const std::string& role, const CallOptions& options) {
  Form form;
  form.set("InstanceProfileName", profile).set("RoleName", role);
  return change("AddRoleToInstanceProfile", std::move(form), options);
}

Result<void> Iam::remove_role(const std::string& profile, const std::string& role,
                              const CallOptions& options) {
  Form form;
  form.set("InstanceProfileName", profile).set("RoleName", role);
  return change("RemoveRoleFromInstanceProfile", std::move(form), options);
}

Result<void> Iam::delete_profile(const std::string& name, const CallOptions& options) {
  return change("DeleteInstanceProfile", Form().set("InstanceProfileName", name), options);
}

}  // namespace skep::aws
