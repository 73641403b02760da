// SPDX-License-Identifier: Apache-2.0
#include "disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "base/clock.h"
#include "bodies.h"
#include "plan.h"

namespace skep::bench::queue {
namespace {

constexpr std::size_t kAppendBytes = 1'000'000, kSyncBytes = 4096;

// Appends `bytes` and syncs until the time is over. Calls `on` with how long each took. Gives bytes a second.
double append(const std::string& path, std::size_t bytes, Duration time,
              const std::function<void(std::int64_t)>& on) {
  const SystemClock clock;
  const Pool pool(bytes);
  std::string data(bytes, '\0');
  const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) fail(path + ": " + std::strerror(errno));
  const Instant start = clock.now();
  std::uint64_t number = 0;
  Instant now = start;
  while (now - start < time) {
    pool.write(number++, data);
    const Instant begin = clock.now();
    if (::write(file, data.data(), bytes) != static_cast<ssize_t>(bytes) || fdatasync(file) != 0) {
      fail(path + ": " + std::strerror(errno));
    }
    now = clock.now();
    on((now - begin).count());
  }
  close(file);
  unlink(path.c_str());
  return static_cast<double>(number * bytes) / std::chrono::duration<double>(now - start).count();
}

}  // namespace

DiskResult measure_disk(const std::string& directory, Duration time) {
  DiskResult out;
  out.append_bytes_a_second = append(directory + "/append", kAppendBytes, time, [](std::int64_t) {});
  append(directory + "/sync", kSyncBytes, time, [&](std::int64_t ns) { out.sync.record(ns); });
  return out;
}

}  // namespace skep::bench::queue
