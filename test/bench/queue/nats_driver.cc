// SPDX-License-Identifier: Apache-2.0
// NATS JetStream through nats.c: a stream with the retention of a work queue on file storage, and one durable
// pull consumer that all connections fetch from, as NATS' documents have it for work that is shared.
//
// One a request: js_Publish waits for its acknowledgement. More: js_PublishAsync for each and one wait for
// all, which the documents name as the fast way. A fetch of several takes what is there. The acknowledgements
// of a batch go out together; the server handles those of a connection in order, so the last one is sent as
// AckSync: when it is confirmed, all are.
#include <nats/nats.h>

#include <cstdlib>

#include "driver.h"

namespace skep::bench::queue {
namespace {

constexpr std::int64_t kPatienceMs = 60'000;  // of one answer: the default of 5 s is short for 400 MB at once
// A fetch that ends while the server sends to it leaves its messages to the next fetch of the connection
// alone.
constexpr std::int64_t kFetchWaitMs = 1'000;
constexpr std::int64_t kAckPendingMax = 100'000;  // the default of 1,000 is less than 64 connections hold
constexpr const char* kDurable = "workers";

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) fail(std::string("nats: ") + what + ": " + natsStatus_GetText(status));
}

void on_publish_error(jsCtx*, jsPubAckErr* error, void*) {
  fail(std::string("nats did not take a message: ") + natsStatus_GetText(error->Err));
}

class Nats {
 public:
  // `is_single`: requests of one message, which are to leave at once instead of by way of the flusher's
  // thread.
  Nats(const Plan& plan, bool is_single) {
    natsOptions* options = nullptr;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, ("nats://" + plan.host + ":" + std::to_string(plan.port)).c_str()),
          "URL");
    check(natsOptions_SetSendAsap(options, is_single), "send at once");
    check(natsConnection_Connect(&connection_, options), "connect");
    natsOptions_Destroy(options);
    jsOptions stream;
    check(jsOptions_Init(&stream), "options");
    stream.Wait = kPatienceMs;
    stream.PublishAsync.ErrHandler = on_publish_error;
    check(natsConnection_JetStream(&jet_, connection_, &stream), "JetStream");
  }
  ~Nats() {
    jsCtx_Destroy(jet_);
    natsConnection_Destroy(connection_);
  }
  Nats(const Nats&) = delete;
  Nats& operator=(const Nats&) = delete;

  jsCtx* jet() const { return jet_; }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* jet_ = nullptr;
};

class NatsDriver final : public QueueDriver {
 public:
  explicit NatsDriver(const Plan& plan) : nats_(plan, plan.batch == 1), subject_(plan.queue) {
    jsSubOptions options;
    check(jsSubOptions_Init(&options), "options");
    options.Stream = subject_.c_str();
    options.Consumer = kDurable;
    check(
        js_PullSubscribe(&subscription_, nats_.jet(), subject_.c_str(), kDurable, nullptr, &options, nullptr),
        "subscribe");
  }
  ~NatsDriver() override {
    natsMsgList_Destroy(&messages_);
    natsSubscription_Destroy(subscription_);
  }

  void enqueue(std::span<const std::string_view> bodies) override {
    if (bodies.size() == 1) {
      check(js_Publish(nullptr, nats_.jet(), subject_.c_str(), bodies[0].data(),
                       static_cast<int>(bodies[0].size()), nullptr, nullptr),
            "publish");
      return;
    }
    for (const auto body : bodies) {
      check(
          js_PublishAsync(nats_.jet(), subject_.c_str(), body.data(), static_cast<int>(body.size()), nullptr),
          "publish");
    }
    jsPubOptions options;
    check(jsPubOptions_Init(&options), "options");
    options.MaxWait = kPatienceMs;
    check(js_PublishAsyncComplete(nats_.jet(), &options), "acknowledgements");
  }

  void lease(std::size_t max, BodyViews& out) override {
    out.clear();
    natsMsgList_Destroy(&messages_);
    messages_ = {};
    const auto status =
        natsSubscription_Fetch(&messages_, subscription_, static_cast<int>(max), kFetchWaitMs, nullptr);
    if (status == NATS_TIMEOUT) return;
    check(status, "fetch");
    for (int i = 0; i < messages_.Count; ++i) {
      out.emplace_back(natsMsg_GetData(messages_.Msgs[i]),
                       static_cast<std::size_t>(natsMsg_GetDataLength(messages_.Msgs[i])));
    }
  }

  void complete() override {
    for (int i = 0; i + 1 < messages_.Count; ++i)
      check(natsMsg_Ack(messages_.Msgs[i], nullptr), "acknowledge");
    jsOptions options;
    check(jsOptions_Init(&options), "options");
    options.Wait = kPatienceMs;
    check(natsMsg_AckSync(messages_.Msgs[messages_.Count - 1], &options, nullptr), "acknowledge");
  }

  // A fetch of no more than has arrived asks the server for nothing.
  bool stop() override {
    int arrived = 0, bytes = 0;
    check(natsSubscription_GetPending(subscription_, &arrived, &bytes), "count what has arrived");
    if (arrived == 0) return false;
    natsMsgList_Destroy(&messages_);
    messages_ = {};
    check(natsSubscription_Fetch(&messages_, subscription_, arrived, kFetchWaitMs, nullptr), "fetch");
    for (int i = 0; i < messages_.Count; ++i) check(natsMsg_Nak(messages_.Msgs[i], nullptr), "give back");
    return false;
  }

 private:
  Nats nats_;
  std::string subject_;
  natsSubscription* subscription_ = nullptr;
  natsMsgList messages_{};
};

void setup(const Plan& plan) {
  const Nats nats(plan, true);
  jsStreamConfig stream;
  check(jsStreamConfig_Init(&stream), "stream");
  const char* subjects[] = {plan.queue.c_str()};
  stream.Name = plan.queue.c_str();
  stream.Subjects = subjects;
  stream.SubjectsLen = 1;
  stream.Retention = js_WorkQueuePolicy;
  stream.Storage = js_FileStorage;
  check(js_AddStream(nullptr, nats.jet(), &stream, nullptr, nullptr), "stream");
  jsConsumerConfig consumer;
  check(jsConsumerConfig_Init(&consumer), "consumer");
  consumer.Durable = kDurable;
  consumer.AckPolicy = js_AckExplicit;
  consumer.MaxAckPending = kAckPendingMax;
  check(js_AddConsumer(nullptr, nats.jet(), plan.queue.c_str(), &consumer, nullptr, nullptr), "consumer");
}

std::uint64_t left(const Plan& plan) {
  const Nats nats(plan, true);
  jsStreamInfo* info = nullptr;
  check(js_GetStreamInfo(&info, nats.jet(), plan.queue.c_str(), nullptr, nullptr), "stream");
  const std::uint64_t out = info->State.Msgs;
  jsStreamInfo_Destroy(info);
  return out;
}

}  // namespace

Peer nats_peer() {
  return {"nats",
          [](const Plan& plan) -> std::unique_ptr<QueueDriver> { return std::make_unique<NatsDriver>(plan); },
          setup, left};
}

}  // namespace skep::bench::queue
