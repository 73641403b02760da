// SPDX-License-Identifier: Apache-2.0
#include "worker/executor_command.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "api/json.h"
#include "task/id.h"
#include "task/limits.h"
#include "task/task.h"
#include "worker/child_process.h"
#include "worker/run_clock.h"

namespace skep::worker {
namespace {

constexpr int kReadsMax = 64;
constexpr std::string_view kPathDefault = "/usr/local/bin:/usr/bin:/bin";

std::string search_path() {
  const char* path = getenv("PATH");
  return path == nullptr ? std::string(kPathDefault) : path;
}

// Gives back to every directory below `path` the rights that deleting what is in it needs.
void open_up(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  constexpr auto kHow = fs::perm_options::add | fs::perm_options::nofollow;
  std::error_code problem;
  fs::permissions(path, fs::perms::owner_all, kHow, problem);
  auto entry = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, problem);
  // A directory is opened up before the iterator goes into it.
  for (; !problem && entry != end(entry); entry.increment(problem)) {
    std::error_code ignored;
    if (entry->symlink_status(ignored).type() == fs::file_type::directory)
      fs::permissions(entry->path(), fs::perms::owner_all, kHow, ignored);
  }
}

// A directory that is there while this is.
class WorkDirectory {
 public:
  explicit WorkDirectory(const std::string& parent) : path_(parent + "/skep-task-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) error_ = errno;
  }
  ~WorkDirectory() {
    if (error_ != 0) return;
    std::error_code problem;
    std::filesystem::remove_all(path_, problem);
    if (!problem) return;
    // Programs protect what they keep, such as a cache of modules.
    open_up(path_);
    std::filesystem::remove_all(path_, problem);
  }
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;

  int error() const { return error_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int error_ = 0;
};

// What comes out of a pipe: the beginning up to a limit, or the end.
class Collected {
 public:
  enum class Keep : std::uint8_t { kBeginning, kEnd };
  Collected(Keep keep, std::size_t bytes_max) : keep_(keep), bytes_max_(bytes_max) {}

  // Takes what is there. False: nothing will come any more.
  bool read_from(const Descriptor& descriptor) {
    std::array<char, 16 * 1024> buffer;
    // Bounded, so that a child which writes without end does not keep its deadline from being seen. More than
    // a pipe holds: what a child leaves behind is taken whole.
    for (int i = 0; i < kReadsMax && !is_too_long(); ++i) {
      const ssize_t size = read(descriptor.number(), buffer.data(), buffer.size());
      if (size > 0) {
        add({buffer.data(), static_cast<std::size_t>(size)});
      } else if (size == 0) {
        return false;
      } else if (errno != EINTR) {
        return errno == EAGAIN;
      }
    }
    return !is_too_long();
  }

  bool is_too_long() const { return keep_ == Keep::kBeginning && bytes_.size() > bytes_max_; }
  std::string& bytes() { return bytes_; }

 private:
  void add(std::string_view more) {
    bytes_ += more;
    if (keep_ == Keep::kEnd && bytes_.size() > bytes_max_) bytes_.erase(0, bytes_.size() - bytes_max_);
  }

  Keep keep_;
  std::size_t bytes_max_;
  std::string bytes_;
};

enum class Ended : std::uint8_t { kByItself, kStopped, kTooLate, kTooLong };

// One child from start to end.
class Watch {
 public:
  Watch(ChildProcess& child, const Clock& clock, Instant deadline, const StopSignal& stop)
      : child_(child), clock_(clock), deadline_(deadline), stop_(stop) {}

  Ended run() {
    while (true) {
      std::array<pollfd, 4> waits{{{stop_.descriptor(), POLLIN, 0},
                                   {child_.exit_descriptor(), POLLIN, 0},
                                   {has_output_ ? child_.output().number() : -1, POLLIN, 0},
                                   {has_errors_ ? child_.errors().number() : -1, POLLIN, 0}}};
      poll(waits.data(), waits.size(), patience_ms());
      if (waits[0].revents != 0) return Ended::kStopped;
      // Read before the end is looked at: what the child wrote last is in the pipe by then.
      const bool has_ended = waits[1].revents != 0;
      if (has_ended || waits[2].revents != 0) has_output_ = has_output_ && output.read_from(child_.output());
      if (has_ended || waits[3].revents != 0) has_errors_ = has_errors_ && errors.read_from(child_.errors());
      if (output.is_too_long()) return Ended::kTooLong;
      if (has_ended) return Ended::kByItself;
      if (clock_.now() >= deadline_) return Ended::kTooLate;
    }
  }

  Collected output{Collected::Keep::kBeginning, limits::kResultBytesMax};
  Collected errors{Collected::Keep::kEnd, kStderrTailBytes};

 private:
  int patience_ms() const {
    if (deadline_ == kNever) return -1;
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - clock_.now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  ChildProcess& child_;
  const Clock& clock_;
  Instant deadline_;
  const StopSignal& stop_;
  bool has_output_ = true;
  bool has_errors_ = true;
};

std::vector<std::string> environment_of(const api::v1::Lease& lease) {
  const auto token = LeaseToken::parse(lease.lease());
  const std::string attempt = token.has_value() ? std::to_string(token.value().number) : "";
  return {"PATH=" + search_path(), "SKEP_TASK=" + lease.task(), "SKEP_ATTEMPT=" + attempt};
}

void set_failed(api::v1::Outcome& outcome, std::string sentence, std::string_view stderr_tail = {}) {
  while (stderr_tail.ends_with('\n')) stderr_tail.remove_suffix(1);
  if (!stderr_tail.empty()) sentence += ": " + std::string(stderr_tail);
  outcome.set_failed(true);
  outcome.set_error(api::to_valid_utf8(sentence));
}

void describe_end(int status, Watch& watch, api::v1::Outcome& outcome) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    outcome.set_result(std::move(watch.output.bytes()));
  } else if (WIFEXITED(status)) {
    outcome.set_permanent(WEXITSTATUS(status) == kExitDataError);
    set_failed(outcome, "exit code " + std::to_string(WEXITSTATUS(status)), watch.errors.bytes());
  } else {
    const int number = WTERMSIG(status);
    set_failed(outcome, "killed by signal " + std::to_string(number) + " (" + strsignal(number) + ")",
               watch.errors.bytes());
  }
}

bool is_executable(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> find_executable(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    std::error_code problem;
    std::string path = std::filesystem::absolute(name, problem).string();
    return !problem && is_executable(path) ? std::optional(path) : std::nullopt;
  }
  const std::string path = search_path();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    // A relative entry of PATH would mean another place in the task's own directory.
    if (candidate.starts_with('/') && is_executable(candidate)) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return std::nullopt;
}

}  // namespace

Result<Programs> resolve(Programs programs) {
  for (auto& [name, argv] : programs) {
    SKEP_TRY(validate_name("program", name));
    const auto path = argv.empty() ? std::nullopt : find_executable(argv[0]);
    if (!path) {
      return fail(Code::kInvalid, "program " + name + ": there is no executable file " +
                                      (argv.empty() ? "named" : "\"" + argv[0] + "\""));
    }
    argv[0] = *path;
  }
  return programs;
}

std::optional<api::v1::Outcome> run_command(api::v1::Lease lease, const Programs& programs,
                                            const std::string& directory, const Clock& clock,
                                            const StopSignal& stop) {
  api::v1::Outcome outcome;
  outcome.set_lease(lease.lease());
  const auto program = programs.find(lease.program());
  if (program == programs.end()) {
    outcome.set_permanent(true);
    set_failed(outcome, "this worker lists no program \"" + lease.program() + "\"");
    return outcome;
  }
  const RunClock run(lease, clock.now());
  const WorkDirectory work(directory);
  if (work.error() != 0) {
    set_failed(outcome, "no working directory in " + directory + ": " + strerror(work.error()));
    return outcome;
  }
  auto started = ChildProcess::start({program->second, environment_of(lease), work.path(), lease.body()});
  if (started.has_error()) {
    set_failed(outcome, std::move(started.error().message));
    return outcome;
  }
  ChildProcess& child = started.value();
  Watch watch(child, clock, run.deadline(), stop);
  const Ended ended = watch.run();
  const int status = child.finish();
  run.stop(outcome, clock.now());
  switch (ended) {
    case Ended::kStopped:
      return std::nullopt;
    case Ended::kByItself:
      describe_end(status, watch, outcome);
      break;
    case Ended::kTooLate:
      outcome.set_timed_out(true);
      set_failed(outcome, run.late_sentence(), watch.errors.bytes());
      break;
    case Ended::kTooLong:
      outcome.set_permanent(true);
      set_failed(outcome, "its output is larger than " + describe_bytes(limits::kResultBytesMax));
      break;
  }
  return outcome;
}

}  // namespace skep::worker
