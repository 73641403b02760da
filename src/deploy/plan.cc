// SPDX-License-Identifier: Apache-2.0
#include "deploy/plan.h"

#include <algorithm>
#include <set>

#include "base/network.h"
#include "base/secret.h"
#include "deploy/policy.h"
#include "deploy/user_data.h"

namespace skep::deploy {
namespace {

constexpr const char* kSelf = "self";
constexpr const char* kNone = "there is none";

Step step_of(StepKind kind, std::string what, std::string reason, std::string name) {
  Step step;
  step.kind = kind;
  step.what = std::move(what);
  step.reason = std::move(reason);
  step.name = std::move(name);
  return step;
}

std::string short_hash(const std::string& text) {
  return hex_of(sha256(text, "")).substr(0, 16);
}

std::string text_of(const aws::IngressRule& rule) {
  return "port " + std::to_string(rule.first_port) + " from " +
         (rule.cidr.empty() ? "its own instances" : rule.cidr);
}

class UpPlanner {
 public:
  UpPlanner(const ClusterWish& wish, const Names& names, const Found& found, const Ground& ground)
      : wish_(wish), names_(names), found_(found), ground_(ground) {}

  Result<Plan> plan() {
    SKEP_TRY(refuse_strangers());
    SKEP_TRY(want_packages());
    SKEP_TRY(want_database());
    mark();
    network();
    if (wish_.store == StoreKind::kRds) database();
    for (const Part part : kParts) identity(part);
    bucket();
    tokens();
    for (const std::string& architecture : wish_.architectures()) worker_template(architecture);
    store();
    for (int slot = 1; slot <= wish_.fleet.managers; ++slot) manager(slot);
    tell_managers();
    note_surplus();
    return std::move(plan_);
  }

 private:
  Step& add(StepKind kind, std::string what, std::string reason, std::string name) {
    plan_.steps.push_back(step_of(kind, std::move(what), std::move(reason), std::move(name)));
    return plan_.steps.back();
  }

  Result<void> refuse_strangers() const {
    if (found_.strangers.empty()) return ok();
    return fail(Code::kConflict, found_.strangers.front() + " " + kClusterTag + "=" + names_.cluster() +
                                     ": choose another --name, or take that thing away");
  }

  Result<void> want_packages() const {
    for (const std::string& architecture : wish_.architectures()) {
      if (wish_.package_for(architecture) != nullptr) continue;
      return fail(Code::kInvalid, "the Debian package of skep for " + architecture +
                                      " is missing: name it with --package (./dev package makes one)");
    }
    return ok();
  }

  Result<void> want_database() const {
    if (wish_.store != StoreKind::kRds) return ok();
    if (ground_.zones() < 2) {
      return fail(Code::kInvalid,
                  "--store rds wants subnets in two zones, for the database and its standby: name more with "
                  "--subnets, or another --vpc");
    }
    if (!found_.database) return ok();
    const std::string& id = found_.database->id;
    if (found_.database->status == "deleting")
      return fail(Code::kConflict, "database " + id + " is being deleted: run this again when it is gone");
    if (found_.has_parameter(names_.password_parameter())) return ok();
    return fail(Code::kConflict, "database " + id + " is there, and its password, the parameter " +
                                     names_.password_parameter() +
                                     ", is not: set another one (aws rds modify-db-instance "
                                     "--master-user-password) and put it there as a SecureString");
  }

  void mark() {
    const std::string name = names_.manager_parameter("born");
    if (!found_.has_parameter(name)) add(StepKind::kMark, "create parameter " + name, kNone, name);
  }

  void network() {
    const std::string subject = "security group " + names_.group();
    if (!found_.group) add(StepKind::kCreateGroup, "create " + subject, kNone, names_.group());
    std::vector<aws::IngressRule> wanted{{"tcp", kPort, kPort, "", found_.group ? found_.group->id : kSelf}};
    for (const std::string& cidr : wish_.allow_cidrs) wanted.push_back({"tcp", kPort, kPort, cidr, ""});
    const auto there = found_.group ? found_.group->ingress : std::vector<aws::IngressRule>();
    for (aws::IngressRule& rule : wanted) {
      if (std::find(there.begin(), there.end(), rule) != there.end()) continue;
      Step& step =
          add(StepKind::kAllow, "allow " + text_of(rule) + " in " + subject,
              rule.cidr.empty() ? "workers and managers talk to managers" : "--allow-cidr", names_.group());
      if (rule.cidr.empty()) rule.group = kSelf;
      step.rule = rule;
    }
    // Rules for other ports are somebody's own.
    for (const aws::IngressRule& rule : there) {
      const bool is_public = rule.first_port <= kPort && kPort <= rule.last_port && !rule.cidr.empty();
      if (!is_public || std::find(wanted.begin(), wanted.end(), rule) != wanted.end()) continue;
      add(StepKind::kRevoke, "revoke " + text_of(rule) + " in " + subject, "--allow-cidr does not have it",
          names_.group())
          .rule = rule;
    }
  }

  void identity(Part part) {
    const std::string role = names_.role(part), profile = names_.profile(part);
    if (!found_.roles.contains(part)) {
      add(StepKind::kCreateRole, "create role " + role, kNone, role).part = part;
    }
    const auto policy = found_.policies.find(part);
    if (policy == found_.policies.end() || policy->second != role_policy(part, names_)) {
      add(StepKind::kPutPolicy, "put the policy of role " + role,
          policy == found_.policies.end() ? "it has none" : "it has another one", role)
          .part = part;
    }
    const auto known = found_.profiles.find(part);
    if (known == found_.profiles.end()) {
      add(StepKind::kCreateProfile, "create instance profile " + profile, kNone, profile).part = part;
    }
    if (known == found_.profiles.end() || known->second.roles.empty()) {
      add(StepKind::kAddRole, "add the role to instance profile " + profile, "it has none", profile).part =
          part;
    }
  }

  void bucket() {
    const std::string bucket = names_.bucket();
    if (!found_.has_bucket) add(StepKind::kCreateBucket, "create bucket " + bucket, kNone, bucket);
    if (found_.bucket_tags.empty())
      add(StepKind::kTagBucket, "tag bucket " + bucket, "it has no tag", bucket);
    for (const std::string& architecture : wish_.architectures()) {
      const std::string key = names_.package_key(*wish_.package_for(architecture));
      if (std::find(found_.keys.begin(), found_.keys.end(), key) != found_.keys.end()) continue;
      add(StepKind::kUpload, "upload the package for " + architecture, "the bucket does not have it", key)
          .architecture = architecture;
    }
  }

  void tokens() {
    for (const char* role : kTokenRoles) {
      const std::string name = names_.token_parameter(role);
      if (found_.has_parameter(name)) continue;
      add(StepKind::kMakeToken, std::string("make the token of role ") + role,
          "there is no parameter " + name, name)
          .token_role = role;
    }
  }

  // It takes longest: it is begun first and waited for last.
  void database() {
    const std::string group = names_.database_group(), subject = "security group " + group;
    if (!found_.database_group) add(StepKind::kCreateGroup, "create " + subject, kNone, group);
    const aws::IngressRule rule{"tcp", kDatabasePort, kDatabasePort, "",
                                found_.database_group ? found_.database_group->id : kSelf};
    const auto there =
        found_.database_group ? found_.database_group->ingress : std::vector<aws::IngressRule>();
    if (std::find(there.begin(), there.end(), rule) == there.end()) {
      Step& step = add(StepKind::kAllow, "allow " + text_of(rule) + " in " + subject,
                       "managers, and nobody else, reach the database", group);
      step.rule = rule;
      step.rule.group = kSelf;
    }
    const std::string subnets = names_.subnet_group(), password = names_.password_parameter();
    if (!found_.has_subnet_group)
      add(StepKind::kCreateSubnetGroup, "create database subnet group " + subnets, kNone, subnets);
    if (!found_.has_parameter(password))
      add(StepKind::kMakePassword, "make the database's password", "there is no parameter " + password,
          password);
    if (!found_.database)
      add(StepKind::kCreateDatabase, "create database " + names_.database(), kNone, names_.database());
  }

  void store() {
    if (wish_.store == StoreKind::kVolumes) return;
    if (wish_.store == StoreKind::kRds && (!found_.database || !is_usable(*found_.database))) {
      add(StepKind::kAwaitDatabase, "wait for database " + names_.database(),
          "AWS takes ten minutes and more to make one", names_.database());
    }
    const std::string name = names_.store_parameter(), wanted = store_url(wish_, found_);
    if (found_.has_parameter(name) && !wanted.empty() && wanted == found_.store) return;
    add(StepKind::kPutStore, "put the database's address into a parameter",
        found_.has_parameter(name) ? "it may have another one; managers that run keep theirs"
                                   : "there is no parameter " + name,
        name);
  }

  void worker_template(const std::string& architecture) {
    const std::string name = names_.worker_template(machine_of(architecture));
    const std::string config = template_config(wish_, names_, found_, ground_, architecture);
    const aws::Template* known = found_.find_template(name);
    if (known == nullptr) {
      Step& step = add(StepKind::kCreateTemplate, "create launch template " + name, kNone, name);
      step.architecture = architecture;
      step.config = config;
      return;
    }
    const auto tag = known->tags.find(kConfigTag);
    if (tag != known->tags.end() && tag->second == config) return;
    Step& step = add(StepKind::kRenewTemplate, "renew launch template " + name,
                     "image, package, group or settings are others than it was made with", name);
    step.architecture = architecture;
    step.config = config;
  }

  void manager(int slot) {
    const std::string name = names_.instance(slot);
    const aws::Instance* known = manager_of(found_, slot);
    for (const aws::Instance& other : found_.instances) {
      if (!is_manager(other) || slot_of(other.tags) != slot || !is_alive(other) || &other == known) continue;
      add(StepKind::kEndInstance, "terminate " + other.id, "it is a second " + name, other.id);
    }
    if (known == nullptr) {
      Step& step = add(StepKind::kLaunchManager, "launch manager " + name, "it does not run", name);
      step.slot = slot;
      const aws::Names hosts = hosts_of(found_.managers);
      if (static_cast<std::size_t>(slot) <= hosts.size())
        step.address = hosts[static_cast<std::size_t>(slot) - 1];
    } else {
      note_state(*known, slot);
    }
    if (wish_.store == StoreKind::kVolumes) volume(slot, known);
  }

  void volume(int slot, const aws::Instance* instance) {
    const aws::Volume* known = volume_of(found_, slot);
    const std::string name = "volume of " + names_.instance(slot);
    if (known == nullptr)
      add(StepKind::kCreateVolume, "create " + name, kNone, names_.instance(slot)).slot = slot;
    if (known != nullptr && instance != nullptr && known->instance == instance->id) return;
    add(StepKind::kAttachVolume, "attach " + name, "it is not attached to it", names_.instance(slot)).slot =
        slot;
  }

  void note_state(const aws::Instance& instance, int slot) {
    if (instance.state == "stopped" || instance.state == "stopping") {
      plan_.notes.push_back(names_.instance(slot) + " (" + instance.id + ") is " + instance.state +
                            ": start it, or terminate it and run this again");
    }
    const auto tag = instance.tags.find(kConfigTag);
    const std::string config = manager_config(wish_, names_, ground_, slot);
    if (tag != instance.tags.end() && tag->second != config) {
      plan_.notes.push_back(
          names_.instance(slot) + " (" + instance.id +
          ") was launched with other settings or another package and goes on with them: terminate "
          "it and run this again, one manager after the other");
    }
  }

  void tell_managers() {
    const std::string name = names_.worker_parameter("managers");
    aws::Names hosts;
    bool is_known = true;
    for (int slot = 1; slot <= wish_.fleet.managers; ++slot) {
      const aws::Instance* one = manager_of(found_, slot);
      is_known = is_known && one != nullptr;
      hosts.push_back(one != nullptr ? one->private_address : "");
    }
    if (is_known && managers_text(hosts) == found_.managers) return;
    add(StepKind::kTellManagers, "put the managers' addresses into parameter " + name,
        found_.managers.empty() ? "there is none" : "managers are others, or are launched", name);
  }

  void note_surplus() {
    for (const aws::Instance& one : found_.instances) {
      if (!is_manager(one) || !is_alive(one) || slot_of(one.tags) <= wish_.fleet.managers) continue;
      plan_.notes.push_back(names_.instance(slot_of(one.tags)) + " (" + one.id +
                            ") is more than --managers " + std::to_string(wish_.fleet.managers) +
                            ", and goes on: empty it before you terminate it");
    }
  }

  const ClusterWish& wish_;
  const Names& names_;
  const Found& found_;
  const Ground& ground_;
  Plan plan_;
};

}  // namespace

std::string manager_config(const ClusterWish& wish, const Names& names, const Ground& ground, int slot) {
  return short_hash(manager_user_data(wish, names, ground.subnet_ids(), slot));
}

std::string template_config(const ClusterWish& wish, const Names& names, const Found& found,
                            const Ground& ground, const std::string& architecture) {
  const auto image = ground.images.find(architecture);
  return short_hash((image == ground.images.end() ? "" : image->second) + "\n" +
                    (found.group ? found.group->id : kSelf) + "\n" + names.profile(Part::kWorker) + "\n" +
                    worker_user_data(wish, names, architecture));
}

Result<void> take_known_packages(ClusterWish& wish, const Found& found) {
  for (const std::string& architecture : wish.architectures()) {
    if (wish.package_for(architecture) != nullptr) continue;
    Package known{"", architecture, ""};
    for (const std::string& key : found.keys) {
      if (!key.starts_with(architecture + "/") || !key.ends_with(".deb")) continue;
      if (!known.sha256.empty())
        return fail(Code::kInvalid,
                    "the bucket has several packages for " + architecture + ": name one with --package");
      const std::size_t begin = architecture.size() + 1;
      known.sha256 = key.substr(begin, key.size() - begin - std::string_view(".deb").size());
    }
    if (!known.sha256.empty()) wish.packages.push_back(std::move(known));
  }
  return ok();
}

Result<Plan> plan_up(const ClusterWish& wish, const Names& names, const Found& found, const Ground& ground) {
  return UpPlanner(wish, names, found, ground).plan();
}

std::string store_url(const ClusterWish& wish, const Found& found) {
  if (wish.store == StoreKind::kPostgres) return wish.store_url;
  if (wish.store != StoreKind::kRds || !found.database || found.password.empty()) return "";
  if (!is_usable(*found.database)) return "";
  return std::string("postgres://") + kDatabaseUser + ":" + found.password + "@" + found.database->host +
         ":" + std::to_string(found.database->port) + "/" + kDatabaseName +
         "?sslmode=verify-full&sslrootcert=" + kAuthorities;
}

bool is_usable(const aws::Database& database) {
  constexpr std::string_view kUnusable[] = {"creating",     "deleting", "failed",       "incompatible",
                                            "inaccessible", "restore",  "storage-full", "starting",
                                            "stop",         "rebooting"};
  return !database.host.empty() &&
         std::none_of(std::begin(kUnusable), std::end(kUnusable),
                      [&](std::string_view status) { return database.status.starts_with(status); });
}

std::string snapshot_of(const Names& names, const aws::Database& database) {
  std::string name = names.database() + "-final-" + database.resource;
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

const aws::Volume* volume_of(const Found& found, int slot) {
  const aws::Volume* best = nullptr;
  for (const aws::Volume& one : found.volumes) {
    if (slot_of(one.tags) != slot) continue;
    if (best == nullptr || (best->instance.empty() && !one.instance.empty())) best = &one;
  }
  return best;
}

const aws::Instance* manager_of(const Found& found, int slot) {
  const aws::Volume* volume = volume_of(found, slot);
  const aws::Instance* best = nullptr;
  for (const aws::Instance& one : found.instances) {
    if (!is_manager(one) || slot_of(one.tags) != slot || !is_alive(one)) continue;
    if (best == nullptr || (volume != nullptr && volume->instance == one.id)) best = &one;
  }
  return best;
}

std::vector<Place> places_for(const Found& found, const Ground& ground, int slot,
                              const std::string& address) {
  const aws::Volume* volume = volume_of(found, slot);
  std::vector<std::string> zones;
  for (const aws::Subnet& subnet : ground.manager_subnets) {
    const bool fits = volume == nullptr || volume->zone == subnet.zone;
    if (fits && (zones.empty() || zones.back() != subnet.zone)) zones.push_back(subnet.zone);
  }
  std::vector<Place> places;
  for (std::size_t turn = 0; turn < zones.size(); ++turn) {
    const std::string& zone = zones[(static_cast<std::size_t>(slot) - 1 + turn) % zones.size()];
    for (const aws::Subnet& subnet : ground.manager_subnets) {
      if (subnet.zone == zone) places.push_back({subnet.id, zone, ""});
    }
  }
  for (const aws::Subnet& subnet : ground.manager_subnets) {
    const auto range = Network::parse(subnet.cidr);
    if (address.empty() || !range || !range.value().contains(address)) continue;
    const auto there = std::find_if(places.begin(), places.end(),
                                    [&](const Place& place) { return place.subnet == subnet.id; });
    if (there == places.end()) continue;
    there->address = address;
    std::rotate(places.begin(), there, there + 1);
  }
  return places;
}

}  // namespace skep::deploy
