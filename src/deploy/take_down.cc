// SPDX-License-Identifier: Apache-2.0
// What apply.h says of an end: instances first, then what they held on to.
#include "aws/s3.h"
#include "aws/ssm.h"
#include "deploy/apply.h"

namespace skep::deploy {
namespace {

constexpr Duration kStepPatience = minutes(1);
constexpr Duration kEndPatience = minutes(6);     // of instances, and of what hangs on them
constexpr Duration kDatabasePatience = hours(1);  // its snapshot takes as long as it is large
constexpr int kRoundsMax = 6;

constexpr std::initializer_list<Code> kPassing = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome};
// In use: by something that is about to end.
constexpr std::initializer_list<Code> kBusy = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome,
                                               Code::kConflict};

Result<void> or_gone(Result<void> deleted) {
  if (!deleted && deleted.error().code == Code::kNotFound) return ok();
  return deleted;
}

class Remover {
 public:
  Remover(const ApplyParts& parts, const Names& names, Data data)
      : parts_(parts),
        names_(names),
        data_(data),
        finder_(parts.client, names),
        ec2_(parts.client),
        rds_(parts.client) {}

  Result<Removal> run() {
    for (int round = 1;; ++round) {
      SKEP_TRY(found_, finder_.look());
      const Plan plan = plan_down(names_, found_, data_);
      removal_ = {plan.notes, {}};
      removal_.kept.insert(removal_.kept.end(), snapshots_.begin(), snapshots_.end());
      if (plan.steps.empty()) return removal_;
      if (round > kRoundsMax) {
        for (const Step& step : plan.steps) removal_.failures.push_back(step.what + ": it is still there");
        return removal_;
      }
      if (!found_.instances.empty()) {
        SKEP_TRY(end_instances(plan));
        continue;  // a manager may have launched a worker in its last seconds
      }
      for (const Step& step : plan.steps) carry_out(step);
      if (!removal_.failures.empty()) return removal_;
    }
  }

 private:
  Result<void> end_instances(const Plan& plan) {
    for (const Step& step : plan.steps) {
      if (step.kind == StepKind::kEndInstance) carry_out(step);
    }
    const Instant begun = parts_.patience.now();
    parts_.progress.begin("wait until the instances have ended", "they hold volumes and the security group");
    auto ended =
        parts_.patience.repeat<void>(parts_.patience.in(kEndPatience), kPassing, [&]() -> Result<void> {
          SKEP_TRY(const auto instances, finder_.instances());
          if (instances.empty()) return ok();
          return fail(Code::kUnavailable, instances.front().id + " is " + instances.front().state);
        });
    parts_.progress.end(ended, parts_.patience.now() - begun);
    return ended;
  }

  void carry_out(const Step& step) {
    const Instant begun = parts_.patience.now();
    parts_.progress.begin(step.what, step.reason);
    const auto done = act(step);
    parts_.progress.end(done, parts_.patience.now() - begun);
    if (!done) removal_.failures.push_back(step.what + ": " + done.error().message);
  }

  Result<void> repeat(Duration patience, std::initializer_list<Code> passing,
                      const std::function<Result<void>()>& call) {
    return parts_.patience.repeat<void>(parts_.patience.in(patience), passing,
                                        [&] { return or_gone(call()); });
  }

  Result<void> act(const Step& step) {
    aws::S3 s3(parts_.client);
    aws::Ssm ssm(parts_.client);
    switch (step.kind) {
      case StepKind::kEndInstance:
        return repeat(kStepPatience, kPassing, [&] { return ec2_.terminate({step.name}, soon()); });
      case StepKind::kDeleteTemplate:
        return repeat(kStepPatience, kPassing, [&] { return ec2_.delete_template(step.name, soon()); });
      case StepKind::kDeleteVolume:
        return repeat(kEndPatience, kBusy, [&] { return ec2_.delete_volume(step.name, soon()); });
      case StepKind::kDeleteDatabase:
        return delete_database(step);
      case StepKind::kDeleteSubnetGroup:
        return repeat(kEndPatience, kBusy, [&] { return rds_.delete_subnet_group(step.name, soon()); });
      case StepKind::kDeleteParameter:
        return repeat(kStepPatience, kPassing, [&] { return ssm.delete_parameter(step.name, soon()); });
      case StepKind::kEmptyBucket:
        for (const std::string& key : found_.keys) {
          SKEP_TRY(repeat(kStepPatience, kPassing, [&] { return s3.remove(step.name, key, soon()); }));
        }
        return ok();
      case StepKind::kDeleteBucket:
        return repeat(kStepPatience, kBusy, [&] { return s3.delete_bucket(step.name, soon()); });
      case StepKind::kDeleteProfile:
        return delete_profile(step);
      case StepKind::kDeleteRole:
        return delete_role(step);
      case StepKind::kDeleteGroup:
        return repeat(kEndPatience, kBusy, [&] { return ec2_.delete_group(step.name, soon()); });
      default:
        return fail(Code::kInternal, "no step of an end");
    }
  }

  Result<void> delete_profile(const Step& step) {
    aws::Iam iam(parts_.client);
    for (const std::string& role : found_.profiles.at(step.part).roles) {
      SKEP_TRY(repeat(kStepPatience, kPassing, [&] { return iam.remove_role(step.name, role, soon()); }));
    }
    return repeat(kStepPatience, kBusy, [&] { return iam.delete_profile(step.name, soon()); });
  }

  // Again and again until it is gone: what its status does not allow yet it does later.
  Result<void> delete_database(const Step& step) {
    std::string status;
    const auto gone =
        parts_.patience.repeat<void>(parts_.patience.in(kDatabasePatience), kBusy, [&]() -> Result<void> {
          const auto one = rds_.database(step.name, soon());
          if (!one) return or_gone(one.error());
          if (one.value().status != status) parts_.progress.note(step.name + " is " + one.value().status);
          status = one.value().status;
          if (status == "deleting") return fail(Code::kUnavailable, step.name + " is being deleted");
          if (one.value().is_protected) {
            SKEP_TRY(rds_.unprotect(step.name, soon()));
          } else {
            SKEP_TRY(or_gone(rds_.delete_database(step.name, step.address, soon())));
          }
          return fail(Code::kUnavailable, step.name + " is " + status + " and not being deleted yet");
        });
    if (gone) {
      snapshots_.push_back("snapshot " + step.address + " has what database " + step.name +
                           " had, and is kept: aws rds delete-db-snapshot --db-snapshot-identifier " +
                           step.address + " deletes it");
    }
    return gone;
  }

  Result<void> delete_role(const Step& step) {
    aws::Iam iam(parts_.client);
    SKEP_TRY(repeat(kStepPatience, kPassing,
                    [&] { return iam.delete_policy(step.name, names_.policy(), soon()); }));
    return repeat(kStepPatience, kBusy, [&] { return iam.delete_role(step.name, soon()); });
  }

  aws::CallOptions soon() const { return patient(parts_.client); }

  const ApplyParts& parts_;
  const Names& names_;
  const Data data_;
  Finder finder_;
  aws::Ec2 ec2_;
  aws::Rds rds_;
  Found found_;
  Removal removal_;
  aws::Names snapshots_;  // sentences, of databases that were deleted
};

}  // namespace

Result<Removal> take_down(const ApplyParts& parts, const Names& names, Data data) {
  return Remover(parts, names, data).run();
}

}  // namespace skep::deploy
