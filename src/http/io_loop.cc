// SPDX-License-Identifier: Apache-2.0
#include "http/io_loop.h"

#include "http/internal_loop.h"

namespace skep::http {
namespace {

// Events handled in one turn: about what one look at the poller brings.
constexpr int kEventsMax = 128;

}  // namespace

IoLoop::IoLoop() : impl_(std::make_unique<Impl>()) {}

IoLoop::~IoLoop() = default;

void IoLoop::run(Duration patience) {
  asio::io_context& io = impl_->io;
  if (patience > Duration::zero() && io.run_one_for(patience) == 0) return;
  for (int events = 0; events < kEventsMax && io.poll_one() > 0; ++events) {
  }
}

void IoLoop::wake() {
  asio::post(impl_->io, [] {});
}

}  // namespace skep::http
