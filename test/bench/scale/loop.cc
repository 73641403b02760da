// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace skep::bench {

void stop_with(const std::string& why) {
  std::fprintf(stderr, "scale_bench: %s\n", why.c_str());
  std::exit(1);
}

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) stop_with(std::string("epoll_create1: ") + std::strerror(errno));
}

Loop::~Loop() {
  ::close(epoll_);
}

Loop::Timer Loop::at(Instant instant, std::function<void()> call) {
  Timer timer{instant, next_timer_++};
  timers_.emplace(timer, std::move(call));
  return timer;
}

void Loop::control(int operation, int descriptor, Watcher& watcher, bool for_writing) {
  epoll_event event{};
  event.events = EPOLLIN | (for_writing ? EPOLLOUT : 0u);
  event.data.ptr = &watcher;
  if (::epoll_ctl(epoll_, operation, descriptor, &event) != 0)
    stop_with(std::string("epoll_ctl: ") + std::strerror(errno));
}

void Loop::watch(int descriptor, Watcher& watcher, bool for_writing) {
  control(EPOLL_CTL_ADD, descriptor, watcher, for_writing);
}

void Loop::change(int descriptor, Watcher& watcher, bool for_writing) {
  control(EPOLL_CTL_MOD, descriptor, watcher, for_writing);
}

// Those that were due when it began: what they add for now comes after the sockets had their turn.
void Loop::run_due() {
  const Timer end{now(), next_timer_};
  while (!timers_.empty() && timers_.begin()->first < end) {
    auto call = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    call();
  }
}

void Loop::run(const std::function<void()>& after_turn) {
  std::array<epoll_event, 512> events;
  while (!is_stopped_) {
    timespec wait{1, 0};
    if (!timers_.empty()) {
      const Duration left = std::max(Duration::zero(), timers_.begin()->first.first - now());
      if (left < seconds(1)) wait = {0, static_cast<long>(left.count())};
    }
    const int ready = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    if (ready < 0 && errno != EINTR) stop_with(std::string("epoll_pwait2: ") + std::strerror(errno));
    for (int i = 0; i < ready; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      static_cast<Watcher*>(event.data.ptr)
          ->on_ready((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0, (event.events & EPOLLOUT) != 0);
    }
    run_due();
    after_turn();
  }
}

}  // namespace skep::bench
