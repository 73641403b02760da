// SPDX-License-Identifier: Apache-2.0
// network.h - calls from clients and workers to the manager that they have chosen.
//
// Each message takes its own time, so they overtake each other; it may be lost, a request may arrive twice,
// and a caller may be cut off from managers, or from one of several, in one direction or both. A caller hears
// one answer: the reply, kUnavailable where nothing took its request, kUnknownOutcome where the answer did
// not come.
//
// Threads:   one thread.
// Ownership: borrows world and cluster; a caller's process is shared.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "sim/cluster.h"

namespace skep::sim {

// A caller's way to the managers.
struct Link {
  Place place = 0;       // where it is
  std::size_t node = 0;  // the manager that it uses
  bool goes_on = false;  // to another one by itself, when that does not answer
  Instant requests_cut_until{};
  Instant replies_cut_until{};
  std::uint64_t troubles = 0;  // messages of it that went wrong
};

class Network {
 public:
  Network(World& world, Cluster& cluster) : world_(world), cluster_(cluster) {}

  // Serves one request at a manager. Copied where a request arrives twice.
  template <class T>
  using Serve = std::function<void(Front&, manager::IsWanted, manager::Reply<T>)>;

  // Whether a request may arrive twice, as by a proxy that repeats it.
  enum class Copies : std::uint8_t { kOne, kTwoAtTimes };

  // `done` runs in the caller's process, once, unless that is killed.
  template <class T>
  void call(std::shared_ptr<Process> caller, const std::shared_ptr<Link>& link, Duration timeout,
            Serve<T> serve, UniqueFunction<void(Result<T>)> done, Copies copies = Copies::kTwoAtTimes) {
    auto call = std::make_shared<Call<T>>();
    call->number = ++calls_;
    call->caller = std::move(caller);
    call->link = link;
    call->node = link->node;
    call->serve = std::move(serve);
    call->done = std::move(done);
    world_.counters.add("calls");
    const bool is_twice = copies == Copies::kTwoAtTimes && world_.random.chance(world_.faults.request_twice);
    if (is_twice) {
      world_.counters.add("requests duplicated");
      ++link->troubles;
    }
    for (int copy = 0; copy < (is_twice ? 2 : 1); ++copy) send(call);
    world_.executor.post_at(world_.now() + timeout, [this, call] {
      if (!call->is_open) return;
      world_.counters.add("calls timed out");
      ++call->link->troubles;
      finish<T>(call, fail(Code::kUnknownOutcome, "no answer came in time"));
    });
  }

 private:
  template <class T>
  struct Call {
    std::uint64_t number = 0;
    std::shared_ptr<Process> caller;
    std::shared_ptr<Link> link;
    std::size_t node = 0;
    Serve<T> serve;
    UniqueFunction<void(Result<T>)> done;
    bool is_open = true;
  };
  template <class T>
  using CallPtr = std::shared_ptr<Call<T>>;

  static Place place_of(std::size_t node) { return static_cast<Place>(node); }
  Duration delay() { return microseconds(200) + world_.up_to(world_.faults.message_delay_max); }
  bool is_lost(Link& link, Instant cut_until, Place from, Place to) {
    const bool lost = world_.now() < cut_until || world_.cuts.is_cut(from, to, world_.now()) ||
                      world_.random.chance(world_.faults.message_lost);
    if (!lost) return false;
    world_.counters.add("messages lost");
    ++link.troubles;
    return true;
  }

  template <class T>
  void finish(const CallPtr<T>& call, Result<T> result) {
    if (!std::exchange(call->is_open, false)) return;
    const bool is_no_answer = !result && (result.error().code == Code::kUnavailable ||
                                          result.error().code == Code::kUnknownOutcome);
    if (is_no_answer && call->link->goes_on && call->link->node == call->node)
      call->link->node = (call->node + 1) % world_.config.managers;
    call->caller->post(
        [done = std::move(call->done), result = std::move(result)]() mutable { done(std::move(result)); });
  }

  template <class T>
  void send(const CallPtr<T>& call) {
    if (is_lost(*call->link, call->link->requests_cut_until, call->link->place, place_of(call->node))) return;
    world_.executor.post_at(world_.now() + delay(), [this, call] { arrive(call); });
  }

  template <class T>
  void arrive(const CallPtr<T>& call) {
    const auto life = cluster_.current(call->node);
    if (life == nullptr) {
      finish<T>(call, fail(Code::kUnavailable, "connection refused"));
      return;
    }
    const std::uint64_t connection = ++connections_;
    life->connections[connection] = [this, call] {
      world_.executor.post_at(world_.now() + delay(), [this, call] {
        ++call->link->troubles;
        finish<T>(call, fail(Code::kUnknownOutcome, "connection reset"));
      });
    };
    life->process->post([this, life, call, connection] {
      if (life->front->is_silent()) return;
      call->serve(
          *life->front, [call] { return call->is_open && !call->caller->is_dead(); },
          [this, life, call, connection](Result<T> result) {
            if (life->front->is_silent() || life->connections.erase(connection) == 0) return;
            reply(call, std::move(result));
          });
    });
  }

  template <class T>
  void reply(const CallPtr<T>& call, Result<T> result) {
    if (!call->is_open) return;
    if (is_lost(*call->link, call->link->replies_cut_until, place_of(call->node), call->link->place)) return;
    world_.executor.post_at(world_.now() + delay(), [this, call, result = std::move(result)]() mutable {
      finish<T>(call, std::move(result));
    });
  }

  World& world_;
  Cluster& cluster_;
  std::uint64_t calls_ = 0;
  std::uint64_t connections_ = 0;
};

}  // namespace skep::sim
