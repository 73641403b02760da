// SPDX-License-Identifier: Apache-2.0
// What plan.h says of an end: in the order of what depends on what.
#include <algorithm>

#include "deploy/plan.h"

namespace skep::deploy {
namespace {

class DownPlanner {
 public:
  DownPlanner(const Names& names, const Found& found, Data data)
      : names_(names), found_(found), data_(data) {}

  Plan plan() {
    for (const bool is_managers_turn : {true, false}) {
      for (const aws::Instance& one : found_.instances) {
        if (is_manager(one) == is_managers_turn) instance(one);
      }
    }
    for (const aws::Template& one : found_.templates)
      add(StepKind::kDeleteTemplate, "delete launch template " + one.name, one.id);
    for (const aws::Volume& one : found_.volumes) volume(one);
    if (found_.database) database(*found_.database);
    if (found_.has_subnet_group && !is_database_kept()) {
      const std::string name = names_.subnet_group();
      add(StepKind::kDeleteSubnetGroup, "delete database subnet group " + name, name);
    }
    for (const std::string& name : found_.parameters) {
      if (name == names_.password_parameter() && is_database_kept()) continue;
      add(StepKind::kDeleteParameter, "delete parameter " + name, name);
    }
    bucket();
    for (const Part part : kParts) identity(part);
    group(found_.group);
    if (!is_database_kept()) group(found_.database_group);
    for (const std::string& sentence : found_.strangers)
      plan_.notes.push_back(sentence + " " + kClusterTag + "=" + names_.cluster() + ": it is left");
    return std::move(plan_);
  }

 private:
  Step& add(StepKind kind, std::string what, std::string name) {
    Step step;
    step.kind = kind;
    step.what = std::move(what);
    step.reason = std::string("it carries the tag ") + kClusterTag + "=" + names_.cluster();
    step.name = std::move(name);
    plan_.steps.push_back(std::move(step));
    return plan_.steps.back();
  }

  void instance(const aws::Instance& one) {
    const auto name = one.tags.find("Name");
    add(StepKind::kEndInstance,
        "terminate " + one.id + (name == one.tags.end() ? " (worker)" : " (" + name->second + ")"), one.id);
  }

  void volume(const aws::Volume& one) {
    const std::string name = one.id + " of " + names_.instance(slot_of(one.tags));
    if (data_ == Data::kDeleted) {
      add(StepKind::kDeleteVolume, "delete volume " + name, one.id);
      return;
    }
    plan_.notes.push_back("volume " + name +
                          " has data and is kept: --delete-data deletes it, and a later skep aws "
                          "up with the same --name goes on with it");
  }

  bool is_database_kept() const { return found_.database && data_ == Data::kKept; }

  void database(const aws::Database& one) {
    if (data_ == Data::kDeleted) {
      add(StepKind::kDeleteDatabase, "delete database " + one.id, one.id).address = snapshot_of(names_, one);
      return;
    }
    plan_.notes.push_back(
        "database " + one.id +
        " has data and is kept, with its subnet group, its security "
        "group and the parameter with its password: --delete-data deletes them and leaves a "
        "final snapshot, and a later skep aws up with the same --name and --store rds goes on "
        "with it");
  }

  void group(const std::optional<aws::SecurityGroup>& one) {
    if (one) add(StepKind::kDeleteGroup, "delete security group " + one->name, one->id);
  }

  void bucket() {
    const std::string bucket = names_.bucket();
    if (!found_.has_bucket) return;
    if (!found_.keys.empty()) add(StepKind::kEmptyBucket, "empty bucket " + bucket, bucket);
    add(StepKind::kDeleteBucket, "delete bucket " + bucket, bucket);
  }

  void identity(Part part) {
    if (found_.profiles.contains(part)) {
      const std::string& profile = found_.profiles.at(part).name;
      add(StepKind::kDeleteProfile, "delete instance profile " + profile, profile).part = part;
    }
    if (found_.roles.contains(part)) {
      const std::string& role = found_.roles.at(part).name;
      add(StepKind::kDeleteRole, "delete role " + role, role).part = part;
    }
  }

  const Names& names_;
  const Found& found_;
  const Data data_;
  Plan plan_;
};

}  // namespace

Plan plan_down(const Names& names, const Found& found, Data data) {
  return DownPlanner(names, found, data).plan();
}

}  // namespace skep::deploy
