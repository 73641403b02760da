// SPDX-License-Identifier: Apache-2.0
// credentials.h - where the keys come from, in the order that AWS's own tools keep, and when they are
// renewed.
//
// The order: environment (unless a profile is named), a role that the profile assumes, web identity, the
// profile's keys, its credential_process, the container's, the instance's. The first that is configured
// counts, and its failure is the answer: another identity is never taken silently.
//
// Threads:   one thread at a time.
// Errors:    kUnauthenticated: none is configured, or what is gives none; the message names the place and no
// key. Ownership: borrows what it is made of.
#pragma once

#include <optional>
#include <string>

#include "aws/client.h"
#include "aws/metadata.h"
#include "aws/profile.h"

namespace skep::aws {

// Keys that do not change.
class FixedCredentials final : public CredentialSource {
 public:
  explicit FixedCredentials(Credentials credentials) : credentials_(std::move(credentials)) {}
  Result<Credentials> get(Instant) override { return credentials_; }
  void forget() override {}

 private:
  Credentials credentials_;
};

struct FinderParts {
  Transport& transport;
  const Clock& clock;
  Pauses& pauses;
  const Environment& environment;
  std::string profile;  // of a flag; "" is none
  std::string region;   // that roles are assumed in
  std::uint64_t random_seed = 0;
};

// Finds credentials at the first call and keeps them until 5 minutes before their end. When new ones can not
// be had, those at hand serve to their end.
class FoundCredentials final : public CredentialSource {
 public:
  explicit FoundCredentials(FinderParts parts)
      : parts_(std::move(parts)), metadata_(parts_.transport, parts_.environment) {}

  Result<Credentials> get(Instant now) override;
  void forget() override { held_.reset(); }
  // Where those that are held came from: "the environment", "profile build", "the instance's role".
  const std::string& place() const { return place_; }

 private:
  // Nothing: this place is not configured.
  using Found = Result<std::optional<Credentials>>;
  Result<Credentials> find(Instant now);
  Found from_environment() const;
  Found from_role(const Profiles& profiles, const std::string& name, Instant now, int depth);
  Found from_web_identity(const Profiles& profiles, Instant now);
  Found from_keys(const Profiles& profiles, const std::string& name) const;
  Found from_process(const Profiles& profiles, const std::string& name) const;
  Found from_container(Instant now);
  Found from_instance(Instant now);
  Result<Credentials> source_of_role(const Profiles& profiles, const std::string& name, Instant now,
                                     int depth);
  Result<Credentials> assume(Call call, CredentialSource& source, Instant now);

  FinderParts parts_;
  Metadata metadata_;
  std::optional<Credentials> held_;
  std::string place_;
};

// The flag, AWS_REGION, AWS_DEFAULT_REGION, the profile's, the instance's. kInvalid: none of them says one.
Result<std::string> find_region(const std::string& flag, const FinderParts& parts);

// What the instance's, the container's and a program's credentials are written in. kCorrupt: not that.
Result<Credentials> parse_credentials_json(const std::string& text);

}  // namespace skep::aws
