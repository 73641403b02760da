// SPDX-License-Identifier: Apache-2.0
#include "aws/profile.h"

namespace skep::aws {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// " # ..." after a value is a comment, "#" within one is not.
std::string_view without_comment(std::string_view value) {
  for (const std::string_view mark : {" #", " ;", "\t#", "\t;"}) value = value.substr(0, value.find(mark));
  return trimmed(value);
}

std::string path_of(const Environment& environment, const char* variable, const char* name) {
  const std::string given = environment.variable(variable);
  const std::string home = environment.variable("HOME");
  if (given.empty()) return home + "/.aws/" + name;
  return given.starts_with("~/") ? home + given.substr(1) : given;
}

Result<std::map<std::string, Profile>> read_file(const Environment& environment, const std::string& path) {
  const auto text = environment.read_file(path);
  if (!text && text.error().code == Code::kNotFound) return std::map<std::string, Profile>{};
  if (!text) return text.error();
  return parse_profiles(text.value());
}

}  // namespace

std::string Profiles::get(const std::string& profile, const std::string& name) const {
  for (const auto* file : {&credentials, &config}) {
    const auto section = file->find(profile);
    if (section == file->end()) continue;
    const auto setting = section->second.find(name);
    if (setting != section->second.end()) return setting->second;
  }
  return {};
}

std::map<std::string, Profile> parse_profiles(std::string_view text) {
  std::map<std::string, Profile> profiles;
  Profile* current = nullptr;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view content = trimmed(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    if (content.front() == '[') {
      std::string_view name = trimmed(content.substr(1, content.find(']') - 1));
      constexpr std::string_view kPrefix = "profile ";
      if (name.starts_with(kPrefix)) name = trimmed(name.substr(kPrefix.size()));
      current = &profiles[std::string(name)];
      continue;
    }
    const std::size_t equals = content.find('=');
    if (current == nullptr || equals == std::string_view::npos || line.front() == ' ' || line.front() == '\t')
      continue;
    (*current)[lower(trimmed(content.substr(0, equals)))] =
        without_comment(trimmed(content.substr(equals + 1)));
  }
  return profiles;
}

Result<Profiles> read_profiles(const Environment& environment, const std::string& wanted) {
  Profiles profiles;
  SKEP_TRY(profiles.config, read_file(environment, path_of(environment, "AWS_CONFIG_FILE", "config")));
  SKEP_TRY(profiles.credentials,
           read_file(environment, path_of(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")));
  std::string named = wanted.empty() ? environment.variable("AWS_PROFILE") : wanted;
  if (named.empty()) named = environment.variable("AWS_DEFAULT_PROFILE");
  profiles.is_chosen_explicitly = !named.empty();
  if (!named.empty()) profiles.chosen = std::move(named);
  if (profiles.is_chosen_explicitly && !profiles.has(profiles.chosen)) {
    return fail(Code::kNotFound,
                "profile '" + profiles.chosen + "' is in neither ~/.aws/config nor ~/.aws/credentials");
  }
  return profiles;
}

}  // namespace skep::aws
