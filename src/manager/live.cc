// SPDX-License-Identifier: Apache-2.0
#include "manager/live.h"

#include <cmath>

#include "api/json.h"

namespace skep::manager {
namespace {

std::string event_of(std::string_view name, const google::protobuf::Message& message) {
  return "event: " + std::string(name) + "\ndata: " + api::to_json(message) + "\n\n";
}

// Half of it goes at once, so that a sample costs little.
template <class Column>
void trim(Column& column, int keep) {
  if (column.size() >= 2 * keep) column.erase(column.begin(), column.end() - keep);
}

}  // namespace

Live::Live(Executor& executor, Ask ask) : executor_(executor), ask_(std::move(ask)) {}

Live::~Live() {
  *alive_ = false;
  executor_.cancel(timer_);
}

void Live::start() {
  tick();
}

void Live::watch(const std::string& role, Viewer viewer) {
  api::v1::LiveHead head;
  head.set_role(role);
  *head.mutable_history() = history_;
  if (!viewer(event_of("head", head))) return;
  if (!last_.empty() && !viewer(last_)) return;
  viewers_[next_viewer_++] = std::move(viewer);
}

void Live::tick() {
  timer_ = executor_.post_at(executor_.now() + kTick, [this] { tick(); });
  if (ticks_++ % kTicksPerSample == 0) is_sample_due_ = true;
  if (is_asking_ || (viewers_.empty() && !is_sample_due_)) return;
  is_asking_ = true;
  ask_([this, alive = alive_](Result<api::v1::ClusterReply> state) {
    if (!*alive) return;
    is_asking_ = false;
    if (state) take(std::move(state.value()));
  });
}

void Live::take(api::v1::ClusterReply state) {
  if (is_sample_due_) remember(state);
  is_sample_due_ = false;
  last_ = event_of("cluster", state);
  std::erase_if(viewers_, [&](auto& viewer) { return !viewer.second(last_); });
}

void Live::remember(const api::v1::ClusterReply& state) {
  constexpr int kKeep = static_cast<int>(kSamplesMax);
  const auto add = [](auto& column, auto value) {
    trim(column, kKeep);
    column.Add(value);
  };
  add(*history_.mutable_at_ms(), state.now_ms());
  add(*history_.mutable_queued(), state.tasks().queued());
  add(*history_.mutable_leased(), state.tasks().leased());
  add(*history_.mutable_enqueued(), state.totals().enqueued());
  add(*history_.mutable_completed(), state.totals().completed());
  add(*history_.mutable_failed(), state.totals().failed());
  add(*history_.mutable_wait_p50_ms(), state.waits().p50_ms());
  add(*history_.mutable_wait_p95_ms(), state.waits().p95_ms());
  add(*history_.mutable_workers(), state.workers_active() + state.workers_draining());
  add(*history_.mutable_slots(), state.slots());
  add(*history_.mutable_wanted(), state.scaling().wanted());
  add(*history_.mutable_booting(), state.scaling().booting());
  add(*history_.mutable_backlog_seconds(), std::round(state.backlog_seconds() * 10) / 10);
}

}  // namespace skep::manager
