// SPDX-License-Identifier: Apache-2.0
#include "provision/ec2_launch.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/secret.h"

namespace skep::provision {
namespace {

constexpr Duration kFleetAvoided = minutes(10);
constexpr int kRefusalsMax = 3;
constexpr std::size_t kTokenDigits = 48;

}  // namespace

Ec2Launch::Ec2Launch(Ec2LaunchPlan plan, Ec2Choices& choices)
    : plan_(std::move(plan)),
      choices_(choices),
      turn_(fnv1a(plan_.token) % 1'000),
      on_demand_left_(plan_.on_demand),
      spot_left_(plan_.spot) {}

std::string Ec2Launch::client_token(const std::string& what) const {
  return "skep-" + hex_of(sha256(plan_.cluster + "\n" + plan_.token + "\n", what)).substr(0, kTokenDigits);
}

std::optional<Ec2Step> Ec2Launch::next(Instant now) {
  if (is_over_ || missing() == 0) return std::nullopt;
  auto step = !was_fleet_tried_ && choices_.may_use_fleet(now) ? next_fleet(now) : next_choice(now);
  if (step) {
    step_ = *step;
  } else {
    is_over_ = true;
  }
  return step;
}

std::optional<Ec2Step> Ec2Launch::next_fleet(Instant now) {
  was_fleet_tried_ = true;
  Ec2Step step;
  step.client_token = client_token("fleet");
  for (const Market market : {Market::kOnDemand, Market::kSpot}) {
    if (left(market) == 0) continue;
    const auto open = choices_.open(now, market, turn_);
    if (open.empty()) {
      problem_ = fail(Code::kExhausted, choices_.why_none(now, market));
      continue;
    }
    (market == Market::kSpot ? step.spot : step.on_demand) = left(market);
    for (const Ec2Choice& choice : open) {
      const bool is_there = std::find(step.choices.begin(), step.choices.end(), choice) != step.choices.end();
      if (!is_there) step.choices.push_back(choice);
    }
  }
  if (step.choices.empty()) return std::nullopt;
  return step;
}

std::optional<Ec2Step> Ec2Launch::next_choice(Instant now) {
  for (const Market market : {Market::kOnDemand, Market::kSpot}) {
    if (left(market) == 0) continue;
    const auto open = choices_.open(now, market, turn_);
    if (open.empty() && !problem_) problem_ = fail(Code::kExhausted, choices_.why_none(now, market));
    for (const Ec2Choice& choice : open) {
      const auto place = std::pair(market, choice);
      if (std::find(tried_.begin(), tried_.end(), place) != tried_.end()) continue;
      tried_.push_back(place);
      Ec2Step step;
      step.is_fleet = false;
      // The slot: how many this launch has by then.
      step.client_token = client_token((market == Market::kSpot ? "spot\n" : "on demand\n") + choice.type +
                                       "\n" + choice.subnet + "\n" + std::to_string(started_.size()));
      step.choices = {choice};
      (market == Market::kSpot ? step.spot : step.on_demand) = left(market);
      return step;
    }
  }
  return std::nullopt;
}

void Ec2Launch::answered(Instant now, const Result<aws::Fleet>& answer) {
  if (!answer) return failed(now, answer.error());
  const aws::Fleet& fleet = answer.value();
  started_.insert(started_.end(), fleet.instances.begin(), fleet.instances.end());
  spot_.insert(spot_.end(), fleet.spot.begin(), fleet.spot.end());
  const auto spot = static_cast<std::uint32_t>(fleet.spot.size());
  const auto on_demand = static_cast<std::uint32_t>(fleet.instances.size()) - spot;
  spot_left_ -= std::min(spot_left_, spot);
  on_demand_left_ -= std::min(on_demand_left_, on_demand);
  learn(now, fleet);
  // A fleet has tried every choice.
  if (step_.is_fleet) is_over_ = true;
  if (step_.is_fleet && missing() > 0 && fleet.errors.empty() && !problem_)
    problem_ = fail(Code::kExhausted, "EC2 started fewer than were asked for, and gave no reason");
}

void Ec2Launch::learn(Instant now, const aws::Fleet& answer) {
  for (const aws::FleetError& error : answer.errors) {
    choices_.refused(now, error.is_spot ? Market::kSpot : Market::kOnDemand, {error.type, error.subnet},
                     error.code);
    // A quota is what a person can do something about.
    if (problem_ && !is_quota(error.code)) continue;
    std::string text = describe_refusal(error.code, error.type.empty() ? "a choice" : error.type);
    if (!is_quota(error.code) && aws::code_of(error.code, 400) != Code::kExhausted)
      text += ": " + error.message;
    problem_ = fail(Code::kExhausted, std::move(text));
  }
}

void Ec2Launch::failed(Instant now, const Error& error) {
  problem_ = error;
  switch (error.code) {
    case Code::kUnknownOutcome:
    case Code::kConflict:  // the token was used, with another request or for what has ended since
      is_unknown_ = is_over_ = true;
      return;
    case Code::kForbidden:
    case Code::kInvalid:
    case Code::kExhausted:
      break;
    default:
      is_over_ = true;
      return;
  }
  if (step_.is_fleet) {
    choices_.avoid_fleet(add_saturated(now, kFleetAvoided));
    return;
  }
  if (error.code == Code::kForbidden || ++refusals_ >= kRefusalsMax) is_over_ = true;
}

void Ec2Launch::give_up(Error why) {
  problem_ = std::move(why);
  is_over_ = true;
}

std::uint32_t Ec2Launch::missing() const {
  const auto have = static_cast<std::uint32_t>(started_.size());
  const std::uint32_t wanted = plan_.on_demand + plan_.spot;
  return wanted - std::min(wanted, have);
}

std::vector<Error> Ec2Launch::errors() const {
  Error error = problem_.value_or(fail(Code::kExhausted, "no choice of type and subnet is left to try"));
  if (is_unknown_) error.code = Code::kUnknownOutcome;
  return std::vector<Error>(missing(), error);
}

}  // namespace skep::provision
