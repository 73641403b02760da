// SPDX-License-Identifier: Apache-2.0
// Redis streams with a consumer group, through hiredis.
//
// As Redis' documents have it: XADD; XREADGROUP with COUNT, which blocks when there is nothing; XACK, and
// XDEL because a stream keeps what was acknowledged. Requests of several are pipelined: all commands in one
// write, all answers read after it ("Redis pipelining"). With appendfsync always the server writes and syncs
// once for all that a turn of its loop has read, before any of it is answered. Of one connection that is some
// 16 KiB or one body; a connection that has no other to share syncs with puts its batch between MULTI and
// EXEC, and has one sync for it. With more connections that was measured to cost more than it saves.
#include <hiredis/hiredis.h>

#include <cstdio>

#include "driver.h"

namespace skep::bench::queue {
namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

constexpr const char* kGroup = "workers";

class Redis {
 public:
  explicit Redis(const Plan& plan) : context_(redisConnect(plan.host.c_str(), plan.port)) {
    if (context_ == nullptr || context_->err != 0) fail("can not connect to redis");
    context_->reader->maxbuf = 0;  // keep the buffer: hiredis' advice for large answers
  }
  ~Redis() { redisFree(context_); }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  void append(const std::vector<std::string_view>& words) {
    argv_.clear();
    sizes_.clear();
    for (const auto word : words) {
      argv_.push_back(word.data());
      sizes_.push_back(word.size());
    }
    if (redisAppendCommandArgv(context_, static_cast<int>(words.size()), argv_.data(), sizes_.data()) !=
        REDIS_OK) {
      fail("hiredis has no room for a command");
    }
  }

  Reply answer() {
    void* reply = nullptr;
    if (redisGetReply(context_, &reply) != REDIS_OK) fail(std::string("redis: ") + context_->errstr);
    Reply out(static_cast<redisReply*>(reply));
    if (out->type == REDIS_REPLY_ERROR) fail("redis: " + std::string(out->str, out->len));
    return out;
  }

  Reply ask(const std::vector<std::string_view>& words) {
    append(words);
    return answer();
  }

 private:
  redisContext* context_;
  std::vector<const char*> argv_;
  std::vector<std::size_t> sizes_;
};

class RedisDriver final : public QueueDriver {
 public:
  explicit RedisDriver(const Plan& plan)
      : redis_(plan),
        is_alone_(plan.connections == 1),
        stream_(plan.queue),
        wait_(std::to_string(kLeaseWaitMs)) {
    char name[32];
    std::snprintf(name, sizeof name, "%p", static_cast<void*>(this));  // each connection is a consumer
    consumer_ = name;
  }

  void enqueue(std::span<const std::string_view> bodies) override {
    const bool is_one_sync = is_alone_ && bodies.size() > 1;
    if (is_one_sync) redis_.append({"MULTI"});
    for (const auto body : bodies) redis_.append({"XADD", stream_, "*", "b", body});
    if (!is_one_sync) {
      for (std::size_t i = 0; i < bodies.size(); ++i) check_id(*redis_.answer());
      return;
    }
    redis_.append({"EXEC"});
    for (std::size_t i = 0; i <= bodies.size(); ++i) redis_.answer();  // OK, then QUEUED for each
    const auto done = redis_.answer();
    if (done->elements != bodies.size()) fail("redis has not carried out the whole batch");
    for (std::size_t i = 0; i < done->elements; ++i) check_id(*done->element[i]);
  }

  // The answer: [[stream, [[id, ["b", body]], ...]]], or nil after the wait.
  void lease(std::size_t max, BodyViews& out) override {
    out.clear();
    ids_.clear();
    reply_ = redis_.ask({"XREADGROUP", "GROUP", kGroup, consumer_, "COUNT", std::to_string(max), "BLOCK",
                         wait_, "STREAMS", stream_, ">"});
    if (reply_->type == REDIS_REPLY_NIL) return;
    const redisReply* entries = reply_->element[0]->element[1];
    for (std::size_t i = 0; i < entries->elements; ++i) {
      const redisReply* id = entries->element[i]->element[0];
      const redisReply* body = entries->element[i]->element[1]->element[1];
      ids_.emplace_back(id->str, id->len);
      out.emplace_back(body->str, body->len);
    }
  }

  void complete() override {
    words_ = {"XACK", stream_, kGroup};
    words_.insert(words_.end(), ids_.begin(), ids_.end());
    redis_.append(words_);
    words_ = {"XDEL", stream_};
    words_.insert(words_.end(), ids_.begin(), ids_.end());
    redis_.append(words_);
    for (int i = 0; i < 2; ++i) {
      if (redis_.answer()->integer != static_cast<long long>(ids_.size()))
        fail("redis has not taken all acknowledgements");
    }
  }

 private:
  static void check_id(const redisReply& reply) {
    if (reply.type != REDIS_REPLY_STRING) fail("redis gave no id to an entry");
  }

  Redis redis_;
  bool is_alone_;
  std::string stream_, consumer_, wait_;
  Reply reply_;
  std::vector<std::string_view> ids_, words_;  // ids of the lease, views into reply_
};

}  // namespace

Peer redis_peer() {
  return {
      "redis",
      [](const Plan& plan) -> std::unique_ptr<QueueDriver> { return std::make_unique<RedisDriver>(plan); },
      [](const Plan& plan) {
        Redis(plan).ask({"XGROUP", "CREATE", plan.queue, kGroup, "$", "MKSTREAM"});
      },
      [](const Plan& plan) {
        return static_cast<std::uint64_t>(Redis(plan).ask({"XLEN", plan.queue})->integer);
      }};
}

}  // namespace skep::bench::queue
