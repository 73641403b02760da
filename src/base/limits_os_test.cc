// SPDX-License-Identifier: Apache-2.0
// The quota is read from both cgroup versions: a made-up /proc and /sys in a temporary folder.
#include "base/limits_os.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace skep {
namespace {

class FakeRoot {
 public:
  FakeRoot() {
    std::string pattern = testing::TempDir() + "skep_limits_XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~FakeRoot() { std::filesystem::remove_all(root_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  const std::string& path() const { return root_; }

 private:
  std::string root_;
};

TEST(CgroupCpuQuota, IsTheSmallestOnTheWayUpInVersion2) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/system.slice/skep.service\n");
  root.write("/sys/fs/cgroup/system.slice/skep.service/cpu.max", "300000 100000\n");
  root.write("/sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root.path()), 1.5);
}

TEST(CgroupCpuQuota, MaxIsNoQuota) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/\n");
  root.write("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root.path()), std::nullopt);
}

TEST(CgroupCpuQuota, ReadsVersion1ByItsController) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/y\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root.path()), 0.5);
}

TEST(CgroupCpuQuota, MinusOneIsNoQuotaInVersion1) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "4:cpu:/\n");
  root.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_quota(root.path()), std::nullopt);
}

TEST(CgroupCpuQuota, StrangeFilesAreNoQuota) {
  const FakeRoot root;
  EXPECT_EQ(cgroup_cpu_quota(root.path()), std::nullopt);
  root.write("/proc/self/cgroup", "nonsense\n::\n0::/a\n0::relative\n");
  root.write("/sys/fs/cgroup/a/cpu.max", "0 0\n");
  EXPECT_EQ(cgroup_cpu_quota(root.path()), std::nullopt);
}

TEST(UsableCores, IsAtLeastOneAndAtMostWhatTheMachineHas) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(RaiseOpenFilesLimit, RaisesToTheHardLimit) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_open_files_limit().value(), before.rlim_max);
  rlimit after{};
  getrlimit(RLIMIT_NOFILE, &after);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace skep
