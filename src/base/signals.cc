// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "base/check.h"

namespace skep {

SignalWaiter::SignalWaiter(std::initializer_list<int> signals) {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : signals) sigaddset(&mask, signal);
  pthread_sigmask(SIG_BLOCK, &mask, &mask_before_);
  signal_descriptor_ = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  interrupt_descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
  SKEP_CHECK(signal_descriptor_ >= 0 && interrupt_descriptor_ >= 0, "no file descriptors left at start");
}

SignalWaiter::~SignalWaiter() {
  close(signal_descriptor_);
  close(interrupt_descriptor_);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

int SignalWaiter::wait() {
  while (true) {
    if (const auto signal = poll_for(-1)) return *signal;
  }
}

std::optional<int> SignalWaiter::wait_for(Duration patience) {
  const auto left = duration_cast<milliseconds>(patience).count();
  return poll_for(static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX)));
}

// One wait of at most `patience_ms`, -1 is for ever; nothing if it ended without either.
std::optional<int> SignalWaiter::poll_for(int patience_ms) {
  pollfd ready[] = {{signal_descriptor_, POLLIN, 0}, {interrupt_descriptor_, POLLIN, 0}};
  if (poll(ready, 2, patience_ms) < 0) {
    SKEP_CHECK(errno == EINTR, "poll on own descriptors failed");
    return std::nullopt;
  }
  signalfd_siginfo info{};
  if (read(signal_descriptor_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
  std::uint64_t count = 0;
  if (read(interrupt_descriptor_, &count, sizeof count) == sizeof count) return 0;
  return std::nullopt;
}

void SignalWaiter::interrupt() {
  const std::uint64_t one = 1;
  // Fails only when 2^64-2 interrupts are waiting.
  [[maybe_unused]] const auto written = write(interrupt_descriptor_, &one, sizeof one);
}

void ignore_broken_pipes() {
  std::signal(SIGPIPE, SIG_IGN);
}

void keep_ended_children() {
  std::signal(SIGCHLD, SIG_DFL);
}

void reset_signals_in_child() {
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGKILL && number != SIGSTOP) std::signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace skep
