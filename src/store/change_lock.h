// SPDX-License-Identifier: Apache-2.0
// change_lock.h - held by who changes a small file of a store, for as long as that takes. Who reads needs
// none: such a file is replaced whole.
//
// Threads:   one thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/result.h"
#include "store/store_directory.h"

namespace skep::store {

class ChangeLock {
 public:
  ChangeLock() = default;
  ChangeLock(const ChangeLock&) = delete;
  ChangeLock& operator=(const ChangeLock&) = delete;
  ~ChangeLock() {
    if (fd_ >= 0) ::close(fd_);
  }

  // Waits for who has it. `path` is a file of its own, made if it is missing.
  Result<void> take(const std::string& path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) return os_error(errno, "open " + path);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    while (::fcntl(fd_, F_OFD_SETLKW, &lock) != 0) {
      if (errno != EINTR) return os_error(errno, "lock " + path);
    }
    return ok();
  }

 private:
  int fd_ = -1;
};

}  // namespace skep::store
