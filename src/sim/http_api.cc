// SPDX-License-Identifier: Apache-2.0
// What is asked of the routes, and how a request gets to them without a socket.
#include <charconv>

#include "api/convert.h"
#include "client/request.h"
#include "manager/routes.h"
#include "sim/api.h"

namespace skep::sim {
namespace {

namespace v1 = api::v1;
using api::Endpoint;

// Stands for a connection.
class SimAsker final : public http::Asker {
 public:
  SimAsker(std::function<bool()> is_gone, UniqueFunction<void(http::Response)> done)
      : is_gone_(std::move(is_gone)), done_(std::move(done)) {}

  void answer(UniqueFunction<http::Response()> make) override { done_(make()); }
  std::shared_ptr<http::Stream> open_stream(http::Response) override {
    SKEP_CHECK(false, "nobody asks for a stream here");
    return nullptr;
  }
  void drop() override { done_(manager::Routes::problem(500, "the request was dropped")); }
  bool is_gone() const override { return is_gone_(); }

 private:
  std::function<bool()> is_gone_;
  UniqueFunction<void(http::Response)> done_;
};

http::ClientRequest request_of(Endpoint endpoint, const std::string& path_value = "",
                               http::Query query = {}) {
  return client::make_request(endpoint, {path_value, std::move(query)}, client::Encoding::kProtobuf);
}
http::ClientRequest request_with(Endpoint endpoint, const google::protobuf::Message& message,
                                 const std::string& path_value = "") {
  auto request = request_of(endpoint, path_value);
  client::set_message(message, client::Encoding::kProtobuf, request);
  return request;
}
std::string in_ms(Duration span) {
  return std::to_string(span / milliseconds(1)) + "ms";
}

template <class Message>
UniqueFunction<void(http::Response)> reading(manager::Reply<Message> reply) {
  return [reply = std::move(reply)](const http::Response& response) mutable {
    if (auto status = client::check_status(response); !status) return reply(status.error());
    Message message;
    if (auto read = client::read_message(response, message); !read) return reply(read.error());
    reply(std::move(message));
  };
}

v1::EnqueueBatchRequest batch_of(const std::vector<Intent*>& intents) {
  v1::EnqueueBatchRequest batch;
  for (const Intent* intent : intents) {
    auto& task = *batch.add_tasks();
    api::from_spec(intent->spec, *task.mutable_options());
    task.set_body(intent->body);
  }
  return batch;
}

class HttpApi final : public Api {
 public:
  explicit HttpApi(manager::Routes& routes) : routes_(routes) {}
  ~HttpApi() override { *alive_ = false; }

  void enqueue(const std::vector<Intent*>& intents, Reply<v1::EnqueueBatchReply> reply) override {
    auto batch = batch_of(intents);
    if (intents.size() > 1) return ask(request_with(Endpoint::kEnqueueBatch, batch), std::move(reply));
    // One alone has a way of its own.
    auto request = client::make_enqueue(batch.tasks(0).options(),
                                        std::make_shared<const std::string>(intents.front()->body),
                                        client::Encoding::kProtobuf);
    SKEP_CHECK(request.has_value(), "a client's task can be sent");
    ask<v1::EnqueueReply>(std::move(request.value()),
                          [reply = std::move(reply)](Result<v1::EnqueueReply> answer) mutable {
                            if (!answer) return reply(answer.error());
                            v1::EnqueueBatchReply all;
                            *all.add_tasks() = std::move(answer.value());
                            reply(std::move(all));
                          });
  }
  void get(const TaskId& id, Duration wait, IsWanted is_wanted, Reply<v1::Task> reply) override {
    http::Query query;
    if (wait > Duration::zero()) query.emplace_back("wait", in_ms(wait));
    ask(request_of(Endpoint::kGetTask, id.to_string(), std::move(query)), std::move(reply),
        std::move(is_wanted));
  }
  void result(const TaskId& id, Reply<store::Blob> reply) override {
    send(request_of(Endpoint::kGetResult, id.to_string()), {},
         [reply = std::move(reply)](const http::Response& response) mutable {
           if (auto status = client::check_status(response); !status) return reply(status.error());
           reply(std::make_shared<const std::string>(client::read_bytes(response)));
         });
  }
  void cancel(const TaskId& id, Reply<v1::Task> reply) override {
    ask(request_of(Endpoint::kCancelTask, id.to_string()), std::move(reply));
  }
  void retry(const TaskId& id, Reply<v1::Task> reply) override {
    ask(request_of(Endpoint::kRetryTask, id.to_string()), std::move(reply));
  }
  // Each result once is the seed's call alone, which waits for nothing and knows no queues.
  void pull(const queue::Pull& command, Delivery delivery, Duration wait, IsWanted is_wanted,
            Reply<v1::PullReply> reply) override {
    if (delivery == Delivery::kOnce) return pull_once(command.max, std::move(reply));
    http::Query query{{"max", std::to_string(command.max)}};
    if (!command.queue.empty()) query.emplace_back("queue", command.queue);
    if (wait > Duration::zero()) query.emplace_back("wait", in_ms(wait));
    ask(request_of(Endpoint::kPullResults, "", std::move(query)), std::move(reply), std::move(is_wanted));
  }
  void ack(const v1::AckRequest& request, Reply<v1::AckReply> reply) override {
    ask(request_with(Endpoint::kAckResults, request), std::move(reply));
  }
  void patch_queue(const std::string& name, const v1::PatchQueueRequest& request,
                   Reply<v1::Queue> reply) override {
    ask(request_with(Endpoint::kPatchQueue, request, name), std::move(reply));
  }
  void list(const queue::ListTasks& query, Reply<v1::ListTasksReply> reply) override {
    http::Query there{{"limit", std::to_string(query.limit)}};
    if (query.after != TaskId{}) there.emplace_back("cursor", query.after.to_string());
    ask(request_of(Endpoint::kListTasks, "", std::move(there)), std::move(reply));
  }

  void register_worker(const v1::RegisterRequest& request, Reply<v1::RegisterReply> reply) override {
    ask(request_with(Endpoint::kRegisterWorker, request), std::move(reply));
  }
  void heartbeat(const std::string& worker, const v1::HeartbeatRequest& request,
                 Reply<v1::HeartbeatReply> reply) override {
    ask(request_with(Endpoint::kHeartbeat, request, worker), std::move(reply));
  }
  void acquire(const v1::AcquireRequest& request, IsWanted is_wanted,
               Reply<v1::AcquireReply> reply) override {
    ask(request_with(Endpoint::kAcquire, request), std::move(reply), std::move(is_wanted));
  }
  void complete(const v1::CompleteRequest& request, Reply<v1::CompleteReply> reply) override {
    ask(request_with(Endpoint::kComplete, request), std::move(reply));
  }
  void release(const v1::ReleaseRequest& request, Reply<v1::ReleaseReply> reply) override {
    ask(request_with(Endpoint::kRelease, request), std::move(reply));
  }
  void delete_worker(const std::string& worker, const std::string& reason, Reply<v1::Worker> reply) override {
    ask(request_of(Endpoint::kDeleteWorker, worker, {{"reason", reason}}), std::move(reply));
  }
  void drain_worker(const std::string& worker, Reply<v1::Worker> reply) override {
    ask(request_of(Endpoint::kDrainWorker, worker), std::move(reply));
  }
  void seed_get_work(const std::string& address, std::uint64_t connection,
                     Reply<manager::Service::SeedWork> reply) override {
    Caller caller;
    caller.address = address;
    caller.connection = connection;
    send(request_of(Endpoint::kSeedGetWork), std::move(caller),
         [reply = std::move(reply)](const http::Response& response) mutable {
           manager::Service::SeedWork work;
           work.is_exit_wanted = response.status == 400;
           if (work.is_exit_wanted) return reply(std::move(work));
           if (auto status = client::check_status(response); !status) return reply(status.error());
           const auto* text = response.headers.find("X-Iterations");
           work.is_found = text != nullptr;
           if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), work.iterations);
           work.body = response.body;
           reply(std::move(work));
         });
  }
  void seed_push_result(const std::string& address, std::uint64_t connection, const std::string& hex,
                        Reply<void> reply) override {
    auto request = request_of(Endpoint::kSeedPushResult);
    request.body = std::make_shared<const std::string>("{\"result\":\"" + hex + "\"}");
    Caller caller;
    caller.address = address;
    caller.connection = connection;
    send(std::move(request), std::move(caller),
         [reply = std::move(reply)](const http::Response& response) mutable {
           reply(client::check_status(response));
         });
  }

 private:
  // What is answered after the end of the manager nobody hears.
  void send(http::ClientRequest request, Caller caller, UniqueFunction<void(http::Response)> done) {
    serve(routes_, std::move(request), std::move(caller),
          [alive = alive_, done = std::move(done)](http::Response response) mutable {
            if (*alive) done(std::move(response));
          });
  }
  void pull_once(std::uint32_t max, Reply<v1::PullReply> reply) {
    send(request_of(Endpoint::kSeedPullCompleted, "", {{"top", std::to_string(max)}}), {},
         [reply = std::move(reply)](const http::Response& response) mutable {
           if (auto status = client::check_status(response); !status) return reply(status.error());
           auto pulled = client::read_pull_completed(response);
           if (!pulled) return reply(pulled.error());
           v1::PullReply message;
           for (auto& one : pulled.value()) {
             auto& item = *message.add_items();
             item.set_id(std::move(one.id));
             item.set_result(std::move(one.result));
           }
           reply(std::move(message));
         });
  }
  template <class Message>
  void ask(http::ClientRequest request, Reply<Message> reply, IsWanted is_wanted = {}) {
    Caller caller;
    if (is_wanted) {
      auto shared = std::make_shared<IsWanted>(std::move(is_wanted));
      caller.is_gone = [shared] { return !(*shared)(); };
    }
    send(std::move(request), std::move(caller), reading<Message>(std::move(reply)));
  }

  manager::Routes& routes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

void serve(manager::Routes& routes, http::ClientRequest request, Caller caller,
           UniqueFunction<void(http::Response)> done) {
  auto target = http::parse_target(request.target);
  SKEP_CHECK(target.has_value(), "a client's target can be read");
  http::Request arrived;
  arrived.method = request.method;
  arrived.path = std::move(target.value().path);
  arrived.query = std::move(target.value().query);
  arrived.headers = std::move(request.headers);
  arrived.body = request.body ? std::move(request.body) : std::make_shared<const std::string>();
  arrived.peer_address = std::move(caller.address);
  arrived.connection = caller.connection;
  routes.handle(std::move(arrived),
                http::Responder(std::make_shared<SimAsker>(std::move(caller.is_gone), std::move(done))));
}

std::unique_ptr<Api> make_http_api(manager::Routes& routes) {
  return std::make_unique<HttpApi>(routes);
}

}  // namespace skep::sim
