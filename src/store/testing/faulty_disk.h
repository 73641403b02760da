// SPDX-License-Identifier: Apache-2.0
// faulty_disk.h - the machine's disk under RocksDB, with faults: for tests of the embedded engine.
//
// Give env() to open_rocksdb. Every operation that changes a file has a number; the process can be made to
// end before a given one. Appends and syncs can be made to fail. After power_off() nothing reaches the disk
// any more; then, with the store destroyed, lose_unsynced() leaves of each file what a power loss may leave.
//
// Threads:   any thread.
// Ownership: must outlive the store that uses it.
#pragma once

#include <cstdint>
#include <memory>

#include "base/random.h"

namespace rocksdb {
class Env;
}

namespace skep::store::testing {

class FaultyDisk {
 public:
  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  rocksdb::Env* env();

  // Operations so far.
  std::uint64_t operations() const;
  // Ends the process, as kill -9 does, before the operation of that number (from 1). 0: never.
  void kill_before(std::uint64_t operation);

  enum class Fault {
    kNone,
    kLogAppendFull,  // an append to a log writes a part and then says that the disk is full
    kLogSync,        // a sync of a log fails with an I/O error; its bytes may or may not be on the disk
    kEverySync,      // every sync of a file does
  };
  void set_fault(Fault fault);

  void power_off();
  // Cuts each file within what was not synced, or leaves pages of it unwritten.
  void lose_unsynced(Random& random);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skep::store::testing
