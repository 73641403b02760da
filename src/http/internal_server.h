// SPDX-License-Identifier: Apache-2.0
// internal_server.h - the parts of the server: what its threads share, one I/O thread, one connection. For
// the server*.cc files alone.
//
// A connection lives on one I/O thread, and only that thread touches it. Responders and streams live anywhere
// and may outlive it and the server: they hold it weakly and reach it through a Mailbox, which knows when the
// thread is gone.
//
// Threads:   ServerCore and Mailbox: any thread. IoThread and Session: the I/O thread, except where said.
// Ownership: an IoThread owns its sessions; a session that is closed lives on only until its last callback
// has run.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "base/mutex.h"
#include "http/internal_buffer.h"
#include "http/internal_loop.h"
#include "http/internal_parser.h"
#include "http/internal_stream.h"
#include "http/server.h"

namespace skep::http {

using Tcp = asio::ip::tcp;
using IoError = boost::system::error_code;
using Steady = std::chrono::steady_clock;

inline constexpr Steady::time_point kNoDeadline = Steady::time_point::max();
// From here on copying and decoding a body costs more than a second thread's wake-up: a connection that has
// such bodies, in either direction, leaves the runner's thread for good.
inline constexpr std::size_t kLargeBytes = 16 * 1024;

class Session;

// What all threads of a server share.
struct ServerCore {
  ServerCore(ServerOptions o, Logger l, Handler h)
      : options(std::move(o)), log(std::move(l)), handler(std::move(h)) {}

  Response problem(int status, std::string_view detail) const;

  // Counts a connection in; false, and not counted, if there are too many.
  bool try_open();
  void closed();
  // Waits until no connection is left or `patience` is over.
  void wait_until_closed(Duration patience);
  std::size_t open_connections();
  std::uint64_t next_number() { return last_connection.fetch_add(1, std::memory_order_relaxed) + 1; }

  const ServerOptions options;
  const Logger log;
  const Handler handler;
  std::unique_ptr<ServerTls> tls;  // null: plain HTTP
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<std::uint64_t> last_connection = 0;
  std::atomic<bool> is_draining = false;

 private:
  Mutex mutex_;
  Condition changed_;
  std::size_t connections_ SKEP_GUARDED_BY(mutex_) = 0;
};

// The way into an I/O thread for those that may outlive it. What is posted runs in the order of the calls,
// whichever threads they come from: Asio alone does not keep that where one of them is the I/O thread itself,
// which it lets post past its lock.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  explicit Mailbox(asio::io_context& io) : io_(&io) {}

  // False once the thread is ending: `work` is dropped.
  bool post(UniqueFunction<void()> work);
  // What was posted before still runs.
  void close();

  void set_thread(std::thread::id id) { thread_.store(id, std::memory_order_relaxed); }
  bool is_on_thread() const { return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

 private:
  void run_posted();

  Mutex mutex_;
  asio::io_context* io_ SKEP_GUARDED_BY(mutex_);
  std::vector<UniqueFunction<void()>> posted_ SKEP_GUARDED_BY(mutex_);
  std::atomic<std::thread::id> thread_;
};

// The sockets of one thread: its own, or that of the runner which runs its loop.
class IoThread {
 public:
  // `runner_loop`: null for a thread of its own.
  IoThread(ServerCore& core, int number, std::shared_ptr<IoLoop> runner_loop);

  // From the owner's thread. shut_down() posts; join() waits until nothing runs any more that is of this.
  // `large`: where connections with large bodies go; null: they stay.
  void start(IoThread* large);
  void drain();
  void end_streams();
  void shut_down();
  void join();

  // On the I/O thread.
  void adopt(Tcp::socket socket, bool is_over_limit);
  void forget(Session& session, bool is_counted);
  // Whether a connection with large bodies has a better place.
  bool can_send_on() const { return large_ != nullptr; }
  // The connection goes on there, as the number it had; `session` is forgotten. Nothing of it is under way.
  void send_on(Session& session, Connection& socket, std::uint64_t number);
  std::string_view date();  // for the Date header, now

  ServerCore& core;
  const std::shared_ptr<IoLoop> loop;
  asio::io_context& io;
  const std::shared_ptr<Mailbox> mailbox = std::make_shared<Mailbox>(io);

 private:
  void take_over(Tcp::socket socket, std::uint64_t number);
  void sweep_later();
  void sweep();
  std::vector<std::shared_ptr<Session>> all_sessions() const;

  const int number_;
  const bool is_on_runner_;
  // Shared with who keeps it, which may still be at it when who waits is gone.
  const std::shared_ptr<std::promise<void>> ended_ = std::make_shared<std::promise<void>>();
  asio::steady_timer sweep_timer_{io};
  const Duration sweep_interval_;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;
  std::size_t uncounted_sessions_ = 0;
  IoThread* large_ = nullptr;
  bool is_shut_down_ = false;
  std::string date_;
  std::time_t date_second_ = 0;
  std::thread thread_;
};

// Shared by a Stream and its session.
struct StreamState {
  std::atomic<std::size_t> unsent = 0;
  std::atomic<bool> is_over = false;
};

struct SessionAsker final : Asker, std::enable_shared_from_this<SessionAsker> {
  void answer(UniqueFunction<Response()> make) override;
  std::shared_ptr<Stream> open_stream(Response head) override;
  void drop() override;
  bool is_gone() const override { return is_peer_gone.load(std::memory_order_relaxed); }

  std::shared_ptr<Mailbox> mailbox;
  std::weak_ptr<Session> session;
  std::uint64_t turn = 0;
  std::size_t stream_buffer_max = 0;
  std::atomic<bool> is_peer_gone = false;
};

// One connection. Requests are handled one at a time; the next is looked at once its predecessor is answered,
// and its bytes may already be here (pipelining). A turn is the number of a request in its connection.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  // `number`: of the connection, unique in the server's life.
  Session(IoThread& home, Connection socket, std::string peer, std::uint64_t number, bool is_counted);

  void start();
  // Answers 503 without reading, then closes.
  void refuse_connection();

  // From responders and streams. A turn that is over is ignored.
  void respond(std::uint64_t turn, Response response);
  void respond_dropped(std::uint64_t turn);
  void open_stream(std::uint64_t turn, Response head, std::shared_ptr<StreamState> stream);
  void write_stream(std::uint64_t turn, std::string chunk);
  void close_stream(std::uint64_t turn);
  void abort_stream(std::uint64_t turn);

  void end_stream() { close_stream(turn_); }
  void check_deadlines(Steady::time_point now);
  void close_if_idle();
  void close();

 private:
  enum class State : std::uint8_t {
    kHead,       // reading a head, or waiting for one
    kBody,       // reading a body of known length
    kChunked,    // reading a chunked body
    kAnswering,  // the handler has the request
    kStreaming,  // a stream has the connection
    kClosing,    // sending the last answer
    kLingering,  // sent it; reading what the peer still sends, so that a reset does not destroy the answer
  };

  // server_session.cc: reading
  void advance();
  bool step();
  bool step_head();
  bool step_body();
  bool step_chunked();
  void begin_head();
  void on_head();
  void begin_body();
  void deliver(Body body);
  void refuse_parse(ParseError error);
  void reject(int status, std::string_view detail);
  void start_read();
  void on_read(IoError error, std::size_t size);
  bool is_idle() const;
  bool can_leave() const;
  void leave();

  // server_output.cc: writing
  void append_response(Response response, bool is_last);
  std::string make_head(const Response& response, bool is_last, bool is_stream);
  bool is_last_turn() const;
  void end_turn(bool is_last);
  void push_chunk(std::string_view chunk);
  void flush();
  void wait_to_write();
  void on_sent(std::size_t size);
  void finish();

  IoThread& home_;
  ServerCore& core_;
  Connection socket_;
  const std::string peer_;
  const std::uint64_t number_;
  const bool is_counted_;

  State state_ = State::kHead;
  std::uint64_t turn_ = 0;
  std::optional<RequestParser> parser_;
  std::optional<BodyBuffer> body_;
  Target target_;
  InputBuffer input_;
  std::size_t head_size_ = 0;
  OutputQueue output_;
  std::shared_ptr<SessionAsker> responder_;
  std::shared_ptr<StreamState> stream_;
  std::size_t stream_queued_ = 0;
  bool is_stream_last_ = false;

  Steady::time_point read_deadline_ = kNoDeadline;
  Steady::time_point write_deadline_ = kNoDeadline;
  bool has_request_begun_ = false;
  bool is_held_back_ = false;  // too much waits to be sent for another request
  bool is_advancing_ = false;
  bool is_reading_ = false;
  bool is_reading_body_ = false;
  bool has_large_bodies_ = false;
  bool is_leaving_ = false;  // for another thread, once the read that is under way has come back
  bool is_waiting_to_write_ = false;
  bool has_waited_to_write_ = false;  // since all was sent
  bool is_at_end_ = false;            // the peer sends no more
  bool must_linger_ = false;
  bool is_closed_ = false;
};

}  // namespace skep::http
