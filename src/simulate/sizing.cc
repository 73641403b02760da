// SPDX-License-Identifier: Apache-2.0
#include "simulate/sizing.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace skep::simulate {
namespace {

std::string as_text(double value) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  return std::string(digits, error == std::errc() ? end : digits);
}

std::string names_of(const std::vector<Parameter>& parameters) {
  std::string names;
  for (const Parameter& parameter : parameters) {
    names += (names.empty() ? "" : ", ") + std::string(parameter.name);
  }
  return names.empty() ? "none" : names;
}

Result<void> set_value(SizingChoice& choice, std::string_view part) {
  const std::size_t equals = part.find('=');
  const auto& parameters = choice.kind.parameters;
  const auto found = std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& parameter) {
    return parameter.name == part.substr(0, equals);
  });
  if (found == parameters.end() || equals == std::string_view::npos) {
    return fail(Code::kInvalid, "policy " + std::string(choice.kind.name) + " has no parameter '" +
                                    std::string(part) + "'; it has: " + names_of(parameters));
  }
  const std::string_view digits = part.substr(equals + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return fail(Code::kInvalid, "'" + std::string(digits) + "' is no number for " + std::string(found->name) +
                                    " of policy " + std::string(choice.kind.name));
  }
  choice.values[static_cast<std::size_t>(found - parameters.begin())] = value;
  return ok();
}

}  // namespace

std::vector<SizingKind> sizing_kinds() {
  return {skep_kind(),       seed_kind(), keda_kind(),      asg_kind(),
          hyperqueue_kind(), dask_kind(), autoscale_kind(), fixed_kind()};
}

std::string SizingChoice::label() const {
  std::string text(kind.name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == kind.parameters[i].usual) continue;
    text += ":" + std::string(kind.parameters[i].name) + "=" + as_text(values[i]);
  }
  return text;
}

Result<SizingChoice> parse_sizing(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  SizingChoice choice;
  std::string names;
  for (SizingKind& kind : sizing_kinds()) {
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
    if (kind.name == name) choice.kind = std::move(kind);
  }
  if (choice.kind.make == nullptr) {
    return fail(Code::kInvalid,
                "there is no policy '" + std::string(name) + "'; it is one of " + names + ", clairvoyant");
  }
  for (const Parameter& parameter : choice.kind.parameters) choice.values.push_back(parameter.usual);
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    SKEP_TRY(set_value(choice, rest.substr(0, end)));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return choice;
}

}  // namespace skep::simulate
