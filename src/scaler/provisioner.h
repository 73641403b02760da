// SPDX-License-Identifier: Apache-2.0
// provisioner.h - the seam behind which machines or processes are started and stopped.
//
// Threads:   calls and replies on one executor; a provisioner that blocks does so on a thread of its own.
// Errors:    launch: an Error for each instance that was not started; kUnknownOutcome says that one may exist
//            all the same, and list() will tell. list: kUnavailable, nothing is known. terminate of an
//            unknown id is success.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "base/time.h"

namespace skep::scaler {

enum class InstanceState : std::uint8_t {
  kStarting,  // asked for, and does not run yet: its boot has not begun
  kRunning,
  kStopping,
  kGone,
};

struct Instance {
  std::string id;  // the provisioner's name for it
  // What the worker on it says of itself when it registers (RegisterRequest.instance): the token of its
  // launch, with "-" and more behind it where a launch starts several.
  std::string token;
  InstanceState state = InstanceState::kRunning;
  Instant started_at{};
  std::string detail;  // for people: "pid 4711", "exit code 1", "m7a.large in eu-central-1a"
  // The kind of machine it is, "m7a.large": boot times are learned by it. "": it is not told apart.
  std::string type{};
};

struct LaunchReply {
  std::vector<Instance> started;
  std::vector<Error> errors;
};

class Provisioner {
 public:
  using ListDone = UniqueFunction<void(Result<std::vector<Instance>>)>;
  using LaunchDone = UniqueFunction<void(LaunchReply)>;
  using TerminateDone = UniqueFunction<void(Result<void>)>;
  using Changed = UniqueFunction<void()>;

  virtual ~Provisioner() = default;

  virtual std::string name() const = 0;  // "process", "ec2", "none"
  // False: it starts nothing, the wanted size is only published.
  virtual bool can_launch() const { return true; }
  // True: what any manager of a cluster launched, each of them lists and can terminate. Then the leader alone
  // uses it; it must be given to all. False: instances are of the machine of this manager.
  virtual bool is_cluster_wide() const { return false; }
  // Of a cluster-wide one: a list shows what was launched before, by whomever, if it was asked for so long
  // after.
  virtual Duration list_lag() const { return Duration::zero(); }
  virtual void list(ListDone done) = 0;
  // `token` is unique to this call for ever: a repeated call with the same token starts nothing twice.
  virtual void launch(std::uint32_t count, std::string token, LaunchDone done) = 0;
  virtual void terminate(std::vector<std::string> ids, TerminateDone done) = 0;
  // `changed` runs on the executor soon after an instance went away by itself. Not every provisioner does it.
  virtual void on_change(Changed changed) = 0;
};

}  // namespace skep::scaler
