// SPDX-License-Identifier: Apache-2.0
#include "store/segment_disk.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "store/store_directory.h"

namespace skep::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSegmentEnding = ".segment";
constexpr std::size_t kNumberDigits = 10;

// Takes `count` bytes off the front.
std::span<iovec> drop_front(std::span<iovec> pieces, std::size_t count) {
  while (!pieces.empty() && count >= pieces[0].iov_len) {
    count -= pieces[0].iov_len;
    pieces = pieces.subspan(1);
  }
  if (count > 0) {
    pieces[0].iov_base = static_cast<char*>(pieces[0].iov_base) + count;
    pieces[0].iov_len -= count;
  }
  return pieces;
}

class MachineFile final : public SegmentFile {
 public:
  MachineFile(int fd, std::string path, std::uint64_t bytes)
      : fd_(fd), path_(std::move(path)), bytes_(bytes) {}
  ~MachineFile() override { ::close(fd_); }
  MachineFile(const MachineFile&) = delete;
  MachineFile& operator=(const MachineFile&) = delete;

  Result<void> write(std::uint64_t offset, std::span<iovec> pieces) override {
    for (pieces = drop_front(pieces, 0); !pieces.empty();) {
      const int count = static_cast<int>(std::min<std::size_t>(pieces.size(), IOV_MAX));
      const ssize_t written = ::pwritev(fd_, pieces.data(), count, static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return os_error(written < 0 ? errno : ENOSPC, "write " + path_);
      offset += static_cast<std::uint64_t>(written);
      pieces = drop_front(pieces, static_cast<std::size_t>(written));
    }
    return ok();
  }
  Result<void> sync() override {
    if (::fdatasync(fd_) != 0) return os_error(errno, "sync " + path_);
    return ok();
  }
  Result<std::size_t> read(std::uint64_t offset, std::span<iovec> pieces) const override {
    std::size_t filled = 0;
    for (pieces = drop_front(pieces, 0); !pieces.empty();) {
      const int count = static_cast<int>(std::min<std::size_t>(pieces.size(), IOV_MAX));
      const ssize_t got = ::preadv(fd_, pieces.data(), count, static_cast<off_t>(offset + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return os_error(errno, "read " + path_);
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
      pieces = drop_front(pieces, static_cast<std::size_t>(got));
    }
    return filled;
  }
  Result<void> allocate(std::uint64_t bytes) override {
    const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(bytes));
    if (error != 0) return os_error(error, "make room for " + path_);
    bytes_ = std::max(bytes_, bytes);
    return ok();
  }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  const int fd_;
  const std::string path_;
  std::uint64_t bytes_;
};

class MachineDisk final : public SegmentDisk {
 public:
  Result<std::shared_ptr<SegmentFile>> create(const std::string& path, std::uint64_t bytes) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return os_error(errno, "create " + path);
    auto file = std::make_shared<MachineFile>(fd, path, 0);
    if (auto allocated = file->allocate(bytes); !allocated) {
      ::unlink(path.c_str());
      return allocated.error();
    }
    return std::shared_ptr<SegmentFile>(std::move(file));
  }
  Result<std::shared_ptr<SegmentFile>> open(const std::string& path, Access access) override {
    const int fd = ::open(path.c_str(), (access == Access::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0) return os_error(errno, "open " + path);
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
      const int error = errno;
      ::close(fd);
      return os_error(error, "open " + path);
    }
    return std::shared_ptr<SegmentFile>(
        std::make_shared<MachineFile>(fd, path, static_cast<std::uint64_t>(status.st_size)));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error(errno, "rename " + from);
    return ok();
  }
  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return os_error(errno, "remove " + path);
    return ok();
  }
  Result<void> sync_directory(const std::string& directory) override {
    return store::sync_directory(directory);
  }
};

}  // namespace

std::shared_ptr<SegmentDisk> machine_disk() {
  return std::make_shared<MachineDisk>();
}

std::string segment_path(const std::string& directory, std::uint32_t number) {
  char name[kNumberDigits + 1];
  std::snprintf(name, sizeof name, "%010u", number);
  return directory + "/" + name + std::string(kSegmentEnding);
}

Result<std::vector<SegmentName>> list_segments(const std::string& directory) {
  std::vector<SegmentName> segments;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (!name.ends_with(kSegmentEnding)) continue;
    std::uint32_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    // What is not named as we name them is not ours.
    if (number > 0 && segment_path(directory, number) == directory + "/" + name) {
      segments.push_back({number, directory + "/" + name});
    }
  }
  if (error) return os_error(error.value(), "list directory " + directory);
  std::sort(segments.begin(), segments.end(),
            [](const SegmentName& a, const SegmentName& b) { return a.number < b.number; });
  return segments;
}

}  // namespace skep::store
