// SPDX-License-Identifier: Apache-2.0
// routes.h - the API over HTTP: the table of api/endpoints.h bound to the service's methods.
//
// A request is checked and decoded on the server's I/O thread, handed to the service's executor, and its
// answer is encoded on the I/O thread again. What the table does not list is refused: unknown paths, methods,
// query parameters, bodies.
//
// Threads:   handle() from any thread; the service is touched only on the executor.
// Errors:    each is answered as problem+json (api/errors.h).
// Ownership: borrows executor, service, forwarder, fleet, live, guard and metrics, which must outlive every
// request.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/endpoints.h"
#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "http/document.h"
#include "http/server.h"
#include "manager/cluster_fleet.h"
#include "manager/forwarder.h"
#include "manager/live.h"
#include "manager/messages.h"
#include "manager/service.h"
#include "manager/token_guard.h"

namespace skep::manager {

// One request on its way through. Shared by the callbacks that answer it.
struct Call {
  Call(http::Request r, http::Responder a, const api::EndpointInfo& e)
      : request(std::move(r)), responder(std::move(a)), endpoint(e) {}

  http::Request request;
  http::Responder responder;
  const api::EndpointInfo& endpoint;
  std::string path_param;  // the only one that a template has
  const TokenGuard* guard = nullptr;
  Caller caller;
  Instant began_at{};
  bool is_forwarded = false;  // a sibling asks: answered from what is here

  std::optional<std::string_view> param(std::string_view name) const { return request.param(name); }
};
using CallPtr = std::shared_ptr<Call>;

class Routes {
 public:
  Routes(Executor& executor, const Clock& clock, Service& service, Forwarder& forwarder, ClusterFleet& fleet,
         Live& live, TokenGuard& guard, Metrics& metrics, std::shared_ptr<const http::Document> page);
  ~Routes();
  Routes(const Routes&) = delete;
  Routes& operator=(const Routes&) = delete;

  void handle(http::Request request, http::Responder responder);

  // What the server itself answers (http::ServerOptions::problem).
  static http::Response problem(int status, std::string_view detail);

 private:
  struct Impl;
  void let_in(CallPtr call);

  std::unique_ptr<Impl> impl_;
};

// ---- for the files that bind endpoints ----

// The trace that a request is part of; none if its headers do not say so validly.
TraceContext trace_of(const http::Headers& headers);

class Binder {
 public:
  using Handler = std::function<void(CallPtr)>;

  Binder(Executor& on, const Clock& time, Service& serves, Forwarder& forwards, ClusterFleet& decides,
         Live& shows, TokenGuard& guards, Metrics& counts);

  void bind(api::Endpoint endpoint, Handler handler);
  const Handler& handler(api::Endpoint endpoint) const;

  // Others serve parts of what is asked for, in the same store.
  bool is_shared(const Call& call) const { return forwarder.is_active() && !call.is_forwarded; }
  // On the executor: others may have what is asked for, in the same store or in theirs.
  bool has_siblings(const Call& call) const { return forwarder.has_siblings() && !call.is_forwarded; }
  // On the executor: asks for a T where `shard` is served, by `ask` if that is here; else as it is elsewhere.
  template <class T>
  void answer_from(store::ShardAt at, CallPtr call, bool is_repeatable, std::function<void(Reply<T>)> ask) {
    pass(at, call, is_repeatable,
         [this, call, ask = std::move(ask)](UniqueFunction<void(Result<UniqueFunction<void()>>)> answered) {
           ask([this, call, answered = std::move(answered)](Result<T> reply) mutable {
             if (!reply) return answered(reply.error());
             answered(UniqueFunction<void()>([this, call, value = std::move(reply.value())]() mutable {
               answer(call, std::move(value));
             }));
           });
         });
  }
  using AskHere = std::function<void(UniqueFunction<void(Result<UniqueFunction<void()>>)>)>;
  void pass(store::ShardAt at, CallPtr call, bool is_repeatable, AskHere here);
  // On the executor: true if the worker is another manager's, which answers then.
  bool pass_to_home(const std::string& worker, const CallPtr& call);

  // Runs `work` on the service's executor.
  void run(UniqueFunction<void()> work) { executor.post(std::move(work)); }

  // For a path or a method that no endpoint has.
  void count_unknown(int status);
  void send(const CallPtr& call, http::Response response);
  void refuse(const CallPtr& call, const Error& error);
  // What the client accepts.
  static bool wants_protobuf(const Call& call);
  // `reply` in the encoding that the client accepts: a message, or what manager/messages.h makes one of.
  template <class T>
  void answer(const CallPtr& call, T reply) {
    std::move(call->responder).send_made([this, call, reply = std::move(reply)] {
      auto response =
          wants_protobuf(*call) ? protobuf_response(to_protobuf(reply)) : json_response(to_message(reply));
      note_sent(*call, response.status);
      return response;
    });
  }
  template <class T>
  Reply<T> replier(CallPtr call) {
    return [this, call = std::move(call)](Result<T> reply) {
      if (reply) {
        answer(call, std::move(reply.value()));
      } else {
        refuse(call, reply.error());
      }
    };
  }

  Executor& executor;
  const Clock& clock;
  Service& service;
  Forwarder& forwarder;
  ClusterFleet& fleet;
  Live& live;
  TokenGuard& guard;
  Metrics& metrics;

 private:
  // Of one endpoint; others than 200 are rare and are looked up.
  struct Meter {
    Counter ok;
    Histogram seconds;
  };

  void hand_back(const CallPtr& call, http::Response answer);
  static http::Response protobuf_response(std::string bytes);
  static http::Response json_response(const google::protobuf::Message& message);
  void note_sent(const Call& call, int status);

  std::vector<Handler> handlers_{api::endpoints().size()};
  CounterFamily requests_;
  std::vector<Meter> meters_;  // by endpoint
};

void bind_task_routes(Binder& binder);
void bind_worker_routes(Binder& binder);
void bind_seed_routes(Binder& binder);
// `page`: what stands at `/`; null is a list of links.
void bind_system_routes(Binder& binder, std::shared_ptr<const http::Document> page);
void bind_token_routes(Binder& binder);
void bind_metrics_route(Binder& binder);

// ---- decoding ----

// A whole number from `low` to `high`, or `fallback` if the parameter is absent.
Result<std::uint64_t> number_param(const Call& call, std::string_view name, std::uint64_t low,
                                   std::uint64_t high, std::optional<std::uint64_t> fallback);
Result<Duration> duration_param(const Call& call, std::string_view name, Duration max);
Result<void> read_message(const Call& call, google::protobuf::Message& message);
// Also no longer once the caller's token has ended.
IsWanted wanted_while_connected(const CallPtr& call);

}  // namespace skep::manager
