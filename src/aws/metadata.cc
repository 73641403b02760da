// SPDX-License-Identifier: Apache-2.0
#include "aws/metadata.h"

namespace skep::aws {
namespace {

constexpr Duration kTimeout = seconds(1);
constexpr Duration kTokenLife = hours(6);

Result<HttpRequest> request_to(const Environment& environment, const std::string& path) {
  if (environment.variable("AWS_EC2_METADATA_DISABLED") == "true")
    return fail(Code::kUnavailable, "the metadata service is switched off by AWS_EC2_METADATA_DISABLED");
  HttpRequest request;
  request.origin = environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (request.origin.empty()) request.origin = "http://169.254.169.254";
  while (request.origin.ends_with('/')) request.origin.pop_back();
  request.path = path;
  request.is_direct = true;
  return request;
}

}  // namespace

Result<void> Metadata::fetch_token(Instant now) {
  SKEP_TRY(HttpRequest request, request_to(environment_, "/latest/api/token"));
  request.method = "PUT";
  request.headers = {{"x-aws-ec2-metadata-token-ttl-seconds", std::to_string(kTokenLife / seconds(1))}};
  auto response = transport_.exchange(request, kTimeout);
  if (!response || response.value().status != 200 || response.value().body.empty())
    return fail(Code::kUnavailable, "the metadata service of EC2 does not answer: this is no instance");
  token_ = std::move(response.value().body);
  token_end_ = now + kTokenLife - minutes(5);
  return ok();
}

Result<std::string> Metadata::get(const std::string& path, Instant now) {
  if (token_.empty() || now >= token_end_) {
    SKEP_TRY(fetch_token(now));
  }
  SKEP_TRY(HttpRequest request, request_to(environment_, path));
  request.method = "GET";
  request.headers = {{"x-aws-ec2-metadata-token", token_}};
  auto response = transport_.exchange(request, kTimeout);
  if (!response) return fail(Code::kUnavailable, "the metadata service of EC2 does not answer");
  const int status = response.value().status;
  if (status == 404) return fail(Code::kNotFound, "the metadata service has no " + path);
  if (status == 401) token_.clear();
  if (status != 200)
    return fail(Code::kUnavailable, "the metadata service answers " + std::to_string(status));
  return std::move(response.value().body);
}

}  // namespace skep::aws
