// SPDX-License-Identifier: Apache-2.0
// serve_ec2.h - a manager's workers at EC2: its flags, and the provisioner that they make.
//
// Threads:   the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "base/executor.h"
#include "cli/aws_session.h"
#include "manager/manager.h"
#include "provision/ec2.h"

namespace skep::cli {

struct Ec2Serve {
  provision::Ec2Options fleet;  // but for instances_max, which is --max-workers
  Duration boot_timeout = minutes(5);
};

void add_ec2_options(CLI::App& command, Ec2Serve& options);

// What a worker costs an hour at most, as provision/prices.h has it: the dearest of its types. 0: the price
// of one of them is not known.
double ec2_price_hour(const Ec2Serve& options);

// What takes longer at EC2 than a process does: boots, drains, ends.
void set_ec2_times(const Ec2Serve& options, manager::ManagerOptions& manager);

// `own_url`: by which workers reach this manager, where they are its alone; "" where managers share a store.
std::unique_ptr<scaler::Provisioner> make_ec2_provisioner(const Ec2Serve& options, std::uint32_t workers_max,
                                                          const std::string& own_url,
                                                          std::shared_ptr<AwsSession> session,
                                                          Executor& executor, const Clock& clock,
                                                          const Logger& log);

}  // namespace skep::cli
