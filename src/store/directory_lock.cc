// SPDX-License-Identifier: Apache-2.0
#include "store/directory_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "store/store_directory.h"

namespace skep::store {
namespace {

std::string lock_path(const std::string& directory) {
  return directory + "/LOCK";
}

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<void> DirectoryLock::take(const std::string& directory, int flags) {
  const int fd = ::open(lock_path(directory).c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) return os_error(errno, "lock " + lock_path(directory));
  struct flock lock = whole_file();
  if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EAGAIN || error == EACCES) return store_in_use(directory);
    return os_error(error, "lock " + lock_path(directory));
  }
  fd_ = fd;
  return ok();
}

Result<void> DirectoryLock::lock(const std::string& directory) {
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    return os_error(errno, "store directory " + directory + " can not be written");
  }
  return take(directory, O_RDWR | O_CREAT);
}

Result<void> DirectoryLock::lock_to_read(const std::string& directory) {
  const std::string path = lock_path(directory);
  if (::access(path.c_str(), W_OK) == 0) return take(directory, O_RDWR);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ok();
  struct flock lock = whole_file();
  const bool is_held = ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  if (is_held) return store_in_use(directory);
  return ok();
}

void DirectoryLock::unlock() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error store_in_use(const std::string& directory) {
  return fail(Code::kUnavailable, "the store in " + directory + " is open in " + describe_holder(directory) +
                                      ": stop that one first, or name another directory");
}

}  // namespace skep::store
