// SPDX-License-Identifier: Apache-2.0
// aws: whether an account of AWS can hold a fleet; a cluster made there, and taken away.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/aws_cluster.h"
#include "deploy/doctor.h"
#include "deploy/policy.h"

namespace skep::cli {
namespace {

namespace json = boost::json;

void show_line(const deploy::Finding& finding) {
  std::printf("%-8s %-22s %s\n", std::string(deploy::judgement_name(finding.judgement)).c_str(),
              finding.subject.c_str(), finding.text.c_str());
  std::fflush(stdout);
}

json::object to_json(const deploy::Finding& finding) {
  return {{"subject", finding.subject},
          {"judgement", deploy::judgement_name(finding.judgement)},
          {"text", api::to_valid_utf8(finding.text)}};
}

Result<int> run_doctor(const Context& context, const AwsOptions& options) {
  SKEP_TRY(const auto session, AwsSession::open(options.region, options.profile));
  json::array findings;
  const int problems =
      deploy::Doctor(session->client(), options.wish.fleet).look([&](const deploy::Finding& finding) {
        findings.push_back(to_json(finding));
        if (!context.is_json) show_line(finding);
      });
  if (context.is_json) {
    const json::object shown{{"region", session->client().region()},
                             {"credentials", session->credentials_place()},
                             {"problems", problems},
                             {"findings", std::move(findings)}};
    std::printf("%s\n", json::serialize(shown).c_str());
  }
  return problems == 0 ? api::kExitOk : api::kExitFailure;
}

Result<int> show_policy(const AwsOptions& options) {
  const auto known = [](const std::string& text) { return text.empty() ? std::string("*") : text; };
  const deploy::Names names(known(options.wish.name), known(options.region), "*");
  std::printf("%s\n", deploy::deployer_policy(names).c_str());
  return api::kExitOk;
}

Result<int> run(const Context& context, const AwsOptions& options) {
  if (options.action == "up") return run_up(context, options);
  if (options.action == "status") return run_status(context, options);
  if (options.action == "down") return run_down(context, options);
  if (options.shows_policy) return show_policy(options);
  return run_doctor(context, options);
}

void add_fleet_options(CLI::App& command, deploy::ClusterWish& wish) {
  auto& fleet = wish.fleet;
  command.add_option("--managers", fleet.managers, "Managers that are to run")->check(CLI::Range(1, 9));
  command.add_option("--instance-type", fleet.manager_type, "Instance type of the managers");
  command
      .add_option("--worker-types", fleet.worker_types,
                  "Instance types that workers may have; several with commas")
      ->delimiter(',');
  command.add_option("--min-workers", wish.workers_min, "Workers that always run")
      ->check(CLI::Range(0, 10'000));
  command.add_option("--max-workers", fleet.workers_max, "Workers that are to run at most")
      ->check(CLI::Range(0, 10'000));
  command.add_flag("--spot", fleet.is_spot, "Workers are spot instances");
  command.add_option("--vpc", fleet.vpc, "VPC of the fleet [the region's default one]");
  command.add_option("--subnets", wish.subnets, "Subnets of the fleet; several with commas [all of the VPC]")
      ->delimiter(',');
}

void add_cluster_options(CLI::App& command, AwsOptions& options) {
  command.add_option("--name", options.wish.name,
                     "Name of the cluster, which all that is made is named after");
  command
      .add_option("--allow-cidr", options.wish.allow_cidrs,
                  "ADDRESS/BITS of who outside may reach the managers; several with commas [nobody]")
      ->delimiter(',');
  command.add_option(
      "--store", options.store,
      "rocksdb: each manager on a volume of its own; postgres://HOST/DATABASE; or rds: a database "
      "that is made for them");
  command.add_option("--database-type", options.wish.database_type, "With --store rds: the database's type");
  command
      .add_option("--volume-gib", options.wish.volume_gib,
                  "Size of each of those volumes, or of that database, GiB")
      ->check(CLI::Range(1, 16'384));
  command
      .add_option(
          "--package", options.packages,
          "Debian package of skep, one for each architecture; several with commas [what was uploaded]")
      ->delimiter(',')
      ->type_name("FILE");
  command.add_option("--image", options.wish.image, "Image of the managers [Debian 12, the newest]");
  command.add_flag("--dry-run", options.is_dry_run, "Print what would be done, and do nothing");
  command.add_flag("--wait", options.is_waiting, "up: return when the managers are ready");
  command.add_flag("--policy", options.shows_policy,
                   "doctor: print the least policy that up, status and down need, and ask nothing");
  command.add_flag("--delete-data", options.deletes_data,
                   "down: delete the data, too: volumes, and a database but for a last snapshot");
}

}  // namespace

void add_aws_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<AwsOptions>();
  auto* command = app.add_subcommand("aws", "Make a cluster on AWS, and take it away again");
  command->footer(
      "Example: skep aws doctor --region eu-central-1 --worker-types c7g.xlarge,c6g.xlarge --max-workers 20 "
      "--spot\n"
      "         skep aws up --name prod --package skep_0.1.0-1_amd64.deb --allow-cidr 198.51.100.7/32 "
      "--wait\n"
      "         skep aws status --name prod\n"
      "         skep aws down --name prod\n"
      "Doctor makes nothing. Keys and region come from where AWS's own tools take them.");
  command->add_option("ACTION", options->action, "doctor, up, status or down")
      ->required()
      ->check(CLI::IsMember({"doctor", "up", "status", "down"}));
  command->add_option("--region", options->region,
                      "Region of AWS [AWS_REGION, the profile's, the instance's]");
  command->add_option("--profile", options->profile, "Profile of ~/.aws/config [AWS_PROFILE]");
  add_fleet_options(*command, options->wish);
  add_cluster_options(*command, *options);
  command->add_flag("--json", context.is_json, "Print JSON; of up and down a line a step");
  context.checks[command] = [options] { return complete(*options); };
  context.actions[command] = [&context, options] {
    const auto code = run(context, *options);
    return code ? code.value() : report(code.error());
  };
}

}  // namespace skep::cli
