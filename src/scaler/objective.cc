// SPDX-License-Identifier: Apache-2.0
#include "scaler/objective.h"

#include <algorithm>
#include <charconv>

#include "task/task.h"

namespace skep::scaler {

Result<QueueObjective> parse_objective(std::string_view text) {
  const std::string told = "queue objective '" + std::string(text.substr(0, 100)) + "'";
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return fail(Code::kInvalid, told + " is not NAME=WAIT or NAME=WAIT:WEIGHT, as in urgent=5s:4");
  QueueObjective objective;
  objective.queue = std::string(text.substr(0, equals));
  if (auto named = validate_name("queue", objective.queue); !named) return with_context(named.error(), told);
  const std::string_view rest = text.substr(equals + 1);
  const std::size_t colon = rest.find(':');
  const auto wait = parse_duration(rest.substr(0, colon));
  if (!wait) return with_context(wait.error(), told);
  if (wait.value() <= Duration::zero()) return fail(Code::kInvalid, told + ": the wait is to be above 0s");
  objective.target_wait = wait.value();
  if (colon == std::string_view::npos) return objective;
  const std::string_view weight = rest.substr(colon + 1);
  const auto parsed = std::from_chars(weight.data(), weight.data() + weight.size(), objective.weight);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == weight.data() + weight.size();
  if (!is_number || objective.weight < 1 || objective.weight > kObjectiveWeightMax) {
    return fail(Code::kInvalid, told + ": the weight is to be a whole number from 1 to " +
                                    std::to_string(kObjectiveWeightMax));
  }
  return objective;
}

Result<std::vector<QueueObjective>> parse_objectives(const std::vector<std::string>& texts) {
  std::vector<QueueObjective> objectives;
  if (texts.size() > kObjectivesMax) {
    return fail(Code::kInvalid, "there are " + std::to_string(texts.size()) +
                                    " queue objectives and the limit is " + std::to_string(kObjectivesMax));
  }
  for (const std::string& text : texts) {
    SKEP_TRY(auto objective, parse_objective(text));
    const bool is_known = std::any_of(objectives.begin(), objectives.end(),
                                      [&](const auto& other) { return other.queue == objective.queue; });
    if (is_known) {
      return fail(Code::kInvalid,
                  "queue '" + objective.queue + "' has two objectives: say one --queue-objective for it");
    }
    objectives.push_back(std::move(objective));
  }
  return objectives;
}

}  // namespace skep::scaler
