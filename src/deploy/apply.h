// SPDX-License-Identifier: Apache-2.0
// apply.h - makes a cluster as it is wanted, or takes it away: looks, plans, and carries the plan out.
//
// Each step may be cut off at any point and be done again: what it makes has a name, a tag or a client token
// that a later run finds it by. What AWS shows late is waited for by error code, under a deadline for each
// step.
//
// Threads:   one thread at a time; blocks for its calls.
// Errors:    those of the plan and of the calls, with the step's name. kTimeout: a manager is not ready in
// time. Ownership: borrows what it is made of.
#pragma once

#include "deploy/find.h"
#include "deploy/patience.h"
#include "deploy/plan.h"

namespace skep::deploy {

// Who watches.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void begin(const std::string& what, const std::string& reason) = 0;
  // Of the step begun last.
  virtual void end(const Result<void>& outcome, Duration took) = 0;
  virtual void note(const std::string& sentence) = 0;
};

struct ApplyParts {
  aws::Client& client;
  aws::Transport& transport;  // to the managers
  Patience& patience;
  Progress& progress;
  std::function<Result<std::string>(const std::string& path)> read_file;
  std::function<std::string(const std::string& role)> make_token;
};

struct Manager {
  int slot = 0;
  std::string instance;
  std::string state;
  std::string private_address;
  std::string public_address;  // "": none (yet)
};

enum class Wait { kNo, kUntilReady };

class Applier {
 public:
  Applier(ApplyParts parts, ClusterWish wish, Names names)
      : parts_(std::move(parts)),
        wish_(std::move(wish)),
        names_(std::move(names)),
        finder_(parts_.client, names_),
        ec2_(parts_.client) {}

  // What up() would do.
  Result<Plan> plan();
  // Makes what is missing. With kUntilReady the managers answer /readyz and know each other when it returns;
  // one that ends meanwhile is replaced.
  Result<std::vector<Manager>> up(Wait wait, Duration patience);

 private:
  Result<void> carry_out(const Step& step);
  Result<void> act(const Step& step);
  Result<void> act_on_machines(const Step& step);
  Result<void> mark(const Step& step);
  Result<void> create_group(const Step& step);
  Result<void> create_role(const Step& step);
  Result<void> create_profile(const Step& step);
  Result<void> add_role(const Step& step);
  Result<void> upload(const Step& step);
  Result<void> make_secret(const Step& step, const std::string& value);
  Result<std::string> read_secret(const Step& step);
  Result<void> create_template(const Step& step);
  Result<void> renew_template(const Step& step);
  Result<void> launch(const Step& step);
  Result<aws::Instance> launch_at(const Step& step, Place place);
  Result<void> wait_for_predecessor(int slot);
  Result<void> create_volume(const Step& step);
  Result<void> attach_volume(const Step& step);
  Result<void> tell_managers(const Step& step);
  Result<void> act_on_database(const Step& step);
  Result<void> create_subnet_group(const Step& step);
  Result<void> make_password(const Step& step);
  Result<void> create_database(const Step& step);
  Result<void> await_database(const Step& step);
  Result<void> put_store(const Step& step);
  std::optional<aws::SecurityGroup>& group_of(const Step& step) {
    return step.name == names_.database_group() ? found_.database_group : found_.group;
  }
  aws::TemplateSpec template_spec(const Step& step) const;
  aws::LaunchSpec manager_spec(const Step& step) const;
  std::string client_token(const std::string& what, int generation) const;
  // As EC2 shows them now; one that it does not show yet is as it was launched. Fails, and notes it, if one
  // has ended.
  Result<std::vector<Manager>> managers();
  Result<void> wait_until_ready(Instant end);
  Result<void> join_siblings(Instant end);
  Result<int> ask(const Manager& manager, const std::string& method, const std::string& path,
                  const std::string& token, std::string* body);
  aws::CallOptions soon() const { return patient(parts_.client); }

  ApplyParts parts_;
  ClusterWish wish_;
  const Names names_;
  Finder finder_;
  aws::Ec2 ec2_;
  Ground ground_;
  Found found_;
  bool is_lost_ = false;  // a manager ended while it was waited for
};

struct Removal {
  aws::Names kept;      // sentences
  aws::Names failures;  // the same: what is left against the wish
};

// Takes away what carries the cluster's tag, and goes on past what can not be taken away.
Result<Removal> take_down(const ApplyParts& parts, const Names& names, Data data);

}  // namespace skep::deploy
