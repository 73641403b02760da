// SPDX-License-Identifier: Apache-2.0
#include "aws/endpoint.h"

namespace skep::aws {
namespace {

// IAM has one place in each partition.
struct Partition {
  std::string_view region_prefix;
  std::string_view domain;
  std::string_view iam_host;
  std::string_view iam_region;
};

constexpr Partition kPartitions[] = {
    {"cn-", "amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"},
    {"us-gov-", "amazonaws.com", "iam.us-gov.amazonaws.com", "us-gov-west-1"},
    {"", "amazonaws.com", "iam.amazonaws.com", "us-east-1"},
};

const Partition& partition_of(const std::string& region) {
  const Partition* found = kPartitions;
  while (!region.starts_with(found->region_prefix)) ++found;
  return *found;
}

bool is_region(const std::string& region) {
  if (region.empty() || region.size() > 40) return false;
  for (const char c : region) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return true;
}

// The one variable of the two that counts, "" if none is set.
std::string endpoint_variable(Service service, const Environment& environment) {
  std::string name = "AWS_ENDPOINT_URL_";
  for (const char c :
       service == Service::kServiceQuotas ? std::string_view("service_quotas") : service_name(service))
    name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return environment.variable(name).empty() ? "AWS_ENDPOINT_URL" : name;
}

}  // namespace

std::string_view service_name(Service service) {
  switch (service) {
    case Service::kEc2:
      return "ec2";
    case Service::kIam:
      return "iam";
    case Service::kSts:
      return "sts";
    case Service::kSsm:
      return "ssm";
    case Service::kS3:
      return "s3";
    case Service::kRds:
      return "rds";
    case Service::kServiceQuotas:
      return "servicequotas";
  }
  return "";
}

std::string_view service_version(Service service) {
  switch (service) {
    case Service::kEc2:
      return "2016-11-15";
    case Service::kIam:
      return "2010-05-08";
    case Service::kSts:
      return "2011-06-15";
    case Service::kRds:
      return "2014-10-31";
    default:
      return "";
  }
}

Result<Endpoint> find_endpoint(Service service, const std::string& region, const Environment& environment) {
  if (!is_region(region)) {
    return fail(Code::kInvalid, region.empty() ? "no region: give --region, or set AWS_REGION"
                                               : "'" + region + "' is no name of a region");
  }
  const Partition& partition = partition_of(region);
  const bool is_iam = service == Service::kIam;
  Endpoint endpoint;
  endpoint.scope = {is_iam ? std::string(partition.iam_region) : region, std::string(service_name(service))};
  const std::string variable = endpoint_variable(service, environment);
  std::string origin = environment.variable(variable);
  while (origin.ends_with('/')) origin.pop_back();
  endpoint.is_own = origin.empty();
  if (endpoint.is_own) {
    origin = is_iam
                 ? "https://" + std::string(partition.iam_host)
                 : "https://" + endpoint.scope.service + "." + region + "." + std::string(partition.domain);
  } else if (!origin.starts_with("http://") && !origin.starts_with("https://")) {
    return fail(Code::kInvalid, variable + " is no http URL");
  } else if (origin.find_first_of("/@?# ", origin.find("://") + 3) != std::string::npos) {
    return fail(Code::kInvalid, variable + " is more than http(s)://HOST[:PORT]");
  }
  endpoint.origin = std::move(origin);
  return endpoint;
}

}  // namespace skep::aws
