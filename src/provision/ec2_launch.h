// SPDX-License-Identifier: Apache-2.0
// ec2_launch.h - one launch, step by step: which call comes next, and what the answers mean.
//
// One CreateFleet over all choices that are open. Where EC2 can not do that call (it is not allowed, or its
// parameters are refused), RunInstances for one choice after the other until enough are started or none is
// left. Each call has a client token that follows from the launch alone, so that a launch that is repeated
// starts nothing twice. An answer that was lost ends the launch: what came of it the list by tag tells.
//
// Pure: each step is returned, and its answer passed in.
//
// Threads:   value.
// Ownership: borrows the choices, which learn from the answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aws/ec2.h"
#include "provision/ec2_choices.h"

namespace skep::provision {

struct Ec2LaunchPlan {
  std::string cluster;
  std::string token;  // of the launch: unique for ever
  std::uint32_t on_demand = 0;
  std::uint32_t spot = 0;
};

struct Ec2Step {
  bool is_fleet = true;            // CreateFleet; else RunInstances for the one choice
  std::string client_token;        // 53 characters
  std::vector<Ec2Choice> choices;  // best first
  std::uint32_t on_demand = 0;
  std::uint32_t spot = 0;
};

class Ec2Launch {
 public:
  Ec2Launch(Ec2LaunchPlan plan, Ec2Choices& choices);

  // Nothing: it is over.
  std::optional<Ec2Step> next(Instant now);
  // What came of the step that next() gave last.
  void answered(Instant now, const Result<aws::Fleet>& answer);
  // No further step.
  void give_up(Error why);

  const aws::Names& started() const { return started_; }
  const aws::Names& spot() const { return spot_; }  // of these
  // More may have been started than that.
  bool is_unknown() const { return is_unknown_; }
  // One for each that was not started; kUnknownOutcome where it may have been.
  std::vector<Error> errors() const;
  std::uint32_t missing() const;

 private:
  std::optional<Ec2Step> next_fleet(Instant now);
  std::optional<Ec2Step> next_choice(Instant now);
  std::uint32_t& left(Market market) { return market == Market::kSpot ? spot_left_ : on_demand_left_; }
  std::string client_token(const std::string& what) const;
  void learn(Instant now, const aws::Fleet& answer);
  void failed(Instant now, const Error& error);

  const Ec2LaunchPlan plan_;
  Ec2Choices& choices_;
  const std::size_t turn_;
  std::uint32_t on_demand_left_;
  std::uint32_t spot_left_;
  Ec2Step step_;  // the last one
  bool was_fleet_tried_ = false;
  std::vector<std::pair<Market, Ec2Choice>> tried_;
  int refusals_ = 0;  // of single choices, for other reasons than capacity and quotas
  aws::Names started_;
  aws::Names spot_;
  bool is_over_ = false;
  bool is_unknown_ = false;
  std::optional<Error> problem_;
};

}  // namespace skep::provision
