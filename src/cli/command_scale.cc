// SPDX-License-Identifier: Apache-2.0
// scale: a person's order to the fleet, for a while.
#include <charconv>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/output.h"
#include "task/fleet_order.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(10);

struct ScaleOptions {
  std::string what;
  Duration length = hours(1);
};

Result<v1::OrderFleetRequest> order_of(const ScaleOptions& options) {
  if (options.length <= Duration::zero() || options.length > kFleetOrderMax) {
    return fail(Code::kInvalid, "--for is " + describe_duration(options.length) +
                                    "; an order ends after more than 0s and at most 30d");
  }
  v1::OrderFleetRequest request;
  request.set_for_ms(
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, options.length / Duration(milliseconds(1)))));
  if (options.what == "pause") {
    request.set_pause(true);
    return request;
  }
  std::uint32_t workers = 0;
  const char* end = options.what.data() + options.what.size();
  const auto parsed = std::from_chars(options.what.data(), end, workers);
  if (parsed.ec != std::errc() || parsed.ptr != end || workers > kFleetOrderWorkersMax) {
    return fail(Code::kInvalid,
                "'" + options.what + "' is neither a number of workers (0 to 100000) nor pause or auto");
  }
  request.set_workers(workers);
  return request;
}

Result<v1::ScalingState> give(Remote& remote, const ScaleOptions& options) {
  if (options.what == "auto") {
    return remote.wait<v1::ScalingState>([&](client::Client& client, auto done) {
      client.end_fleet_order(remote.within(kCallTimeout), std::move(done));
    });
  }
  SKEP_TRY(const auto request, order_of(options));
  return remote.wait<v1::ScalingState>([&](client::Client& client, auto done) {
    client.order_fleet(request, remote.within(kCallTimeout), std::move(done));
  });
}

int scale(const Context& context, const ScaleOptions& options) {
  const auto remote = Remote::connect(context);
  if (!remote) return report(remote.error());
  const auto state = give(*remote.value(), options);
  if (!state) return report(state.error());
  if (context.is_json) {
    std::printf("%s\n", api::to_json(state.value()).c_str());
  } else {
    std::printf("%s\n", describe_scaling(state.value(), remote.value()->clock().now()).c_str());
  }
  return api::kExitOk;
}

}  // namespace

void add_scale_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ScaleOptions>();
  auto* command = app.add_subcommand("scale", "Order a size of the fleet, or a pause, for a while");
  command->footer(
      "Example: skep scale 8 --for 2h\n"
      "         skep scale pause --for 30m\n"
      "         skep scale auto\n"
      "An order outlives a restart of the manager and ends by itself; --max-workers and budgets still hold.");
  command->add_option("WHAT", options->what, "How many workers; pause; or auto, by the policy again")
      ->required();
  add_duration(*command, "--for", options->length, "How long the order holds, up to 30d");
  add_client_options(*command, context);
  context.checks[command] = [options]() -> Result<void> {
    if (options->what == "auto") return ok();
    SKEP_TRY(order_of(*options));
    return ok();
  };
  context.actions[command] = [&context, options] { return scale(context, *options); };
}

}  // namespace skep::cli
