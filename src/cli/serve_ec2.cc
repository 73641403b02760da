// SPDX-License-Identifier: Apache-2.0
#include "cli/serve_ec2.h"

#include <algorithm>

#include "cli/context.h"
#include "provision/prices.h"

namespace skep::cli {
namespace {

// From the launch call to the first heartbeat, until boots have taught better.
constexpr Duration kBoot = seconds(90);
// Also a worker that was told that its machine is taken away, 2 min before, shall end by itself.
constexpr Duration kDrain = minutes(2);

}  // namespace

void add_ec2_options(CLI::App& command, Ec2Serve& options) {
  auto& fleet = options.fleet;
  command
      .add_option("--ec2-cluster", fleet.cluster,
                  "Name of the cluster at EC2: launch templates are skep-NAME-worker-ARCHITECTURE")
      ->type_name("NAME");
  command
      .add_option("--ec2-worker-types", fleet.types,
                  "Instance types that workers may have, best first; may be repeated, or several with commas")
      ->delimiter(',');
  command
      .add_option("--ec2-subnets", fleet.subnets,
                  "Subnets that workers may be in; may be repeated, or several with commas")
      ->delimiter(',');
  command.add_flag("--ec2-spot", fleet.is_spot, "Start workers at the spot price");
  command.add_option("--ec2-on-demand-base", fleet.on_demand_base,
                     "With --ec2-spot: so many on demand before the first at the spot price");
  add_duration(command, "--ec2-boot-timeout", options.boot_timeout,
               "An instance that runs for so long without its worker being heard from is given up");
  add_duration(command, "--ec2-list-lag", fleet.list_lag,
               "What was launched shows in EC2's lists after so long; a new leader waits for that");
}

double ec2_price_hour(const Ec2Serve& options) {
  double most = 0;
  for (const std::string& type : options.fleet.types) {
    const double price = provision::ec2_price_hour(type);
    if (price <= 0) return 0;
    most = std::max(most, price);
  }
  return most;
}

void set_ec2_times(const Ec2Serve& options, manager::ManagerOptions& manager) {
  auto& reconciler = manager.scaler.reconciler;
  reconciler.boot_timeout = options.boot_timeout;
  reconciler.start_timeout = 2 * options.boot_timeout;
  reconciler.drain_timeout = kDrain;
  reconciler.boot = manager.policy.boot = kBoot;
}

std::unique_ptr<scaler::Provisioner> make_ec2_provisioner(const Ec2Serve& options, std::uint32_t workers_max,
                                                          const std::string& own_url,
                                                          std::shared_ptr<AwsSession> session,
                                                          Executor& executor, const Clock& clock,
                                                          const Logger& log) {
  provision::Ec2Options fleet = options.fleet;
  fleet.instances_max = workers_max;
  fleet.manager = own_url;
  std::shared_ptr<aws::Client> client(session, &session->client());
  return std::make_unique<provision::Ec2Provisioner>(
      executor, clock, std::move(client), [session] { session->interrupt(); }, std::move(fleet), log);
}

}  // namespace skep::cli
