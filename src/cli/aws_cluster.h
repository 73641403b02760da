// SPDX-License-Identifier: Apache-2.0
// aws_cluster.h - skep aws up, status and down: a cluster's flags, and what is shown of it.
//
// Threads:   the main thread.
// Errors:    those of deploy/apply.h.
#pragma once

#include <string>
#include <vector>

#include "cli/aws_session.h"
#include "cli/context.h"
#include "deploy/apply.h"

namespace skep::cli {

struct AwsOptions {
  std::string action;
  std::string region;
  std::string profile;
  deploy::ClusterWish wish;
  std::vector<std::string> packages;  // files
  std::string store = "rocksdb";
  bool is_dry_run = false;
  bool is_waiting = false;
  bool deletes_data = false;
  bool shows_policy = false;
};

// What is wrong with flags that are right by themselves; fills in what follows from them.
Result<void> complete(AwsOptions& options);

// The exit code.
Result<int> run_up(const Context& context, const AwsOptions& options);
Result<int> run_status(const Context& context, const AwsOptions& options);
Result<int> run_down(const Context& context, const AwsOptions& options);

}  // namespace skep::cli
