// SPDX-License-Identifier: Apache-2.0
// disk.h - what the disk itself does: large appends and small ones, each synced before the next.
//
// Threads:   the calling thread.
// Errors:    a file that can not be written ends the program.
#pragma once

#include <string>

#include "base/time.h"
#include "histogram.h"

namespace skep::bench::queue {

struct DiskResult {
  double append_bytes_a_second = 0;  // 1 MB, fdatasync, 1 MB...
  Histogram sync;                    // of 4 KB appended and fdatasync
};

// So long each, in a file of its own in `directory`, which is removed.
DiskResult measure_disk(const std::string& directory, Duration time);

}  // namespace skep::bench::queue
