// SPDX-License-Identifier: Apache-2.0
// skep over its HTTP API (docs/protocol.md), and the bare HTTP server, which is asked the same.
//
// Every connection is a worker of its own and keeps its connection. One task a request: POST /v1/tasks with
// the body as it is; more: POST /v1/tasks:batch. The rest in protobuf, as skep's own worker speaks.
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/random.h"
#include "skep_wire.h"
#include "socket.h"

namespace skep::bench::queue {
namespace {

constexpr std::string_view kLengthHeader = "content-length:";

constexpr int kBackOffMs = 100, kBackOffMostMs = 5000;

struct Answer {
  int status = 0;
  std::string_view body;  // lives until the next request
};

class Http {
 public:
  Http(const std::string& host, int port) : socket_(host, port) {}

  Answer request(std::string_view method, std::string_view target, std::string_view type = "",
                 std::string_view body = "") {
    out_.assign(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: skep\r\n");
    if (!type.empty()) out_.append("Content-Type: ").append(type).append("\r\n");
    if (method == "POST") out_.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    out_.append("\r\n");
    if (body.size() <= kCopied) {
      out_.append(body);  // one write, one segment
      socket_.write(out_);
    } else {
      socket_.write(out_);
      socket_.write(body);
    }
    return answer();
  }

 private:
  static constexpr std::size_t kCopied = 16 * 1024;

  Answer answer() {
    socket_.begin_answers();
    const auto first = socket_.read_line();
    std::size_t length = 0;
    while (true) {
      const auto line = socket_.text(socket_.read_line());
      if (line.empty()) break;
      if (line.size() > kLengthHeader.size() && is_length(line)) {
        const auto digits = line.substr(line.find_first_not_of(' ', kLengthHeader.size()));
        std::from_chars(digits.data(), digits.data() + digits.size(), length);
      }
    }
    const auto body = socket_.text(socket_.read_bytes(length));
    const auto status = socket_.text(first);
    if (status.size() < 12) fail("skep answers what is not HTTP: " + std::string(status));
    Answer out{0, body};
    std::from_chars(status.data() + 9, status.data() + 12, out.status);
    return out;
  }

  static bool is_length(std::string_view line) {
    for (std::size_t i = 0; i < kLengthHeader.size(); ++i) {
      const char c = line[i];
      if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != kLengthHeader[i]) return false;
    }
    return true;
  }

  Socket socket_;
  std::string out_;
};

class SkepDriver final : public QueueDriver {
 public:
  // `suffix` comes behind the targets of leases: the bare server is told there what to answer.
  SkepDriver(const Plan& plan, const std::string& suffix)
      : http_(plan.host, plan.port),
        random_(reinterpret_cast<std::uintptr_t>(this)),
        acquire_target_("/v1/leases:acquire" + suffix) {
    worker_ = wire::worker_of(post("/v1/workers", wire::kContentType, wire::registration(plan.batch)));
    if (worker_.empty()) fail("skep gave no worker's id");
  }
  ~SkepDriver() override { http_.request("DELETE", "/v1/workers/" + worker_); }

  void enqueue(std::span<const std::string_view> bodies) override {
    if (bodies.size() == 1) {
      post("/v1/tasks?iterations=1", "application/octet-stream", bodies.front());
      return;
    }
    out_.clear();
    wire::put_batch(out_, bodies);
    const auto reply = post("/v1/tasks:batch", wire::kContentType, out_);
    if (wire::tasks_of(reply) != bodies.size()) fail("skep has not enqueued the whole batch");
  }

  void lease(std::size_t max, BodyViews& out) override {
    out_.clear();
    wire::put_acquire(out_, worker_, max, kLeaseWaitMs);
    names_.clear();
    out.clear();
    wire::read_leases(post(acquire_target_, wire::kContentType, out_), names_, out);
    leases_.assign(names_.begin(), names_.end());
  }

  void complete() override {
    out_.clear();
    wire::put_complete(out_, worker_, leases_);
    const auto reply = post("/v1/leases:complete", wire::kContentType, out_);
    if (wire::accepted_of(reply) != leases_.size()) fail("skep has not accepted all outcomes");
  }

  std::uint64_t refused() const override { return refused_; }

 private:
  // The body of the answer, which is a success.
  std::string_view post(std::string_view target, std::string_view type, std::string_view body) {
    for (int cap = kBackOffMs;; cap = std::min(2 * cap, kBackOffMostMs)) {
      const auto answer = http_.request("POST", target, type, body);
      if (answer.status == 200) return answer.body;
      if (answer.status != 503) fail(std::string(target) + ": " + std::string(answer.body));
      ++refused_;
      ::poll(nullptr, 0, static_cast<int>(random_.below(static_cast<std::uint64_t>(cap))));
    }
  }

  Http http_;
  Random random_;
  std::uint64_t refused_ = 0;
  std::string acquire_target_, worker_, out_;
  std::vector<std::string_view> names_;
  std::vector<std::string> leases_;
};

// The number behind `"name":` of the manager's JSON; 0 where it is left out.
std::uint64_t number_in(std::string_view json, std::string_view name) {
  const auto at = json.find("\"" + std::string(name) + "\":");
  return at == json.npos ? 0 : std::strtoull(json.data() + at + name.size() + 3, nullptr, 10);
}

std::uint64_t left(const Plan& plan) {
  Http http(plan.host, plan.port);
  const std::string json(http.request("GET", "/v1/cluster").body);
  const auto begin = json.find("\"tasks\":{");
  if (begin == json.npos) fail("skep does not count its tasks");
  const auto counts = json.substr(begin, json.find('}', begin) - begin);
  return number_in(counts, "delayed") + number_in(counts, "queued") + number_in(counts, "leased");
}

}  // namespace

Peer skep_peer() {
  return {
      "skep",
      [](const Plan& plan) -> std::unique_ptr<QueueDriver> { return std::make_unique<SkepDriver>(plan, ""); },
      nullptr, left};
}

Peer bare_http_peer() {
  return {"bare-http",
          [](const Plan& plan) -> std::unique_ptr<QueueDriver> {
            return std::make_unique<SkepDriver>(
                plan, "?bytes=" + std::to_string(plan.body_bytes) + "&count=" + std::to_string(plan.batch));
          },
          nullptr, nullptr, false};
}

}  // namespace skep::bench::queue
