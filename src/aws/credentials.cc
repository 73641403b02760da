// SPDX-License-Identifier: Apache-2.0
#include "aws/credentials.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "aws/encoding.h"
#include "base/network.h"

namespace skep::aws {
namespace {

namespace json = boost::json;

constexpr Duration kRenewBefore = minutes(5);
constexpr Duration kTimeout = seconds(20);
constexpr int kRolesMax = 5;  // in a chain of profiles

Error no_credentials(std::string message) {
  return fail(Code::kUnauthenticated, std::move(message));
}

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Where AWS's own tools give the container's token in the clear: this machine, and the services of ECS and
// EKS on it. `authority`: "host" or "host:port".
bool may_have_token(std::string_view authority) {
  const bool is_v6 = authority.starts_with('[');
  const std::size_t end = authority.find(is_v6 ? ']' : ':');
  const std::string host(authority.substr(is_v6 ? 1 : 0, end - (is_v6 ? 1 : 0)));
  if (host == "localhost") return true;
  for (const char* near : {"127.0.0.0/8", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}) {
    const auto network = Network::parse(near);
    if (network && network.value().contains(host)) return true;
  }
  return false;
}

}  // namespace

Result<Credentials> parse_credentials_json(const std::string& text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  if (error || !parsed.is_object()) return fail(Code::kCorrupt, "the credentials are not JSON");
  const json::object& object = parsed.get_object();
  Credentials found{text_of(object, "AccessKeyId"), text_of(object, "SecretAccessKey"),
                    text_of(object, "SessionToken"), kNever};
  if (found.session_token.empty()) found.session_token = text_of(object, "Token");
  if (found.access_key_id.empty() || found.secret_access_key.empty())
    return fail(Code::kCorrupt, "the credentials have no AccessKeyId or no SecretAccessKey");
  if (const std::string end = text_of(object, "Expiration"); !end.empty()) {
    const auto expires = parse_iso_date(end);
    if (!expires) return fail(Code::kCorrupt, "the credentials' Expiration is no instant");
    found.expires = *expires;
  }
  return found;
}

Result<Credentials> FoundCredentials::get(Instant now) {
  if (held_ && now < held_->expires - kRenewBefore) return *held_;
  auto found = find(now);
  if (found) {
    held_ = found.value();
  } else if (held_ && now < held_->expires) {
    return *held_;
  }
  return found;
}

Result<Credentials> FoundCredentials::find(Instant now) {
  SKEP_TRY(const Profiles profiles, read_profiles(parts_.environment, parts_.profile));
  const std::string& name = profiles.chosen;
  std::optional<Credentials> found;
  const auto take = [&](std::string place, Found result) -> Result<bool> {
    place_ = std::move(place);
    if (!result) return no_credentials(place_ + ": " + result.error().message);
    found = std::move(result.value());
    return found.has_value();
  };
  const std::string profile = "profile " + name;
  if (!profiles.is_chosen_explicitly) {
    SKEP_TRY(const bool is_it, take("the environment", from_environment()));
    if (is_it) return *found;
  }
  SKEP_TRY(const bool is_role, take(profile, from_role(profiles, name, now, 0)));
  if (is_role) return *found;
  SKEP_TRY(const bool is_web, take("web identity", from_web_identity(profiles, now)));
  if (is_web) return *found;
  SKEP_TRY(const bool is_keys, take(profile, from_keys(profiles, name)));
  if (is_keys) return *found;
  SKEP_TRY(const bool is_process, take(profile + "'s credential_process", from_process(profiles, name)));
  if (is_process) return *found;
  SKEP_TRY(const bool is_container, take("the container", from_container(now)));
  if (is_container) return *found;
  SKEP_TRY(const bool is_instance, take("the instance's role", from_instance(now)));
  if (is_instance) return *found;
  return no_credentials(
      "no credentials of AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile "
      "of "
      "~/.aws/config, or run on an instance that has a role");
}

FoundCredentials::Found FoundCredentials::from_environment() const {
  const auto& variable = parts_.environment.variable;
  Credentials found{variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                    variable("AWS_SESSION_TOKEN"), kNever};
  if (found.access_key_id.empty() && found.secret_access_key.empty()) return std::optional<Credentials>();
  if (found.access_key_id.empty()) return no_credentials("AWS_ACCESS_KEY_ID is not set, its secret is");
  if (found.secret_access_key.empty()) return no_credentials("AWS_SECRET_ACCESS_KEY is not set, its id is");
  return std::optional(std::move(found));
}

FoundCredentials::Found FoundCredentials::from_keys(const Profiles& profiles, const std::string& name) const {
  Credentials found{profiles.get(name, "aws_access_key_id"), profiles.get(name, "aws_secret_access_key"),
                    profiles.get(name, "aws_session_token"), kNever};
  if (found.access_key_id.empty()) return std::optional<Credentials>();
  if (found.secret_access_key.empty()) return no_credentials("it has no aws_secret_access_key");
  return std::optional(std::move(found));
}

FoundCredentials::Found FoundCredentials::from_process(const Profiles& profiles,
                                                       const std::string& name) const {
  const std::string command = profiles.get(name, "credential_process");
  if (command.empty()) return std::optional<Credentials>();
  SKEP_TRY(const std::string output, parts_.environment.run(command));
  SKEP_TRY(Credentials found, parse_credentials_json(output));
  return std::optional(std::move(found));
}

// The keys with which a role is assumed: another profile's, which may assume a role itself, or this
// machine's.
Result<Credentials> FoundCredentials::source_of_role(const Profiles& profiles, const std::string& name,
                                                     Instant now, int depth) {
  const std::string source = profiles.get(name, "source_profile");
  std::optional<Credentials> found;
  if (!source.empty()) {
    if (!profiles.has(source)) return no_credentials("there is no source_profile " + source);
    if (source != name) {
      SKEP_TRY(found, from_role(profiles, source, now, depth + 1));
    }
    if (!found) {
      SKEP_TRY(found, from_keys(profiles, source));
    }
    if (!found) {
      SKEP_TRY(found, from_process(profiles, source));
    }
    if (!found) return no_credentials("source_profile " + source + " has no keys");
    return std::move(*found);
  }
  const std::string place = profiles.get(name, "credential_source");
  if (place == "Environment") {
    SKEP_TRY(found, from_environment());
  } else if (place == "EcsContainer") {
    SKEP_TRY(found, from_container(now));
  } else if (place == "Ec2InstanceMetadata") {
    SKEP_TRY(found, from_instance(now));
  } else {
    return no_credentials("a profile with role_arn wants source_profile, or credential_source");
  }
  if (!found) return no_credentials("credential_source " + place + " has no keys");
  return std::move(*found);
}

FoundCredentials::Found FoundCredentials::from_role(const Profiles& profiles, const std::string& name,
                                                    Instant now, int depth) {
  const std::string role = profiles.get(name, "role_arn");
  if (role.empty() || !profiles.get(name, "web_identity_token_file").empty())
    return std::optional<Credentials>();
  if (depth >= kRolesMax) return no_credentials("its source_profile leads back to itself");
  if (!profiles.get(name, "mfa_serial").empty())
    return no_credentials(
        "it asks for a code (mfa_serial), which skep can not be given: use a session's keys");
  SKEP_TRY(Credentials source, source_of_role(profiles, name, now, depth));
  const std::string session = profiles.get(name, "role_session_name");
  Call call;
  call.service = Service::kSts;
  call.operation = "AssumeRole";
  call.form = {{"RoleArn", role}, {"RoleSessionName", session.empty() ? "skep" : session}};
  if (const std::string id = profiles.get(name, "external_id"); !id.empty())
    call.form.emplace_back("ExternalId", id);
  if (const std::string life = profiles.get(name, "duration_seconds"); !life.empty())
    call.form.emplace_back("DurationSeconds", life);
  FixedCredentials keys(std::move(source));
  SKEP_TRY(Credentials found, assume(std::move(call), keys, now));
  return std::optional(std::move(found));
}

FoundCredentials::Found FoundCredentials::from_web_identity(const Profiles& profiles, Instant now) {
  const auto& variable = parts_.environment.variable;
  std::string file = profiles.get(profiles.chosen, "web_identity_token_file");
  std::string role = profiles.get(profiles.chosen, "role_arn");
  std::string session = profiles.get(profiles.chosen, "role_session_name");
  if (file.empty() && !profiles.is_chosen_explicitly) {
    file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    role = variable("AWS_ROLE_ARN");
    session = variable("AWS_ROLE_SESSION_NAME");
  }
  if (file.empty()) return std::optional<Credentials>();
  if (role.empty()) return no_credentials("a token's file is given, and no role (AWS_ROLE_ARN)");
  SKEP_TRY(const std::string token, parts_.environment.read_file(file));
  Call call;
  call.service = Service::kSts;
  call.operation = "AssumeRoleWithWebIdentity";
  call.form = {{"RoleArn", role},
               {"RoleSessionName", session.empty() ? "skep" : session},
               {"WebIdentityToken", token}};
  call.is_signed = false;
  FixedCredentials none({});
  SKEP_TRY(Credentials found, assume(std::move(call), none, now));
  return std::optional(std::move(found));
}

Result<Credentials> FoundCredentials::assume(Call call, CredentialSource& source, Instant now) {
  Client client({parts_.transport, parts_.clock, parts_.pauses, source, parts_.environment, parts_.region,
                 parts_.random_seed});
  SKEP_TRY(const Element answer, client.send_xml(call, {now + kTimeout}));
  const Element& given = answer.at(call.operation + "Result").at("Credentials");
  const auto expires = parse_iso_date(given.text_of("Expiration"));
  Credentials found{given.text_of("AccessKeyId"), given.text_of("SecretAccessKey"),
                    given.text_of("SessionToken"), expires.value_or(now)};
  if (!expires || found.access_key_id.empty() || found.secret_access_key.empty())
    return fail(Code::kCorrupt, "STS " + call.operation + ": the answer holds no credentials");
  return found;
}

FoundCredentials::Found FoundCredentials::from_container(Instant) {
  const auto& variable = parts_.environment.variable;
  const std::string relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) return std::optional<Credentials>();
  const std::string url = relative.empty() ? full : "http://169.254.170.2" + relative;
  const std::size_t scheme = url.find("://");
  const std::size_t slash = scheme == std::string::npos ? scheme : url.find('/', scheme + 3);
  HttpRequest request;
  request.method = "GET";
  request.origin = url.substr(0, slash);
  request.path = slash == std::string::npos ? "/" : url.substr(slash);
  request.is_direct = true;
  if (!may_have_token(authority_of(request)) && !url.starts_with("https://")) {
    return no_credentials(std::string(relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI"
                                                       : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") +
                          " is neither https nor an address of this machine");
  }
  std::string token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    SKEP_TRY(token, parts_.environment.read_file(file));
    token.erase(token.find_last_not_of("\r\n") + 1);
  }
  if (token.find_first_of("\r\n") != std::string::npos)
    return no_credentials("the container's token has several lines");
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  SKEP_TRY(const HttpResponse response, parts_.transport.exchange(request, seconds(2)));
  if (response.status != 200) return no_credentials("it answers " + std::to_string(response.status));
  SKEP_TRY(Credentials found, parse_credentials_json(response.body));
  return std::optional(std::move(found));
}

FoundCredentials::Found FoundCredentials::from_instance(Instant now) {
  const std::string path = "/latest/meta-data/iam/security-credentials/";
  const auto role = metadata_.get(path, now);
  if (!role) return std::optional<Credentials>();  // no instance, or one without a role
  SKEP_TRY(const std::string text,
           metadata_.get(path + role.value().substr(0, role.value().find('\n')), now));
  SKEP_TRY(Credentials found, parse_credentials_json(text));
  return std::optional(std::move(found));
}

Result<std::string> find_region(const std::string& flag, const FinderParts& parts) {
  const auto& variable = parts.environment.variable;
  if (!flag.empty()) return flag;
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (std::string region = variable(name); !region.empty()) return region;
  }
  SKEP_TRY(const Profiles profiles, read_profiles(parts.environment, parts.profile));
  if (std::string region = profiles.get(profiles.chosen, "region"); !region.empty()) return region;
  Metadata metadata(parts.transport, parts.environment);
  if (auto region = metadata.get("/latest/meta-data/placement/region", parts.clock.now())) return region;
  return fail(Code::kInvalid,
              "no region: give --region, or set AWS_REGION, or 'region' in the profile of ~/.aws/config");
}

}  // namespace skep::aws
