// SPDX-License-Identifier: Apache-2.0
// faulty_segment_disk.h - the machine's disk under the log engine, with faults: for tests.
//
// Writes go to the machine's files at once, as they go to its memory; what a page held before is kept until
// the file is synced. After power_off() nothing reaches the disk any more; then, with the store destroyed,
// lose_unsynced() puts back of each file what a power loss may: sectors from some place on, or any of them,
// and names that were not synced. A fault lasts until it is changed.
//
// Threads:   any thread.
// Ownership: the files share its state.
#pragma once

#include <cstdint>
#include <memory>

#include "base/random.h"
#include "store/segment_disk.h"

namespace skep::store::testing {

class FaultySegmentDisk {
 public:
  FaultySegmentDisk();

  std::shared_ptr<SegmentDisk> disk();

  // Operations that change something, so far.
  std::uint64_t operations() const;
  // The power goes before the operation of that number (from 1). 0: never.
  void power_off_before(std::uint64_t operation);

  enum class Fault : std::uint8_t {
    kNone,
    kWriteFull,     // a write writes a part and then says that the disk is full
    kAllocateFull,  // no room for another segment
    kSync,          // a sync of a file fails, and what it was for is not on the disk
    kDirectorySync,
  };
  void set_fault(Fault fault);

  void power_off();
  void lose_unsynced(Random& random);

 private:
  struct State;
  class File;
  class Disk;
  std::shared_ptr<State> state_;
};

}  // namespace skep::store::testing
