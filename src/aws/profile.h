// SPDX-License-Identifier: Apache-2.0
// profile.h - the files ~/.aws/config and ~/.aws/credentials: named sections of settings.
//
// Threads:   value.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "aws/environment.h"

namespace skep::aws {

// One profile's settings; names in lower case.
using Profile = std::map<std::string, std::string>;

struct Profiles {
  std::map<std::string, Profile> config;       // of the file config, "profile " taken off the names
  std::map<std::string, Profile> credentials;  // of the file credentials
  std::string chosen = "default";
  bool is_chosen_explicitly = false;  // by flag or AWS_PROFILE, not by default

  // A setting of a profile, of the credentials file first; "" if neither file has it.
  std::string get(const std::string& profile, const std::string& name) const;
  bool has(const std::string& profile) const {
    return config.contains(profile) || credentials.contains(profile);
  }
};

// "[name]" and "name = value" lines; comments begin with '#' or ';'; indented lines (nested settings) and
// what is neither are left out.
std::map<std::string, Profile> parse_profiles(std::string_view text);

// Reads both files, where AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE or HOME say they are; none is no
// error. `wanted`: of a flag; "" is AWS_PROFILE, or "default". kNotFound: a profile that was asked for is in
// neither.
Result<Profiles> read_profiles(const Environment& environment, const std::string& wanted);

}  // namespace skep::aws
