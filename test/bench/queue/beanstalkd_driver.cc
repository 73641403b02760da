// SPDX-License-Identifier: Apache-2.0
// beanstalkd over its own protocol (its doc/protocol.txt): a tube, put, reserve, delete.
//
// There is no C client that its project offers, and the protocol is lines of text. It is served in order, so
// that several commands may be sent before the first answer is read; all of a request go out in one write. Of
// several reserves only the first waits.
#include <charconv>

#include "driver.h"
#include "socket.h"

namespace skep::bench::queue {
namespace {

constexpr std::string_view kRunSeconds = "120";                        // a reserved job comes back after that
constexpr std::string_view kWaitFirst = "reserve-with-timeout 1\r\n";  // whole seconds
constexpr std::string_view kTakeMore = "reserve-with-timeout 0\r\n";

bool begins(std::string_view line, std::string_view word) {
  return line.substr(0, word.size()) == word;
}

std::uint64_t number_after(std::string_view line, std::size_t at) {
  std::uint64_t out = 0;
  std::from_chars(line.data() + std::min(at, line.size()), line.data() + line.size(), out);
  return out;
}

class BeanstalkdDriver final : public QueueDriver {
 public:
  explicit BeanstalkdDriver(const Plan& plan) : socket_(plan.host, plan.port) {
    ask("use " + plan.queue + "\r\n", "USING");
    ask("watch " + plan.queue + "\r\n", "WATCHING");
    ask("ignore default\r\n", "WATCHING");
  }

  void enqueue(std::span<const std::string_view> bodies) override {
    out_.clear();
    for (const auto body : bodies) {
      out_.append("put 1024 0 ").append(kRunSeconds).append(" ").append(std::to_string(body.size()));
      out_.append("\r\n").append(body).append("\r\n");
    }
    send_and_expect(bodies.size(), "INSERTED ");
  }

  void lease(std::size_t max, BodyViews& out) override {
    out_.assign(kWaitFirst);
    for (std::size_t i = 1; i < max; ++i) out_.append(kTakeMore);
    ids_.clear();
    pieces_.clear();
    socket_.begin_answers();
    socket_.write(out_);
    for (std::size_t i = 0; i < max; ++i) {
      const auto line = socket_.text(socket_.read_line());
      if (line == "TIMED_OUT") continue;
      if (!begins(line, "RESERVED ")) fail("beanstalkd: " + std::string(line));
      const auto bytes = number_after(line, line.rfind(' ') + 1);
      ids_.push_back(number_after(line, std::string_view("RESERVED ").size()));
      pieces_.push_back(socket_.read_bytes(bytes));
      socket_.read_bytes(2);
    }
    out.clear();
    for (const auto piece : pieces_) out.push_back(socket_.text(piece));
  }

  void complete() override {
    out_.clear();
    for (const auto id : ids_) out_.append("delete ").append(std::to_string(id)).append("\r\n");
    send_and_expect(ids_.size(), "DELETED");
  }

 private:
  void ask(const std::string& command, std::string_view expected) {
    out_ = command;
    send_and_expect(1, expected);
  }

  void send_and_expect(std::size_t answers, std::string_view expected) {
    socket_.begin_answers();
    socket_.write(out_);
    for (std::size_t i = 0; i < answers; ++i) {
      const auto line = socket_.text(socket_.read_line());
      if (!begins(line, expected)) fail("beanstalkd: " + std::string(line));
    }
  }

  Socket socket_;
  std::string out_;
  std::vector<std::uint64_t> ids_;
  std::vector<Socket::Piece> pieces_;
};

// A tube that nobody uses and that is empty is gone.
std::uint64_t left(const Plan& plan) {
  Socket socket(plan.host, plan.port);
  socket.begin_answers();
  socket.write("stats-tube " + plan.queue + "\r\n");
  const auto line = socket.text(socket.read_line());
  if (line == "NOT_FOUND") return 0;
  const auto yaml = socket.text(socket.read_bytes(number_after(line, std::string_view("OK ").size())));
  std::uint64_t out = 0;
  for (const std::string_view name : {"current-jobs-ready: ", "current-jobs-reserved: "}) {
    out += number_after(yaml, yaml.find(name) + name.size());
  }
  return out;
}

}  // namespace

Peer beanstalkd_peer() {
  return {"beanstalkd",
          [](const Plan& plan) -> std::unique_ptr<QueueDriver> {
            return std::make_unique<BeanstalkdDriver>(plan);
          },
          nullptr, left};
}

}  // namespace skep::bench::queue
