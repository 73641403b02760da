// SPDX-License-Identifier: Apache-2.0
// Simulated workers and clients of a manager, driven line by line over standard input: fleet.py and load.py
// ask, this answers, a line of JSON for each line:
//
//   scale_bench HOST:PORT SEED
//       workers COUNT LEASES RUN_MS    starts so many, each with so many leases at once; answers when all are
//       known run RUN_MS                     how long the runs to come take; -1 is until `finish` open
//       SPACING RATE SECONDS CONNECTIONS BATCH BODY_BYTES FILE
//                                      an open load, SPACING is constant or poisson; answers when all is
//                                      completed. The file gets four numbers of 64 bits for each task: when
//                                      it was to arrive, was sent, was stored, was with a worker; nanoseconds
//                                      from the beginning
//       closed SECONDS CONNECTIONS BODY_BYTES   a closed load
//       hold COUNT                     so many tasks; answers when all are leased and said to run
//       served                         after a break: answers when every worker is served again
//       finish                         ends all runs; answers when all is completed
//       counts
//   What ought not to happen ends it with 1.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>

#include "arrivals.h"
#include "fleet.h"

namespace skep::bench {
namespace {

constexpr Duration kPatience = minutes(10);
constexpr std::size_t kHoldBatch = 500;

double as_seconds(Duration span) {
  return static_cast<double>(span.count()) * 1e-9;
}

Duration run_of(long ms) {
  return ms < 0 ? kUntilTold : Duration(milliseconds(ms));
}

class Bench final : public Watcher, public Fleet::Listener {
 public:
  Bench(const sockaddr_in& address, std::uint64_t seed)
      : address_(address), random_(seed), fleet_(loop_, address, *this, random_.next()) {
    ::fcntl(STDIN_FILENO, F_SETFL, ::fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    loop_.watch(STDIN_FILENO, *this, false);
  }

  void run() {
    loop_.run([this] { look(); });
  }

  void on_ready(bool, bool) override;
  void on_lease(const api::v1::Lease& lease) override {
    if (!sender_) stop_with("a task came that was not sent");
    sender_->leased(lease.body());
  }

 private:
  void obey(const std::string& line);
  void look();
  void answer(const std::string& fields);
  void expect(std::function<bool()> is_done, std::function<std::string()> fields);
  void start_sender(Sender::Options options, std::function<void()> send);
  bool is_all_over() const {
    return sender_->is_done() && sender_->leased_count() == sender_->arrivals().size() &&
           fleet_.open_leases() == 0;
  }
  std::string counts() const;
  void begin_workers(std::istream& words);
  void begin_open(std::istream& words);
  void begin_closed(std::istream& words);
  void begin_hold(std::istream& words);
  void begin_served();
  void begin_finish();
  void write_times(const std::string& path) const;

  Loop loop_;
  const sockaddr_in address_;
  Random random_;
  Fleet fleet_;
  std::unique_ptr<Sender> sender_;
  std::function<void()> send_;  // once the sender's connections stand
  std::string input_;
  std::function<bool()> is_done_;
  std::function<std::string()> fields_;
  Instant began_{};
  std::string asked_;
};

void Bench::on_ready(bool, bool) {
  std::array<char, 4096> buffer;
  const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (got == 0) loop_.stop();
  if (got <= 0) return;
  input_.append(buffer.data(), static_cast<std::size_t>(got));
  if (const auto end = input_.find('\n'); end != std::string::npos) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    obey(line);
  }
}

// After each turn of the loop: what was asked for may be the case now.
void Bench::look() {
  if (send_ && sender_->is_open()) {
    began_ = loop_.now();
    std::exchange(send_, nullptr)();
  }
  if (!is_done_ || send_) return;
  if (is_done_()) {
    is_done_ = nullptr;
    answer(fields_());
    sender_.reset();  // its connections would break with the manager's end
  } else if (loop_.now() > began_ + kPatience) {
    stop_with("'" + asked_ + "' is not done after " + describe_duration(kPatience) + ": " + counts());
  }
}

void Bench::answer(const std::string& fields) {
  std::printf("{\"seconds\":%.9f%s}\n", as_seconds(loop_.now() - began_), fields.c_str());
  std::fflush(stdout);
}

void Bench::expect(std::function<bool()> is_done, std::function<std::string()> fields) {
  is_done_ = std::move(is_done);
  fields_ = std::move(fields);
  began_ = loop_.now();
}

std::string Bench::counts() const {
  const FleetCounts& c = fleet_.counts();
  const std::pair<const char*, std::uint64_t> numbers[] = {
      {"workers", fleet_.size()}, {"served", fleet_.served()}, {"registered", c.registered},
      {"leased", c.leased},       {"completed", c.completed},  {"refused", c.refused},
      {"lost", c.lost},           {"beats", c.beats},          {"tries", c.tries},
      {"put_off", c.put_off}};
  std::string out;
  for (const auto& [name, number] : numbers)
    out.append(",\"").append(name).append("\":").append(std::to_string(number));
  std::string trouble = c.first_trouble;
  std::erase_if(trouble, [](char byte) { return byte == '"' || byte == '\\' || byte < ' '; });
  return out + ",\"trouble\":\"" + trouble + "\"";
}

void Bench::start_sender(Sender::Options options, std::function<void()> send) {
  sender_ = std::make_unique<Sender>(loop_, address_, options);
  send_ = std::move(send);
}

void Bench::begin_workers(std::istream& words) {
  std::size_t count = 0;
  std::uint32_t leases = 0;
  long run_ms = 0;
  if (!(words >> count >> leases >> run_ms)) stop_with("workers COUNT LEASES RUN_MS");
  fleet_.set_run(run_of(run_ms));
  fleet_.start(count, leases);
  expect([this] { return fleet_.served() == fleet_.size(); }, [this] { return counts(); });
}

void Bench::begin_open(std::istream& words) {
  std::string spacing, path;
  double rate = 0;
  double span = 0;
  Sender::Options options;
  if (!(words >> spacing >> rate >> span >> options.connections >> options.batch >> options.body_bytes >>
        path))
    stop_with("open SPACING RATE SECONDS CONNECTIONS BATCH BODY_BYTES FILE");
  if (options.batch == 0 || rate <= 0) stop_with("a load has a rate, and at least one task in a request");
  const double groups = rate / static_cast<double>(options.batch);
  std::vector<Duration> offsets;
  for (const auto at : schedule(spacing == "poisson" ? Spacing::kPoisson : Spacing::kConstant, groups,
                                static_cast<std::size_t>(groups * span), random_.split()))
    offsets.insert(offsets.end(), options.batch, at);
  expect([this] { return is_all_over(); },
         [this, path] {
           write_times(path);
           return ",\"tasks\":" + std::to_string(sender_->arrivals().size()) + counts();
         });
  start_sender(options, [this, offsets = std::move(offsets)] { sender_->send_open(offsets, began_); });
}

void Bench::begin_closed(std::istream& words) {
  double span = 0;
  Sender::Options options;
  if (!(words >> span >> options.connections >> options.body_bytes))
    stop_with("closed SECONDS CONNECTIONS BODY_BYTES");
  expect([this] { return is_all_over(); },
         [this] { return ",\"tasks\":" + std::to_string(sender_->arrivals().size()) + counts(); });
  start_sender(options, [this, span] {
    sender_->send_closed(began_ + Duration(static_cast<Duration::rep>(span * 1e9)));
  });
}

void Bench::begin_hold(std::istream& words) {
  std::size_t count = 0;
  if (!(words >> count)) stop_with("hold COUNT");
  fleet_.set_run(kUntilTold);
  const std::uint64_t wanted = fleet_.counts().beats + count;
  expect([this, count, wanted] { return fleet_.open_leases() == count && fleet_.counts().beats >= wanted; },
         [this] { return counts(); });
  start_sender({4, kHoldBatch, 100}, [this, count] { sender_->send_at_once(count); });
}

// From the instant on when the first worker lost its connection.
void Bench::begin_served() {
  expect([this] { return fleet_.first_break() != kNoInstant && fleet_.served() == fleet_.size(); },
         [this] {
           began_ = fleet_.first_break();
           fleet_.forget_break();
           return counts();
         });
}

void Bench::begin_finish() {
  fleet_.set_run(Duration::zero());
  fleet_.tell_to_finish();
  expect([this] { return fleet_.open_leases() == 0; }, [this] { return counts(); });
}

void Bench::obey(const std::string& line) {
  std::istringstream words(line);
  std::string name;
  words >> name;
  asked_ = line;
  began_ = loop_.now();
  if (name == "workers") {
    begin_workers(words);
  } else if (name == "run") {
    long run_ms = 0;
    words >> run_ms;
    fleet_.set_run(run_of(run_ms));
    answer("");
  } else if (name == "open") {
    begin_open(words);
  } else if (name == "closed") {
    begin_closed(words);
  } else if (name == "hold") {
    begin_hold(words);
  } else if (name == "served") {
    begin_served();
  } else if (name == "finish") {
    begin_finish();
  } else if (name == "counts") {
    answer(counts());
  } else {
    stop_with("there is no command '" + line + "'");
  }
}

void Bench::write_times(const std::string& path) const {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) stop_with("can not write " + path);
  for (const auto& each : sender_->arrivals()) {
    std::array<std::int64_t, 4> row;
    const std::array<Instant, 4> instants{each.at, each.sent, each.stored, each.leased};
    std::transform(instants.begin(), instants.end(), row.begin(),
                   [this](Instant instant) { return (instant - began_).count(); });
    if (std::fwrite(row.data(), sizeof row, 1, file) != 1) stop_with("can not write " + path);
  }
  if (std::fclose(file) != 0) stop_with("can not write " + path);
}

// Root may go beyond its own hard limit.
void raise_open_files() {
  const rlimit wanted{1u << 17, 1u << 17};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  rlimit found{};
  ::getrlimit(RLIMIT_NOFILE, &found);
  found.rlim_cur = found.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &found);
}

}  // namespace
}  // namespace skep::bench

int main(int argc, char** argv) {
  if (argc != 3) skep::bench::stop_with("scale_bench HOST:PORT SEED");
  skep::bench::raise_open_files();
  skep::bench::Bench(skep::bench::parse_address(argv[1]), std::strtoull(argv[2], nullptr, 10)).run();
  return 0;
}
