// SPDX-License-Identifier: Apache-2.0
// Responders and streams: how an answer gets from any thread to its connection.
#include "base/check.h"
#include "http/internal_server.h"

namespace skep::http {
namespace {

// Runs `work(session)` on the connection's thread, after what was posted there before; never if it is gone.
template <class Work>
bool post_to_session(const SessionAsker& impl, Work work) {
  return impl.mailbox->post([weak = impl.session, work = std::move(work)]() mutable {
    if (const auto session = weak.lock()) work(*session);
  });
}

// The same, but at once if this is the connection's thread.
template <class Work>
void run_on_session(const SessionAsker& impl, Work work) {
  if (!impl.mailbox->is_on_thread()) {
    post_to_session(impl, std::move(work));
  } else if (const auto session = impl.session.lock()) {
    work(*session);
  }
}

class ServerStream final : public Stream {
 public:
  ServerStream(std::shared_ptr<SessionAsker> connection, std::shared_ptr<StreamState> state)
      : connection_(std::move(connection)), state_(std::move(state)) {}

  ~ServerStream() override { close(); }

  bool write(std::string chunk) override {
    if (state_->is_over) return false;
    if (chunk.empty()) return true;  // an empty chunk would end the body
    const std::uint64_t turn = connection_->turn;
    if (state_->unsent.fetch_add(chunk.size()) + chunk.size() > connection_->stream_buffer_max) {
      state_->is_over = true;
      post_to_session(*connection_, [turn](Session& session) { session.abort_stream(turn); });
      return false;
    }
    return post_to_session(*connection_, [turn, chunk = std::move(chunk)](Session& session) mutable {
      session.write_stream(turn, std::move(chunk));
    });
  }

  void close() override {
    if (state_->is_over.exchange(true)) return;
    post_to_session(*connection_,
                    [turn = connection_->turn](Session& session) { session.close_stream(turn); });
  }

 private:
  const std::shared_ptr<SessionAsker> connection_;
  const std::shared_ptr<StreamState> state_;
};

}  // namespace

// ---- of a connection ----

void SessionAsker::answer(UniqueFunction<Response()> make) {
  run_on_session(*this, [turn = turn, make = std::move(make)](Session& of) mutable {
    of.respond(turn, make());
  });
}

// Always posted, as the chunks are: what is posted to one thread keeps its order whichever thread writes
// first.
std::shared_ptr<Stream> SessionAsker::open_stream(Response head) {
  auto state = std::make_shared<StreamState>();
  const bool is_open =
      post_to_session(*this, [turn = turn, head = std::move(head), state](Session& of) mutable {
        of.open_stream(turn, std::move(head), std::move(state));
      });
  if (!is_open) state->is_over = true;
  return std::make_shared<ServerStream>(shared_from_this(), std::move(state));
}

void SessionAsker::drop() {
  run_on_session(*this, [turn = turn](Session& of) { of.respond_dropped(turn); });
}

// ---- of whoever asked ----

Responder::Responder(std::shared_ptr<Asker> asker) : asker_(std::move(asker)) {}

Responder::Responder(Responder&&) noexcept = default;

Responder& Responder::operator=(Responder&& other) noexcept {
  Responder old(std::move(asker_));  // answers 500 if it was not used
  asker_ = std::move(other.asker_);
  return *this;
}

Responder::~Responder() {
  if (asker_) asker_->drop();
}

void Responder::send(Response response) && {
  SKEP_CHECK(asker_ != nullptr, "a request is answered once");
  const std::shared_ptr<Asker> asker = std::move(asker_);
  asker->answer([response = std::move(response)]() mutable { return std::move(response); });
}

void Responder::send_made(UniqueFunction<Response()> make) && {
  SKEP_CHECK(asker_ != nullptr, "a request is answered once");
  const std::shared_ptr<Asker> asker = std::move(asker_);
  asker->answer(std::move(make));
}

std::shared_ptr<Stream> Responder::stream(Response head) && {
  SKEP_CHECK(asker_ != nullptr, "a request is answered once");
  const std::shared_ptr<Asker> asker = std::move(asker_);
  return asker->open_stream(std::move(head));
}

bool Responder::is_peer_gone() const {
  return asker_ == nullptr || asker_->is_gone();
}

}  // namespace skep::http
