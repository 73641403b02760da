// SPDX-License-Identifier: Apache-2.0
// RabbitMQ through librabbitmq: a durable quorum queue, persistent messages, publisher confirms, consumers
// that acknowledge.
//
// As RabbitMQ's documents advise: a batch is published at once and its confirms are awaited together;
// messages are pushed to a consumer (basic.get is advised against), as many ahead as the prefetch says; a
// batch is acknowledged by one basic.ack with `multiple`. A consumer alone has a prefetch of 200, from the
// range that the documents recommend. A connection that enqueues too takes no more ahead than it leases at
// once: what waits in its buffer would be missing to others that have nothing. AMQP does not answer an
// acknowledgement: complete() returns once it is sent, and the end of a run looks whether all have arrived.
#include <amqp.h>
#include <amqp_tcp_socket.h>

#include <algorithm>
#include <deque>
#include <set>

#include "driver.h"

namespace skep::bench::queue {
namespace {

constexpr amqp_channel_t kPublish = 1, kConsume = 2;
constexpr std::uint16_t kPrefetchAlone = 200;
constexpr int kFrameMax = 131072;  // the default of both ends; a body of 64 KiB is one frame
constexpr std::uint8_t kPersistent = 2;
constexpr const char* kConsumer = "worker";

amqp_bytes_t bytes_of(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}

class Rabbit {
 public:
  explicit Rabbit(const Plan& plan) : connection_(amqp_new_connection()) {
    amqp_socket_t* socket = amqp_tcp_socket_new(connection_);
    if (socket == nullptr || amqp_socket_open(socket, plan.host.c_str(), plan.port) != AMQP_STATUS_OK) {
      fail("can not connect to rabbitmq");
    }
    check(amqp_login(connection_, "/", 0, kFrameMax, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    open(kPublish);
  }
  ~Rabbit() { amqp_destroy_connection(connection_); }
  Rabbit(const Rabbit&) = delete;
  Rabbit& operator=(const Rabbit&) = delete;

  amqp_connection_state_t get() const { return connection_; }

  void open(amqp_channel_t channel) {
    amqp_channel_open(connection_, channel);
    check_last("open a channel");
  }
  void check_last(const char* what) { check(amqp_get_rpc_reply(connection_), what); }

  // Quorum queues are durable. `is_passive`: it must be there. Gives the messages that are ready.
  std::uint64_t declare(const std::string& name, bool is_passive) {
    amqp_table_entry_t type{};
    type.key = amqp_cstring_bytes("x-queue-type");
    type.value.kind = AMQP_FIELD_KIND_UTF8;
    type.value.value.bytes = amqp_cstring_bytes("quorum");
    const auto* reply =
        amqp_queue_declare(connection_, kPublish, bytes_of(name), is_passive ? 1 : 0, 1, 0, 0, {1, &type});
    check_last("declare the queue");
    return reply->message_count;
  }

 private:
  static void check(const amqp_rpc_reply_t& reply, const char* what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(std::string("rabbitmq does not ") + what);
  }

  amqp_connection_state_t connection_;
};

class RabbitDriver final : public QueueDriver {
 public:
  explicit RabbitDriver(const Plan& plan) : rabbit_(plan), queue_(plan.queue), batch_(plan.batch) {
    amqp_confirm_select(rabbit_.get(), kPublish);
    rabbit_.check_last("confirm");
  }

  void enqueue(std::span<const std::string_view> bodies) override {
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.delivery_mode = kPersistent;
    for (const auto body : bodies) {
      if (amqp_basic_publish(rabbit_.get(), kPublish, amqp_empty_bytes, bytes_of(queue_), 0, 0, &properties,
                             bytes_of(body)) != AMQP_STATUS_OK) {
        fail("rabbitmq takes no message");
      }
      unconfirmed_.insert(++published_);
    }
    while (!unconfirmed_.empty()) read_frame(nullptr);
  }

  void lease(std::size_t max, BodyViews& out) override {
    out.clear();
    leased_.clear();
    if (!is_consuming_) consume();
    timeval wait{0, kLeaseWaitMs * 1000};
    while (ready_.empty() && read_frame(&wait)) {
    }
    // What has come already belongs to the batch; what has not is not waited for.
    timeval none{0, 0};
    while (ready_.size() < max && !ready_.empty() && read_frame(&none)) {
    }
    while (leased_.size() < max && !ready_.empty()) {
      leased_.push_back(std::move(ready_.front()));
      ready_.pop_front();
    }
    for (const auto& each : leased_) out.push_back(each.body);
  }

  void complete() override {
    if (amqp_basic_ack(rabbit_.get(), kConsume, leased_.back().tag, 1) != 0) fail("rabbitmq takes no ack");
  }

  // A channel keeps acknowledgements back while 32 of its commands are on their way to a quorum queue, and
  // forgets them when it is closed. A basic.get is a command that is answered: once the first is, those
  // before it are applied and the rest is sent; once the second is, all are. What they take, and what came
  // ahead, the server gives to others when the channel closes.
  bool stop() override {
    if (!is_consuming_) return false;
    is_consuming_ = false;
    amqp_basic_cancel(rabbit_.get(), kConsume, amqp_cstring_bytes(kConsumer));
    rabbit_.check_last("cancel the consumer");
    for (int i = 0; i < 2; ++i) {
      const auto reply = amqp_basic_get(rabbit_.get(), kConsume, bytes_of(queue_), 0);
      if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail("rabbitmq does not answer a get");
    }
    amqp_channel_close(rabbit_.get(), kConsume, AMQP_REPLY_SUCCESS);
    return true;
  }

 private:
  struct Message {
    std::uint64_t tag = 0;
    std::size_t bytes = 0;
    std::string body;
  };

  void consume() {
    rabbit_.open(kConsume);
    const auto prefetch = published_ > 0 ? static_cast<std::uint16_t>(batch_) : kPrefetchAlone;
    amqp_basic_qos(rabbit_.get(), kConsume, 0, prefetch, 0);
    rabbit_.check_last("set the prefetch");
    amqp_basic_consume(rabbit_.get(), kConsume, bytes_of(queue_), amqp_cstring_bytes(kConsumer), 0, 0, 0,
                       amqp_empty_table);
    rabbit_.check_last("consume");
    is_consuming_ = true;
  }

  // Null waits for ever. False: nothing came.
  bool read_frame(timeval* wait) {
    amqp_frame_t frame;
    const int status = amqp_simple_wait_frame_noblock(rabbit_.get(), &frame, wait);
    if (status == AMQP_STATUS_TIMEOUT) return false;
    if (status != AMQP_STATUS_OK) fail(std::string("rabbitmq: ") + amqp_error_string2(status));
    if (frame.frame_type == AMQP_FRAME_METHOD) {
      on_method(frame.payload.method);
    } else if (frame.frame_type == AMQP_FRAME_HEADER) {
      arriving_.bytes = frame.payload.properties.body_size;
      arriving_.body.reserve(arriving_.bytes);
    } else if (frame.frame_type == AMQP_FRAME_BODY) {
      const auto part = frame.payload.body_fragment;
      arriving_.body.append(static_cast<const char*>(part.bytes), part.len);
      if (arriving_.body.size() == arriving_.bytes) ready_.push_back(std::move(arriving_));
    }
    amqp_maybe_release_buffers(rabbit_.get());
    return true;
  }

  void on_method(const amqp_method_t& method) {
    if (method.id == AMQP_BASIC_DELIVER_METHOD) {
      arriving_ = {};
      arriving_.tag = static_cast<const amqp_basic_deliver_t*>(method.decoded)->delivery_tag;
    } else if (method.id == AMQP_BASIC_ACK_METHOD) {
      const auto& ack = *static_cast<const amqp_basic_ack_t*>(method.decoded);
      if (ack.multiple != 0) {
        unconfirmed_.erase(unconfirmed_.begin(), unconfirmed_.upper_bound(ack.delivery_tag));
      } else {
        unconfirmed_.erase(ack.delivery_tag);
      }
    } else {
      fail(std::string("rabbitmq sends ") + amqp_method_name(method.id));
    }
  }

  Rabbit rabbit_;
  std::string queue_;
  std::size_t batch_;
  bool is_consuming_ = false;
  std::uint64_t published_ = 0;
  std::set<std::uint64_t> unconfirmed_;
  Message arriving_;
  std::deque<Message> ready_;
  std::vector<Message> leased_;
};

}  // namespace

Peer rabbitmq_peer() {
  return {
      "rabbitmq",
      [](const Plan& plan) -> std::unique_ptr<QueueDriver> { return std::make_unique<RabbitDriver>(plan); },
      [](const Plan& plan) { Rabbit(plan).declare(plan.queue, false); },
      [](const Plan& plan) { return Rabbit(plan).declare(plan.queue, true); }};
}

}  // namespace skep::bench::queue
