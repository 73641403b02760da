// SPDX-License-Identifier: Apache-2.0
// aws: whether an account of AWS can hold a fleet.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/aws_session.h"
#include "cli/context.h"
#include "deploy/doctor.h"

namespace skep::cli {
namespace {

namespace json = boost::json;

struct AwsOptions {
  std::string action;
  std::string region;
  std::string profile;
  deploy::FleetWish wish;
};

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
      deploy::Doctor(session->client(), options.wish).look([&](const deploy::Finding& finding) {
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

}  // namespace

void add_aws_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<AwsOptions>();
  auto* command = app.add_subcommand("aws", "Look whether an account of AWS can hold a fleet");
  command->footer(
      "Example: skep aws doctor --region eu-central-1 --managers 2 --worker-types c7g.xlarge,c6g.xlarge "
      "--max-workers 20 --spot\n"
      "Nothing is made. Keys and region come from where AWS's own tools take them.");
  command->add_option("ACTION", options->action, "doctor")->required()->check(CLI::IsMember({"doctor"}));
  command->add_option("--region", options->region,
                      "Region of AWS [AWS_REGION, the profile's, the instance's]");
  command->add_option("--profile", options->profile, "Profile of ~/.aws/config [AWS_PROFILE]");
  command->add_option("--managers", options->wish.managers, "Managers that are to run")
      ->check(CLI::Range(1, 100));
  command->add_option("--instance-type", options->wish.manager_type, "Instance type of the managers");
  command
      ->add_option("--worker-types", options->wish.worker_types,
                   "Instance types that workers may have; several with commas")
      ->delimiter(',');
  command->add_option("--max-workers", options->wish.workers_max, "Workers that are to run at most")
      ->check(CLI::Range(0, 10'000));
  command->add_flag("--spot", options->wish.is_spot, "Workers are spot instances");
  command->add_option("--vpc", options->wish.vpc, "VPC of the fleet [the region's default one]");
  command->add_flag("--json", context.is_json, "Print JSON");
  context.actions[command] = [&context, options] {
    const auto code = run_doctor(context, *options);
    return code ? code.value() : report(code.error());
  };
}

}  // namespace skep::cli
