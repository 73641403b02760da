// SPDX-License-Identifier: Apache-2.0
#include "store/log_engine.h"

#include <algorithm>
#include <optional>

#include "store/directory_lock.h"
#include "store/log_collector.h"
#include "store/log_replay.h"
#include "store/log_segments.h"
#include "store/store_directory.h"
#include "store/store_pool.h"

namespace skep::store {
namespace {

// Each byte written earns so many to be read and copied, so that garbage is collected faster than it is made,
// and small commits do not pay for more. One round spends no less than the first of these bytes, so that it
// is worth the call, and about the second unless much has been earned: never for long.
constexpr std::uint64_t kCollectFactor = 4;
constexpr std::uint64_t kCollectBytesMin = std::uint64_t{128} << 10;
constexpr std::uint64_t kCollectBytesFair = std::uint64_t{1} << 20;
// On a small disk garbage is collected sooner: it may take so much of what is free, and two segments.
constexpr std::uint64_t kSlackOfFree = 4;
// The last part of the slack is for what is written while it is collected.
constexpr std::uint64_t kSlackAhead = 8;

enum class Health : std::uint8_t {
  kFine,
  kBroken,   // to be read again
  kCorrupt,  // damaged: refused for good
};

// One writer at a time.
class Turn {
 public:
  explicit Turn(Gate& gate) : gate_(gate) { gate_.close(); }
  ~Turn() { gate_.open(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Gate& gate_;
};

}  // namespace

struct LogEngine::Impl {
  Impl(LogEngineOptions engine_options, Logger logger)
      : options(std::move(engine_options)),
        log(std::move(logger)),
        key(frame_key(options.secret)),
        view(options.directory, options.disk) {}

  Result<void> open();
  Result<void> make();
  Result<void> recover(bool was_sealed);
  Result<void> begin_anew(FrameBuilder& unpromised, const ReplayedSegment& last);
  Result<void> append(FrameBuilder& frame, Sync sync, bool is_close = false);
  Result<void> make_way(std::uint64_t bytes);
  Result<void> sync_current();
  Error explain_failed_write(std::uint64_t offset, const Error& error);
  Result<void> apply(const FrameBuilder& frame, std::uint64_t offset);
  void break_off(Health how, const std::string& why);
  Result<void> usable();
  Result<void> heal();
  Result<void> close();

  void bury_dead();
  void collect();
  void vouch();
  void prepare_next();
  void choose_slack();
  std::uint64_t bytes_max();

  Error gone() const { return fail(Code::kUnavailable, "the store in " + options.directory + " is closed"); }

  LogEngineOptions options;
  const Logger log;
  const FrameKey key;
  LogView view;

  // Of who has the turn.
  Gate gate;
  DirectoryLock lock;
  std::unique_ptr<WorkThread> remover;
  std::unique_ptr<LogSegments> segments;
  std::unique_ptr<LogCollector> collector;
  std::uint64_t sequence = 0;  // of the last frame
  std::uint64_t durable = 0;   // all frames up to this one are on stable storage
  std::uint64_t vouched = 0;   // the newest voucher that was written
  std::uint32_t ordinal = 0;   // of the next frame in its segment
  std::uint64_t slack = 0;     // as options.slack_bytes, or less on a small disk
  std::uint64_t earned = 0;    // bytes that may be collected
  Health health = Health::kFine;
  std::string problem;
  bool is_closed = false;
  bool is_stuck = false;  // the oldest segment can not be collected: it is damaged
};

// ---- opening ----

// A first frame that is empty: from here on the log is never without one.
Result<void> LogEngine::Impl::make() {
  SKEP_TRY(const auto leftovers, list_segments(options.directory));
  SKEP_TRY(segments->remove(leftovers));
  view.replace(std::make_unique<LogIndex>(options.shard_count));
  FrameBuilder empty;
  return append(empty, Sync::kDurable);
}

// What nobody vouches for is written again, as one frame: it is durable as a whole, or the old one counts.
Result<void> LogEngine::Impl::begin_anew(FrameBuilder& unpromised, const ReplayedSegment& last) {
  SKEP_TRY(segments->prepare(unpromised.bytes()));
  earned += segments->unused();  // a start that takes a segment gives one back
  segments->step();
  ordinal = 0;
  // All of it is written anew: then it does not count.
  if (last.first > durable) segments->let_die(last.name.number, sequence + 1);
  if (auto written = append(unpromised, Sync::kDurable); !written) {
    // Nobody waits for its outcome: it is tried again.
    return fail(Code::kUnavailable, written.error().message);
  }
  vouch();
  return ok();
}

Result<void> LogEngine::Impl::recover(bool was_sealed) {
  auto index = std::make_unique<LogIndex>(options.shard_count);
  FrameBuilder unpromised;
  ReplayOptions replaying;
  replaying.directory = options.directory;
  replaying.disk = options.disk;
  replaying.key = key;
  replaying.was_sealed = was_sealed;
  replaying.on_frame = [&](const FrameAt& frame) -> Result<void> {
    if (!frame.is_promised) {
      SKEP_TRY(frame.fetch());
    }
    for (const auto& item : frame.items) {
      std::string_view stored;
      if (item.head.kind == ItemKind::kQueue || !frame.is_promised) {
        SKEP_TRY(stored, frame.stored(item));
      }
      SKEP_TRY(index->apply(item.head, place_of(frame.segment, frame.offset, item), stored));
      if (!frame.is_promised) unpromised.put_stored(item.head, stored);
    }
    return ok();
  };
  SKEP_TRY(const auto replay, replay_log(std::move(replaying)));
  for (const auto& cut : replay.torn) {
    log.warn("the end of the log was torn by a crash; nothing of it was acknowledged, and it is cut off",
             {{"file", cut.name}, {"kept_bytes", cut.keep_bytes}, {"torn_bytes", cut.torn_bytes}});
  }
  std::vector<SegmentName> names;
  for (const auto& segment : replay.segments) names.push_back(segment.name);
  index->live().forget_before(names.front().number);
  SKEP_TRY(segments->resume(names, replay.segments.back().end));
  SKEP_TRY(segments->remove(replay.blanks));
  view.replace(std::move(index));
  sequence = durable = was_sealed ? replay.last_sequence : replay.voucher;
  vouched = replay.voucher;
  ordinal = replay.frames_in_last;
  if (!was_sealed) {
    SKEP_TRY(begin_anew(unpromised, replay.segments.back()));
  }
  return segments->adopt_spares(replay.spares);
}

// The directory is locked.
Result<void> LogEngine::Impl::open() {
  segments.reset();
  remover.reset();  // what it still has to do is done before files are looked for
  SegmentsOptions wanted{options.directory, options.disk, options.segment_bytes, nullptr};
  if (options.removes_apart) {
    remover = std::make_unique<WorkThread>("skep-remove");
    wanted.remove = [this](std::string path) {
      remover->post([disk = options.disk, path = std::move(path)] { (void)disk->remove(path); });
    };
  }
  segments = std::make_unique<LogSegments>(std::move(wanted));
  collector = std::make_unique<LogCollector>(options.directory, options.disk, key);
  is_stuck = false;
  earned = 0;
  choose_slack();
  if (options.is_new) return make();
  SKEP_TRY(const bool was_sealed, check_seal(options.directory, AfterCheck::kRemove));
  return recover(was_sealed);
}

// ---- healing ----

void LogEngine::Impl::break_off(Health how, const std::string& why) {
  health = how;
  problem = why;
}

Result<void> LogEngine::Impl::usable() {
  if (is_closed) return gone();
  SKEP_TRY(heal());
  if (health == Health::kFine) return ok();
  return fail(Code::kCorrupt, "the store in " + options.directory + " takes no commits: " + problem);
}

Result<void> LogEngine::Impl::heal() {
  if (health != Health::kBroken) return ok();
  log.warn("the log is read again after an error", {{"directory", options.directory}, {"problem", problem}});
  options.is_new = false;
  if (auto opened = open(); !opened) {
    const bool is_damaged = opened.error().code == Code::kCorrupt;
    break_off(is_damaged ? Health::kCorrupt : Health::kBroken, opened.error().message);
    return as_outage(opened.error());
  }
  health = Health::kFine;
  log.info("the log is whole again", {{"directory", options.directory}});
  // Soft commits may be gone, and one whose outcome nobody knew may be there.
  if (options.on_lost_writes) options.on_lost_writes();
  return ok();
}

// ---- writing ----

Result<void> LogEngine::Impl::sync_current() {
  if (durable == sequence) return ok();
  auto synced = segments->file().sync();
  if (synced) {
    durable = sequence;
    return ok();
  }
  break_off(Health::kBroken, synced.error().message);
  return fail(Code::kUnknownOutcome,
              "it is not known whether it is on stable storage: " + synced.error().message);
}

// Success: the current segment has room for a frame of so many bytes.
Result<void> LogEngine::Impl::make_way(std::uint64_t bytes) {
  if (bytes > kFrameBytesMax) {
    return fail(Code::kInvalid, "a commit of " + describe_bytes(bytes) + " is larger than the store takes");
  }
  if (segments->has_room(frame_start(segments->offset()), bytes)) return ok();
  // A segment is begun only when all before it is durable.
  if (segments->current() != 0) {
    SKEP_TRY(sync_current());
  }
  if (auto prepared = segments->prepare(bytes); !prepared) {
    if (segments->is_unsure()) break_off(Health::kBroken, prepared.error().message);
    return fail(Code::kUnavailable, "nothing was written: " + prepared.error().message);
  }
  segments->step();
  ordinal = 0;
  return ok();
}

// A frame is what is whole: its header is taken back, so that what was said of it holds after a crash too.
Error LogEngine::Impl::explain_failed_write(std::uint64_t offset, const Error& error) {
  std::string zeros(kFrameHeaderBytes, '\0');
  iovec piece{zeros.data(), zeros.size()};
  auto wiped = segments->file().write(offset, {&piece, 1});
  if (wiped) wiped = segments->file().sync();
  if (wiped) {
    durable = sequence;
    return fail(Code::kUnavailable, "nothing was written: " + error.message);
  }
  break_off(Health::kBroken, wiped.error().message);
  return fail(Code::kUnknownOutcome, "it is not known whether it is written: " + error.message);
}

Result<void> LogEngine::Impl::apply(const FrameBuilder& frame, std::uint64_t offset) {
  return view.with([&](LogIndex& index) -> Result<void> {
    std::size_t queues = 0;
    for (const auto& item : frame.items()) {
      const Place place = place_of(segments->current(), offset, item);
      const auto stored =
          item.head.kind == ItemKind::kQueue ? frame.stored_queue(queues++) : std::string_view();
      SKEP_TRY(index.apply(item.head, place, stored));
    }
    return ok();
  });
}

Result<void> LogEngine::Impl::append(FrameBuilder& frame, Sync sync, bool is_close) {
  SKEP_TRY(make_way(frame.bytes()));
  const std::uint64_t offset = frame_start(segments->offset());
  FrameHeader header;
  header.segment = segments->current();
  header.sequence = sequence + 1;
  header.voucher = durable;
  header.tail = segments->oldest();
  header.ordinal = ordinal;
  header.is_close = is_close;
  header = frame.seal(header, key);
  // Up to the end of the page: else the system would have to read a page before it changes a part of it.
  const std::uint64_t end = offset + header.bytes;
  const std::uint64_t page_end =
      std::min((end + kPageBytes - 1) / kPageBytes * kPageBytes, std::max(end, segments->file().bytes()));
  auto pieces = frame.pieces(page_end - end);
  if (auto written = segments->file().write(offset, pieces); !written) {
    return explain_failed_write(offset, written.error());
  }
  ++sequence;
  ++ordinal;
  vouched = header.voucher;
  segments->advance(end);
  if (sync == Sync::kDurable) {
    SKEP_TRY(sync_current());
  }
  return apply(frame, offset);
}

// ---- tidying up ----

// Nothing in them is present.
void LogEngine::Impl::bury_dead() {
  while (segments->oldest() < segments->current() &&
         view.with([&](LogIndex& index) { return index.live().of(segments->oldest()); }) == 0) {
    is_stuck = false;
    segments->let_die(segments->oldest(), sequence + 1);
    view.with([&](LogIndex& index) { index.live().forget_before(segments->oldest()); });
  }
  segments->recycle(durable, [this](std::uint32_t segment) { view.forget(segment); });
}

void LogEngine::Impl::collect() {
  // Before the bound, so that what is free by then is not too much to keep.
  const bool is_wanted = segments->bytes() + slack / kSlackAhead > bytes_max();
  if (!is_wanted || is_stuck || segments->oldest() == segments->current()) {
    earned = 0;
    return;
  }
  if (earned < std::min(kCollectBytesMin, options.segment_bytes / 8)) return;
  const std::uint64_t budget = std::min(earned, std::max(kCollectBytesFair, earned / 4));
  earned -= budget;
  const std::uint32_t segment = segments->oldest();
  FrameBuilder copies;
  auto collected = collector->collect(segment, budget, view, copies);
  const bool is_through = collected && collected.value();
  if (collected && !copies.is_empty()) {
    if (auto appended = append(copies, Sync::kSoft); !appended) {
      collector = std::make_unique<LogCollector>(options.directory, options.disk, key);
      return;
    }
  }
  if (!collected && collected.error().code != Code::kCorrupt) {  // not now: it is begun again
    collector = std::make_unique<LogCollector>(options.directory, options.disk, key);
    return;
  }
  const auto left = view.with([&](LogIndex& index) { return index.live().of(segment); });
  if (collected && (!is_through || left == 0)) return;
  is_stuck = true;
  log.error("a segment can not be collected, and the store will only grow; skep verify shows the damage",
            {{"file", segment_path(options.directory, segment)},
             {"problem", collected ? "not all that is in it was found" : collected.error().message}});
}

// A frame without items, so that what was just acknowledged is known to have been.
void LogEngine::Impl::vouch() {
  FrameBuilder empty;
  const std::uint64_t offset = frame_start(segments->offset());
  if (vouched >= durable || durable < sequence || !segments->has_room(offset, empty.bytes())) return;
  (void)append(empty, Sync::kSoft);
}

void LogEngine::Impl::choose_slack() {
  const std::uint64_t part = disk_free_bytes(options.directory) / kSlackOfFree;
  slack = std::min(options.slack_bytes, std::max(2 * options.segment_bytes, part));
}

// That the store may have.
std::uint64_t LogEngine::Impl::bytes_max() {
  const std::uint64_t live = view.with([](LogIndex& index) { return index.live().total(); });
  return live + live / 2 + slack;
}

void LogEngine::Impl::prepare_next() {
  if (segments->is_prepared() || !segments->is_half_full()) return;
  choose_slack();
  auto prepared = segments->prepare(0);
  if (!prepared && segments->is_unsure()) break_off(Health::kBroken, prepared.error().message);
}

void LogEngine::tidy() {
  Impl& impl = *impl_;
  const Turn turn(impl.gate);
  if (impl.is_closed || impl.health != Health::kFine) return;
  impl.bury_dead();
  impl.collect();
  if (impl.health == Health::kFine) impl.vouch();
  if (impl.health == Health::kFine) impl.prepare_next();
  if (impl.health == Health::kFine) impl.segments->trim(impl.bytes_max());
}

// ---- the engine ----

LogEngine::LogEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogEngine::~LogEngine() = default;

Result<std::unique_ptr<LogEngine>> LogEngine::open(LogEngineOptions options, Logger log) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(log));
  SKEP_TRY(impl->lock.lock(impl->options.directory));
  SKEP_TRY(impl->open());
  write_pid_file(impl->options.directory);
  return std::unique_ptr<LogEngine>(new LogEngine(std::move(impl)));
}

Result<void> LogEngine::write(Sync sync, UniqueFunction<Result<void>(FrameBuilder&)> fill) {
  const Turn turn(impl_->gate);
  SKEP_TRY(impl_->usable());
  FrameBuilder frame;
  SKEP_TRY(fill(frame));
  SKEP_TRY(impl_->append(frame, sync));
  impl_->earned += frame.bytes() * kCollectFactor;
  return ok();
}

Result<Epoch> LogEngine::epoch(ShardId shard) {
  const Turn turn(impl_->gate);
  SKEP_TRY(impl_->usable());
  return impl_->view.with([&](LogIndex& index) { return index.epoch(shard); });
}

Result<std::vector<Blob>> LogEngine::read(const std::vector<BlobKey>& keys) {
  return impl_->view.read(keys);
}

Result<void> LogEngine::load(ShardId shard, RecordSink& sink) {
  return impl_->view.load(shard, sink);
}

Result<void> LogEngine::Impl::close() {
  SKEP_TRY(heal());
  if (health != Health::kFine) return fail(Code::kCorrupt, problem);
  SKEP_TRY(sync_current());
  FrameBuilder last;
  SKEP_TRY(append(last, Sync::kDurable, true));
  remover.reset();  // the seal names the files that are there
  return write_seal(options.directory);
}

Result<void> LogEngine::close() {
  Impl& impl = *impl_;
  const Turn turn(impl.gate);
  if (impl.is_closed) return ok();
  auto closed = impl.close();
  impl.is_closed = true;
  impl.view.replace(nullptr);
  impl.segments.reset();
  impl.remover.reset();  // before another process may open the directory
  remove_pid_file(impl.options.directory);
  impl.lock.unlock();
  return closed;
}

}  // namespace skep::store
