// SPDX-License-Identifier: Apache-2.0
#include "deploy/apply.h"

#include "aws/s3.h"
#include "aws/ssm.h"
#include "base/secret.h"
#include "deploy/policy.h"
#include "deploy/user_data.h"

namespace skep::deploy {
namespace {

constexpr Duration kStepPatience = minutes(3);
constexpr Duration kUploadPatience = minutes(30);
constexpr Duration kUploadTry = minutes(10);
constexpr int kRoundsMax = 4;

// What passes by itself: a service that is ill, or that does not show yet what was just made.
constexpr std::initializer_list<Code> kPassing = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome,
                                                  Code::kNotFound};

// There it is: what was to be made.
Result<void> or_there(Result<void> made) {
  if (!made && made.error().code == Code::kConflict) return ok();
  return made;
}

}  // namespace

Result<Plan> Applier::plan() {
  SKEP_TRY(ground_, finder_.look_at_ground(wish_));
  SKEP_TRY(found_, finder_.look());
  SKEP_TRY(take_known_packages(wish_, found_));
  return plan_up(wish_, names_, found_, ground_);
}

Result<std::vector<Manager>> Applier::up(Wait wait, Duration patience) {
  for (int round = 1;; ++round) {
    is_lost_ = false;
    SKEP_TRY(const Plan plan, this->plan());
    if (round == 1) {
      for (const std::string& note : plan.notes) parts_.progress.note(note);
    }
    Result<void> done = ok();
    for (const Step& step : plan.steps) {
      done = carry_out(step);
      if (!done) break;
    }
    if (done && wait == Wait::kUntilReady) done = wait_until_ready(parts_.patience.in(patience));
    if (done) return managers();
    if (!is_lost_ || round == kRoundsMax) return done.error();
    parts_.progress.note(done.error().message + ": it is replaced");
  }
}

Result<void> Applier::carry_out(const Step& step) {
  const Instant begun = parts_.patience.now();
  parts_.progress.begin(step.what, step.reason);
  auto done = act(step);
  parts_.progress.end(done, parts_.patience.now() - begun);
  if (!done) return with_context(std::move(done.error()), step.what);
  return ok();
}

Result<void> Applier::act(const Step& step) {
  aws::Iam iam(parts_.client);
  aws::S3 s3(parts_.client);
  const auto repeat = [&](const std::function<Result<void>()>& call) {
    return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, call);
  };
  switch (step.kind) {
    case StepKind::kMark:
      return mark(step);
    case StepKind::kCreateGroup:
      return create_group(step);
    case StepKind::kAllow:
    case StepKind::kRevoke: {
      aws::IngressRule rule = step.rule;
      const std::string group = group_of(step)->id;
      if (!rule.group.empty()) rule.group = group;
      if (step.kind == StepKind::kRevoke) return ec2_.revoke_ingress(group, {rule}, soon());
      return repeat([&] { return or_there(ec2_.allow_ingress(group, {rule}, soon())); });
    }
    case StepKind::kCreateRole:
      return create_role(step);
    case StepKind::kPutPolicy:
      return repeat(
          [&] { return iam.put_policy(step.name, names_.policy(), role_policy(step.part, names_), soon()); });
    case StepKind::kCreateProfile:
      return create_profile(step);
    case StepKind::kAddRole:
      return repeat([&] { return add_role(step); });
    case StepKind::kCreateBucket:
      return repeat([&] { return or_there(s3.create_bucket(step.name, soon())); });
    case StepKind::kTagBucket:
      return repeat([&] { return s3.tag_bucket(step.name, names_.tags(), soon()); });
    case StepKind::kUpload:
      return upload(step);
    case StepKind::kMakeToken:
      return make_secret(step, parts_.make_token(step.token_role));
    case StepKind::kCreateTemplate:
      return create_template(step);
    case StepKind::kRenewTemplate:
      return repeat([&] { return renew_template(step); });
    default:
      return act_on_machines(step);
  }
}

// Whoever made it first: what the parameter has counts.
Result<void> Applier::mark(const Step& step) {
  SKEP_TRY(make_secret(step, std::to_string(to_unix_ms(parts_.patience.now()))));
  SKEP_TRY(found_.born, read_secret(step));
  return ok();
}

Result<void> Applier::create_group(const Step& step) {
  const auto made =
      ec2_.create_group(step.name, "skep cluster " + names_.cluster(), ground_.vpc, names_.tags(), soon());
  if (made) {
    group_of(step) = aws::SecurityGroup{made.value(), step.name, ground_.vpc, {}, names_.tags()};
    return ok();
  }
  if (made.error().code != Code::kConflict) return made.error();
  // It was made a moment ago, and is not shown yet.
  const aws::Filters filters{{"group-name", {step.name}}, {"vpc-id", {ground_.vpc}}};
  return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, [&]() -> Result<void> {
    SKEP_TRY(auto groups, ec2_.groups(filters, soon()));
    if (groups.empty())
      return fail(Code::kNotFound, "security group " + step.name + " is there and not shown");
    if (groups.front().tags[kClusterTag] != names_.cluster())
      return fail(Code::kConflict, "security group " + groups.front().id + " is somebody else's");
    group_of(step) = std::move(groups.front());
    return ok();
  });
}

Result<void> Applier::create_role(const Step& step) {
  const auto made = aws::Iam(parts_.client).create_role(step.name, names_.tags(), soon());
  if (!made && made.error().code != Code::kConflict) return made.error();
  return ok();
}

Result<void> Applier::create_profile(const Step& step) {
  const auto made = aws::Iam(parts_.client).create_profile(step.name, names_.tags(), soon());
  if (!made && made.error().code != Code::kConflict) return made.error();
  return ok();
}

// A profile that has a role already says so by a limit.
Result<void> Applier::add_role(const Step& step) {
  aws::Iam iam(parts_.client);
  const auto added = iam.add_role(step.name, names_.role(step.part), soon());
  if (added || added.error().code != Code::kExhausted) return added;
  SKEP_TRY(const aws::InstanceProfile profile, iam.profile(step.name, soon()));
  if (profile.roles == aws::Names{names_.role(step.part)}) return ok();
  return added;
}

Result<void> Applier::upload(const Step& step) {
  const Package* package = wish_.package_for(step.architecture);
  SKEP_TRY(const std::string body, parts_.read_file(package->path));
  if (hex_of(sha256(body, "")) != package->sha256)
    return fail(Code::kConflict, package->path + " has changed since it was looked at: run this again");
  const aws::CallOptions options{parts_.patience.in(kUploadPatience), 5, kUploadTry};
  return parts_.patience.repeat<void>(options.deadline, kPassing, [&] {
    return aws::S3(parts_.client).put(names_.bucket(), step.name, body, options);
  });
}

Result<void> Applier::make_secret(const Step& step, const std::string& value) {
  SKEP_TRY(parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, [&] {
    return or_there(aws::Ssm(parts_.client).create_secret(step.name, value, names_.tags(), soon()));
  }));
  found_.parameters.push_back(step.name);
  return ok();
}

Result<std::string> Applier::read_secret(const Step& step) {
  return parts_.patience.repeat<std::string>(parts_.patience.in(kStepPatience), kPassing, [&] {
    return aws::Ssm(parts_.client).parameter(step.name, soon());
  });
}

aws::TemplateSpec Applier::template_spec(const Step& step) const {
  aws::TemplateSpec spec;
  spec.name = step.name;
  spec.launch.image = ground_.images.at(step.architecture);
  spec.launch.groups = {found_.group->id};
  spec.launch.profile = names_.profile(Part::kWorker);
  spec.launch.user_data = worker_user_data(wish_, names_, step.architecture);
  spec.launch.ends_on_shutdown = true;
  spec.launch.shows_tags = true;
  spec.launch.tags = names_.instance_tags(Part::kWorker);
  spec.launch.tags["Name"] = "skep-" + names_.cluster() + "-worker";
  spec.tags = names_.tags();
  // Of the group as it is now: the plan may not have known it.
  spec.tags[kConfigTag] = template_config(wish_, names_, found_, ground_, step.architecture);
  return spec;
}

Result<void> Applier::create_template(const Step& step) {
  const auto made = ec2_.create_template(template_spec(step), soon());
  if (!made && made.error().code != Code::kConflict) return made.error();
  if (made) return ok();
  return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing,
                                      [&] { return renew_template(step); });
}

Result<void> Applier::renew_template(const Step& step) {
  SKEP_TRY(const auto found, ec2_.templates({{"launch-template-name", {step.name}}}, soon()));
  if (found.empty()) return fail(Code::kNotFound, "launch template " + step.name + " is not shown yet");
  const aws::TemplateSpec spec = template_spec(step);
  const auto config = found.front().tags.find(kConfigTag);
  if (config != found.front().tags.end() && config->second == spec.tags.at(kConfigTag)) return ok();
  return ec2_.renew_template(found.front().id, spec, soon());
}

Result<std::vector<Manager>> Applier::managers() {
  std::vector<Manager> made;
  aws::Names ids;
  for (int slot = 1; slot <= wish_.fleet.managers; ++slot) {
    const aws::Instance* one = manager_of(found_, slot);
    if (one == nullptr) return fail(Code::kInternal, names_.instance(slot) + " is not there");
    made.push_back({slot, one->id, one->state, one->private_address, one->public_address});
    ids.push_back(one->id);
  }
  SKEP_TRY(const auto shown, ec2_.instances({{"instance-id", ids}}, soon()));
  for (Manager& manager : made) {
    for (const aws::Instance& one : shown) {
      if (one.id != manager.instance) continue;
      if (!is_alive(one)) {
        is_lost_ = true;
        return fail(Code::kInternal,
                    names_.instance(manager.slot) + " (" + one.id + ") has ended: " + one.reason);
      }
      manager.state = one.state;
      manager.public_address = one.public_address;
    }
  }
  return made;
}

}  // namespace skep::deploy
