// SPDX-License-Identifier: Apache-2.0
#include "store/testing/faulty_segment_disk.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/store_pool.h"

namespace skep::store::testing {
namespace {

constexpr std::uint64_t kSector = 512;

struct Facts {
  std::uint64_t operations = 0;
  std::uint64_t off_before = 0;
  FaultySegmentDisk::Fault fault = FaultySegmentDisk::Fault::kNone;
  bool is_off = false;
  // By path and place: what a sector held when the file was synced last.
  std::map<std::string, std::map<std::uint64_t, std::string>> before;
  // The same of what a sync that failed was for: no later sync helps, unless it is written again.
  std::map<std::string, std::map<std::uint64_t, std::string>> lost;
  std::vector<std::pair<std::string, std::string>> renamed;  // since the directory was synced
};

template <class IsLost>
void put_back(SegmentDisk& disk, const std::string& path, const std::map<std::uint64_t, std::string>& sectors,
              IsLost is_lost) {
  const auto file = disk.open(path, Access::kWrite);
  if (!file) return;
  for (const auto& [at, bytes] : sectors) {
    if (!is_lost()) continue;
    std::string sector = bytes;
    iovec piece{sector.data(), sector.size()};
    (void)file.value()->write(at, {&piece, 1});
  }
}

}  // namespace

struct FaultySegmentDisk::State {
  // Counts an operation. Success: the fault to play, if any.
  Result<Fault> begin() {
    return facts.with([](Facts& known) -> Result<Fault> {
      if (++known.operations == known.off_before) known.is_off = true;
      if (known.is_off) return fail(Code::kUnavailable, "the power is off");
      return known.fault;
    });
  }

  Guarded<Facts> facts;
  std::shared_ptr<SegmentDisk> machine = machine_disk();
};

class FaultySegmentDisk::File final : public SegmentFile {
 public:
  File(std::shared_ptr<SegmentFile> file, std::string path, std::shared_ptr<State> state)
      : file_(std::move(file)), path_(std::move(path)), state_(std::move(state)) {}

  Result<void> write(std::uint64_t offset, std::span<iovec> pieces) override {
    std::string bytes;
    for (const auto& piece : pieces) bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    SKEP_TRY(const auto fault, state_->begin());
    const bool is_full = fault == Fault::kWriteFull;
    if (is_full) bytes.resize(bytes.size() / 2);
    SKEP_TRY(keep_before(offset, bytes.size()));
    iovec piece{bytes.data(), bytes.size()};
    SKEP_TRY(file_->write(offset, {&piece, 1}));
    if (is_full) return fail(Code::kUnavailable, "write " + path_ + ": No space left on device");
    return ok();
  }
  Result<void> sync() override {
    SKEP_TRY(const auto fault, state_->begin());
    if (fault == Fault::kSync) {
      state_->facts.with([&](Facts& known) {
        known.lost[path_].merge(known.before[path_]);
        known.before.erase(path_);
      });
      return fail(Code::kUnavailable, "sync " + path_ + ": Input/output error");
    }
    SKEP_TRY(file_->sync());
    state_->facts.with([&](Facts& known) { known.before.erase(path_); });
    return ok();
  }
  Result<std::size_t> read(std::uint64_t offset, std::span<iovec> pieces) const override {
    return file_->read(offset, pieces);
  }
  Result<void> allocate(std::uint64_t bytes) override {
    SKEP_TRY(const auto fault, state_->begin());
    if (fault == Fault::kAllocateFull) {
      return fail(Code::kUnavailable, "make room for " + path_ + ": No space left on device");
    }
    return file_->allocate(bytes);
  }
  std::uint64_t bytes() const override { return file_->bytes(); }

 private:
  Result<void> keep_before(std::uint64_t offset, std::size_t length) {
    for (std::uint64_t at = offset / kSector * kSector; at < offset + length; at += kSector) {
      std::string sector(kSector, '\0');
      iovec piece{sector.data(), sector.size()};
      SKEP_TRY(const auto filled, file_->read(at, {&piece, 1}));
      sector.resize(filled);
      state_->facts.with([&](Facts& known) {
        const auto lost = known.lost[path_].extract(at);
        known.before[path_].try_emplace(at, lost.empty() ? sector : lost.mapped());
      });
    }
    return ok();
  }

  const std::shared_ptr<SegmentFile> file_;
  const std::string path_;
  const std::shared_ptr<State> state_;
};

class FaultySegmentDisk::Disk final : public SegmentDisk {
 public:
  explicit Disk(std::shared_ptr<State> state) : state_(std::move(state)) {}

  Result<std::shared_ptr<SegmentFile>> create(const std::string& path, std::uint64_t bytes) override {
    SKEP_TRY(const auto fault, state_->begin());
    if (fault == Fault::kAllocateFull) {
      return fail(Code::kUnavailable, "make room for " + path + ": No space left on device");
    }
    SKEP_TRY(auto file, state_->machine->create(path, bytes));
    return std::shared_ptr<SegmentFile>(std::make_shared<File>(std::move(file), path, state_));
  }
  Result<std::shared_ptr<SegmentFile>> open(const std::string& path, Access access) override {
    SKEP_TRY(auto file, state_->machine->open(path, access));
    return std::shared_ptr<SegmentFile>(std::make_shared<File>(std::move(file), path, state_));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    SKEP_TRY(state_->begin());
    SKEP_TRY(state_->machine->rename(from, to));
    state_->facts.with([&](Facts& known) {
      known.renamed.emplace_back(from, to);
      for (auto* kept : {&known.before, &known.lost}) {
        auto moved = kept->extract(from);
        kept->erase(to);
        if (moved.empty()) continue;
        moved.key() = to;
        kept->insert(std::move(moved));
      }
    });
    return ok();
  }
  Result<void> remove(const std::string& path) override {
    SKEP_TRY(state_->begin());
    SKEP_TRY(state_->machine->remove(path));
    state_->facts.with([&](Facts& known) {
      known.before.erase(path);
      known.lost.erase(path);
    });
    return ok();
  }
  Result<void> sync_directory(const std::string& directory) override {
    SKEP_TRY(const auto fault, state_->begin());
    if (fault == Fault::kDirectorySync) {
      return fail(Code::kUnavailable, "sync " + directory + ": Input/output error");
    }
    SKEP_TRY(state_->machine->sync_directory(directory));
    state_->facts.with([](Facts& known) { known.renamed.clear(); });
    return ok();
  }

 private:
  const std::shared_ptr<State> state_;
};

FaultySegmentDisk::FaultySegmentDisk() : state_(std::make_shared<State>()) {}

std::shared_ptr<SegmentDisk> FaultySegmentDisk::disk() {
  return std::make_shared<Disk>(state_);
}

std::uint64_t FaultySegmentDisk::operations() const {
  return state_->facts.with([](const Facts& known) { return known.operations; });
}

void FaultySegmentDisk::power_off_before(std::uint64_t operation) {
  state_->facts.with([&](Facts& known) { known.off_before = operation; });
}

void FaultySegmentDisk::set_fault(Fault fault) {
  state_->facts.with([&](Facts& known) { known.fault = fault; });
}

void FaultySegmentDisk::power_off() {
  state_->facts.with([](Facts& known) { known.is_off = true; });
}

void FaultySegmentDisk::lose_unsynced(Random& random) {
  const auto known = state_->facts.with([](const Facts& facts) { return facts; });
  for (const auto& [path, sectors] : known.lost)
    put_back(*state_->machine, path, sectors, [] { return true; });
  for (const auto& [path, sectors] : known.before) {
    // Sectors reach the disk in any order, mostly in that in which they were written.
    const bool is_in_order = random.chance(0.6);
    std::uint64_t left = random.below(sectors.size() + 1);
    put_back(*state_->machine, path, sectors, [&] {
      const bool is_written = is_in_order ? left > 0 : random.chance(0.7);
      left -= left > 0 ? 1 : 0;
      return !is_written;
    });
  }
  for (auto at = known.renamed.rbegin(); at != known.renamed.rend() && random.chance(0.5); ++at) {
    (void)state_->machine->rename(at->second, at->first);
  }
}

}  // namespace skep::store::testing
