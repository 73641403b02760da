// SPDX-License-Identifier: Apache-2.0
// What apply.h says of managers: launched once each, with their volumes, and told to each other.
#include <algorithm>

#include "aws/ssm.h"
#include "deploy/apply.h"
#include "deploy/user_data.h"

namespace skep::deploy {
namespace {

constexpr Duration kLaunchPatience = minutes(4);  // IAM tells EC2 of a profile seconds to minutes late
constexpr Duration kMachinePatience = minutes(6);
constexpr Duration kShownPatience = seconds(5);
constexpr int kGenerationsMax = 50;

constexpr std::initializer_list<Code> kPassing = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome,
                                                  Code::kNotFound};
constexpr std::initializer_list<Code> kBusy = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome,
                                               Code::kNotFound, Code::kConflict};

}  // namespace

Result<void> Applier::act_on_machines(const Step& step) {
  switch (step.kind) {
    case StepKind::kEndInstance:
      return parts_.patience.repeat<void>(parts_.patience.in(kLaunchPatience), kPassing,
                                          [&] { return ec2_.terminate({step.name}, soon()); });
    case StepKind::kLaunchManager:
      return launch(step);
    case StepKind::kCreateVolume:
      return create_volume(step);
    case StepKind::kAttachVolume:
      return attach_volume(step);
    case StepKind::kTellManagers:
      return tell_managers(step);
    default:
      return act_on_database(step);
  }
}

// The same for the same thing in the life of a cluster, so that a second call makes no second one.
std::string Applier::client_token(const std::string& what, int generation) const {
  return "skep-" + names_.cluster() + "-" + found_.born + "-" + what + "-" + std::to_string(generation);
}

aws::LaunchSpec Applier::manager_spec(const Step& step) const {
  aws::LaunchSpec spec;
  spec.image = ground_.images.at(architecture_of(wish_.fleet.manager_type));
  spec.type = wish_.fleet.manager_type;
  spec.groups = {found_.group->id};
  if (wish_.store == StoreKind::kRds) spec.groups.push_back(found_.database_group->id);
  spec.profile = names_.profile(Part::kManager);
  spec.user_data = manager_user_data(wish_, names_, ground_.subnet_ids(), step.slot);
  spec.tags = names_.instance_tags(Part::kManager);
  spec.tags[kSlotTag] = std::to_string(step.slot);
  spec.tags[kConfigTag] = manager_config(wish_, names_, ground_, step.slot);
  spec.tags["Name"] = step.name;
  return spec;
}

// One that is about to end has the slot's volume and address.
Result<void> Applier::wait_for_predecessor(int slot) {
  const auto is_ending = [slot](const aws::Instance& one) {
    return is_manager(one) && slot_of(one.tags) == slot && !is_alive(one);
  };
  if (std::none_of(found_.instances.begin(), found_.instances.end(), is_ending)) return ok();
  return parts_.patience.repeat<void>(parts_.patience.in(kMachinePatience), kPassing, [&]() -> Result<void> {
    SKEP_TRY(const auto shown, finder_.instances());
    const auto one = std::find_if(shown.begin(), shown.end(), is_ending);
    if (one == shown.end()) return ok();
    return fail(Code::kUnavailable, one->id + ", which was it before, does not end");
  });
}

Result<void> Applier::launch(const Step& step) {
  SKEP_TRY(wait_for_predecessor(step.slot));
  const auto places = places_for(found_, ground_, step.slot, step.address);
  if (places.empty())
    return fail(Code::kNotFound, "its volume is in a zone where --subnets, or --instance-type, are not");
  Error last;
  for (const Place& place : places) {
    auto launched = launch_at(step, place);
    if (launched) {
      found_.instances.push_back(std::move(launched.value()));
      return ok();
    }
    last = std::move(launched.error());
    if (last.code != Code::kExhausted) return last;
  }
  return last;
}

// kExhausted: the place has no room for it.
Result<aws::Instance> Applier::launch_at(const Step& step, Place place) {
  aws::LaunchSpec spec = manager_spec(step);
  spec.subnet = place.subnet;
  spec.address = place.address;
  for (int generation = 0; generation < kGenerationsMax;) {
    spec.client_token = client_token("manager-" + std::to_string(step.slot), generation);
    auto started = parts_.patience.repeat<std::vector<aws::Instance>>(
        parts_.patience.in(kLaunchPatience), kPassing, [&] { return ec2_.run_instances(spec, soon()); });
    if (started && !started.value().empty()) {
      aws::Instance instance = std::move(started.value().front());
      instance.tags = spec.tags;
      return instance;
    }
    if (started) return fail(Code::kCorrupt, "EC2 RunInstances: the answer has no instance");
    if (started.error().code == Code::kExhausted && !spec.address.empty()) {
      spec.address.clear();  // somebody else has it by now
      continue;
    }
    if (started.error().code != Code::kConflict) return started.error();
    // The token was used: by a launch that is not shown yet, or by one that has ended since.
    const auto shown = parts_.patience.repeat<aws::Instance>(
        parts_.patience.in(kShownPatience), kPassing, [&]() -> Result<aws::Instance> {
          Found seen;
          SKEP_TRY(seen.instances, finder_.instances());
          const aws::Instance* one = manager_of(seen, step.slot);
          if (one == nullptr) return fail(Code::kNotFound, "it is not shown");
          return *one;
        });
    if (shown) return shown;
    ++generation;
  }
  return fail(Code::kConflict, "all client tokens for it are used: take the cluster down, and up again");
}

Result<void> Applier::create_volume(const Step& step) {
  const aws::Instance* instance = manager_of(found_, step.slot);
  if (instance == nullptr) return fail(Code::kNotFound, "there is no manager to make it for");
  aws::VolumeSpec spec;
  spec.zone = instance->zone;
  spec.size_gib = wish_.volume_gib;
  spec.tags = names_.tags();
  spec.tags[kRoleTag] = "store";
  spec.tags[kSlotTag] = std::to_string(step.slot);
  spec.tags["Name"] = step.name;
  for (int generation = 0; generation < kGenerationsMax; ++generation) {
    spec.client_token = client_token("volume-" + std::to_string(step.slot), generation);
    const auto made = parts_.patience.repeat<std::string>(
        parts_.patience.in(kLaunchPatience), {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome},
        [&] { return ec2_.create_volume(spec, soon()); });
    if (made) {
      found_.volumes.push_back({made.value(), spec.zone, "creating", "", spec.tags, spec.size_gib});
      return ok();
    }
    if (made.error().code != Code::kConflict) return made.error();
  }
  return fail(Code::kConflict, "all client tokens for it are used: take the cluster down, and up again");
}

// Both have to be there first: that takes the volume seconds and the instance up to minutes.
Result<void> Applier::attach_volume(const Step& step) {
  const aws::Volume* volume = volume_of(found_, step.slot);
  const aws::Instance* instance = manager_of(found_, step.slot);
  if (volume == nullptr || instance == nullptr)
    return fail(Code::kNotFound, "there is no manager, or no volume");
  const std::string volume_id = volume->id, instance_id = instance->id;
  return parts_.patience.repeat<void>(parts_.patience.in(kMachinePatience), kBusy, [&]() -> Result<void> {
    SKEP_TRY(const auto volumes, ec2_.volumes({{"volume-id", {volume_id}}}, soon()));
    if (!volumes.empty() && volumes.front().instance == instance_id) return ok();
    SKEP_TRY(const auto instances, ec2_.instances({{"instance-id", {instance_id}}}, soon()));
    if (!instances.empty() && !is_alive(instances.front())) {
      is_lost_ = true;
      return fail(Code::kInternal, instance_id + " has ended (" + instances.front().reason + ")");
    }
    const bool is_running = !instances.empty() && instances.front().state == "running";
    if (!is_running) return fail(Code::kUnavailable, instance_id + " does not run");
    SKEP_TRY(ec2_.attach_volume(volume_id, instance_id, kDataDevice, soon()));
    return ok();
  });
}

Result<void> Applier::tell_managers(const Step& step) {
  aws::Names hosts;
  for (int slot = 1; slot <= wish_.fleet.managers; ++slot) {
    const aws::Instance* one = manager_of(found_, slot);
    if (one == nullptr || one->private_address.empty())
      return fail(Code::kUnavailable, names_.instance(slot) + " has no address: run this again");
    hosts.push_back(one->private_address);
  }
  const std::string text = managers_text(hosts);
  if (!found_.has_parameter(step.name)) {
    SKEP_TRY(make_secret(step, text));
  }
  SKEP_TRY(parts_.patience.repeat<void>(parts_.patience.in(kLaunchPatience), kPassing, [&] {
    return aws::Ssm(parts_.client).put_secret(step.name, text, soon());
  }));
  found_.managers = text;
  return ok();
}

}  // namespace skep::deploy
