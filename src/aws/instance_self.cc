// SPDX-License-Identifier: Apache-2.0
#include "aws/instance_self.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace skep::aws {
namespace {

constexpr std::string_view kRoot = "/latest/meta-data/";

// What is at that path; "" where there is nothing.
Result<std::string> find(Metadata& metadata, const std::string& path, Instant now) {
  auto text = metadata.get(std::string(kRoot) + path, now);
  if (!text && text.error().code == Code::kNotFound) return std::string();
  return text;
}

// {"action": "terminate", "time": "..."}; an action that can not be read is one all the same.
std::string field_of(const std::string& text, const char* name) {
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(text, error);
  if (error || !parsed.is_object()) return {};
  const boost::json::value* value = parsed.get_object().if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Result<InstanceSelf> find_self(Metadata& metadata, Instant now) {
  InstanceSelf self;
  SKEP_TRY(self.id, metadata.get(std::string(kRoot) + "instance-id", now));
  SKEP_TRY(self.token, find(metadata, "tags/instance/skep:token", now));
  SKEP_TRY(self.manager, find(metadata, "tags/instance/skep:manager", now));
  if (self.token.empty())
    return fail(Code::kNotFound,
                "the metadata of instance " + self.id +
                    " has no tag skep:token: a skep manager launches workers with it, from a "
                    "launch template that shows tags in the metadata");
  return self;
}

Result<InstanceNotice> find_notice(Metadata& metadata, Instant now) {
  InstanceNotice notice;
  SKEP_TRY(const std::string action, find(metadata, "spot/instance-action", now));
  if (!action.empty()) {
    const std::string what = field_of(action, "action");
    const std::string when = field_of(action, "time");
    notice.is_interrupted = true;
    notice.text = "spot interruption: " + (what.empty() ? "terminate" : what);
    if (!when.empty()) notice.text += " at " + when;
    return notice;
  }
  SKEP_TRY(const std::string risk, find(metadata, "events/recommendations/rebalance", now));
  if (!risk.empty()) {
    const std::string when = field_of(risk, "noticeTime");
    notice.is_at_risk = true;
    notice.text = "rebalance recommendation" + (when.empty() ? "" : " of " + when);
  }
  return notice;
}

}  // namespace skep::aws
