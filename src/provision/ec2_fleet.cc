// SPDX-License-Identifier: Apache-2.0
#include "provision/ec2_fleet.h"

#include <algorithm>

namespace skep::provision {
namespace {

using scaler::InstanceState;
using scaler::LaunchReply;

// Shorter than the scaler waits for a reply.
constexpr Duration kListPatience = seconds(15);
constexpr Duration kLaunchPatience = seconds(20);
constexpr Duration kSettlePatience = seconds(4);
constexpr Duration kTerminatePatience = seconds(15);
constexpr Duration kListOld = seconds(10);
constexpr std::size_t kLaunchesRemembered = 256;
constexpr std::size_t kTerminatedAtOnce = 100;
constexpr std::size_t kNameMax = 64;

InstanceState state_of(const aws::Instance& instance) {
  if (instance.state == "pending") return InstanceState::kStarting;
  if (instance.state == "running") return InstanceState::kRunning;
  if (instance.state == "terminated") return InstanceState::kGone;
  return InstanceState::kStopping;
}

std::string detail_of(const aws::Instance& instance) {
  if (instance.state == "terminated") return instance.reason.empty() ? "terminated" : instance.reason;
  return instance.type + " in " + instance.zone + (instance.is_spot ? ", at the spot price" : "");
}

bool is_name(std::string_view text, std::string_view more) {
  return !text.empty() && text.size() <= kNameMax && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

}  // namespace

Result<void> validate(const Ec2Options& options) {
  if (!is_name(options.cluster, "-_"))
    return fail(Code::kInvalid, "--ec2-cluster '" + options.cluster +
                                    "': say the cluster's name, of letters, digits, - and _");
  if (options.types.empty())
    return fail(Code::kInvalid, "--ec2-worker-types is missing: say which instance types workers may have");
  for (const std::string& type : options.types) {
    if (!is_name(type, "-.") || type.find('.') == std::string::npos)
      return fail(Code::kInvalid, "--ec2-worker-types: '" + type + "' is no instance type, as c7g.large is");
  }
  if (options.subnets.empty())
    return fail(Code::kInvalid, "--ec2-subnets is missing: say in which subnets workers may be");
  for (const std::string& subnet : options.subnets) {
    if (!is_name(subnet, "-") || !subnet.starts_with("subnet-"))
      return fail(Code::kInvalid, "--ec2-subnets: '" + subnet + "' is no subnet's id, as subnet-0a1b2c3d is");
  }
  if (options.on_demand_base > 0 && !options.is_spot)
    return fail(Code::kInvalid, "--ec2-on-demand-base is for a fleet at the spot price: add --ec2-spot");
  return ok();
}

Ec2Fleet::Ec2Fleet(aws::Client& client, Ec2Options options, Logger log)
    : client_(client),
      ec2_(client),
      options_(std::move(options)),
      log_(std::move(log)),
      choices_(options_.types, options_.subnets) {}

std::string Ec2Fleet::template_of(const std::string& type) const {
  return "skep-" + options_.cluster + "-worker-" + std::string(architecture_of(type));
}

aws::Tags Ec2Fleet::tags(const std::string& token) const {
  aws::Tags tags{{std::string(kClusterTag), options_.cluster},
                 {std::string(kRoleTag), std::string(kWorkerRole)},
                 {std::string(kTokenTag), token}};
  if (!options_.manager.empty()) tags.emplace(kManagerTag, options_.manager);
  return tags;
}

scaler::Instance Ec2Fleet::started(const std::string& id, const std::string& token,
                                   const std::string& detail) const {
  return {id, token + "-" + id, InstanceState::kStarting, client_.now(), detail};
}

// ---- list ----

// Of one launch, or, with "", of all.
Result<std::vector<aws::Instance>> Ec2Fleet::describe(const std::string& token) {
  aws::Filters filters;
  for (const auto& [key, value] : tags(token)) {
    if (key == kTokenTag && token.empty()) continue;
    filters.push_back({"tag:" + key, {value}});
  }
  return ec2_.instances(filters, within(token.empty() ? kListPatience : kSettlePatience));
}

Result<std::vector<scaler::Instance>> Ec2Fleet::list() {
  const Instant asked_at = client_.now();
  SKEP_TRY(const auto described, describe({}));
  listed_at_ = asked_at;
  census_.listed(client_.now(), described);
  std::vector<scaler::Instance> listed;
  for (const aws::Instance& instance : described) {
    scaler::Instance shown;
    shown.id = instance.id;
    shown.token = launch_token_of(instance) + "-" + instance.id;
    shown.state = state_of(instance);
    shown.started_at = instance.launched.value_or(asked_at);
    shown.detail = detail_of(instance);
    shown.type = instance.type;
    shown.type = instance.type;
    listed.push_back(std::move(shown));
  }
  return listed;
}

// ---- launch ----

Result<std::uint32_t> Ec2Fleet::room() {
  if (client_.now() - listed_at_ > kListOld) {
    if (auto listed = list(); !listed)
      return with_context(std::move(listed.error()), "nothing is launched while instances can not be listed");
  }
  const std::uint32_t existing = census_.existing(client_.now());
  return options_.instances_max - std::min(options_.instances_max, existing);
}

Ec2LaunchPlan Ec2Fleet::plan(std::uint32_t count, const std::string& token) {
  Ec2LaunchPlan plan{options_.cluster, token, count, 0};
  if (!options_.is_spot) return plan;
  const std::uint32_t there = census_.on_demand(client_.now());
  plan.on_demand = std::min(count, options_.on_demand_base - std::min(options_.on_demand_base, there));
  plan.spot = count - plan.on_demand;
  return plan;
}

Result<aws::Fleet> Ec2Fleet::carry_out(const Ec2Step& step, const std::string& token, Instant deadline) {
  const aws::CallOptions options{deadline, 3};
  if (!step.is_fleet) {
    aws::LaunchSpec spec;
    spec.client_token = step.client_token;
    spec.count_max = static_cast<int>(step.on_demand + step.spot);
    spec.template_name = template_of(step.choices.front().type);
    spec.type = step.choices.front().type;
    spec.subnet = step.choices.front().subnet;
    spec.is_spot = step.spot > 0;
    spec.tags = tags(token);
    return ec2_.run_choice(spec, options);
  }
  aws::FleetSpec spec;
  spec.client_token = step.client_token;
  for (const Ec2Choice& choice : step.choices)
    spec.choices.push_back(
        {choice.type, choice.subnet, template_of(choice.type), choices_.rank(choice.type)});
  spec.on_demand = static_cast<int>(step.on_demand);
  spec.spot = static_cast<int>(step.spot);
  spec.tags = tags(token);
  return ec2_.create_fleet(spec, options);
}

LaunchReply Ec2Fleet::launch(std::uint32_t count, const std::string& token) {
  for (const auto& [earlier, reply] : launches_) {
    if (earlier == token) return reply;
  }
  const auto free = room();
  if (!free) return {{}, std::vector<Error>(count, free.error())};
  const std::uint32_t wanted = std::min(count, free.value());
  const Instant deadline = client_.now() + kLaunchPatience;
  Ec2Launch launch(plan(wanted, token), choices_);
  while (const auto step = launch.next(client_.now())) {
    if (client_.now() >= deadline) {
      launch.give_up(fail(Code::kUnavailable, "EC2 answered too slowly"));
      break;
    }
    launch.answered(client_.now(), carry_out(*step, token, deadline));
  }
  LaunchReply reply = settle(launch, token, count - wanted);
  launches_.emplace_back(token, reply);
  if (launches_.size() > kLaunchesRemembered) launches_.pop_front();
  return reply;
}

// Where an answer was lost, the list tells what came of it, or may later.
LaunchReply Ec2Fleet::settle(const Ec2Launch& launch, const std::string& token, std::uint32_t refused) {
  LaunchReply reply;
  for (const std::string& id : launch.started())
    reply.started.push_back(started(id, token, "launched just now"));
  reply.errors = launch.errors();
  census_.launched(client_.now(), launch.started(), launch.spot());
  if (launch.is_unknown()) {
    if (const auto described = describe(token)) {
      for (const aws::Instance& instance : described.value()) {
        const auto& known = launch.started();
        const bool is_new = std::find(known.begin(), known.end(), instance.id) == known.end();
        if (!is_new || reply.errors.empty()) continue;
        reply.started.push_back(started(instance.id, token, detail_of(instance)));
        reply.errors.pop_back();
        census_.launched(client_.now(), {instance.id},
                         instance.is_spot ? aws::Names{instance.id} : aws::Names{});
      }
    }
    const auto told = static_cast<std::uint32_t>(reply.started.size());
    census_.may_exist(client_.now(), token, told, static_cast<std::uint32_t>(reply.errors.size()));
    log_.warn("EC2 has not answered a launch: what came of it its list will tell",
              {{"token", token}, {"started", told}, {"unknown", reply.errors.size()}});
  }
  for (std::uint32_t i = 0; i < refused; ++i) {
    reply.errors.push_back(fail(Code::kExhausted, std::to_string(options_.instances_max) +
                                                      " instances exist or may exist: no more are allowed"));
  }
  return reply;
}

// ---- terminate ----

// One id that EC2 does not know, as it may not for some time after a launch, fails a call for many. That one
// is asked for again while it is listed, or expected.
Result<void> Ec2Fleet::terminate(const std::vector<std::string>& ids) {
  Result<void> outcome = ok();
  for (std::size_t begin = 0; begin < ids.size(); begin += kTerminatedAtOnce) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
    const aws::Names some(
        first, first + static_cast<std::ptrdiff_t>(std::min(kTerminatedAtOnce, ids.size() - begin)));
    auto done = ec2_.terminate(some, within(kTerminatePatience));
    if (!done && done.error().code == Code::kNotFound && some.size() > 1) {
      done = ok();
      for (const std::string& id : some) {
        auto one = ec2_.terminate({id}, within(kTerminatePatience));
        if (!one && one.error().code != Code::kNotFound) done = one;
      }
    } else if (!done && done.error().code == Code::kNotFound) {
      done = ok();
    }
    if (!done) outcome = done;
  }
  return outcome;
}

}  // namespace skep::provision
