// SPDX-License-Identifier: Apache-2.0
// demo: the whole job on this machine, on real input, and every result checked.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "api/errors.h"
#include "base/limits_os.h"
#include "base/runner.h"
#include "base/signals.h"
#include "cli/context.h"
#include "cli/demo_input.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/serve.h"
#include "compute/engine.h"
#include "task/limits.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(30);
constexpr Duration kPullWait = milliseconds(500);
constexpr Duration kSettlePatience = seconds(15);  // for the fleet to go back to nothing
constexpr Duration kLook = milliseconds(100);
constexpr std::size_t kBatchTasks = 16;

struct DemoOptions {
  std::vector<std::string> directories{"/usr/bin", "/usr/lib", "/usr/share/common-licenses"};
  std::size_t tasks = 96;
  std::string store;  // "": a directory that is removed at the end
  std::uint32_t workers_max = 1;
};

// A directory for as long as the demo runs.
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> make() {
    std::error_code problem;
    std::string pattern = (std::filesystem::temp_directory_path(problem) / "skep-demo-XXXXXX").string();
    if (problem || ::mkdtemp(pattern.data()) == nullptr) {
      return fail(Code::kUnavailable,
                  "no directory can be made for temporary files: say --store rocksdb:DIR");
    }
    return ScratchDirectory(std::move(pattern));
  }
  ScratchDirectory(ScratchDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The client's side of the demo: what it sent, what came back, and what it thinks of that.
class Demo {
 public:
  Demo(Remote& remote, SignalWaiter& signals, std::vector<DemoTask> tasks)
      : remote_(remote), signals_(signals), tasks_(std::move(tasks)) {}

  // kUnavailable where a person interrupts it.
  Result<void> enqueue();
  Result<void> pull();
  // How many results differ from the independent computation.
  Result<std::size_t> check();
  // Waits until no worker is left, as the scaler wants it; gives up silently after a while.
  Result<void> settle();
  Result<std::string> report();

 private:
  Result<void> look(Duration patience) const;
  Result<v1::ClusterReply> cluster() const;
  std::string fleet_in_words() const;

  Remote& remote_;
  SignalWaiter& signals_;
  const std::vector<DemoTask> tasks_;
  std::unordered_map<std::string, std::size_t> index_of_;  // by task id
  std::vector<std::string> results_;
  Instant began_at_{};
  Instant ended_at_{};
  Duration checked_in_{};
};

// Waits a moment, or ends the demo at once.
Result<void> Demo::look(Duration patience) const {
  if (signals_.wait_for(patience)) return fail(Code::kUnavailable, "interrupted");
  return ok();
}

Result<v1::ClusterReply> Demo::cluster() const {
  return remote_.wait<v1::ClusterReply>([this](client::Client& client, auto done) {
    client.cluster(remote_.within(kCallTimeout), std::move(done));
  });
}

std::string Demo::fleet_in_words() const {
  const auto seen = cluster();
  if (!seen) return {};
  const auto& scaling = seen.value().scaling();
  std::string words = std::to_string(scaling.running()) + (scaling.running() == 1 ? " worker" : " workers");
  if (scaling.booting() > 0) words += " and " + std::to_string(scaling.booting()) + " starting";
  return words;
}

Result<void> Demo::enqueue() {
  began_at_ = remote_.clock().now();
  results_.resize(tasks_.size());
  ProgressBar progress(remote_.clock(), "enqueued ", tasks_.size());
  for (std::size_t first = 0; first < tasks_.size(); first += kBatchTasks) {
    v1::EnqueueBatchRequest request;
    for (std::size_t i = first; i < std::min(first + kBatchTasks, tasks_.size()); ++i) {
      auto& task = *request.add_tasks();
      task.mutable_options()->set_iterations(tasks_[i].iterations);
      task.set_body(tasks_[i].body);
    }
    SKEP_TRY(const auto reply, remote_.wait<v1::EnqueueBatchReply>([&](client::Client& client, auto done) {
      client.enqueue_batch(request, remote_.within(kCallTimeout), std::move(done));
    }));
    for (const auto& task : reply.tasks()) index_of_.emplace(task.id(), index_of_.size());
    progress.show(index_of_.size(), {});
    SKEP_TRY(look(Duration::zero()));
  }
  return ok();
}

Result<void> Demo::pull() {
  ProgressBar progress(remote_.clock(), "completed", tasks_.size());
  std::unordered_set<std::string> seen;
  while (seen.size() < tasks_.size()) {
    progress.show(seen.size(), fleet_in_words());
    SKEP_TRY(const auto reply, remote_.wait<v1::PullReply>([&](client::Client& client, auto done) {
      client.pull_results(limits::kPullMax, kPullWait, {}, remote_.within(kCallTimeout), std::move(done));
    }));
    for (const auto& item : reply.items()) {
      const auto found = index_of_.find(item.id());
      if (found == index_of_.end()) continue;  // the store had results of before
      results_[found->second] = item.result();
      seen.insert(item.id());
    }
    if (!reply.receipt().empty()) {
      v1::AckRequest ack;
      ack.set_receipt(reply.receipt());
      SKEP_TRY(remote_.wait<v1::AckReply>([&](client::Client& client, auto done) {
        client.ack_results(ack, remote_.within(kCallTimeout), std::move(done));
      }));
    }
    SKEP_TRY(look(Duration::zero()));
  }
  ended_at_ = remote_.clock().now();
  progress.show(seen.size(), fleet_in_words());
  return ok();
}

Result<std::size_t> Demo::check() {
  const Instant began = remote_.clock().now();
  ProgressBar progress(remote_.clock(), "checked  ", tasks_.size());
  std::vector<std::future<std::string>> digests;
  std::vector<std::unique_ptr<Runner>> cores;
  for (int i = 0; i < usable_cores(); ++i)
    cores.push_back(std::make_unique<Runner>(remote_.clock(), "check"));
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    std::promise<std::string> digest;
    digests.push_back(digest.get_future());
    cores[i % cores.size()]->post([&task = tasks_[i], digest = std::move(digest)]() mutable {
      digest.set_value(compute::to_hex(compute::reference_digest(task.body, task.iterations)));
    });
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const std::string expected = digests[i].get();
    if (results_[i] != expected) {
      ++wrong;
      std::fprintf(stderr, "skep: the result of %s after %llu iterations is %s and should be %s\n",
                   tasks_[i].file.c_str(), static_cast<unsigned long long>(tasks_[i].iterations),
                   results_[i].c_str(), expected.c_str());
    }
    progress.show(i + 1, {});
    SKEP_TRY(look(Duration::zero()));
  }
  checked_in_ = remote_.clock().now() - began;
  return wrong;
}

Result<void> Demo::settle() {
  const Instant end = remote_.clock().now() + kSettlePatience;
  while (remote_.clock().now() < end) {
    SKEP_TRY(const auto seen, cluster());
    const auto& scaling = seen.scaling();
    if (scaling.running() + scaling.booting() + scaling.draining() == 0) break;
    SKEP_TRY(look(kLook));
  }
  return ok();
}

Result<std::string> Demo::report() {
  std::uint64_t bytes = 0;
  std::uint64_t hashes = 0;
  for (const auto& task : tasks_) {
    bytes += task.body.size();
    hashes += task.iterations;
  }
  SKEP_TRY(const auto scaling, remote_.wait<v1::ScalingReply>([this](client::Client& client, auto done) {
    client.scaling(1'000, kNever, remote_.within(kCallTimeout), std::move(done));
  }));
  const double span = std::chrono::duration<double>(ended_at_ - began_at_).count();
  char rate[96];
  std::snprintf(rate, sizeof rate, "%.2f million hashes/s, %.1f tasks/s",
                static_cast<double>(hashes) / span / 1e6, static_cast<double>(tasks_.size()) / span);
  std::string text = table({
      {"tasks", with_thousands(tasks_.size()) + " done, each result equal to OpenSSL's SHA-512 in a loop"},
      {"input", describe_bytes(bytes) + " in pieces of 16 to 256 KiB, from " + tasks_.front().file + " to " +
                    tasks_.back().file},
      {"hashes", with_thousands(hashes)},
      {"time", describe_duration(ended_at_ - began_at_) +
                   " from the first enqueue to the last result; check " + describe_duration(checked_in_)},
      {"rate", rate},
      {"workers", std::to_string(scaling.state().started()) + " started, " +
                      std::to_string(scaling.state().stopped()) + " stopped"},
  });
  for (auto decision = scaling.decisions().rbegin(); decision != scaling.decisions().rend(); ++decision) {
    if (decision->action() == "hold") continue;
    text += "  at " + describe_duration(from_unix_ms(decision->at_ms()) - began_at_) + "  " +
            decision->action() + ": " + decision->reason() + "\n";
  }
  return text;
}

void print_next_steps() {
  std::puts(R"(
Go on with a manager of your own (it scales workers by itself and keeps its store in your home directory):
  build/skep up &
  curl -X PUT --data-binary @/etc/hostname 'http://127.0.0.1:8080/enqueue?iterations=1000'
  curl -X POST 'http://127.0.0.1:8080/pullCompleted?top=10'
  curl http://127.0.0.1:8080/v1/scaling?limit=3
  build/skep status)");
}

Result<int> run_client(SignalWaiter& signals, const std::string& address, std::vector<DemoTask> tasks) {
  SKEP_TRY(const auto remote, Remote::connect("http://" + address, {}));
  Demo demo(*remote, signals, std::move(tasks));
  SKEP_TRY(demo.enqueue());
  SKEP_TRY(demo.pull());
  SKEP_TRY(const std::size_t wrong, demo.check());
  if (wrong > 0) {
    return fail(Code::kCorrupt, std::to_string(wrong) + " results differ from the independent computation");
  }
  SKEP_TRY(demo.settle());
  SKEP_TRY(const std::string text, demo.report());
  std::printf("\n%s", text.c_str());
  print_next_steps();
  return api::kExitOk;
}

int demo(const DemoOptions& options) {
  SignalWaiter signals;  // before any thread
  auto tasks = make_demo_tasks(options.directories, options.tasks);
  if (!tasks) return report(tasks.error());
  auto scratch = ScratchDirectory::make();
  if (!scratch) return report(scratch.error());
  ServeOptions serve;
  serve.listen = "127.0.0.1:0";
  serve.store = options.store.empty() ? "rocksdb:" + scratch.value().path() + "/store" : options.store;
  serve.workers_max = options.workers_max;
  // So that a fleet comes and goes within the seconds that this lasts.
  serve.target_wait = seconds(2);
  serve.idle_hold = seconds(2);
  // The log would break the bars; trouble is still told.
  const Logger log("manager", LogLevel::kWarn);
  const SystemClock clock;
  auto store = open_store(serve.store, log);
  if (!store) return report(store.error());
  auto manager = start_manager(serve, *store.value(), nullptr, nullptr, clock, log, kConnectionsMin);
  if (!manager) return report(manager.error());
  std::printf("a manager serves at %s, its store is %s; at most %u workers\n",
              manager.value()->address().c_str(), serve.store.c_str(), serve.workers_max);
  std::fflush(stdout);
  auto code = run_client(signals, manager.value()->address(), std::move(tasks.value()));
  manager.value()->drain(kDrainPatience);
  manager.value().reset();
  const auto closed = store.value()->close();
  if (!code) return report(code.error());
  if (!closed) return report(closed.error());
  return code.value();
}

}  // namespace

void add_demo_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<DemoOptions>();
  options->workers_max = static_cast<std::uint32_t>(usable_cores());
  auto* command =
      app.add_subcommand("demo", "Do a whole job on real input, check it, and show what happened");
  command->footer("Example: skep demo --tasks 200 --max-workers 4");
  command->add_option("--tasks", options->tasks, "How many tasks")->check(CLI::Range(1, 100'000));
  command->add_option("--from", options->directories,
                      "Directories whose files are the input; may be repeated");
  command->add_option("--store", options->store, "rocksdb:DIRECTORY that is kept [a temporary one]");
  command->add_option("--max-workers", options->workers_max, "Workers that run at most")
      ->check(CLI::Range(1, 1024));
  context.actions[command] = [options] { return demo(*options); };
}

}  // namespace skep::cli
