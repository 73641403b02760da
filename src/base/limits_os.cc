// SPDX-License-Identifier: Apache-2.0
#include "base/limits_os.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace skep {
namespace {

std::optional<std::string> read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<double> cores_of(double quota, double period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// Version 2: one file, "max 100000" or "150000 100000".
std::optional<double> quota_v2(const std::string& folder) {
  const std::optional<std::string> line = read_line(folder + "/cpu.max");
  if (!line) return std::nullopt;
  std::istringstream words(*line);
  double quota = 0;
  double period = 0;
  if (!(words >> quota >> period)) return std::nullopt;
  return cores_of(quota, period);
}

// Version 1: two files; a quota of -1 is none.
std::optional<double> quota_v1(const std::string& folder) {
  const std::optional<std::string> quota = read_line(folder + "/cpu.cfs_quota_us");
  const std::optional<std::string> period = read_line(folder + "/cpu.cfs_period_us");
  if (!quota || !period) return std::nullopt;
  return cores_of(std::strtod(quota->c_str(), nullptr), std::strtod(period->c_str(), nullptr));
}

std::optional<double> smaller(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// The smallest quota from `mount` + `path` up to `mount`. A container often sees only its own cgroup, mounted
// as the root, while /proc names its path outside; the folders that do not exist here are then passed over.
template <class Quota>
std::optional<double> smallest_up(const std::string& mount, std::string path, Quota quota) {
  std::optional<double> smallest = quota(mount);
  while (path.size() > 1) {
    smallest = smaller(smallest, quota(mount + path));
    path.resize(path.find_last_of('/'));
  }
  return smallest;
}

bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

Result<std::uint64_t> raise_open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return fail(Code::kUnavailable,
                std::string("cannot read the limit of open files: ") + std::strerror(errno));
  }
  if (limit.rlim_cur == limit.rlim_max) return std::uint64_t{limit.rlim_cur};
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return fail(Code::kUnavailable,
                std::string("cannot raise the limit of open files: ") + std::strerror(errno));
  }
  return std::uint64_t{limit.rlim_cur};
}

std::optional<double> cgroup_cpu_quota(const std::string& root) {
  std::optional<double> smallest;
  std::ifstream file(root + "/proc/self/cgroup");
  // Each line is "number:controllers:path"; version 2 has no controllers.
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    const std::string mounts = root + "/sys/fs/cgroup";
    if (controllers.empty()) {
      smallest = smaller(smallest, smallest_up(mounts, path, quota_v2));
      smallest = smaller(smallest, smallest_up(mounts + "/unified", path, quota_v2));
    } else if (names_cpu(controllers)) {
      smallest = smaller(smallest, smallest_up(mounts + "/" + controllers, path, quota_v1));
      if (controllers != "cpu") smallest = smaller(smallest, smallest_up(mounts + "/cpu", path, quota_v1));
    }
  }
  return smallest;
}

std::vector<int> allowed_cpus() {
  constexpr int kCpusMax = 8192;
  cpu_set_t* const set = CPU_ALLOC(kCpusMax);
  const std::size_t size = CPU_ALLOC_SIZE(kCpusMax);
  std::vector<int> out;
  if (sched_getaffinity(0, size, set) == 0) {
    for (int cpu = 0; cpu < kCpusMax; ++cpu) {
      if (CPU_ISSET_S(cpu, size, set)) out.push_back(cpu);
    }
  }
  CPU_FREE(set);
  return out;
}

bool pin_this_thread(int cpu) {
  cpu_set_t* const set = CPU_ALLOC(cpu + 1);
  const std::size_t size = CPU_ALLOC_SIZE(cpu + 1);
  CPU_ZERO_S(size, set);
  CPU_SET_S(cpu, size, set);
  const bool is_done = sched_setaffinity(0, size, set) == 0;  // on Linux: of this thread
  CPU_FREE(set);
  return is_done;
}

int usable_cores() {
  const int cores = std::max(static_cast<int>(allowed_cpus().size()), 1);
  const std::optional<double> quota = cgroup_cpu_quota("");
  if (!quota) return cores;
  // Rounded up: half a core's quota is better used by one busy core than left.
  return std::clamp(static_cast<int>(std::ceil(std::min(*quota, 1e6))), 1, cores);
}

}  // namespace skep
