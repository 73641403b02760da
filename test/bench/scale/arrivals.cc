// SPDX-License-Identifier: Apache-2.0
#include "arrivals.h"

#include <cstring>

#include "base/random.h"

namespace skep::bench {

// A connection of the sender, with the tasks that it has on the way.
class Sender::Lane final : public Connection::Owner {
 public:
  Lane(Sender& sender, Loop& loop, const sockaddr_in& address)
      : sender_(sender), connection_(loop, address, *this) {
    connection_.open();
  }

  void send(std::vector<std::uint64_t> numbers) {
    numbers_ = std::move(numbers);
    connection_.send(sender_.request_of(numbers_));
  }
  std::vector<std::uint64_t> numbers_;
  void close() { connection_.close(); }

  bool is_stored_ = true;  // of a closed load: both, and the next one may go
  bool is_leased_ = true;

  void on_open() override {
    ++sender_.open_;
    sender_.free_.push_back(this);
  }
  void on_answer(const Answer& answer) override {
    if (answer.status != 200)
      stop_with("an enqueue was answered " + std::to_string(answer.status) + " " + std::string(answer.body));
    sender_.on_stored(*this);
  }
  void on_closed(const std::string& why) override { stop_with("a sender's connection: " + why); }

 private:
  Sender& sender_;
  Connection connection_;
};

Sender::Sender(Loop& loop, const sockaddr_in& address, Options options)
    : loop_(loop), options_(options), filler_(options.body_bytes, '\0') {
  Random random(options.body_bytes);
  for (auto& byte : filler_) byte = static_cast<char>(random.next());
  for (std::size_t i = 0; i < options.connections; ++i)
    connections_.push_back(std::make_unique<Lane>(*this, loop, address));
}

Sender::~Sender() = default;

// The first bytes are the number by which a worker's lease is told apart.
void Sender::body_of(std::uint64_t number, std::string& out) const {
  out = filler_;
  std::memcpy(out.data(), &number, sizeof number);
}

std::string Sender::request_of(const std::vector<std::uint64_t>& numbers) const {
  std::string body;
  if (options_.batch == 1) {
    body_of(numbers.front(), body);
    return post_of("/v1/tasks?iterations=1", body, false);
  }
  api::v1::EnqueueBatchRequest request;
  for (const auto number : numbers) {
    auto& task = *request.add_tasks();
    task.mutable_options()->set_iterations(1);
    body_of(number, *task.mutable_body());
  }
  return post_of("/v1/tasks:batch", request.SerializeAsString());
}

void Sender::send_open(const std::vector<Duration>& offsets, Instant begin) {
  for (const auto offset : offsets) arrivals_.push_back({begin + offset, {}, {}, {}});
  is_ending_ = true;
  wake();
}

void Sender::send_at_once(std::size_t count) {
  send_open(std::vector<Duration>(count, Duration::zero()), loop_.now());
}

void Sender::wake() {
  const Instant now = loop_.now();
  while (due_ < arrivals_.size() && arrivals_[due_].at <= now) waiting_.push_back(due_++);
  hand_out();
  if (due_ < arrivals_.size()) loop_.at(arrivals_[due_].at, [this] { wake(); });
}

void Sender::hand_out() {
  while (!waiting_.empty() && !free_.empty()) {
    Lane& lane = *free_.back();
    free_.pop_back();
    std::vector<std::uint64_t> numbers;
    const Instant now = loop_.now();
    while (!waiting_.empty() && numbers.size() < options_.batch) {
      numbers.push_back(waiting_.front());
      arrivals_[waiting_.front()].sent = now;
      waiting_.pop_front();
    }
    lane.send(std::move(numbers));
  }
}

void Sender::on_stored(Lane& lane) {
  const Instant now = loop_.now();
  for (const auto number : lane.numbers_) arrivals_[number].stored = now;
  stored_ += lane.numbers_.size();
  if (is_done()) {  // the tasks may be long in coming back, and a manager lets idle connections go
    for (auto& each : connections_) each->close();
    return;
  }
  if (is_closed_load_) {
    lane.is_stored_ = true;
    next_closed(lane);
    return;
  }
  free_.push_back(&lane);
  hand_out();
}

void Sender::send_closed(Instant until) {
  is_closed_load_ = true;
  until_ = until;
  for (auto& lane : connections_) next_closed(*lane);
}

void Sender::next_closed(Lane& lane) {
  if (!lane.is_stored_ || !lane.is_leased_) return;
  const Instant now = loop_.now();
  if (now >= until_) {
    is_ending_ = true;
    return;
  }
  lane.is_stored_ = lane.is_leased_ = false;
  const std::uint64_t number = arrivals_.size();
  arrivals_.push_back({now, now, {}, {}});
  lane_of_.push_back(&lane);
  lane.send({number});
}

void Sender::leased(const std::string& body) {
  std::uint64_t number = 0;
  if (body.size() != filler_.size()) stop_with("a worker got a body that was not sent");
  std::memcpy(&number, body.data(), sizeof number);
  if (number >= arrivals_.size()) stop_with("a worker got a task that was not sent");
  Arrival& arrival = arrivals_[number];
  if (arrival.leased != kNoInstant) stop_with("a task was handed out twice");
  arrival.leased = loop_.now();
  ++leased_;
  if (!is_closed_load_) return;
  lane_of_[number]->is_leased_ = true;
  next_closed(*lane_of_[number]);
}

}  // namespace skep::bench
