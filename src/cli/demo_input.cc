// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_input.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

namespace skep::cli {
namespace {

constexpr std::array<std::size_t, 7> kSizesKib{16, 24, 48, 96, 128, 192, 256};
// Seven sizes, eight lengths: every pair comes up.
constexpr std::array<std::uint64_t, 8> kIterations{1, 400'000, 10, 100'000, 100, 200'000, 1'000, 10'000};

std::vector<std::filesystem::path> readable_files(const std::vector<std::string>& directories) {
  std::vector<std::filesystem::path> files;
  for (const auto& directory : directories) {
    std::error_code problem;  // a directory that can not be read adds nothing
    for (const auto& entry : std::filesystem::directory_iterator(directory, problem)) {
      std::error_code ignored;
      const bool is_plain = !entry.is_symlink(ignored) && entry.is_regular_file(ignored);
      if (is_plain && entry.file_size(ignored) >= kDemoBodyBytesMin) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// At most `bytes` from `offset`; empty if there are fewer than the least.
std::string read_piece(const std::filesystem::path& path, std::size_t offset, std::size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string piece(bytes, '\0');
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(piece.data(), static_cast<std::streamsize>(bytes));
  piece.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (piece.size() < kDemoBodyBytesMin) piece.clear();
  return piece;
}

}  // namespace

Result<std::vector<DemoTask>> make_demo_tasks(const std::vector<std::string>& directories,
                                              std::size_t count) {
  const auto files = readable_files(directories);
  std::vector<DemoTask> tasks;
  for (std::size_t offset = 0; tasks.size() < count; offset += kDemoBodyBytesMax) {
    const std::size_t before = tasks.size();
    for (std::size_t i = 0; i < files.size() && tasks.size() < count; ++i) {
      const std::size_t bytes = kSizesKib[tasks.size() % kSizesKib.size()] << 10;
      std::string body = read_piece(files[i], offset, bytes);
      if (body.empty()) continue;
      tasks.push_back({files[i].string(), std::move(body), kIterations[tasks.size() % kIterations.size()]});
    }
    if (tasks.size() == before) {
      return fail(Code::kNotFound,
                  "there are not enough readable files of 16 KiB or more in " +
                      (directories.empty() ? std::string("no directory") : directories.front()) + " for " +
                      std::to_string(count) + " tasks: name other directories with --from");
    }
  }
  return tasks;
}

}  // namespace skep::cli
