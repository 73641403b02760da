// SPDX-License-Identifier: Apache-2.0
// The same number of workers all the time.
#include <algorithm>
#include <cmath>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

class FixedSizing final : public Sizing {
 public:
  explicit FixedSizing(std::uint32_t workers) : workers_(workers) {}

  scaler::Decision decide(const Sight&, const scaler::Bounds&) override { return {workers_, "always"}; }
  Duration period() const override { return minutes(1); }

 private:
  std::uint32_t workers_;
};

}  // namespace

SizingKind fixed_kind() {
  return {"fixed",
          "so many times the mean load, rounded up; with 0 the maximum",
          {{"factor", 0, 0.5, 6, false, false}},
          [](const std::vector<double>& values, const Setting& setting) -> std::unique_ptr<Sizing> {
            const double slots = std::max(1u, setting.slots);
            const double workers = std::ceil(values[0] * setting.mean_load / slots);
            return std::make_unique<FixedSizing>(values[0] > 0
                                                     ? static_cast<std::uint32_t>(std::min(workers, 1e6))
                                                     : setting.bounds.workers_max);
          }};
}

}  // namespace skep::simulate
