// SPDX-License-Identifier: Apache-2.0
// scripted_server.h - a peer for client tests that accepts connections one by one and does exactly what it is
// told.
//
// Threads:   the script runs on a thread of its own; the destructor waits for its end.
#pragma once

#include <functional>
#include <thread>

#include "http/testing/raw_connection.h"

namespace skep::http::testing {

class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(ScriptedServer&)> script)
      : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, script = std::move(script)] { script(*this); });
  }
  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);  // ends an accept() for which nobody came
    finish();
    close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }

  // In the script: the next connection.
  RawConnection::Accepted accept() const { return {::accept(listener_, nullptr, nullptr)}; }

  // Waits for the end of the script.
  void finish() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace skep::http::testing
