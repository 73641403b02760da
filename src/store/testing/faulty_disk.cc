// SPDX-License-Identifier: Apache-2.0
#include "store/testing/faulty_disk.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <string>

#include "store/store_pool.h"

namespace skep::store::testing {
namespace {

using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

struct FileState {
  std::uint64_t size = 0;
  std::uint64_t synced = 0;
};

struct DiskState {
  std::uint64_t operations = 0;
  std::uint64_t kill_before = 0;
  FaultyDisk::Fault fault = FaultyDisk::Fault::kNone;
  bool is_off = false;
  std::map<std::string, FileState> files;
};
using Disk = Guarded<DiskState>;

bool is_log(const std::string& name) {
  return name.ends_with(".log");
}

IOStatus no_power() {
  return IOStatus::IOError("the power is off");
}

// Counts an operation. Success: it may be done.
IOStatus begin(Disk& disk) {
  return disk.with([](DiskState& state) {
    if (++state.operations == state.kill_before) ::kill(::getpid(), SIGKILL);
    return state.is_off ? no_power() : IOStatus::OK();
  });
}

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<FSWritableFile>&& file, std::string name, std::shared_ptr<Disk> disk)
      : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), disk_(std::move(disk)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (auto status = begin(*disk_); !status.ok()) return status;
    const auto fault = disk_->with([](const DiskState& state) { return state.fault; });
    if (fault == FaultyDisk::Fault::kLogAppendFull && is_log(name_)) {
      const Slice part(data.data(), data.size() / 2);
      (void)append(part, options, debug);
      return IOStatus::NoSpace("While appending to file: " + name_);
    }
    return append(data, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }

  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return sync([&] { return FSWritableFileOwnerWrapper::Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return sync([&] { return FSWritableFileOwnerWrapper::Fsync(options, debug); });
  }

 private:
  IOStatus append(const Slice& data, const IOOptions& options, IODebugContext* debug) {
    auto status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) {
      disk_->with([&](DiskState& state) { state.files[name_].size += data.size(); });
    }
    return status;
  }
  template <class Sync>
  IOStatus sync(Sync real) {
    if (auto status = begin(*disk_); !status.ok()) return status;
    const auto fault = disk_->with([](const DiskState& state) { return state.fault; });
    const bool fails =
        fault == FaultyDisk::Fault::kEverySync || (fault == FaultyDisk::Fault::kLogSync && is_log(name_));
    if (fails) return IOStatus::IOError("While fdatasync: " + name_, "Input/output error");
    auto status = real();
    if (status.ok()) {
      disk_->with([&](DiskState& state) { state.files[name_].synced = state.files[name_].size; });
    }
    return status;
  }

  const std::string name_;
  const std::shared_ptr<Disk> disk_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(std::shared_ptr<Disk> disk)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(std::move(disk)) {}

  const char* Name() const override { return "FaultyFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* result, IODebugContext* debug) override {
    if (auto status = begin(*disk_); !status.ok()) return status;
    auto status = FileSystemWrapper::NewWritableFile(name, options, result, debug);
    if (!status.ok()) return status;
    disk_->with([&](DiskState& state) { state.files[name] = {}; });
    *result = std::make_unique<FaultyFile>(std::move(*result), name, disk_);
    return status;
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) override {
    if (auto status = begin(*disk_); !status.ok()) return status;
    disk_->with([&](DiskState& state) { state.files.erase(name); });
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    if (auto status = begin(*disk_); !status.ok()) return status;
    disk_->with([&](DiskState& state) {
      const auto moved = state.files.find(from);
      if (moved == state.files.end()) return;
      state.files[to] = moved->second;
      state.files.erase(from);
    });
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }

 private:
  const std::shared_ptr<Disk> disk_;
};

// What a file may look like after its last bytes were not synced.
void damage(const std::string& name, const FileState& file, Random& random) {
  const std::uint64_t unsynced = file.size - file.synced;
  const std::uint64_t kept = file.synced + random.below(unsynced + 1);
  if (::truncate(name.c_str(), static_cast<off_t>(kept)) != 0) return;
  if (!random.chance(0.3)) return;
  // Pages reach the disk in any order: one in the middle may be missing.
  constexpr std::uint64_t kPage = 4'096;
  const std::uint64_t first = (file.synced + kPage - 1) / kPage;
  const std::uint64_t pages = kept / kPage > first ? kept / kPage - first : 0;
  if (pages == 0) return;
  const int fd = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const std::string zeros(kPage, '\0');
  (void)!::pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>((first + random.below(pages)) * kPage));
  ::close(fd);
}

}  // namespace

struct FaultyDisk::Impl {
  std::shared_ptr<Disk> disk = std::make_shared<Disk>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(disk));
};

FaultyDisk::FaultyDisk() : impl_(std::make_unique<Impl>()) {}
FaultyDisk::~FaultyDisk() = default;

rocksdb::Env* FaultyDisk::env() {
  return impl_->env.get();
}

std::uint64_t FaultyDisk::operations() const {
  return impl_->disk->with([](const DiskState& state) { return state.operations; });
}

void FaultyDisk::kill_before(std::uint64_t operation) {
  impl_->disk->with([&](DiskState& state) { state.kill_before = operation; });
}

void FaultyDisk::set_fault(Fault fault) {
  impl_->disk->with([&](DiskState& state) { state.fault = fault; });
}

void FaultyDisk::power_off() {
  impl_->disk->with([](DiskState& state) { state.is_off = true; });
}

void FaultyDisk::lose_unsynced(Random& random) {
  const auto files = impl_->disk->with([](const DiskState& state) { return state.files; });
  for (const auto& [name, file] : files) {
    if (file.size > file.synced) damage(name, file, random);
  }
}

}  // namespace skep::store::testing
