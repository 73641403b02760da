// SPDX-License-Identifier: Apache-2.0
#include "cli/access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "cli/token_file.h"
#include "task/access_token.h"

namespace skep::cli {
namespace {

constexpr const char* kVariable = "SKEP_TOKEN";

// A file's token, as the file is now. What can not be read leaves the one before.
class FileToken {
 public:
  FileToken(std::string path, std::string token) : path_(std::move(path)), token_(std::move(token)) {
    (void)has_changed();
  }

  std::string operator()() {
    if (!has_changed()) return token_;
    if (auto read = read_token(path_)) token_ = std::move(read.value());
    return token_;
  }

 private:
  bool has_changed() {
    struct stat now {};
    if (::stat(path_.c_str(), &now) != 0) return false;
    const bool is_same = now.st_ino == seen_.st_ino && now.st_size == seen_.st_size &&
                         now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
                         now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec;
    seen_ = now;
    return !is_same;
  }

  std::string path_;
  std::string token_;
  struct stat seen_ {};
};

Error write_error(const std::string& path) {
  return fail(Code::kInvalid, "'" + path + "' can not be written: " + std::system_category().message(errno));
}

}  // namespace

std::string take_token_variable() {
  char* value = std::getenv(kVariable);
  if (value == nullptr) return {};
  std::string token = trimmed_token(value);
  // Also out of what the system shows of this process.
  std::memset(value, 0, std::strlen(value));
  ::unsetenv(kVariable);
  return token;
}

void add_access_options(CLI::App& app, Access& access) {
  app.add_option("--token-file", access.token_file,
                 "File with the token that the manager asks for; without it SKEP_TOKEN counts")
      ->type_name("FILE");
  app.add_option("--ca", access.ca_file, "File with the authorities that https:// managers are trusted by")
      ->type_name("FILE");
}

Result<http::ClientOptions> client_options(const Access& access) {
  http::ClientOptions options;
  options.tls.ca_file = access.ca_file;
  if (auto checked = http::check(options.tls); !checked) return with_context(checked.error(), "--ca");
  if (!access.token_file.empty()) {
    SKEP_TRY(auto token, read_token(access.token_file));
    options.bearer = FileToken(access.token_file, std::move(token));
  } else if (!access.token.empty()) {
    if (!split_token(access.token)) return fail(Code::kInvalid, "SKEP_TOKEN has no token in it");
    options.bearer = [token = access.token] { return token; };
  }
  return options;
}

Result<void> write_token_file(const std::string& path, const std::string& token) {
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());
  const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return write_error(path);
  const std::string line = token + "\n";
  const bool is_written =
      ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  errno = error;
  if (!is_written || ::rename(draft.c_str(), path.c_str()) != 0) return write_error(path);
  return ok();
}

}  // namespace skep::cli
