// SPDX-License-Identifier: Apache-2.0
// transport.h - the http client that calls share, for as long as it is there.
//
// A call outlives the Client it was made on: it may be waiting to begin, or for its next try, when the
// connections go. After close() it gets an answer all the same and the http client is not touched any more.
//
// Threads:   any thread; one short lock, not held across a callback.
// Errors:    kUnavailable once it is closed.
// Ownership: borrows the http client, until close().
#pragma once

#include <utility>

#include "base/mutex.h"
#include "http/client.h"

namespace skep::client {

class Transport {
 public:
  explicit Transport(http::Client& http) : http_(&http) {}

  void send(http::Url url, http::ClientRequest request, Instant deadline, Executor& executor,
            http::Client::Done done) {
    const MutexLock lock(mutex_);
    if (http_ != nullptr) {
      http_->send(std::move(url), std::move(request), deadline, executor, std::move(done));
      return;
    }
    executor.post([done = std::move(done)]() mutable {
      done(fail(Code::kUnavailable, "the call was not made: the client is closing"));
    });
  }

  // When it returns, the http client may go.
  void close() {
    const MutexLock lock(mutex_);
    http_ = nullptr;
  }
  bool is_closed() const {
    const MutexLock lock(mutex_);
    return http_ == nullptr;
  }

 private:
  mutable Mutex mutex_;
  http::Client* http_ SKEP_GUARDED_BY(mutex_);
};

}  // namespace skep::client
