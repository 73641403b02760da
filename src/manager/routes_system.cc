// SPDX-License-Identifier: Apache-2.0
// Endpoints about the whole: cluster, queues, scaling, events, health.
#include <algorithm>
#include <charconv>

#include "api/json.h"
#include "api/openapi.h"
#include "manager/routes.h"

namespace skep::manager {
namespace {

using api::Endpoint;

void cluster(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    auto reply = binder.replier<api::v1::ClusterReply>(call);
    if (binder.is_shared(*call)) return binder.forwarder.cluster(std::move(reply));
    binder.service.cluster(std::move(reply));
  });
}

void list_queues(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    auto reply = binder.replier<api::v1::QueuesReply>(call);
    if (binder.is_shared(*call)) return binder.forwarder.list_queues(std::move(reply));
    binder.service.list_queues(std::move(reply));
  });
}

void patch_queue(Binder& binder, CallPtr call) {
  api::v1::PatchQueueRequest request;
  if (auto read = read_message(*call, request); !read) {
    binder.refuse(call, read.error());
    return;
  }
  binder.run([&binder, call, request = std::move(request)]() mutable {
    auto reply = binder.replier<api::v1::Queue>(call);
    if (binder.is_shared(*call))
      return binder.forwarder.patch_queue(call->path_param, std::move(request), std::move(reply));
    binder.service.patch_queue(call->path_param, std::move(request), std::move(reply));
  });
}

// The end of that millisecond. Without it everything counts.
Result<Instant> until_param(const Call& call) {
  constexpr std::uint64_t kYear2255Ms = 9'000'000'000'000;
  if (!call.param("until_ms")) return kNever;
  SKEP_TRY(const auto ms, number_param(call, "until_ms", 0, kYear2255Ms, std::nullopt));
  return from_unix_ms(static_cast<std::int64_t>(ms)) + milliseconds(1) - Duration(1);
}

void scaling(Binder& binder, CallPtr call) {
  const auto limit = number_param(*call, "limit", 1, 1'000, 50);
  if (!limit) {
    binder.refuse(call, limit.error());
    return;
  }
  const auto until = until_param(*call);
  if (!until) return binder.refuse(call, until.error());
  binder.run([&binder, call, until = until.value(), limit = static_cast<std::uint32_t>(limit.value())] {
    auto reply = binder.replier<api::v1::ScalingReply>(call);
    if (binder.is_shared(*call)) return binder.fleet.scaling(limit, until, std::move(reply));
    binder.service.scaling(limit, until, std::move(reply));
  });
}

void decisions(Binder& binder, CallPtr call) {
  const auto limit = number_param(*call, "limit", 1, 1'000, 50);
  if (!limit) return binder.refuse(call, limit.error());
  const auto until = until_param(*call);
  if (!until) return binder.refuse(call, until.error());
  DecisionQuery query;
  query.task = std::string(call->param("task").value_or(""));
  query.worker = std::string(call->param("worker").value_or(""));
  query.until = until.value();
  query.limit = limit.value();
  if (!query.task.empty()) {
    if (auto id = TaskId::parse(query.task); !id) return binder.refuse(call, id.error());
  }
  binder.run([&binder, call, query = std::move(query)] {
    auto reply = binder.replier<api::v1::DecisionsReply>(call);
    if (binder.is_shared(*call)) return binder.forwarder.decisions(query, std::move(reply));
    binder.service.decisions(query, std::move(reply));
  });
}

void share_fleet(Binder& binder, CallPtr call) {
  if (!call->is_forwarded) {
    binder.refuse(call, fail(Code::kInvalid, "only the manager that leads the fleet may share it out"));
    return;
  }
  api::v1::ShareRequest request;
  if (auto read = read_message(*call, request); !read) {
    binder.refuse(call, read.error());
    return;
  }
  binder.run([&binder, call, request = std::move(request)] {
    binder.fleet.take_share(request, binder.replier<api::v1::ShareReply>(call));
  });
}

std::shared_ptr<http::Stream> begin_stream(Call& call) {
  http::Response head;
  head.headers.set("Content-Type", "text/event-stream");
  head.headers.set("Cache-Control", "no-store");
  return std::move(call.responder).stream(std::move(head));
}

void live(Binder& binder, CallPtr call) {
  auto stream = begin_stream(*call);
  binder.run([&binder, stream, caller = call->caller] {
    const std::string role = caller.token_id.empty() ? "" : std::string(role_name(caller.role));
    binder.live.watch(role, [&binder, stream, caller](const std::string& event) {
      if (binder.guard.is_still_valid(caller)) return stream->write(event);
      stream->close();
      return false;
    });
  });
}

void order_fleet(Binder& binder, CallPtr call) {
  api::v1::OrderFleetRequest request;
  if (auto read = read_message(*call, request); !read) return binder.refuse(call, read.error());
  binder.run([&binder, call, request = std::move(request)] {
    binder.service.order_fleet(request, binder.replier<api::v1::ScalingState>(call));
  });
}

void cost(Binder& binder, CallPtr call) {
  binder.run([&binder, call] { binder.service.cost(binder.replier<api::v1::CostReply>(call)); });
}

void end_fleet_order(Binder& binder, CallPtr call) {
  binder.run(
      [&binder, call] { binder.service.end_fleet_order(binder.replier<api::v1::ScalingState>(call)); });
}

void events(Binder& binder, CallPtr call) {
  // A reader that comes back says what it saw last.
  std::uint64_t after = 0;
  if (const auto* last = call->request.headers.find("Last-Event-ID")) {
    std::from_chars(last->data(), last->data() + last->size(), after);
  }
  EventLog::Kinds kinds;
  for (const auto& [name, value] : call->request.query) {
    const auto& known = EventLog::kKinds;
    if (std::find(std::begin(known), std::end(known), value) == std::end(known)) {
      binder.refuse(call,
                    fail(Code::kInvalid, "query parameter 'kind' is task, worker, scaling or store, not '" +
                                             value.substr(0, 64) + "'"));
      return;
    }
    kinds.insert(value);
  }
  auto stream = begin_stream(*call);
  stream->write(": the events of this manager\n\n");
  binder.run([&binder, stream, after, kinds = std::move(kinds), caller = call->caller]() mutable {
    binder.service.subscribe(after, std::move(kinds), [&binder, stream, caller](const api::v1::Event& event) {
      if (!binder.guard.is_still_valid(caller)) {
        stream->close();
        return false;
      }
      return stream->write("id: " + std::to_string(event.sequence()) + "\nevent: " + event.kind() +
                           "\ndata: " + api::to_json(event) + "\n\n");
    });
  });
}

void ready(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    if (auto readiness = binder.service.readiness(); !readiness) {
      binder.refuse(call, readiness.error());
    } else {
      binder.send(call, http::Response::text(200, "text/plain; charset=utf-8", "ready\n"));
    }
  });
}

// What stands at `/` in a program without the page for people.
http::Document links_document() {
  constexpr std::string_view kText = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>skep</title>
<h1>skep manager</h1>
<p>An elastic, durable task queue for CPU work. For people: <code>skep status</code>.</p>
<ul>
<li><a href="/v1/cluster">/v1/cluster</a> - the whole state in numbers
<li><a href="/v1/queues">/v1/queues</a> - <a href="/v1/workers">/v1/workers</a> -
<a href="/v1/scaling">/v1/scaling</a>
<li><a href="/v1/tasks">/v1/tasks</a> - <a href="/v1/events">/v1/events</a>
<li><a href="/metrics">/metrics</a> - <a href="/healthz">/healthz</a> - <a href="/readyz">/readyz</a>
<li><a href="/openapi.json">/openapi.json</a> - the API
</ul></html>
)";
  return {"text/html; charset=utf-8", std::make_shared<const std::string>(kText), nullptr, "", {}};
}

}  // namespace

void bind_system_routes(Binder& binder, std::shared_ptr<const http::Document> page) {
  const auto bind = [&](Endpoint endpoint, void (*handler)(Binder&, CallPtr)) {
    binder.bind(endpoint, [&binder, handler](CallPtr call) { handler(binder, std::move(call)); });
  };
  bind(Endpoint::kCluster, cluster);
  bind(Endpoint::kListQueues, list_queues);
  bind(Endpoint::kPatchQueue, patch_queue);
  bind(Endpoint::kScaling, scaling);
  bind(Endpoint::kShareFleet, share_fleet);
  bind(Endpoint::kLive, live);
  bind(Endpoint::kOrderFleet, order_fleet);
  bind(Endpoint::kEndFleetOrder, end_fleet_order);
  bind(Endpoint::kCost, cost);
  bind(Endpoint::kDecisions, decisions);
  bind(Endpoint::kEvents, events);
  bind(Endpoint::kReady, ready);
  const auto fixed = [&](Endpoint endpoint, std::string_view type, std::string text) {
    auto body = std::make_shared<const std::string>(std::move(text));
    binder.bind(endpoint, [&binder, type, body](CallPtr call) {
      http::Response response;
      response.headers.set("Content-Type", std::string(type));
      response.body = body;
      binder.send(call, std::move(response));
    });
  };
  fixed(Endpoint::kHealth, "text/plain; charset=utf-8", "ok\n");
  fixed(Endpoint::kOpenApi, api::kJson, api::openapi_json());
  if (page == nullptr) page = std::make_shared<const http::Document>(links_document());
  binder.bind(Endpoint::kRoot,
              [&binder, page](CallPtr call) { binder.send(call, http::serve(*page, call->request)); });
}

}  // namespace skep::manager
