// SPDX-License-Identifier: Apache-2.0
#include "manager/messages.h"

#include <utility>

namespace skep::manager {
namespace {

// ---- the wire format of protobuf ----
// https://protobuf.dev/programming-guides/encoding: a tag is (number << 3 | type), type 0 is a varint and
// type 2 bytes with their length before them. What has its zero value is left out.

constexpr std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

class Sizer {
 public:
  void number(std::uint32_t field, std::uint64_t value) {
    if (value != 0) size_ += varint_size(field << 3) + varint_size(value);
  }
  void bytes(std::uint32_t field, std::string_view value) {
    if (!value.empty()) message(field, value.size());
  }
  void message(std::uint32_t field, std::size_t size) {
    size_ += varint_size(field << 3) + varint_size(size) + size;
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void number(std::uint32_t field, std::uint64_t value) {
    if (value == 0) return;
    varint(field << 3);
    varint(value);
  }
  void bytes(std::uint32_t field, std::string_view value) {
    if (value.empty()) return;
    open_message(field, value.size());
    out_.append(value);
  }
  void open_message(std::uint32_t field, std::size_t size) {
    varint(field << 3 | 2);
    varint(size);
  }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }
  std::string& out_;
};

// ---- the fields of each message, once ----

struct LeaseView {
  const GrantedLease& lease;
  std::uint64_t lease_ms;
  std::string token = lease.task.token.to_string();
  std::string task = lease.task.token.task.to_string();

  template <class Fields>
  void list(Fields& f) const {
    const auto& from = lease.task;
    f.bytes(1, token);
    f.bytes(2, task);
    f.bytes(3, from.kind);
    f.number(4, from.iterations);
    f.bytes(5, from.program);
    f.number(6, static_cast<std::uint64_t>(duration_cast<milliseconds>(from.run_timeout).count()));
    f.number(7, lease_ms);
    f.bytes(8, *lease.body);
    f.number(9, from.keeps_checkpoints ? 1 : 0);
    if (from.checkpoint) {
      f.number(10, from.checkpoint->iterations);
      f.bytes(11, from.checkpoint->digest);
    }
    for (const auto& parameter : from.parameters) f.bytes(12, parameter);
    f.bytes(13, from.trace.parent);
    f.bytes(14, from.trace.state);
  }
};

struct OutcomeView {
  const SettledOutcome& outcome;

  template <class Fields>
  void list(Fields& f) const {
    f.bytes(1, outcome.lease);
    f.bytes(2, outcome.status);
    f.bytes(3, outcome.detail);
  }
};

struct EnqueuedView {
  const queue::Enqueued& enqueued;
  std::string id = enqueued.id.to_string();

  template <class Fields>
  void list(Fields& f) const {
    f.bytes(1, id);
    f.bytes(2, state_name(enqueued.state));
    f.number(3, enqueued.is_existing ? 1 : 0);
  }
};

template <class View>
std::size_t size_of(const View& view) {
  Sizer sizer;
  view.list(sizer);
  return sizer.size();
}

template <class View>
std::string one(const View& view) {
  std::string out;
  out.reserve(size_of(view));
  Writer writer(out);
  view.list(writer);
  return out;
}

// A message that begins with `repeated` field 1, and `last` after it.
template <class View, class Last>
std::string many(const std::vector<View>& views, Last last) {
  Sizer total;
  std::vector<std::size_t> sizes;
  sizes.reserve(views.size());
  for (const auto& view : views) {
    sizes.push_back(size_of(view));
    total.message(1, sizes.back());
  }
  last(total);
  std::string out;
  out.reserve(total.size());
  Writer writer(out);
  for (std::size_t i = 0; i < views.size(); ++i) {
    writer.open_message(1, sizes[i]);
    views[i].list(writer);
  }
  last(writer);
  return out;
}

}  // namespace

std::string to_protobuf(const Granted& granted) {
  std::vector<LeaseView> views;
  views.reserve(granted.leases.size());
  for (const auto& lease : granted.leases) views.push_back({lease, granted.lease_ms});
  return many(views, [&](auto& f) { f.number(2, granted.must_drain ? 1 : 0); });
}

std::string to_protobuf(const Settled& settled) {
  std::vector<OutcomeView> views;
  views.reserve(settled.outcomes.size());
  for (const auto& outcome : settled.outcomes) views.push_back({outcome});
  return many(views, [](auto&) {});
}

std::string to_protobuf(const queue::Enqueued& enqueued) {
  return one(EnqueuedView{enqueued});
}

std::string to_protobuf(const queue::EnqueueReply& enqueued) {
  std::vector<EnqueuedView> views;
  views.reserve(enqueued.size());
  for (const auto& one_of : enqueued) views.push_back({one_of});
  return many(views, [](auto&) {});
}

// ---- messages, for JSON ----

Report from_message(api::v1::CompleteRequest&& request) {
  Report report;
  report.worker = std::move(*request.mutable_worker());
  report.outcomes.reserve(static_cast<std::size_t>(request.outcomes_size()));
  for (auto& from : *request.mutable_outcomes()) {
    Outcome to;
    if (auto token = LeaseToken::parse(from.lease())) to.token = token.value();
    to.lease = std::move(*from.mutable_lease());
    to.is_failed = from.failed();
    to.result = std::make_shared<const std::string>(std::move(*from.mutable_result()));
    to.error = std::move(*from.mutable_error());
    to.is_permanent = from.permanent();
    to.is_timeout = from.timed_out();
    to.run_us = from.run_us();
    to.usage = {from.cpu_us(), from.memory_peak_bytes()};
    report.outcomes.push_back(std::move(to));
  }
  return report;
}

api::v1::AcquireReply to_message(const Granted& granted) {
  api::v1::AcquireReply message;
  for (const auto& lease : granted.leases) {
    auto& out = *message.add_leases();
    const auto& task = lease.task;
    out.set_lease(task.token.to_string());
    out.set_task(task.token.task.to_string());
    out.set_kind(task.kind);
    out.set_iterations(task.iterations);
    out.set_program(task.program);
    out.set_timeout_ms(static_cast<std::uint64_t>(duration_cast<milliseconds>(task.run_timeout).count()));
    out.set_lease_ms(granted.lease_ms);
    out.set_body(*lease.body);
    out.set_keep_checkpoints(task.keeps_checkpoints);
    for (const auto& parameter : task.parameters) out.add_parameters(parameter);
    out.set_traceparent(task.trace.parent);
    out.set_tracestate(task.trace.state);
    if (!task.checkpoint) continue;
    out.set_iterations_done(task.checkpoint->iterations);
    out.set_checkpoint(task.checkpoint->digest);
  }
  message.set_drain(granted.must_drain);
  return message;
}

api::v1::CompleteReply to_message(const Settled& settled) {
  api::v1::CompleteReply message;
  for (const auto& outcome : settled.outcomes) {
    auto& out = *message.add_outcomes();
    out.set_lease(outcome.lease);
    out.set_status(std::string(outcome.status));
    out.set_detail(outcome.detail);
  }
  return message;
}

api::v1::EnqueueReply to_message(const queue::Enqueued& enqueued) {
  api::v1::EnqueueReply message;
  message.set_id(enqueued.id.to_string());
  message.set_state(std::string(state_name(enqueued.state)));
  message.set_existing(enqueued.is_existing);
  return message;
}

api::v1::EnqueueBatchReply to_message(const queue::EnqueueReply& enqueued) {
  api::v1::EnqueueBatchReply message;
  for (const auto& one_of : enqueued) *message.add_tasks() = to_message(one_of);
  return message;
}

}  // namespace skep::manager
