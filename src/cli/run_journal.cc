// SPDX-License-Identifier: Apache-2.0
#include "cli/run_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/hash.h"
#include "compute/engine.h"
#include "task/bytes.h"
#include "task/limits.h"

namespace skep::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReportBytesMax = 2 * limits::kResultBytesMax;

Error system_error(const std::string& what, int number) {
  return fail(Code::kUnavailable, what + ": " + std::strerror(number));
}

// How many of `size` bytes there are at `offset`.
std::size_t read_at(int file, char* out, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = pread(file, out + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// The bytes of the record at `offset` behind its checksum and length: index and report. "": it is not whole.
std::string read_record(int file, std::uint64_t offset) {
  std::string head(8, '\0');
  if (read_at(file, head.data(), head.size(), offset) != head.size()) return {};
  const auto checksum = read_fixed(std::string_view(head).substr(0, 4));
  const auto size = read_fixed(std::string_view(head).substr(4, 4));
  if (size < 4 || size > kReportBytesMax) return {};
  std::string rest(size, '\0');
  if (read_at(file, rest.data(), rest.size(), offset + head.size()) != rest.size()) return {};
  return crc32c(rest) == checksum ? rest : std::string();
}

// ---- jobs that nobody goes on with ----

constexpr std::size_t kJobNameDigits = 24;
constexpr std::string_view kSweptPrefix = ".swept-";  // being removed, or a kill broke that off

bool is_job_name(std::string_view name) {
  return name.size() == kJobNameDigits &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// When it last began or had a result.
Instant last_ran(const std::string& directory) {
  Instant last{};
  for (const char* file : {"/command", "/results", "/lock"}) {
    struct stat found {};
    if (stat((directory + file).c_str(), &found) == 0)
      last = std::max(last, Instant(seconds(found.st_mtim.tv_sec)));
  }
  return last;
}

// The file that is open is the one that has this name, which a sweep may have taken away.
bool is_still_there(int file, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(file, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

// False: it runs. It gets another name while it is locked, so that who begins the same job anew at this
// moment has a directory of its own.
bool sweep_job(const std::string& jobs, const std::string& name) {
  const std::string directory = jobs + "/" + name;
  const std::string lock_path = directory + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock < 0) return false;
  const std::string swept = jobs + "/" + std::string(kSweptPrefix) + name + "-" + std::to_string(getpid());
  const bool is_ours = flock(lock, LOCK_EX | LOCK_NB) == 0 && is_still_there(lock, lock_path) &&
                       rename(directory.c_str(), swept.c_str()) == 0;
  close(lock);
  std::error_code ignored;
  if (is_ours) fs::remove_all(swept, ignored);
  return is_ours;
}

}  // namespace

Result<std::string> jobs_directory() {
  const auto absolute = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value == '/' ? std::string(value) : std::string();
  };
  if (const auto state = absolute("XDG_STATE_HOME"); !state.empty()) return state + "/skep/run";
  if (const auto home = absolute("HOME"); !home.empty()) return home + "/.local/state/skep/run";
  return fail(Code::kInvalid, "there is no home directory to keep the job in: name a directory with --state");
}

std::string job_name(const std::vector<std::string>& parts) {
  std::string all;
  for (const auto& part : parts) all += std::to_string(part.size()) + ":" + part;
  return compute::to_hex(compute::reference_digest(all, 1)).substr(0, 24);
}

std::size_t sweep_jobs(const std::string& jobs, Instant now) {
  std::vector<std::pair<Instant, std::string>> found;
  std::error_code problem;
  auto entry = fs::directory_iterator(jobs, problem);
  for (; !problem && entry != end(entry); entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (entry->is_symlink(ignored) || !entry->is_directory(ignored)) continue;
    if (name.starts_with(kSweptPrefix)) fs::remove_all(entry->path(), ignored);
    if (is_job_name(name)) found.emplace_back(last_ran(entry->path().string()), name);
  }
  std::sort(found.rbegin(), found.rend());  // who ran last comes first
  std::size_t swept = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool is_kept = i < kJobsKept && now - found[i].first < kJobKeptFor;
    if (!is_kept && sweep_job(jobs, found[i].second)) ++swept;
  }
  return swept;
}

Result<std::unique_ptr<RunJournal>> RunJournal::open(const std::string& directory, const std::string& title) {
  std::unique_ptr<RunJournal> journal(new RunJournal);
  journal->directory_ = directory;
  SKEP_TRY(journal->take_lock());
  std::error_code ignored;
  fs::permissions(directory, fs::perms::owner_all, ignored);
  journal->file_ = ::open((directory + "/results").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->file_ < 0) return system_error("the job can not be kept in " + directory, errno);
  std::ofstream(directory + "/command") << title << "\n";
  SKEP_TRY(journal->read_id());
  SKEP_TRY(journal->read_all());
  return journal;
}

Result<void> RunJournal::take_lock() {
  const std::string path = directory_ + "/lock";
  const std::string not_kept = "the job can not be kept in " + directory_;
  while (true) {
    std::error_code problem;
    fs::create_directories(directory_, problem);
    if (problem) return fail(Code::kUnavailable, not_kept + ": " + problem.message());
    lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0 && errno == ENOENT) continue;  // swept away since
    if (lock_ < 0) return system_error(not_kept, errno);
    if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
      return fail(Code::kConflict, "the same job is running already, as its directory " + directory_ +
                                       " is in use: wait for it");
    }
    if (is_still_there(lock_, path)) return ok();
    close(std::exchange(lock_, -1));
  }
}

RunJournal::~RunJournal() {
  if (file_ >= 0) close(file_);
  if (lock_ >= 0) close(lock_);
}

// Made once, and there before any task has it in its key.
Result<void> RunJournal::read_id() {
  const std::string path = directory_ + "/id";
  std::ifstream(path) >> id_;
  if (!id_.empty()) return ok();
  const auto now = SystemClock().now().time_since_epoch().count();
  char text[64];
  std::snprintf(text, sizeof text, "run-%llx-%x", static_cast<unsigned long long>(now), getpid());
  id_ = text;
  const int file = ::open((path + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool is_written = file >= 0 && write(file, text, id_.size()) == static_cast<ssize_t>(id_.size()) &&
                          fdatasync(file) == 0 && rename((path + ".new").c_str(), path.c_str()) == 0;
  const int problem = errno;
  if (file >= 0) close(file);
  if (!is_written) return system_error("the job can not be kept in " + directory_, problem);
  return ok();
}

Result<void> RunJournal::read_all() {
  while (true) {
    const std::string rest = read_record(file_, size_);
    if (rest.empty()) break;
    records_.push_back({static_cast<std::uint32_t>(read_fixed(std::string_view(rest).substr(0, 4))), size_});
    size_ += 8 + rest.size();
  }
  if (ftruncate(file_, static_cast<off_t>(size_)) != 0)
    return system_error("the job's results in " + directory_ + " can not be written", errno);
  return ok();
}

Result<RunJournal::Record> RunJournal::append(std::uint32_t index, const api::v1::RunReport& report) {
  std::string rest;
  append_fixed(rest, index, 4);
  report.AppendToString(&rest);
  std::string bytes;
  append_fixed(bytes, crc32c(rest), 4);
  append_fixed(bytes, rest.size(), 4);
  bytes += rest;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pwrite(file_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(size_ + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return system_error("a result can not be written to " + directory_, errno);
    done += static_cast<std::size_t>(count);
  }
  const Record record{index, size_};
  size_ += bytes.size();
  return record;
}

Result<void> RunJournal::sync() {
  if (fdatasync(file_) != 0) return system_error("results can not be made safe in " + directory_, errno);
  return ok();
}

Result<api::v1::RunReport> RunJournal::read(const Record& record) const {
  const std::string rest = read_record(file_, record.offset);
  api::v1::RunReport report;
  if (rest.size() < 4 || !report.ParseFromString(rest.substr(4)))
    return fail(Code::kCorrupt, "the job's results in " + directory_ + " are damaged: remove that directory");
  return report;
}

void RunJournal::remove() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

}  // namespace skep::cli
