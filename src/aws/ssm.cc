// SPDX-License-Identifier: Apache-2.0
#include "aws/ssm.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace skep::aws {
namespace {

namespace json = boost::json;

// What target names, with `input`: the answer's object.
Result<json::object> call_json(Client& client, Service service, const std::string& target,
                               const json::object& input, const CallOptions& options) {
  Call call;
  call.service = service;
  call.operation = target.substr(target.find('.') + 1);
  call.http.headers = {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", target}};
  call.http.body = json::serialize(input);
  SKEP_TRY(const Reply reply, client.send(call, options));
  if (!reply.is_ok()) return to_error(reply);
  boost::system::error_code error;
  json::value parsed = json::parse(reply.http.body, error);
  if (error || !parsed.is_object()) return fail(Code::kCorrupt, reply.subject + ": the answer is not JSON");
  return std::move(parsed.get_object());
}

constexpr int kPagesMax = 1'000;

json::array tag_list(const Tags& tags) {
  json::array list;
  for (const auto& [key, value] : tags) list.push_back(json::object{{"Key", key}, {"Value", value}});
  return list;
}

// The member of a member; null if there is none.
const json::value* member_of(const json::object& object, const char* outer, const char* inner) {
  const json::value* first = object.if_contains(outer);
  return first != nullptr && first->is_object() ? first->get_object().if_contains(inner) : nullptr;
}

}  // namespace

Result<std::string> Ssm::parameter(const std::string& name, const CallOptions& options) {
  SKEP_TRY(const json::object answer, call_json(client_, Service::kSsm, "AmazonSSM.GetParameter",
                                                {{"Name", name}, {"WithDecryption", true}}, options));
  const json::value* value = member_of(answer, "Parameter", "Value");
  if (value == nullptr || !value->is_string())
    return fail(Code::kCorrupt, "SSM GetParameter " + name + ": the answer has no value");
  return std::string(value->get_string());
}

Result<void> Ssm::create_secret(const std::string& name, const std::string& value, const Tags& tags,
                                const CallOptions& options) {
  SKEP_TRY(call_json(client_, Service::kSsm, "AmazonSSM.PutParameter",
                     {{"Name", name}, {"Value", value}, {"Type", "SecureString"}, {"Tags", tag_list(tags)}},
                     options));
  return ok();
}

Result<Names> Ssm::names_below(const std::string& path, const CallOptions& options) {
  Names names;
  std::string next;
  for (int page = 0; page < kPagesMax; ++page) {
    json::object asked{{"Path", path}, {"Recursive", true}};
    if (!next.empty()) asked["NextToken"] = next;
    SKEP_TRY(const json::object answer,
             call_json(client_, Service::kSsm, "AmazonSSM.GetParametersByPath", asked, options));
    const json::value* list = answer.if_contains("Parameters");
    for (const json::value& item : list != nullptr && list->is_array() ? list->get_array() : json::array()) {
      const json::value* name = item.is_object() ? item.get_object().if_contains("Name") : nullptr;
      if (name != nullptr && name->is_string()) names.emplace_back(name->get_string());
    }
    const json::value* token = answer.if_contains("NextToken");
    next = token != nullptr && token->is_string() ? std::string(token->get_string()) : std::string();
    if (next.empty()) return names;
  }
  return fail(Code::kCorrupt, "SSM GetParametersByPath: the answer has no last page");
}

Result<void> Ssm::put_secret(const std::string& name, const std::string& value, const CallOptions& options) {
  SKEP_TRY(call_json(client_, Service::kSsm, "AmazonSSM.PutParameter",
                     {{"Name", name}, {"Value", value}, {"Type", "SecureString"}, {"Overwrite", true}},
                     options));
  return ok();
}

Result<void> Ssm::delete_parameter(const std::string& name, const CallOptions& options) {
  SKEP_TRY(call_json(client_, Service::kSsm, "AmazonSSM.DeleteParameter", {{"Name", name}}, options));
  return ok();
}

Result<void> Ssm::tag_parameter(const std::string& name, const Tags& tags, const CallOptions& options) {
  SKEP_TRY(call_json(client_, Service::kSsm, "AmazonSSM.AddTagsToResource",
                     {{"ResourceType", "Parameter"}, {"ResourceId", name}, {"Tags", tag_list(tags)}},
                     options));
  return ok();
}

Result<double> Ssm::quota(const std::string& service, const std::string& code, const CallOptions& options) {
  SKEP_TRY(const json::object answer,
           call_json(client_, Service::kServiceQuotas, "ServiceQuotasV20190624.GetServiceQuota",
                     {{"ServiceCode", service}, {"QuotaCode", code}}, options));
  const json::value* value = member_of(answer, "Quota", "Value");
  boost::system::error_code error;
  const double number = value == nullptr ? 0 : value->to_number<double>(error);
  if (value == nullptr || error) return fail(Code::kCorrupt, "the quota " + code + " has no value");
  return number;
}

}  // namespace skep::aws
