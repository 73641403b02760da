// SPDX-License-Identifier: Apache-2.0
#include "cli/aws_cluster.h"

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "base/secret.h"
#include "task/access_token.h"

namespace skep::cli {
namespace {

namespace json = boost::json;

constexpr Duration kReadyPatience = minutes(15);

void print(const json::object& line) {
  std::printf("%s\n", json::serialize(line).c_str());
  std::fflush(stdout);
}

std::string text_of(const std::string& text) {
  return api::to_valid_utf8(text);
}

// A line a step: on a terminal it stands there while the step runs, elsewhere once it has ended.
class ShownProgress final : public deploy::Progress {
 public:
  explicit ShownProgress(bool is_json) : is_json_(is_json), is_terminal_(::isatty(STDOUT_FILENO) == 1) {}

  void begin(const std::string& what, const std::string& reason) override {
    what_ = what;
    reason_ = reason;
    if (is_json_) {
      print({{"step", text_of(what)}, {"state", "begun"}, {"reason", text_of(reason)}});
    } else if (is_terminal_) {
      std::printf("...             %s (%s)", what.c_str(), reason.c_str());
      std::fflush(stdout);
    }
  }

  void end(const Result<void>& outcome, Duration took) override {
    const char* state = outcome ? "done" : "failed";
    if (is_json_) {
      json::object line{{"step", text_of(what_)}, {"state", state}, {"took_ms", took / milliseconds(1)}};
      if (!outcome) line["problem"] = text_of(outcome.error().message);
      return print(line);
    }
    std::printf("%s%-7s %7s %s (%s)\n", is_terminal_ ? "\r" : "", state, describe_duration(took).c_str(),
                what_.c_str(), reason_.c_str());
    std::fflush(stdout);
  }

  void note(const std::string& sentence) override {
    if (is_json_) return print({{"note", text_of(sentence)}});
    // On a terminal in place of the step's line, which follows when it ends.
    std::printf("%snote    %s%s\n", is_terminal_ ? "\r" : "", sentence.c_str(), is_terminal_ ? "\x1b[K" : "");
    std::fflush(stdout);
  }

 private:
  const bool is_json_;
  const bool is_terminal_;
  std::string what_;
  std::string reason_;
};

void show_plan(const Context& context, const deploy::Plan& plan) {
  for (const std::string& note : plan.notes) ShownProgress(context.is_json).note(note);
  for (const deploy::Step& step : plan.steps) {
    if (context.is_json) {
      print({{"step", text_of(step.what)}, {"state", "planned"}, {"reason", text_of(step.reason)}});
    } else {
      std::printf("planned %s (%s)\n", step.what.c_str(), step.reason.c_str());
    }
  }
  if (plan.steps.empty() && !context.is_json) std::printf("nothing is to be done\n");
}

Result<deploy::Package> read_package(const aws::Environment& environment, const std::string& path) {
  deploy::Package package{path, "", ""};
  for (const char* architecture : {"amd64", "arm64"}) {
    if (path.ends_with(std::string("_") + architecture + ".deb")) package.architecture = architecture;
  }
  if (package.architecture.empty())
    return fail(Code::kInvalid,
                "--package " + path + " does not end in _amd64.deb or _arm64.deb, as packages of Debian do");
  auto body = environment.read_file(path);
  if (!body) return with_context(std::move(body.error()), "--package");
  package.sha256 = hex_of(sha256(body.value(), ""));
  return package;
}

std::string address_of(const deploy::Manager& manager) {
  const std::string& host = manager.public_address.empty() ? manager.private_address : manager.public_address;
  return host + ":" + std::to_string(deploy::kPort);
}

std::string token_command(const deploy::Names& names) {
  return "aws ssm get-parameter --region " + names.region() + " --name " + names.token_parameter("client") +
         " --with-decryption --query Parameter.Value --output text";
}

void show_managers(const Context& context, const AwsOptions& options, const deploy::Names& names,
                   const std::vector<deploy::Manager>& managers) {
  if (context.is_json) {
    json::array list;
    for (const auto& one : managers) {
      list.push_back(json::object{{"slot", one.slot},
                                  {"instance", one.instance},
                                  {"state", one.state},
                                  {"address", address_of(one)},
                                  {"private_address", one.private_address}});
    }
    return print({{"cluster", names.cluster()},
                  {"region", names.region()},
                  {"managers", std::move(list)},
                  {"client_token_parameter", names.token_parameter("client")}});
  }
  std::printf("\ncluster %s in %s\n", names.cluster().c_str(), names.region().c_str());
  for (const auto& one : managers) {
    std::printf("manager %d  http://%s  (%s, %s, within the VPC %s)\n", one.slot, address_of(one).c_str(),
                one.instance.c_str(), one.state.c_str(), one.private_address.c_str());
  }
  if (managers.empty()) return;
  const std::string address = address_of(managers.front());
  std::printf("\nthe token of clients, from where you may read it:\n  TOKEN=$(%s)\n",
              token_command(names).c_str());
  std::printf("a task, and what is completed:\n");
  std::printf(
      "  curl -H \"Authorization: Bearer $TOKEN\" -X PUT --data-binary @FILE "
      "'http://%s/enqueue?iterations=1000'\n",
      address.c_str());
  std::printf("  curl -H \"Authorization: Bearer $TOKEN\" -X POST 'http://%s/pullCompleted?top=10'\n",
              address.c_str());
  if (options.wish.allow_cidrs.empty())
    std::printf(
        "nobody outside of the cluster reaches these addresses: --allow-cidr ADDRESS/BITS lets somebody "
        "in\n");
}

// What up and down are carried out with.
struct Deployment {
  std::unique_ptr<AwsSession> session;
  std::unique_ptr<deploy::Names> names;
  std::unique_ptr<deploy::Patience> patience;
  std::unique_ptr<ShownProgress> progress;

  deploy::ApplyParts parts() {
    const SystemClock clock;
    return {session->client(),
            session->transport(),
            *patience,
            *progress,
            session->environment().read_file,
            [now = clock.now()](const std::string& role) {
              return make_token(*parse_role(role), "", now, kNever).first;
            }};
  }
};

Result<Deployment> open_deployment(const Context& context, const AwsOptions& options) {
  Deployment made;
  SKEP_TRY(made.session, AwsSession::open(options.region, options.profile));
  aws::Client& client = made.session->client();
  SKEP_TRY(const std::string account, deploy::find_account(client));
  made.names = std::make_unique<deploy::Names>(options.wish.name, client.region(), account);
  made.patience = std::make_unique<deploy::Patience>(
      made.session->clock(), made.session->pauses(),
      static_cast<std::uint64_t>(made.session->clock().now().time_since_epoch().count()));
  made.progress = std::make_unique<ShownProgress>(context.is_json);
  return made;
}

}  // namespace

Result<void> complete(AwsOptions& options) {
  if (options.action == "doctor") return ok();
  if (options.wish.name.empty())
    return fail(Code::kInvalid, "skep aws " + options.action + " wants --name, that of the cluster");
  if (options.store.starts_with("postgres://") || options.store.starts_with("postgresql://")) {
    options.wish.store = deploy::StoreKind::kPostgres;
    options.wish.store_url = options.store;
  } else if (options.store == "rds") {
    options.wish.store = deploy::StoreKind::kRds;
  } else if (options.store != "rocksdb") {
    return fail(Code::kInvalid, "--store is rocksdb, postgres://HOST/DATABASE or rds here");
  }
  if (options.is_waiting && options.wish.allow_cidrs.empty()) {
    return fail(
        Code::kInvalid,
        "--wait asks the managers whether they are ready, and without --allow-cidr nobody outside reaches "
        "them: add it, with this machine's address");
  }
  return deploy::check(options.wish);
}

Result<int> run_up(const Context& context, const AwsOptions& options) {
  deploy::ClusterWish wish = options.wish;
  SKEP_TRY(Deployment made, open_deployment(context, options));
  for (const std::string& path : options.packages) {
    SKEP_TRY(deploy::Package package, read_package(made.session->environment(), path));
    if (wish.package_for(package.architecture) != nullptr)
      return fail(Code::kInvalid, "--package names two for " + package.architecture);
    wish.packages.push_back(std::move(package));
  }
  deploy::Applier applier(made.parts(), std::move(wish), *made.names);
  if (options.is_dry_run) {
    SKEP_TRY(const deploy::Plan plan, applier.plan());
    show_plan(context, plan);
    return api::kExitOk;
  }
  SKEP_TRY(const auto managers,
           applier.up(options.is_waiting ? deploy::Wait::kUntilReady : deploy::Wait::kNo, kReadyPatience));
  show_managers(context, options, *made.names, managers);
  return api::kExitOk;
}

Result<int> run_down(const Context& context, const AwsOptions& options) {
  SKEP_TRY(Deployment made, open_deployment(context, options));
  const deploy::Data data = options.deletes_data ? deploy::Data::kDeleted : deploy::Data::kKept;
  if (options.is_dry_run) {
    SKEP_TRY(const deploy::Found found, deploy::Finder(made.session->client(), *made.names).look());
    show_plan(context, deploy::plan_down(*made.names, found, data));
    return api::kExitOk;
  }
  SKEP_TRY(const deploy::Removal removal, deploy::take_down(made.parts(), *made.names, data));
  for (const std::string& sentence : removal.kept) made.progress->note(sentence);
  for (const std::string& sentence : removal.failures) {
    if (context.is_json) {
      print({{"left", text_of(sentence)}});
    } else {
      std::printf("left    %s\n", sentence.c_str());
    }
  }
  return removal.failures.empty() ? api::kExitOk : api::kExitFailure;
}

}  // namespace skep::cli
