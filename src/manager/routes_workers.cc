// SPDX-License-Identifier: Apache-2.0
// The routes of workers and leases: decode, ask the service, encode.
// Endpoints for workers.
#include "manager/routes.h"

namespace skep::manager {
namespace {

using api::Endpoint;

// Decodes a message and calls `use` with it on the service's executor.
template <class Request, class Use>
void with_message(Binder& binder, CallPtr call, Use use) {
  Request request;
  if (auto read = read_message(*call, request); !read) {
    binder.refuse(call, read.error());
    return;
  }
  binder.run([request = std::move(request), use = std::move(use)]() mutable { use(std::move(request)); });
}

void register_worker(Binder& binder, CallPtr call) {
  with_message<api::v1::RegisterRequest>(binder, call, [&binder, call](api::v1::RegisterRequest request) {
    binder.service.register_worker(std::move(request), binder.replier<api::v1::RegisterReply>(call));
  });
}

void heartbeat(Binder& binder, CallPtr call) {
  with_message<api::v1::HeartbeatRequest>(binder, call, [&binder, call](api::v1::HeartbeatRequest request) {
    auto reply = binder.replier<api::v1::HeartbeatReply>(call);
    if (call->is_forwarded) {
      binder.service.extend_for_sibling(call->path_param, request, std::move(reply));
    } else if (binder.has_siblings(*call)) {
      binder.forwarder.heartbeat(call->path_param, std::move(request), std::move(reply));
    } else {
      binder.service.heartbeat(call->path_param, std::move(request), std::move(reply));
    }
  });
}

void acquire(Binder& binder, CallPtr call) {
  with_message<api::v1::AcquireRequest>(binder, call, [&binder, call](api::v1::AcquireRequest request) {
    auto reply = binder.replier<Granted>(call);
    if (call->is_forwarded) {
      binder.service.acquire_for_sibling(request, std::move(reply));
    } else if (binder.has_siblings(*call)) {
      binder.forwarder.acquire(std::move(request), wanted_while_connected(call), std::move(reply));
    } else {
      binder.service.acquire(std::move(request), wanted_while_connected(call), std::move(reply));
    }
  });
}

void complete(Binder& binder, CallPtr call) {
  api::v1::CompleteRequest request;
  if (auto read = read_message(*call, request); !read) {
    binder.refuse(call, read.error());
    return;
  }
  binder.run([&binder, call, report = from_message(std::move(request))]() mutable {
    if (binder.has_siblings(*call))
      return binder.forwarder.complete(std::move(report), binder.replier<Settled>(call));
    binder.service.complete(std::move(report), binder.replier<Settled>(call));
  });
}

void release(Binder& binder, CallPtr call) {
  with_message<api::v1::ReleaseRequest>(binder, call, [&binder, call](api::v1::ReleaseRequest request) {
    auto reply = binder.replier<api::v1::ReleaseReply>(call);
    if (binder.has_siblings(*call)) return binder.forwarder.release(std::move(request), std::move(reply));
    binder.service.release(std::move(request), std::move(reply));
  });
}

void drain_worker(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    if (binder.pass_to_home(call->path_param, call)) return;
    binder.service.drain_worker_by_hand(call->path_param, binder.replier<api::v1::Worker>(call));
  });
}

void delete_worker(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    if (binder.pass_to_home(call->path_param, call)) return;
    binder.service.delete_worker(call->path_param, std::string(call->param("reason").value_or("")),
                                 binder.replier<api::v1::Worker>(call));
  });
}

void list_workers(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    auto reply = binder.replier<api::v1::WorkersReply>(call);
    if (binder.is_shared(*call)) return binder.forwarder.list_workers(std::move(reply));
    binder.service.list_workers(std::move(reply));
  });
}

void get_worker(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    auto reply = binder.replier<api::v1::Worker>(call);
    if (call->is_forwarded) return binder.service.get_worker(call->path_param, std::move(reply));
    binder.forwarder.get_worker(call->path_param, std::move(reply));
  });
}

void lose_worker(Binder& binder, CallPtr call) {
  if (!call->is_forwarded) {
    binder.refuse(call, fail(Code::kInvalid, "only another manager may say that its worker is lost"));
    return;
  }
  with_message<api::v1::LoseWorkerRequest>(binder, call, [&binder, call](api::v1::LoseWorkerRequest request) {
    binder.service.lose_for_sibling(call->path_param, request,
                                    binder.replier<api::v1::LoseWorkerReply>(call));
  });
}

}  // namespace

void bind_worker_routes(Binder& binder) {
  const auto bind = [&](Endpoint endpoint, void (*handler)(Binder&, CallPtr)) {
    binder.bind(endpoint, [&binder, handler](CallPtr call) { handler(binder, std::move(call)); });
  };
  bind(Endpoint::kRegisterWorker, register_worker);
  bind(Endpoint::kListWorkers, list_workers);
  bind(Endpoint::kGetWorker, get_worker);
  bind(Endpoint::kHeartbeat, heartbeat);
  bind(Endpoint::kDrainWorker, drain_worker);
  bind(Endpoint::kDeleteWorker, delete_worker);
  bind(Endpoint::kLoseWorker, lose_worker);
  bind(Endpoint::kAcquire, acquire);
  bind(Endpoint::kComplete, complete);
  bind(Endpoint::kRelease, release);
}

}  // namespace skep::manager
