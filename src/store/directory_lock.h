// SPDX-License-Identifier: Apache-2.0
// directory_lock.h - who holds the lock of the file LOCK owns the store's directory.
//
// The lock belongs to the open file, so it also keeps a second store of this process out, and it goes with
// its holder, however that ends. It excludes the lock that RocksDB takes on the same file, and the reverse.
//
// Threads:   value.
// Errors:    kUnavailable: somebody has the store open, and the message says who; kInvalid: no permission.
#pragma once

#include <string>

#include "base/result.h"

namespace skep::store {

class DirectoryLock {
 public:
  DirectoryLock() = default;
  ~DirectoryLock() { unlock(); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  Result<void> lock(const std::string& directory);
  // For who changes nothing: takes the lock where there is a file that it may lock, and makes none.
  Result<void> lock_to_read(const std::string& directory);
  void unlock();

 private:
  Result<void> take(const std::string& directory, int flags);

  int fd_ = -1;
};

// The sentence about a store that is open elsewhere.
Error store_in_use(const std::string& directory);

}  // namespace skep::store
