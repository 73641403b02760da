// SPDX-License-Identifier: Apache-2.0
#include "worker/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace skep::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::array kControllers{Controller::kMemory, Controller::kProcesses, Controller::kCpu};
constexpr std::string_view kPrefix = "skep-";
constexpr int kRemoveTriesMax = 200;  // a cgroup is busy for a moment after its last process

std::string_view name_of(Controller controller, int version) {
  switch (controller) {
    case Controller::kMemory:
      return "memory";
    case Controller::kProcesses:
      return "pids";
    case Controller::kCpu:
      break;
  }
  return version == 1 ? "cpuacct" : "cpu";
}

bool write_text(const std::string& path, const std::string& text) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.is_open() &&
         write(file.number(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// Of a file with lines "key value".
std::optional<std::uint64_t> read_key(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string found;
  std::uint64_t number = 0;
  while (file >> found >> number) {
    if (found == key) return number;
  }
  return std::nullopt;
}

// A new directory in `parent`; "" if none can be made there that processes may enter.
std::string make_group(const std::string& parent) {
  std::string path = parent + "/" + std::string(kPrefix) + std::to_string(getpid()) + "-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return {};
  const Descriptor entry(open((path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (entry.is_open()) return path;
  rmdir(path.c_str());
  return {};
}

bool can_make_groups(const std::string& parent) {
  const std::string path = make_group(parent);
  return !path.empty() && rmdir(path.c_str()) == 0;
}

// What workers that were killed left: their processes are dead, so that it can be removed.
void sweep(const std::string& parent, const std::string& root) {
  std::error_code problem;
  std::vector<std::string> left;
  for (auto entry = fs::directory_iterator(parent, problem); !problem && entry != end(entry);
       entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const std::string pid = name.substr(kPrefix.size(), name.find('-', kPrefix.size()) - kPrefix.size());
    std::error_code ignored;
    if (!pid.empty() && !fs::exists(root + "/proc/" + pid, ignored)) left.push_back(entry->path().string());
  }
  for (const auto& path : left) rmdir(path.c_str());
}

struct OwnGroup {
  std::string controllers;  // "memory", "cpu,cpuacct"; "" is version 2
  std::string path;
};

std::vector<OwnGroup> own_groups(const std::string& root) {
  std::vector<OwnGroup> out;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second != std::string::npos)
      out.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return out;
}

bool names(const std::string& list, std::string_view wanted, char separator) {
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, separator);) {
    word.erase(std::remove(word.begin(), word.end(), '\n'), word.end());
    if (word == wanted) return true;
  }
  return false;
}

// A container may see only its own cgroup, mounted as the root, while its path is the one outside.
std::string find_v1(const std::string& root, const OwnGroup& own, std::string_view controller) {
  const std::string mounts = root + "/sys/fs/cgroup/";
  for (const auto& mount : {mounts + own.controllers, mounts + std::string(controller)}) {
    for (const auto& path : {mount + (own.path == "/" ? "" : own.path), mount}) {
      if (can_make_groups(path)) return path;
    }
  }
  return {};
}

// Only a cgroup without processes of its own may give controllers to those below: this one, if it is alone
// there, moves down.
bool become_parent(const std::string& own) {
  const std::string alone = std::to_string(getpid()) + "\n";
  const bool is_root = read_text(own + "/cgroup.type").empty();
  const std::string mine = own + "/skep-worker";
  if (!is_root && read_text(own + "/cgroup.procs") == alone) {
    if (mkdir(mine.c_str(), 0755) != 0 && errno != EEXIST) return false;
    if (!write_text(mine + "/cgroup.procs", "0")) return false;
  }
  bool is_done = true;
  for (const Controller controller : kControllers) {
    const std::string name(name_of(controller, 2));
    if (names(read_text(own + "/cgroup.subtree_control"), name, ' ')) continue;
    is_done = write_text(own + "/cgroup.subtree_control", "+" + name) && is_done;
  }
  return is_done;
}

std::string find_v2(const std::string& root, const OwnGroup& own) {
  for (const auto& mount : {root + "/sys/fs/cgroup", root + "/sys/fs/cgroup/unified"}) {
    std::string path = mount + (own.path == "/" ? "" : own.path);
    if (path.ends_with("/skep-worker")) path.resize(path.size() - std::strlen("/skep-worker"));
    if (!names(read_text(path + "/cgroup.controllers"), "memory", ' ')) continue;
    become_parent(path);
    if (can_make_groups(path)) return path;
  }
  return {};
}

}  // namespace

CgroupPlace CgroupPlace::find(const std::string& root) {
  CgroupPlace place;
  for (const auto& own : own_groups(root)) {
    if (own.controllers.empty()) {
      const std::string path = place.version_ == 0 ? find_v2(root, own) : "";
      if (path.empty()) continue;
      place.version_ = 2;
      const std::string given = read_text(path + "/cgroup.subtree_control");
      for (const Controller controller : kControllers) {
        if (names(given, name_of(controller, 2), ' ')) place.parents_[controller] = path;
      }
      if (place.parents_.empty()) place.version_ = 0;
      continue;
    }
    for (const Controller controller : kControllers) {
      if (!names(own.controllers, name_of(controller, 1), ',')) continue;
      const std::string path = find_v1(root, own, name_of(controller, 1));
      if (path.empty()) continue;
      if (place.version_ == 2) place.parents_.clear();
      place.version_ = 1;
      place.parents_[controller] = path;
    }
  }
  for (const auto& [controller, path] : place.parents_) sweep(path, root);
  return place;
}

Result<TaskCgroup> CgroupPlace::make(std::uint64_t memory_bytes, std::uint32_t processes) const {
  TaskCgroup group;
  group.version_ = version_;
  for (const auto& [controller, parent] : parents_) {
    std::string path = version_ == 2 && !group.directories_.empty() ? group.directories_.begin()->second
                                                                    : make_group(parent);
    if (path.empty())
      return fail(Code::kUnavailable, "no cgroup can be made in " + parent + ": " + std::strerror(errno));
    const bool is_new = version_ == 1 || group.directories_.empty();
    group.directories_[controller] = path;
    if (!is_new) continue;
    group.entries_.emplace_back(open((path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    group.entry_numbers_.push_back(group.entries_.back().number());
  }
  bool is_limited = true;
  if (const auto* path = group.directory(Controller::kMemory); path != nullptr && memory_bytes > 0) {
    const std::string bytes = std::to_string(memory_bytes);
    is_limited = write_text(*path + (version_ == 1 ? "/memory.limit_in_bytes" : "/memory.max"), bytes);
    // Not everywhere: where nothing can be swapped out there is nothing to limit.
    write_text(*path + (version_ == 1 ? "/memory.memsw.limit_in_bytes" : "/memory.swap.max"),
               version_ == 1 ? bytes : "0");
    write_text(*path + "/memory.oom.group", "1");
  }
  if (const auto* path = group.directory(Controller::kProcesses); path != nullptr) {
    if (processes > 0) is_limited = write_text(*path + "/pids.max", std::to_string(processes)) && is_limited;
    group.processes_max_ = Descriptor(open((*path + "/pids.max").c_str(), O_WRONLY | O_CLOEXEC));
  }
  if (!is_limited) return fail(Code::kUnavailable, "a cgroup does not take the limits of a program");
  return group;
}

TaskCgroup::~TaskCgroup() {
  for (const auto& [controller, path] : directories_) {
    for (int i = 0; i < kRemoveTriesMax && rmdir(path.c_str()) != 0 && errno == EBUSY; ++i)
      poll(nullptr, 0, 5);
  }
}

const std::string* TaskCgroup::directory(Controller controller) const {
  const auto found = directories_.find(controller);
  return found == directories_.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> TaskCgroup::cpu_us() const {
  const auto* path = directory(Controller::kCpu);
  if (path == nullptr) return std::nullopt;
  if (version_ == 2) return read_key(*path + "/cpu.stat", "usage_usec");
  const auto ns = read_number(*path + "/cpuacct.usage");
  return ns ? std::optional(*ns / 1'000) : std::nullopt;
}

std::optional<std::uint64_t> TaskCgroup::memory_peak_bytes() const {
  const auto* path = directory(Controller::kMemory);
  if (path == nullptr) return std::nullopt;
  const auto peak = read_number(*path + (version_ == 1 ? "/memory.max_usage_in_bytes" : "/memory.peak"));
  if (!peak) return std::nullopt;
  const auto files = read_key(*path + "/memory.stat", version_ == 1 ? "total_cache" : "file").value_or(0);
  return *peak - std::min(*peak, files);
}

bool TaskCgroup::was_out_of_memory() const {
  const auto* path = directory(Controller::kMemory);
  if (path == nullptr) return false;
  return read_key(*path + (version_ == 1 ? "/memory.oom_control" : "/memory.events"), "oom_kill")
             .value_or(0) > 0;
}

}  // namespace skep::worker
