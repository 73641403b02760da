// SPDX-License-Identifier: Apache-2.0
// work_directory.h - a directory of a task's own, empty at first, gone with everything in it when its run is
// over.
//
// It is locked while it is in use, so that one whose worker was killed can be told from one of another
// worker's and be swept away.
//
// Threads:   one thread.
// Errors:    error() is the system's number; path() is a directory only where that is 0.
// Ownership: the destructor removes it, also what the program protected from that.
#pragma once

#include <string>

#include "base/time.h"
#include "worker/descriptor.h"

namespace skep::worker {

class WorkDirectory {
 public:
  explicit WorkDirectory(const std::string& parent);
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;

  int error() const { return error_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Descriptor lock_;
  int error_ = 0;
};

// Removes what workers that were killed left in `parent`. How many that were.
int sweep_work_directories(const std::string& parent, Instant now);

}  // namespace skep::worker
