// SPDX-License-Identifier: Apache-2.0
// internal_loop.h - what stands behind an IoLoop: for io_loop.cc and the server's files alone.
//
// Threads:   see io_loop.h; what is posted to `io` may come from any.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "http/io_loop.h"

namespace skep::http {

namespace asio = boost::asio;

struct IoLoop::Impl {
  asio::io_context io{1};
  // Until it is let go of, run() waits also when nothing is under way.
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
};

}  // namespace skep::http
