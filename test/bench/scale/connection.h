// SPDX-License-Identifier: Apache-2.0
// connection.h - one bare connection to a manager: a request at a time, its answer, and its end.
//
// It never connects again by itself: when and how often is what its owner simulates.
//
// Threads:   its loop's.
// Errors:    an answer that is not HTTP as a manager writes it ends the program.
// Ownership: the loop and the owner outlive it. It may be closed in a call to its owner, but not destroyed.
#pragma once

#include <netinet/in.h>

#include <string>
#include <string_view>

#include "base/time.h"
#include "loop.h"

namespace skep::bench {

struct Answer {
  int status = 0;
  Duration retry_after{};  // zero: none was asked for
  std::string_view body;
};

// HOST is four numbers.
sockaddr_in parse_address(const std::string& host_port);

// A POST of a message in protobuf, or of bytes as they are.
std::string post_of(std::string_view path, std::string_view body, bool is_message = true);

class Connection final : public Watcher {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_open() = 0;
    virtual void on_answer(const Answer& answer) = 0;
    virtual void on_closed(const std::string& why) = 0;  // refused, or gone
  };

  Connection(Loop& loop, const sockaddr_in& address, Owner& owner)
      : loop_(loop), address_(address), owner_(owner) {}
  ~Connection() override { close(); }

  void open();   // on_open or on_closed follow
  void close();  // without a call
  bool is_open() const { return descriptor_ >= 0 && !is_connecting_; }
  void send(std::string request);

  void on_ready(bool can_read, bool can_write) override;

 private:
  void end(const std::string& why);
  void connected();
  void read();
  bool answer_one();  // whether there was a whole answer
  void write();

  Loop& loop_;
  const sockaddr_in address_;
  Owner& owner_;
  int descriptor_ = -1;
  bool is_connecting_ = false;
  bool waits_to_write_ = false;
  std::string in_;
  std::string out_;
  std::size_t written_ = 0;  // of out_
};

}  // namespace skep::bench
