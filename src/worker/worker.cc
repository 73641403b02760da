// SPDX-License-Identifier: Apache-2.0
#include "worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <optional>
#include <system_error>
#include <utility>

#include "base/limits_os.h"
#include "base/mutex.h"
#include "base/runner.h"
#include "base/signals.h"
#include "client/client.h"
#include "client/link.h"
#include "task/limits.h"
#include "worker/checkpoint_book.h"
#include "worker/compute_threads.h"
#include "worker/manager_book.h"
#include "worker/speed_meter.h"
#include "worker/work_directory.h"

namespace skep::worker {

// ---- drain ----

struct DrainHandle::Shared {
  Mutex mutex;
  std::vector<DrainCause> waiting SKEP_GUARDED_BY(mutex);  // asked for while nobody listened
  std::string notice SKEP_GUARDED_BY(mutex);               // likewise
  UniqueFunction<void(DrainCause)> listener SKEP_GUARDED_BY(mutex);
  UniqueFunction<void(std::string)> note_listener SKEP_GUARDED_BY(mutex);
};

DrainHandle::DrainHandle() : shared_(std::make_shared<Shared>()) {}

void DrainHandle::drain(DrainCause cause) const {
  const MutexLock lock(shared_->mutex);
  if (shared_->listener) {
    shared_->listener(cause);  // only posts
  } else {
    shared_->waiting.push_back(cause);
  }
}

void DrainHandle::note(std::string notice) const {
  const MutexLock lock(shared_->mutex);
  if (shared_->note_listener) {
    shared_->note_listener(std::move(notice));  // only posts
  } else {
    shared_->notice = std::move(notice);
  }
}

// Connects a handle to a worker for as long as it lives.
class DrainListener {
 public:
  DrainListener(const DrainHandle& handle, UniqueFunction<void(DrainCause)> listener,
                UniqueFunction<void(std::string)> note_listener)
      : shared_(handle.shared_) {
    const MutexLock lock(shared_->mutex);
    if (!shared_->notice.empty()) note_listener(std::exchange(shared_->notice, {}));
    for (const DrainCause cause : std::exchange(shared_->waiting, {})) listener(cause);
    shared_->listener = std::move(listener);
    shared_->note_listener = std::move(note_listener);
  }
  ~DrainListener() {
    const MutexLock lock(shared_->mutex);
    shared_->listener = nullptr;
    shared_->note_listener = nullptr;
  }
  DrainListener(const DrainListener&) = delete;
  DrainListener& operator=(const DrainListener&) = delete;

 private:
  std::shared_ptr<DrainHandle::Shared> shared_;
};

namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(10);
constexpr Duration kCompleteTimeout = seconds(30);
// A manager that hangs is left after the first; of that, or of the wait, the second is the least for an
// answer.
constexpr Duration kHeartbeatTimeout = seconds(5);
constexpr Duration kHeartbeatSlack = seconds(3);
constexpr Duration kGoodbyeTimeout = seconds(2);
// Between two looks whether one of the operator's own managers is back.
constexpr Duration kHomeFirst = seconds(4);
constexpr Duration kHomeLast = seconds(12);
constexpr Duration kHealthTimeout = milliseconds(500);
// What an answer to a long-poll may take beyond the wait.
constexpr Duration kAcquireSlack = seconds(10);

// Everything of one worker; all of it on the runner.
class Shell {
 public:
  Shell(WorkerOptions options, ComputeOptions compute, const Clock& clock, Logger log, Executor& executor,
        ManagerBook managers, Random random, UniqueFunction<void(int)> done)
      : options_(std::move(options)),
        log_(std::move(log)),
        executor_(executor),
        managers_(std::move(managers)),
        random_(random.split()),
        loop_(loop_options(options_, compute.commands), random.split(), clock.now()),
        calls_(executor, clock, options_.http, managers_.urls(), random.split()),
        heartbeats_(executor, clock, options_.http, managers_.urls(), random.split()),
        long_polls_(
            std::make_unique<client::Link>(executor, clock, options_.http, managers_.urls(), random.split())),
        commands_(compute.commands),
        checkpoints_(options_.checkpoint_interval),
        threads_(std::move(compute), clock, executor,
                 {.finished = [this](v1::Outcome outcome) { on_finished(std::move(outcome)); },
                  .handed_back = [this](v1::ReleasedLease lease) { on_handed_back(std::move(lease)); },
                  .measured =
                      [this](const SpeedSample& sample) {
                        speed_.add(static_cast<std::uint64_t>(sample.compressions), sample.busy);
                      }}),
        done_(std::move(done)) {}

  void begin() {
    carry_out(loop_.tick(executor_.now()));
    look_home();
  }

  void note(std::string notice) {
    log_.warn("this machine was told of its end", {{"notice", notice}});
    loop_.note(std::move(notice));
  }

  void drain(DrainCause cause) {
    if (!loop_.is_draining())
      log_.info("draining", {{"running", loop_.running()}, {"waiting", loop_.waiting()}});
    carry_out(loop_.drain(executor_.now(), cause));
  }

 private:
  static LoopOptions loop_options(const WorkerOptions& options, std::uint32_t commands) {
    LoopOptions out;
    out.slots = options.slots;
    out.ahead = options.slots;
    out.commands = options.programs.empty() ? 0 : commands;
    out.prefetch = options.prefetch;
    out.acquire_wait = options.acquire_wait;
    out.orphan_timeout = options.orphan_timeout;
    out.drain_timeout = options.drain_timeout;
    return out;
  }

  // One try: what to do after a failure is the loop's to decide.
  client::CallOptions within(Duration timeout) const {
    return {.deadline = executor_.now() + timeout, .retry = client::Retry::kNever};
  }

  std::vector<std::string> kinds() const {
    std::vector<std::string> out{"sha512"};
    if (!options_.programs.empty()) out.emplace_back("command");
    return out;
  }

  void carry_out(std::vector<Action> actions) {
    for (auto& action : actions) {
      std::visit([this](auto& item) { carry_out_one(std::move(item)); }, action);
    }
    executor_.cancel(timer_);
    timer_ = executor_.post_at(loop_.wake_at(), [this] { carry_out(loop_.tick(executor_.now())); });
  }

  void carry_out_one(DoRegister) {
    v1::RegisterRequest request;
    request.set_name(options_.name);
    request.set_slots(options_.slots);
    request.set_commands(commands_);
    for (auto& kind : kinds()) request.add_kinds(kind);
    for (const auto& [name, argv] : options_.programs) request.add_programs(name);
    request.set_host(host_name());
    request.set_pid(getpid());
    request.set_instance(options_.instance);
    request.set_version(SKEP_VERSION);
    calls_.client().register_worker(
        std::move(request), within(kCallTimeout),
        [this](Result<v1::RegisterReply> reply) { on_registered(std::move(reply)); });
  }

  void carry_out_one(DoAcquire acquire) {
    v1::AcquireRequest request;
    request.set_worker(loop_.worker_id());
    request.set_max(acquire.max);
    request.set_wait_ms(static_cast<std::uint64_t>(acquire.wait / milliseconds(1)));
    if (acquire.pool == Pool::kLanes) {
      request.add_kinds("sha512");
    } else {
      request.add_kinds("command");
      for (const auto& [name, argv] : options_.programs) request.add_programs(name);
    }
    long_polls_->client().acquire(std::move(request), within(acquire.wait + kAcquireSlack),
                                  [this, pool = acquire.pool](Result<v1::AcquireReply> reply) {
                                    // A drain abandons it: that is no failure.
                                    if (!loop_.is_draining()) note_failure("acquire", reply);
                                    carry_out(loop_.on_acquired(executor_.now(), std::move(reply), pool));
                                  });
  }

  void carry_out_one(DoStart start) {
    log_.debug(
        "task starts",
        {{"task", start.lease.task()}, {"kind", start.lease.kind()}, trace_field(start.lease.lease())});
    checkpoints_.begin(start.lease, executor_.now());
    threads_.start(std::move(start.lease));
  }

  void carry_out_one(DoStop stop) {
    checkpoints_.forget(stop.lease);
    threads_.stop(stop.lease);
  }

  void carry_out_one(DoHandBack hand_back) {
    hand_back.is_only_if_waiting ? threads_.hand_back_waiting(hand_back.lease)
                                 : threads_.hand_back(hand_back.lease);
  }

  void carry_out_one(DoComplete complete) {
    v1::CompleteRequest request;
    request.set_worker(loop_.worker_id());
    for (auto& outcome : complete.outcomes) *request.add_outcomes() = std::move(outcome);
    calls_.client().complete(std::move(request), within(kCompleteTimeout),
                             [this](Result<v1::CompleteReply> reply) { on_completed(std::move(reply)); });
  }

  void carry_out_one(DoRelease release) {
    v1::ReleaseRequest request;
    request.set_worker(loop_.worker_id());
    for (auto& lease : release.leases) *request.add_leases() = std::move(lease);
    calls_.client().release(std::move(request), within(kCallTimeout), [this](Result<v1::ReleaseReply> reply) {
      note_failure("release", reply);
      carry_out(loop_.on_released(executor_.now(), std::move(reply)));
    });
  }

  void carry_out_one(DoHeartbeat heartbeat) {
    checkpoints_.fill(heartbeat.request, threads_.progress(), executor_.now());
    heartbeat.request.set_iterations_per_second(speed_.iterations_per_second());
    const Duration wait = milliseconds(static_cast<std::int64_t>(heartbeat.request.wait_ms()));
    heartbeats_.client().heartbeat(
        loop_.worker_id(), std::move(heartbeat.request),
        within(std::max(kHeartbeatTimeout, wait + kHeartbeatSlack)),
        [this](Result<v1::HeartbeatReply> reply) { on_heartbeat(std::move(reply)); });
  }

  void carry_out_one(DoCancelAcquire) { long_polls_.reset(); }

  void carry_out_one(DoNextManager) {
    for_each_client([](client::Client& client) { client.next_manager(); });
    log_.warn("manager does not answer", {{"next", calls_.client().current_manager()}});
  }

  void carry_out_one(const DoMoveTo& move) {
    const http::Url url = managers_.find(move.manager);
    for_each_client([&](client::Client& client) { client.move_to(url); });
    log_.info("moves to another manager", {{"manager", move.manager}});
  }

  void carry_out_one(const DoTakeLeave& leave) {
    calls_.client().delete_worker(leave.worker, "it moved to another manager", within(kCallTimeout),
                                  [this](const Result<v1::Worker>& reply) { note_failure("leave", reply); });
  }

  // The manager is told, so that what it still counts here goes back at once; nobody waits for long.
  void carry_out_one(DoExit exit) {
    log_.info("exits", {{"reason", exit.reason}});
    const int code = exit.code;
    if (loop_.worker_id().empty()) return done_(code);
    calls_.client().delete_worker(loop_.worker_id(), exit.reason, within(kGoodbyeTimeout),
                                  [this, code](const Result<v1::Worker>&) { done_(code); });
  }

  void on_registered(Result<v1::RegisterReply> reply) {
    note_failure("register", reply);
    if (reply.has_value()) {
      log_.info("registered", {{"worker", reply.value().worker()},
                               {"manager", calls_.client().current_manager()},
                               {"slots", options_.slots}});
      learn(reply.value().managers());
    }
    carry_out(loop_.on_registered(executor_.now(), std::move(reply)));
  }

  void on_heartbeat(Result<v1::HeartbeatReply> reply) {
    note_failure("heartbeat", reply);
    checkpoints_.settle(reply.has_value());
    if (reply.has_value()) {
      learn(reply.value().managers());
      // Where the operator wants it, and no further.
      if (!managers_.is_own(reply.value().move_to())) reply.value().clear_move_to();
      if (reply.value().drain() && !loop_.is_draining()) log_.info("a manager orders the drain");
    }
    carry_out(loop_.on_heartbeat(executor_.now(), std::move(reply)));
  }

  void on_completed(Result<v1::CompleteReply> reply) {
    note_failure("complete", reply);
    if (reply.has_value()) {
      for (const auto& outcome : reply.value().outcomes()) {
        if (outcome.status() == "ok") continue;
        log_.info("outcome is not taken", {{"lease", outcome.lease()},
                                           {"status", outcome.status()},
                                           {"detail", outcome.detail()},
                                           trace_field(outcome.lease())});
      }
    }
    carry_out(loop_.on_completed(executor_.now(), std::move(reply)));
  }

  void on_finished(v1::Outcome outcome) {
    checkpoints_.forget(outcome.lease());
    if (outcome.failed()) {
      log_.info("task fails",
                {{"lease", outcome.lease()}, {"error", outcome.error()}, trace_field(outcome.lease())});
    }
    carry_out(loop_.on_finished(executor_.now(), std::move(outcome)));
  }

  void on_handed_back(v1::ReleasedLease lease) {
    checkpoints_.forget(lease.lease());
    log_.info(
        "task is handed back",
        {{"lease", lease.lease()}, {"iterations_done", lease.iterations_done()}, trace_field(lease.lease())});
    carry_out(loop_.on_handed_back(executor_.now(), std::move(lease)));
  }

  LogField trace_field(const std::string& lease) const {
    return LogField::if_any("trace_id", loop_.trace_id(lease));
  }

  template <class Reply>
  void note_failure(std::string_view call, const Result<Reply>& reply) {
    if (reply.has_value()) return;
    log_.warn("call fails",
              {{"call", call}, {"code", code_name(reply.error().code)}, {"error", reply.error().message}});
  }

  template <class Names>
  void learn(const Names& names) {
    if (!managers_.learn({names.begin(), names.end()})) return;
    for_each_client([this](client::Client& client) { client.set_managers(managers_.urls()); });
  }

  // At a manager that it only heard of it stays no longer than it must. Not all workers come back at once.
  void look_home() {
    const Duration jitter(static_cast<Duration::rep>(
        random_.below(static_cast<std::uint64_t>(Duration(kHomeLast - kHomeFirst).count()))));
    executor_.post_at(executor_.now() + kHomeFirst + jitter, [this] { look_home(); });
    const bool is_home = managers_.is_own(calls_.client().current_manager());
    if (is_home || !away_since_) away_since_ = executor_.now();
    if (options_.is_bound && executor_.now() - *away_since_ >= options_.orphan_timeout &&
        !loop_.is_draining()) {
      log_.warn("its manager has not come back, and nobody else counts this machine: it ends", {});
      return drain(DrainCause::kSignal);
    }
    if (is_home || loop_.worker_id().empty() || loop_.is_draining()) return;
    const http::Url home = managers_.urls()[random_.below(managers_.own_count())];
    calls_.client().ask_health(home, executor_.now() + kHealthTimeout,
                               [this, home](const Result<void>& health) {
                                 if (health) carry_out(loop_.move(executor_.now(), home.host_port()));
                               });
  }

  template <class Visit>
  void for_each_client(Visit visit) {
    visit(calls_.client());
    visit(heartbeats_.client());
    if (long_polls_ != nullptr) visit(long_polls_->client());
  }

 public:
  static std::string host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return name;
  }

 private:
  const WorkerOptions options_;
  Logger log_;
  Executor& executor_;
  ManagerBook managers_;
  Random random_;
  std::optional<Instant> away_since_;  // when it was last at one of its own managers, or began
  LeaseLoop loop_;
  client::Link calls_;
  client::Link heartbeats_;
  std::unique_ptr<client::Link> long_polls_;  // none once abandoned
  SpeedMeter speed_;
  const std::uint32_t commands_;  // at once
  CheckpointBook checkpoints_;
  TimerId timer_ = 0;
  ComputeThreads threads_;
  UniqueFunction<void(int)> done_;
};

// How the slots are spread over the cores. The cores that would have none are left out.
std::vector<std::uint32_t> spread(std::uint32_t slots, std::uint32_t cores) {
  std::vector<std::uint32_t> out(std::min(slots, cores), slots / cores);
  for (std::uint32_t i = 0; i < slots % cores; ++i) ++out[i];
  return out;
}

struct Prepared {
  WorkerOptions options;
  ComputeOptions compute;
};

// What earlier workers left is removed first. A worker without programs touches no cgroup.
Result<CommandPlace> command_place(const WorkerOptions& options, Instant now) {
  if (options.programs.empty()) return CommandPlace(options.command_directory);
  sweep_work_directories(options.command_directory, now);
  CommandPlace place(options.command_directory, CgroupPlace::find(""));
  SKEP_TRY(check_place(options.programs, place));
  return place;
}

Result<Prepared> prepare(WorkerOptions options, const Clock& clock) {
  const auto here = compute::targets_here();
  const compute::Target target = options.target.value_or(here.front());
  if (std::find(here.begin(), here.end(), target) == here.end()) {
    std::string names;
    for (const auto known : here)
      names += (names.empty() ? "" : ", ") + std::string(compute::target_name(known));
    return fail(Code::kInvalid, "this processor can not run the compute target '" +
                                    std::string(compute::target_name(target)) + "': use one of " + names);
  }
  compute::Plan plan = compute::measure_plan(target, clock);
  if (options.cores == 0) options.cores = static_cast<std::uint32_t>(usable_cores());
  const std::uint32_t commands = options.slots == 0 ? options.cores : options.slots;
  if (options.slots > limits::kLeaseMax) return fail(Code::kInvalid, "slots: at most 1000");
  // A slot without a lane would only keep a task from other workers.
  const std::uint32_t lanes = options.cores * static_cast<std::uint32_t>(plan.lanes());
  options.slots =
      std::min<std::uint32_t>({options.slots == 0 ? lanes : options.slots, lanes, limits::kLeaseMax});
  if (options.prefetch == 0) options.prefetch = std::min<std::uint32_t>(4 * options.slots, limits::kLeaseMax);
  if (options.name.empty()) options.name = Shell::host_name();
  if (options.command_directory.empty()) {
    std::error_code problem;
    options.command_directory = std::filesystem::temp_directory_path(problem).string();
    if (problem) return fail(Code::kInvalid, "no directory for temporary files: " + problem.message());
  }
  SKEP_TRY(options.programs, resolve(std::move(options.programs)));
  SKEP_TRY(auto place, command_place(options, clock.now()));
  ComputeOptions compute{spread(options.slots, options.cores), std::move(plan), commands, options.programs,
                         std::move(place)};
  return Prepared{std::move(options), std::move(compute)};
}

}  // namespace

Result<int> run_worker(WorkerOptions options, const Clock& clock, Logger log, DrainHandle handle) {
  SKEP_TRY(auto managers, ManagerBook::make(options.managers));
  SKEP_TRY(auto prepared, prepare(std::move(options), clock));
  ignore_broken_pipes();  // a command need not read its input
  keep_ended_children();
  std::promise<int> done;
  std::future<int> exit_code = done.get_future();
  Runner runner(clock, "worker");
  Random random(static_cast<std::uint64_t>(clock.now().time_since_epoch().count()) ^
                (static_cast<std::uint64_t>(getpid()) << 40));
  managers.shuffle(random);
  log.info("computes",
           {{"lanes", prepared.compute.plan.lanes()},
            {"kernel", prepared.compute.plan.kernel_for(prepared.compute.plan.lanes()).kernel.name},
            {"cores", prepared.compute.lanes.size()},
            {"slots", prepared.options.slots}});
  if (!prepared.options.programs.empty())
    log.info("limits of commands are held", {{"how", limits_in_words(prepared.compute.command_place)}});
  const auto threads = static_cast<int>(prepared.compute.lanes.size());
  if (threads > usable_cores()) {
    log.warn("more threads compute than there are processors: they take turns",
             {{"threads", threads}, {"processors", usable_cores()}});
  }
  Shell shell(std::move(prepared.options), std::move(prepared.compute), clock, std::move(log), runner,
              std::move(managers), random, [&done](int code) { done.set_value(code); });
  const DrainListener listener(
      handle, [&](DrainCause cause) { runner.post([&shell, cause] { shell.drain(cause); }); },
      [&](std::string notice) {
        runner.post([&shell, notice = std::move(notice)]() mutable { shell.note(std::move(notice)); });
      });
  runner.post([&shell] { shell.begin(); });
  const int code = exit_code.get();
  // Nothing calls into the shell any more while its parts go.
  runner.stop();
  return code;
}

}  // namespace skep::worker
