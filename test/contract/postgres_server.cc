// SPDX-License-Identifier: Apache-2.0
#include "postgres_server.h"

#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "store/postgres_connection.h"

namespace skep::contract {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSharedSettings =
    "fsync = off\nfull_page_writes = off\nwal_writer_delay = 10s\nmax_connections = 40\n";

// Where Debian keeps the programs of the server, the newest first; else the path.
std::string programs() {
  for (const char* const version : {"17", "16", "15", "14"}) {
    const std::string directory = std::string("/usr/lib/postgresql/") + version + "/bin";
    if (fs::exists(directory + "/initdb") && fs::exists(directory + "/postgres")) return directory;
  }
  return "";
}

bool is_root() {
  return ::geteuid() == 0;
}

std::vector<std::string> as_server_user(std::vector<std::string> command) {
  if (!is_root()) return command;
  std::vector<std::string> prefix = {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
                                     "--pdeathsig=QUIT"};
  prefix.insert(prefix.end(), command.begin(), command.end());
  return prefix;
}

pid_t begin(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  SKEP_CHECK(pid >= 0, "a process for PostgreSQL");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // setpriv sets it again: a change of the user clears it
  if (::freopen(log.c_str(), "a", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(126);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

std::vector<pid_t> children_of(pid_t pid) {
  std::ifstream list("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

}  // namespace

std::string PostgresServer::why_not() {
  if (programs().empty()) return "there is no initdb in /usr/lib/postgresql/*/bin: install postgresql-15";
  if (is_root() && ::getpwnam("postgres") == nullptr)
    return "there is no user postgres, and root may not run it";
  return "";
}

PostgresServer& PostgresServer::shared() {
  static PostgresServer server(kSharedSettings);
  return server;
}

PostgresServer::PostgresServer(const std::string& settings) : data_(directory_.path() + "/data") {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a killed server leaves can be waited for
  if (const passwd* user = ::getpwnam("postgres"); is_root() && user != nullptr) {
    SKEP_CHECK(::chown(directory_.path().c_str(), user->pw_uid, user->pw_gid) == 0,
               "a directory for postgres");
  }
  const pid_t pid = begin(as_server_user({programs() + "/initdb", "-D", data_, "-U", "skep", "-E", "UTF8",
                                          "--locale=C", "-A", "trust", "-N", "-k"}),
                          directory_.path() + "/log");
  int status = 0;
  SKEP_CHECK(::waitpid(pid, &status, 0) == pid && status == 0, "initdb succeeds");
  std::ofstream(data_ + "/postgresql.conf", std::ios::app)
      << "listen_addresses = ''\nunix_socket_directories = '" << directory_.path() << "'\n"
      << "logging_collector = off\n"
      << settings;
  start();
}

PostgresServer::~PostgresServer() {
  kill();
}

std::string PostgresServer::conninfo(const std::string& database) const {
  return "postgresql:///" + database + "?user=skep&host=" + directory_.path();
}

void PostgresServer::start() {
  pid_ = begin(as_server_user({programs() + "/postgres", "-D", data_}), directory_.path() + "/log");
  wait_until_ready();
}

void PostgresServer::wait_until_ready() const {
  const SystemClock clock;
  const Instant deadline = clock.now() + seconds(60);
  for (;;) {
    store::PgConnection connection(conninfo("postgres"));
    const auto connected = connection.ensure();
    if (connected) return;
    SKEP_CHECK(clock.now() < deadline, connected.error().message);
  }
}

void PostgresServer::kill() {
  if (pid_ <= 0) return;
  // Stopped first, so that it starts no more of them. Each is the leader of a group of its own.
  ::kill(pid_, SIGSTOP);
  const auto children = children_of(pid_);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);  // they are ours now
  pid_ = 0;
}

std::string PostgresServer::make_database() {
  const std::string name = "skep" + std::to_string(++databases_);
  store::PgConnection connection(conninfo("postgres"));
  const auto connected = connection.ensure();
  SKEP_CHECK(connected.has_value(), connected ? "" : connected.error().message);
  const auto made = connection.script("CREATE DATABASE " + name);
  SKEP_CHECK(made.has_value(), made ? "" : made.error().message);
  return conninfo(name);
}

}  // namespace skep::contract
