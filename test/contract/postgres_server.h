// SPDX-License-Identifier: Apache-2.0
// postgres_server.h - a PostgreSQL of the test's own: made from nothing, killed, started again.
//
// It listens on a socket in its directory only. As root it runs as the user postgres, which it insists on.
//
// Threads:   the test's thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "engines.h"

namespace skep::contract {

class PostgresServer {
 public:
  // Why there can be none on this machine; "" if there can.
  static std::string why_not();
  // One for all tests of this program that may share one: fsync is off, and soft commits stay in memory for
  // long, so that a crash loses them.
  static PostgresServer& shared();

  // `settings`: lines of postgresql.conf.
  explicit PostgresServer(const std::string& settings);
  ~PostgresServer();

  void start();
  // SIGKILL to every process of the server.
  void kill();
  bool is_running() const { return pid_ > 0; }

  // Makes an empty database; its conninfo.
  std::string make_database();
  std::string conninfo(const std::string& database) const;

 private:
  void wait_until_ready() const;

  TemporaryDirectory directory_;
  std::string data_;
  pid_t pid_ = 0;
  int databases_ = 0;
};

}  // namespace skep::contract
