// SPDX-License-Identifier: Apache-2.0
#include "worker/work_directory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

namespace skep::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "skep-task-";
// Between the making of a directory and its lock lies less.
constexpr Duration kUnlockedMax = minutes(1);

// Gives back to every directory below `path` the rights that deleting what is in it needs.
void open_up(const fs::path& path) {
  constexpr auto kHow = fs::perm_options::add | fs::perm_options::nofollow;
  std::error_code problem;
  fs::permissions(path, fs::perms::owner_all, kHow, problem);
  auto entry = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, problem);
  // A directory is opened up before the iterator goes into it.
  for (; !problem && entry != end(entry); entry.increment(problem)) {
    std::error_code ignored;
    if (entry->symlink_status(ignored).type() == fs::file_type::directory)
      fs::permissions(entry->path(), fs::perms::owner_all, kHow, ignored);
  }
}

void remove(const std::string& path) {
  std::error_code problem;
  fs::remove_all(path, problem);
  if (!problem) return;
  // Programs protect what they keep, such as a cache of modules.
  open_up(path);
  fs::remove_all(path, problem);
}

}  // namespace

WorkDirectory::WorkDirectory(const std::string& parent)
    : path_(parent + "/" + std::string(kPrefix) + "XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    error_ = errno;
    return;
  }
  lock_ = Descriptor(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock_.is_open()) flock(lock_.number(), LOCK_EX | LOCK_NB);
}

WorkDirectory::~WorkDirectory() {
  if (error_ == 0) remove(path_);
}

int sweep_work_directories(const std::string& parent, Instant now) {
  std::vector<std::string> left;
  std::error_code problem;
  auto entry = fs::directory_iterator(parent, problem);
  for (; !problem && entry != end(entry); entry.increment(problem)) {
    if (entry->path().filename().string().starts_with(kPrefix)) left.push_back(entry->path().string());
  }
  int removed = 0;
  for (const auto& path : left) {
    const Descriptor lock(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat found {};
    if (!lock.is_open() || fstat(lock.number(), &found) != 0 || found.st_uid != geteuid()) continue;
    if (now < Instant(seconds(found.st_ctime)) + kUnlockedMax) continue;
    if (flock(lock.number(), LOCK_EX | LOCK_NB) != 0) continue;
    remove(path);
    ++removed;
  }
  return removed;
}

}  // namespace skep::worker
