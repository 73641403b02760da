// SPDX-License-Identifier: Apache-2.0
// form.h - the parameters of a call to EC2 or IAM, as numbered names: "Filter.1.Value.2".
//
// Threads:   value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/request.h"

namespace skep::aws {

using Tags = std::map<std::string, std::string>;
using Names = std::vector<std::string>;

// What a describe is narrowed to: any of the values, for each of the filters.
struct Filter {
  std::string name;  // "tag:skep:cluster", "vpc-id"
  Names values;
};
using Filters = std::vector<Filter>;

class Form {
 public:
  Form& set(std::string name, std::string value) {
    pairs_.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  // Nothing for an empty value.
  Form& set_if(std::string name, std::string value) {
    return value.empty() ? *this : set(std::move(name), std::move(value));
  }
  Form& flag(std::string name, bool value) { return set(std::move(name), value ? "true" : "false"); }
  // "NAME.1", "NAME.2", ...
  Form& list(const std::string& name, const Names& values) {
    for (std::size_t i = 0; i < values.size(); ++i) set(name + "." + std::to_string(i + 1), values[i]);
    return *this;
  }
  Form& filters(const Filters& filters) {
    for (std::size_t i = 0; i < filters.size(); ++i) {
      const std::string name = "Filter." + std::to_string(i + 1);
      set(name + ".Name", filters[i].name).list(name + ".Value", filters[i].values);
    }
    return *this;
  }
  // "NAME.1.Key", "NAME.1.Value", ...
  Form& tags(const std::string& name, const Tags& tags) {
    std::size_t number = 0;
    for (const auto& [key, value] : tags) {
      const std::string prefix = name + "." + std::to_string(++number);
      set(prefix + ".Key", key).set(prefix + ".Value", value);
    }
    return *this;
  }
  // What EC2 tags a resource with while it makes it; `number` from 1.
  Form& tag_specification(const std::string& prefix, std::size_t number, const std::string& type,
                          const Tags& given) {
    if (given.empty()) return *this;
    const std::string name = prefix + "TagSpecification." + std::to_string(number);
    return set(name + ".ResourceType", type).tags(name + ".Tag", given);
  }

  Pairs take() { return std::move(pairs_); }

 private:
  Pairs pairs_;
};

}  // namespace skep::aws
