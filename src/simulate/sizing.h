// SPDX-License-Identifier: Apache-2.0
// sizing.h - the seam for policies in the simulator: skep's own, and those of others as they are documented.
//
// A sizing sees what its original sees: most look at the queue and the fleet, the seed's looks at when
// workers asked for work, two look at how long each worker is idle. What it wants is carried out by skep's
// reconciler, for all alike.
//
// Threads:   one executor at a time.
// Units:     seconds.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "scaler/policy.h"

namespace skep::simulate {

struct Sight {
  scaler::Observation seen;
  std::vector<double> idle_s;   // how long each idle worker is idle, longest first
  std::vector<double> polls_s;  // the last ten times at which a worker asked for work, oldest first
};

class Sizing {
 public:
  virtual ~Sizing() = default;
  virtual scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) = 0;
  virtual Duration period() const = 0;  // between decisions
  // The seed's worker sleeps before it asks for the next task.
  virtual Duration pause_before_task() const { return Duration::zero(); }
  // How long a busy worker is spared after it became one too many; idle ones are drained first.
  virtual Duration busy_hold() const { return Duration::zero(); }
  virtual bool wants_polls() const { return false; }
  // Whether its last word on the matter is in `Decision::reason`: only skep explains each decision.
  virtual bool explains() const { return false; }
};

// A number that a sizing can be told, and the range in which --tune looks for it.
struct Parameter {
  std::string_view name;
  double usual = 0;  // as its authors ship it
  double low = 0;
  double high = 0;
  bool is_log = false;    // drawn by its logarithm
  bool is_whole = false;  // drawn as a whole number
};

// What a sizing that has to be told of the load may know of it.
struct Setting {
  scaler::Bounds bounds;
  Duration boot{};
  std::uint32_t slots = 1;
  double service_mean_s = 0;
  double mean_load = 0;  // slots kept busy over the whole trace
};

struct SizingKind {
  std::string_view name;
  std::string_view what;
  std::vector<Parameter> parameters;
  // `values` has one for each parameter, in order.
  std::unique_ptr<Sizing> (*make)(const std::vector<double>& values, const Setting& setting) = nullptr;
};

// skep, seed, keda, asg, hyperqueue, dask, autoscale, fixed.
std::vector<SizingKind> sizing_kinds();

// A kind with its numbers: "keda" as it is shipped, "keda:queue_length=10:poll=15" otherwise.
struct SizingChoice {
  SizingKind kind;
  std::vector<double> values;
  std::string label() const;  // as it is written; numbers that are the usual ones are left out
};
// kInvalid: no such kind or parameter, or no number.
Result<SizingChoice> parse_sizing(std::string_view text);
// The same for what a manager runs. kInvalid also for any kind but skep.
Result<scaler::Tuning> parse_tuning(std::string_view text);

// Each kind's maker and parameters, in its own file.
SizingKind skep_kind();
SizingKind seed_kind();
SizingKind keda_kind();
SizingKind asg_kind();
SizingKind hyperqueue_kind();
SizingKind dask_kind();
SizingKind autoscale_kind();
SizingKind fixed_kind();

}  // namespace skep::simulate
