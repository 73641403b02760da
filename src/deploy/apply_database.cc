// SPDX-License-Identifier: Apache-2.0
// What apply.h says of the database that managers share: made once, waited for, and told to them.
#include "aws/ssm.h"
#include "base/secret.h"
#include "deploy/apply.h"

namespace skep::deploy {
namespace {

constexpr Duration kStepPatience = minutes(3);
constexpr Duration kDatabasePatience = hours(1);
constexpr std::size_t kPasswordBytes = 24;

constexpr std::initializer_list<Code> kPassing = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome,
                                                  Code::kNotFound};

Result<void> or_there(Result<void> made) {
  if (!made && made.error().code == Code::kConflict) return ok();
  return made;
}

// Nothing that is waited for makes it answer.
bool is_hopeless(const aws::Database& database) {
  for (const char* status :
       {"failed", "incompatible", "inaccessible", "restore-error", "storage-full", "stop", "deleting"}) {
    if (database.status.starts_with(status)) return true;
  }
  return false;
}

}  // namespace

Result<void> Applier::act_on_database(const Step& step) {
  switch (step.kind) {
    case StepKind::kCreateSubnetGroup:
      return create_subnet_group(step);
    case StepKind::kMakePassword:
      return make_password(step);
    case StepKind::kCreateDatabase:
      return create_database(step);
    case StepKind::kAwaitDatabase:
      return await_database(step);
    case StepKind::kPutStore:
      return put_store(step);
    default:
      return fail(Code::kInternal, "no step of an up");
  }
}

Result<void> Applier::create_subnet_group(const Step& step) {
  return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, [&] {
    return or_there(
        aws::Rds(parts_.client).create_subnet_group(step.name, ground_.subnet_ids(), names_.tags(), soon()));
  });
}

// Whoever made it first: what the parameter has counts.
Result<void> Applier::make_password(const Step& step) {
  SKEP_TRY(make_secret(step, hex_of(random_secret(kPasswordBytes))));
  SKEP_TRY(found_.password, read_secret(step));
  return ok();
}

Result<void> Applier::create_database(const Step& step) {
  aws::DatabaseSpec spec;
  spec.id = step.name;
  spec.type = wish_.database_type;
  spec.version = kDatabaseVersion;
  spec.size_gib = wish_.volume_gib;
  spec.name = kDatabaseName;
  spec.user = kDatabaseUser;
  spec.password = found_.password;
  spec.subnet_group = names_.subnet_group();
  spec.groups = {found_.database_group->id};
  spec.tags = names_.tags();
  return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, [&] {
    return or_there(aws::Rds(parts_.client).create_database(spec, soon()));
  });
}

Result<void> Applier::await_database(const Step& step) {
  std::string status;
  return parts_.patience.repeat<void>(parts_.patience.in(kDatabasePatience), kPassing, [&]() -> Result<void> {
    SKEP_TRY(aws::Database one, aws::Rds(parts_.client).database(step.name, soon()));
    if (one.status != status) parts_.progress.note(step.name + " is " + one.status);
    status = one.status;
    if (is_hopeless(one)) {
      return fail(Code::kInternal, "it is " + status +
                                       ": `aws rds describe-events --source-type db-instance "
                                       "--source-identifier " +
                                       step.name + "` says more");
    }
    if (!is_usable(one)) return fail(Code::kUnavailable, "it is " + status + ": run this again to wait on");
    found_.database = std::move(one);
    return ok();
  });
}

Result<void> Applier::put_store(const Step& step) {
  const std::string url = store_url(wish_, found_);
  if (url.empty()) return fail(Code::kUnavailable, "the database's address is not known: run this again");
  if (!found_.has_parameter(step.name)) {
    SKEP_TRY(make_secret(step, url));
  }
  return parts_.patience.repeat<void>(parts_.patience.in(kStepPatience), kPassing, [&] {
    return aws::Ssm(parts_.client).put_secret(step.name, url, soon());
  });
}

}  // namespace skep::deploy
