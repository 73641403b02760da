// SPDX-License-Identifier: Apache-2.0
#include "cli/context.h"
namespace skep::cli {
void add_demo_command(CLI::App&, Context&) {}
}
