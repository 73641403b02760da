// SPDX-License-Identifier: Apache-2.0
// driver.h - one connection to a queue, the same for every peer that `./dev bench queue` measures.
//
// A driver is its peer's own client at its best: each .cc says which calls and settings its documents advise.
// A call is one request of `batch` tasks: it returns when the server has answered all of it.
//
// Threads:   one thread a driver; setup() and left() before and after all threads.
// Errors:    whatever is refused, lost or short ends the program: see fail().
// Ownership: views that lease() gives live until the driver's next call.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan.h"

namespace skep::bench::queue {

using BodyViews = std::vector<std::string_view>;

class QueueDriver {
 public:
  QueueDriver() = default;
  QueueDriver(const QueueDriver&) = delete;
  QueueDriver& operator=(const QueueDriver&) = delete;
  virtual ~QueueDriver() = default;

  // When it returns, all are acknowledged as durable as the peer is.
  virtual void enqueue(std::span<const std::string_view> bodies) = 0;
  // Up to `max` tasks into `out`. Waits a moment for the first; none if there is none.
  virtual void lease(std::size_t max, BodyViews& out) = 0;
  // All that the last lease() gave are done.
  virtual void complete() = 0;
  // The last call but for refused(). Gives back what came to this connection and was not leased: others wait
  // for it. True: complete() is not answered by this server, and all of them are done only now.
  virtual bool stop() { return false; }
  // How often the server said "not now", and was asked again.
  virtual std::uint64_t refused() const { return 0; }
};

struct Peer {
  std::string name;
  std::unique_ptr<QueueDriver> (*connect)(const Plan& plan);
  // Makes the queue. Null: enqueueing does.
  void (*setup)(const Plan& plan);
  // How many tasks the server still has, by its own count. Null: it does not count.
  std::uint64_t (*left)(const Plan& plan);
  // False: nothing is stored, what comes back is of the right size and no more (a bound, not a queue).
  bool is_queue = true;
};

// What this build has, skep first.
const std::vector<Peer>& peers();

// Each is in its own file, and only where its library is.
Peer skep_peer();
Peer bare_http_peer();
Peer redis_peer();
Peer nats_peer();
Peer postgres_peer();
Peer beanstalkd_peer();
Peer rabbitmq_peer();

// How long lease() waits for a first task.
inline constexpr int kLeaseWaitMs = 100;

}  // namespace skep::bench::queue
