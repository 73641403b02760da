// SPDX-License-Identifier: Apache-2.0
#include "store/log_replay.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace skep::store {
namespace {

// Read at once where frames follow each other closely, and where they are far apart.
constexpr std::uint64_t kWindowBytes = std::uint64_t{512} << 10;
constexpr std::uint64_t kGlanceBytes = std::uint64_t{16} << 10;
constexpr std::uint64_t kSurveyBytes = std::uint64_t{1} << 20;

// What whole headers of a segment say, wherever in it they stand.
struct Survey {
  std::uint64_t frames = 0;
  std::uint64_t voucher = 0;
  std::uint64_t end = 0;         // of the last frame
  bool vouches_for_own = false;  // that a frame of this very segment was durable

  void take(const FrameHeader& header, std::uint64_t offset) {
    ++frames;
    voucher = std::max(voucher, header.voucher);
    end = std::max(end, offset + header.bytes);
    vouches_for_own = vouches_for_own || header.voucher >= header.first();
  }
};

class Replayer {
 public:
  explicit Replayer(ReplayOptions options) : options_(std::move(options)) {}

  Result<Replay> run();

 private:
  struct Candidate {
    SegmentName name;
    std::optional<FrameHeader> first;
  };

  Result<std::shared_ptr<SegmentFile>> open(const SegmentName& name) const {
    return options_.disk->open(name.path, Access::kRead);
  }
  Result<SeenHeader> header_at(FrameReader& reader, std::uint64_t offset, std::uint32_t segment,
                               std::optional<std::uint64_t> sequence) const;
  Result<void> take_stock();
  Result<void> look_ahead();
  Result<void> find_newest();
  Result<bool> is_sound(const SegmentName& name, FrameReader& reader, std::uint64_t offset,
                        const FrameHeader& header) const;
  Result<void> survey_from(FrameReader& reader, std::uint64_t from, std::uint32_t segment,
                           Survey& survey) const;
  Result<void> sort_out();
  Result<void> check_blank(const SegmentName& blank);
  Error absence(std::uint32_t begin, std::uint32_t end) const;
  Result<void> replay_segment(std::size_t index);
  Result<bool> replay_frame(const SegmentName& name, FrameReader& reader, std::uint64_t& offset);
  Result<void> skip_damage(const SegmentName& name, FrameReader& reader, std::uint64_t& offset,
                           std::uint64_t limit, Error damage);
  Result<void> check_items(const FrameAt& frame) const;
  Result<void> check_end();
  Result<void> damaged(Error error);

  ReplayOptions options_;
  Replay replay_;
  std::vector<Candidate> candidates_;
  std::size_t newest_ = 0;  // index of the last that has a whole first header
  Survey seen_;             // of the newest segment
  std::uint32_t tail_ = 0;  // the oldest segment that counts
  std::uint64_t expected_ = 0;
  bool is_over_ = false;  // the end was found
  bool is_end_ = false;   // nothing is where the frame should be that was tried last
  bool has_close_ = false;
};

Result<void> Replayer::damaged(Error error) {
  if (!options_.on_damage) return error;
  options_.on_damage(error);
  return ok();
}

Result<SeenHeader> Replayer::header_at(FrameReader& reader, std::uint64_t offset, std::uint32_t segment,
                                       std::optional<std::uint64_t> sequence) const {
  SKEP_TRY(const auto bytes, reader.view(offset, kFrameHeaderBytes));
  auto seen = read_header(bytes, options_.key, segment, sequence);
  if (seen.sight == HeaderSight::kWhole && offset + seen.header.bytes > reader.file_bytes()) {
    seen.sight = HeaderSight::kDamaged;
  }
  return seen;
}

Result<void> Replayer::take_stock() {
  SKEP_TRY(auto names, list_segments(options_.directory));
  std::optional<std::size_t> newest;
  for (auto& name : names) {
    SKEP_TRY(auto file, open(name));
    FrameReader reader(std::move(file));
    SKEP_TRY(const auto seen, header_at(reader, 0, name.number, std::nullopt));
    Candidate candidate{std::move(name), std::nullopt};
    if (seen.sight == HeaderSight::kWhole && seen.header.ordinal == 0) {
      candidate.first = seen.header;
      newest = candidates_.size();
    }
    candidates_.push_back(std::move(candidate));
  }
  if (candidates_.empty()) {
    return fail(Code::kCorrupt, options_.directory + ": its segments are missing");
  }
  if (!newest)
    return damage_at(candidates_.back().name.path, 0, "no frame begins where the first one should");
  newest_ = *newest;
  return ok();
}

Result<void> Replayer::survey_from(FrameReader& reader, std::uint64_t from, std::uint32_t segment,
                                   Survey& survey) const {
  for (std::uint64_t at = (from + 7) / 8 * 8; at < reader.file_bytes(); at += kSurveyBytes) {
    SKEP_TRY(const auto bytes, reader.view(at, kSurveyBytes + kFrameHeaderBytes));
    for (std::size_t i = 0; i < kSurveyBytes && i + kFrameHeaderBytes <= bytes.size(); i += 8) {
      if (!may_be_header(bytes.substr(i), options_.key)) continue;
      const auto seen = read_header(bytes.substr(i, kFrameHeaderBytes), options_.key, segment, std::nullopt);
      if (seen.sight == HeaderSight::kWhole) survey.take(seen.header, at + i);
    }
  }
  return ok();
}

// Whether all that the frame carries is what was written.
Result<bool> Replayer::is_sound(const SegmentName& name, FrameReader& reader, std::uint64_t offset,
                                const FrameHeader& header) const {
  SKEP_TRY(const auto bytes,
           reader.view(offset + kFrameHeaderBytes, std::uint64_t{header.items} * kItemHeadBytes));
  const auto items = read_heads(bytes, header, options_.key);
  if (!items) return false;
  const auto checked = check_items({header.segment, name.path, offset, header, items.value(), false, reader});
  if (!checked && checked.error().code != Code::kCorrupt) return checked.error();
  return checked.has_value();
}

// What the newest segment vouches for, and what its last frame that counts needs: the last word on both.
Result<void> Replayer::look_ahead() {
  const SegmentName& name = candidates_[newest_].name;
  SKEP_TRY(auto file, open(name));
  FrameReader reader(std::move(file));
  std::uint64_t offset = 0;
  std::uint64_t expected = candidates_[newest_].first->sequence;
  std::deque<std::pair<std::uint64_t, FrameHeader>> unpromised;
  for (;;) {
    SKEP_TRY(const auto seen, header_at(reader, offset, name.number, expected));
    if (seen.sight != HeaderSight::kWhole) break;
    seen_.take(seen.header, offset);
    unpromised.emplace_back(offset, seen.header);
    for (; !unpromised.empty() && unpromised.front().second.sequence <= seen_.voucher;
         unpromised.pop_front()) {
      tail_ = unpromised.front().second.tail;
    }
    ++expected;
    offset = frame_start(offset + seen.header.bytes);
  }
  SKEP_TRY(survey_from(reader, offset, name.number, seen_));
  // What a frame that does not count says is needed no longer may be needed.
  for (const auto& [at, header] : unpromised) {
    SKEP_TRY(const bool counts, is_sound(name, reader, at, header));
    if (!counts) break;
    tail_ = header.tail;
  }
  return ok();
}

// The newest segment whose first frame counts. One that was begun and torn says nothing, not even where the
// one before it ended.
Result<void> Replayer::find_newest() {
  for (;;) {
    seen_ = {};
    tail_ = 0;
    SKEP_TRY(look_ahead());
    const Candidate& newest = candidates_[newest_];
    if (tail_ != 0 || seen_.voucher >= newest.first->sequence) break;
    std::size_t older = newest_;
    while (older > 0 && !candidates_[older - 1].first) --older;
    if (older == 0) break;
    newest_ = older - 1;
  }
  if (tail_ == 0) tail_ = candidates_[newest_].first->tail;
  return ok();
}

// A segment after the newest: prepared, or begun and torn. Damage if something in it was promised.
Result<void> Replayer::check_blank(const SegmentName& blank) {
  SKEP_TRY(auto file, open(blank));
  FrameReader reader(std::move(file));
  SKEP_TRY(const auto seen, header_at(reader, 0, blank.number, expected_));
  Survey survey;
  SKEP_TRY(survey_from(reader, 0, blank.number, survey));
  if (seen.sight == HeaderSight::kDamaged || survey.vouches_for_own) {
    return damaged(damage_at(blank.path, 0, "the first frame is damaged"));
  }
  if (survey.frames > 0) replay_.torn.push_back({blank.path, 0, survey.end});
  return ok();
}

// Which segments count. One that begins where a newer one begins, or later, was written anew as that one.
Result<void> Replayer::sort_out() {
  const SegmentName& newest = candidates_[newest_].name;
  if (tail_ == 0 || tail_ > newest.number) {
    return damage_at(newest.path, 0, "it needs segments that are newer than itself");
  }
  std::uint64_t limit = ~std::uint64_t{0};
  for (std::size_t i = newest_ + 1; i-- > 0;) {
    Candidate& candidate = candidates_[i];
    const bool counts =
        candidate.name.number >= tail_ && candidate.first && candidate.first->sequence < limit;
    if (!counts) {
      replay_.spares.push_back(candidate.name);
      continue;
    }
    limit = candidate.first->sequence;
    replay_.segments.push_back({candidate.name, limit, 0});
  }
  std::reverse(replay_.segments.begin(), replay_.segments.end());
  std::reverse(replay_.spares.begin(), replay_.spares.end());
  for (std::size_t i = newest_ + 1; i < candidates_.size(); ++i) {
    replay_.blanks.push_back(candidates_[i].name);
  }
  replay_.voucher = seen_.voucher;
  const std::uint32_t oldest = replay_.segments.front().name.number;
  return oldest == tail_ ? Result<void>(ok()) : damaged(absence(tail_, oldest));
}

// What is wrong if the segments from `begin` to before `end` should count and do not.
Error Replayer::absence(std::uint32_t begin, std::uint32_t end) const {
  for (const auto& candidate : candidates_) {
    if (candidate.name.number >= begin && candidate.name.number < end) {
      return damage_at(candidate.name.path, 0, "no frame begins where the first one should");
    }
  }
  return fail(Code::kCorrupt, segment_path(options_.directory, begin) + " is missing");
}

Result<void> Replayer::check_items(const FrameAt& frame) const {
  SKEP_TRY(frame.fetch());
  for (const auto& item : frame.items) {
    SKEP_TRY(const auto stored, frame.stored(item));
    SKEP_TRY(check_item(item.head, stored));
  }
  return ok();
}

// Success: whether a frame was there; else the end of the log is.
Result<bool> Replayer::replay_frame(const SegmentName& name, FrameReader& reader, std::uint64_t& offset) {
  const bool is_promised = expected_ <= replay_.voucher;
  SKEP_TRY(const auto seen, header_at(reader, offset, name.number, expected_));
  is_end_ = seen.sight == HeaderSight::kNone;
  if (seen.sight == HeaderSight::kDamaged || (is_promised && seen.sight == HeaderSight::kNone)) {
    return damage_at(name.path, offset, "frame " + std::to_string(expected_) + " can not be read");
  }
  if (seen.sight == HeaderSight::kNone) return false;
  SKEP_TRY(const auto bytes,
           reader.view(offset + kFrameHeaderBytes, std::uint64_t{seen.header.items} * kItemHeadBytes));
  const auto items = read_heads(bytes, seen.header, options_.key);
  if (!items && is_promised) return damage_at(name.path, offset, items.error().message);
  if (!items) return false;
  const FrameAt frame{name.number, name.path, offset, seen.header, items.value(), is_promised, reader};
  if (!is_promised) {
    const auto checked = check_items(frame);
    if (!checked && checked.error().code != Code::kCorrupt) return checked.error();
    if (!checked) return false;
  }
  if (auto taken = options_.on_frame(frame); !taken) {
    if (taken.error().code != Code::kCorrupt) return taken.error();
    SKEP_TRY(damaged(damage_at(name.path, offset, taken.error().message)));
  }
  has_close_ = seen.header.is_close;
  replay_.last_sequence = expected_++;
  replay_.frames_in_last = seen.header.ordinal + 1;
  offset = frame_start(offset + seen.header.bytes);
  return true;
}

// Goes on with the next whole frame of the segment, if there is one before `limit`.
Result<void> Replayer::skip_damage(const SegmentName& name, FrameReader& reader, std::uint64_t& offset,
                                   std::uint64_t limit, Error damage) {
  SKEP_TRY(damaged(std::move(damage)));
  for (std::uint64_t at = offset + 8; at + kFrameHeaderBytes <= reader.file_bytes(); at += 8) {
    SKEP_TRY(const auto seen, header_at(reader, at, name.number, std::nullopt));
    if (seen.sight != HeaderSight::kWhole || seen.header.sequence < expected_) continue;
    offset = at;
    expected_ = seen.header.sequence;
    return ok();
  }
  expected_ = limit;
  is_over_ = true;
  return ok();
}

Result<void> Replayer::replay_segment(std::size_t index) {
  ReplayedSegment& segment = replay_.segments[index];
  const bool is_newest = index + 1 == replay_.segments.size();
  const std::uint64_t limit = is_newest ? ~std::uint64_t{0} : replay_.segments[index + 1].first;
  expected_ = segment.first;
  SKEP_TRY(auto file, open(segment.name));
  FrameReader reader(std::move(file));
  std::uint64_t offset = 0;
  is_over_ = false;
  while (expected_ < limit && !is_over_) {
    auto replayed = replay_frame(segment.name, reader, offset);
    if (!replayed && replayed.error().code != Code::kCorrupt) return replayed.error();
    if (!replayed) {
      // Where it ends too early, the next one may be what is wrong.
      const std::uint32_t next = is_newest ? 0 : replay_.segments[index + 1].name.number;
      const bool is_gap = next > segment.name.number + 1 && !is_newest && is_end_;
      SKEP_TRY(skip_damage(segment.name, reader, offset, is_newest ? expected_ : limit,
                           is_gap ? absence(segment.name.number + 1, next) : replayed.error()));
    } else if (!replayed.value()) {
      is_over_ = true;
    }
  }
  segment.end = offset;
  return ok();
}

// Whether something is left after the end, and whether that may be.
Result<void> Replayer::check_end() {
  const ReplayedSegment& last = replay_.segments.back();
  SKEP_TRY(auto file, open(last.name));
  FrameReader reader(std::move(file));
  Survey rest;
  SKEP_TRY(survey_from(reader, last.end, last.name.number, rest));
  if (rest.frames > 0) replay_.torn.push_back({last.name.path, last.end, rest.end - last.end});
  for (const auto& blank : replay_.blanks) {
    SKEP_TRY(check_blank(blank));
  }
  if (!options_.was_sealed) return ok();
  if (!has_close_ || !replay_.torn.empty()) {
    return damaged(damage_at(last.name.path, last.end, "the frame that closing the store wrote is missing"));
  }
  return ok();
}

Result<Replay> Replayer::run() {
  SKEP_TRY(take_stock());
  SKEP_TRY(find_newest());
  SKEP_TRY(sort_out());
  for (std::size_t i = 0; i < replay_.segments.size(); ++i) {
    SKEP_TRY(replay_segment(i));
  }
  SKEP_TRY(check_end());
  return std::move(replay_);
}

}  // namespace

Error damage_at(const std::string& path, std::uint64_t offset, const std::string& what) {
  return fail(Code::kCorrupt, path + ": byte " + std::to_string(offset) + ": " + what);
}

Result<std::string_view> FrameReader::view(std::uint64_t offset, std::uint64_t length) {
  if (offset < begin_ || offset + length > begin_ + filled_) {
    const std::uint64_t end = begin_ + filled_;
    const bool is_close = filled_ > 0 && offset >= begin_ && offset <= end + kWindowBytes / 8;
    const std::uint64_t wanted = std::max(is_close ? kWindowBytes : kGlanceBytes, length);
    if (window_.size() < wanted) window_.resize(wanted);
    begin_ = offset;
    filled_ = 0;
    iovec piece{window_.data(), wanted};
    SKEP_TRY(filled_, file_->read(offset, {&piece, 1}));
  }
  const std::size_t at = offset - begin_;
  return std::string_view(window_).substr(at, std::min<std::size_t>(length, filled_ - std::min(at, filled_)));
}

Result<Replay> replay_log(ReplayOptions options) {
  return Replayer(std::move(options)).run();
}

}  // namespace skep::store
