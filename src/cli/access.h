// SPDX-License-Identifier: Apache-2.0
// access.h - how commands show who they are, and how they know whom they talk to: --token-file, SKEP_TOKEN,
// --ca.
//
// A token never stands on a command line, where everybody on the machine sees it.
//
// Threads:   the main thread; the options that are made may be copied anywhere.
// Errors:    kInvalid with a sentence that has nothing of a token.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "http/client.h"

namespace skep::cli {

struct Access {
  std::string token;       // from SKEP_TOKEN
  std::string token_file;  // goes before it
  std::string ca_file;     // "": the system's authorities
};

// What SKEP_TOKEN has; it is gone from the environment then, and so from that of every child.
std::string take_token_variable();

void add_access_options(CLI::App& app, Access& access);

// The token's file is read now, and again whenever it has changed: a token can be replaced while its holder
// runs.
Result<http::ClientOptions> client_options(const Access& access);

// Writes a token into a file that its owner alone reads; one that is there is replaced as a whole.
Result<void> write_token_file(const std::string& path, const std::string& token);

}  // namespace skep::cli
