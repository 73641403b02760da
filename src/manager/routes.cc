// SPDX-License-Identifier: Apache-2.0
#include "manager/routes.h"

#include <algorithm>
#include <charconv>

#include "api/errors.h"
#include "api/json.h"
#include "base/check.h"
#include "client/request.h"
#include "http/router.h"
#include "manager/origin.h"

namespace skep::manager {
namespace {

bool mentions(const std::string* field, std::string_view type) {
  return field != nullptr && field->find(type) != std::string::npos;
}

// The sentence for a status that the server or the router answers by itself.
std::string_view status_name(int status) {
  switch (status) {
    case 400:
      return "invalid";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 408:
      return "timeout";
    case 413:
      return "too_large";
    case 414:
      return "target_too_long";
    case 417:
      return "expectation_failed";
    case 431:
      return "header_too_large";
    case 501:
      return "not_implemented";
    case 503:
      return "unavailable";
    case 505:
      return "http_version";
    default:
      return "internal";
  }
}

Result<void> check_query(const Call& call) {
  for (const auto& [name, value] : call.request.query) {
    const auto& params = call.endpoint.params;
    const bool is_known =
        std::any_of(params.begin(), params.end(), [&](const auto& param) { return param.name == name; });
    if (!is_known) {
      return fail(Code::kInvalid, "query parameter '" + name.substr(0, 64) + "' is unknown at " +
                                      std::string(call.endpoint.path));
    }
  }
  for (const auto& param : call.endpoint.params) {
    const auto& query = call.request.query;
    const auto count =
        std::count_if(query.begin(), query.end(), [&](const auto& item) { return item.first == param.name; });
    if (count > 1 && !param.is_repeatable) {
      return fail(Code::kInvalid, "query parameter '" + std::string(param.name) + "' stands there " +
                                      std::to_string(count) + " times: say it once");
    }
    if (param.required && !call.param(param.name)) {
      return fail(Code::kInvalid,
                  "query parameter '" + std::string(param.name) + "' is missing: " + std::string(param.what));
    }
  }
  if (call.endpoint.body == api::BodyIs::kNone && !call.request.body->empty()) {
    return fail(Code::kInvalid,
                std::string(call.endpoint.method) + " " + std::string(call.endpoint.path) + " takes no body");
  }
  return ok();
}

Labels labels_of(const api::EndpointInfo& endpoint, int status) {
  return {{"route", std::string(endpoint.path)},
          {"method", std::string(endpoint.method)},
          {"code", std::to_string(status)}};
}

}  // namespace

// ---- Binder ----

Binder::Binder(Executor& on, const Clock& time, Service& serves, Forwarder& forwards, ClusterFleet& decides,
               Live& shows, TokenGuard& guards, Metrics& counts)
    : executor(on),
      clock(time),
      service(serves),
      forwarder(forwards),
      fleet(decides),
      live(shows),
      guard(guards),
      metrics(counts),
      requests_(counts.counters("skep_http_requests_total", "Requests answered, by route and status")) {
  const auto seconds =
      counts.histograms("skep_http_request_seconds",
                        "Time from a request's arrival to its answer, long-polls included", latency_bounds());
  for (const auto& row : api::endpoints()) {
    meters_.push_back(
        {requests_.with(labels_of(row, 200)), seconds.with({{"route", std::string(row.path)}})});
  }
}

void Binder::bind(api::Endpoint endpoint, Handler handler) {
  handlers_[static_cast<std::size_t>(endpoint)] = std::move(handler);
}

const Binder::Handler& Binder::handler(api::Endpoint endpoint) const {
  const auto& handler = handlers_[static_cast<std::size_t>(endpoint)];
  SKEP_CHECK(handler, "every endpoint of the table is bound");
  return handler;
}

TraceContext trace_of(const http::Headers& headers) {
  return parse_trace_context(headers.joined("traceparent"), headers.joined("tracestate"));
}

void Binder::note_sent(const Call& call, int status) {
  const Meter& meter = meters_[static_cast<std::size_t>(call.endpoint.endpoint)];
  (status == 200 ? meter.ok : requests_.with(labels_of(call.endpoint, status))).add();
  meter.seconds.observe(std::chrono::duration<double>(clock.now() - call.began_at).count());
}

// One label for all of them: who asks for what is not there may ask for anything.
void Binder::count_unknown(int status) {
  requests_.with({{"route", "unknown"}, {"method", "any"}, {"code", std::to_string(status)}}).add();
}

void Binder::send(const CallPtr& call, http::Response response) {
  note_sent(*call, response.status);
  std::move(call->responder).send(std::move(response));
}

void Binder::refuse(const CallPtr& call, const Error& error) {
  const int status = api::info(error.code).http_status;
  auto response = http::Response::text(status, api::kProblemJson, api::problem_json(error));
  if (status == 503 || status == 429) response.headers.set("Retry-After", "1");
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"skep\"");
  send(call, std::move(response));
}

bool Binder::wants_protobuf(const Call& call) {
  const auto* accept = call.request.headers.find("Accept");
  return mentions(accept, api::kProtobuf) ||
         (accept == nullptr && mentions(call.request.headers.find("Content-Type"), api::kProtobuf));
}

http::Response Binder::protobuf_response(std::string bytes) {
  return http::Response::text(200, api::kProtobuf, std::move(bytes));
}

http::Response Binder::json_response(const google::protobuf::Message& message) {
  return http::Response::text(200, api::kJson, api::to_json(message) + "\n");
}

// ---- passing on ----

namespace {

// The same request, as this manager asks it.
http::ClientRequest passed_on(const Call& call) {
  const auto encoding = Binder::wants_protobuf(call) ? client::Encoding::kProtobuf : client::Encoding::kJson;
  auto request =
      client::make_request(call.endpoint.endpoint, {call.path_param, call.request.query}, encoding);
  for (const std::string_view name : {"Content-Type", "Idempotency-Key"}) {
    if (const auto* value = call.request.headers.find(name)) request.headers.set(name, *value);
  }
  // As they came: the owner judges them, and one that came twice is invalid.
  for (const std::string_view name : {"traceparent", "tracestate"}) {
    if (auto value = call.request.headers.joined(name); !value.empty())
      request.headers.set(name, std::move(value));
  }
  request.body = call.request.body;
  return request;
}

}  // namespace

void Binder::hand_back(const CallPtr& call, http::Response answer) {
  http::Response response;
  response.status = answer.status;
  for (const std::string_view name : {"Content-Type", "Retry-After"}) {
    if (const auto* value = answer.headers.find(name)) response.headers.set(name, *value);
  }
  response.body = std::move(answer.body);
  send(call, std::move(response));
}

void Binder::pass(store::ShardAt at, CallPtr call, bool is_repeatable, AskHere here) {
  Forwarder::Passage passage;
  passage.at = at;
  passage.request = passed_on(*call);
  passage.is_repeatable = is_repeatable;
  if (const auto wait = call->param("wait")) passage.wait = parse_duration(*wait).value();
  passage.here = std::move(here);
  passage.there = [this, call](http::Response answer) { hand_back(call, std::move(answer)); };
  passage.refuse = [this, call](const Error& error) { refuse(call, error); };
  forwarder.pass(std::move(passage));
}

bool Binder::pass_to_home(const std::string& worker, const CallPtr& call) {
  const std::string address = has_siblings(*call) ? forwarder.home_of(worker) : "";
  if (address.empty()) return false;
  forwarder.relay(address, passed_on(*call), [this, call](Result<http::Response> answer) {
    if (answer) {
      hand_back(call, std::move(answer.value()));
    } else {
      refuse(call, answer.error());
    }
  });
  return true;
}

// ---- decoding ----

Result<std::uint64_t> number_param(const Call& call, std::string_view name, std::uint64_t low,
                                   std::uint64_t high, std::optional<std::uint64_t> fallback) {
  const auto text = call.param(name);
  if (!text && fallback) return *fallback;
  std::uint64_t value = 0;
  const auto end = text ? text->data() + text->size() : nullptr;
  const auto parsed = text ? std::from_chars(text->data(), end, value) : std::from_chars_result{};
  if (!text || text->empty() || parsed.ec != std::errc{} || parsed.ptr != end || value < low ||
      value > high) {
    return fail(Code::kInvalid, "query parameter '" + std::string(name) + "' must be a whole number from " +
                                    std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

Result<Duration> duration_param(const Call& call, std::string_view name, Duration max) {
  const auto text = call.param(name);
  if (!text) return Duration::zero();
  auto duration = parse_duration(*text);
  if (!duration) return with_context(duration.error(), "query parameter '" + std::string(name) + "'");
  if (duration.value() > max) {
    return fail(Code::kInvalid,
                "query parameter '" + std::string(name) + "' is longer than " + format_duration(max));
  }
  return duration;
}

Result<void> read_message(const Call& call, google::protobuf::Message& message) {
  if (!mentions(call.request.headers.find("Content-Type"), api::kProtobuf)) {
    return api::from_json(*call.request.body, message);
  }
  const auto& body = *call.request.body;
  if (message.ParseFromArray(body.data(), static_cast<int>(body.size()))) return ok();
  return fail(Code::kInvalid, "the body is not a protobuf message " + std::string(call.endpoint.request));
}

IsWanted wanted_while_connected(const CallPtr& call) {
  return [call] { return !call->responder.is_peer_gone() && call->guard->is_still_valid(call->caller); };
}

// ---- Routes ----

struct Routes::Impl {
  Impl(Executor& executor, const Clock& clock, Service& service, Forwarder& forwarder, ClusterFleet& fleet,
       Live& live, TokenGuard& guard, Metrics& metrics, std::shared_ptr<const http::Document> page)
      : binder(executor, clock, service, forwarder, fleet, live, guard, metrics) {
    for (const auto& row : api::endpoints()) {
      // A GET of the seed's takes a lease, and the events do not end.
      const bool is_plain = row.endpoint != api::Endpoint::kSeedGetWork &&
                            row.endpoint != api::Endpoint::kEvents && row.endpoint != api::Endpoint::kLive;
      router.add(http::method_of(row.method), row.path, static_cast<std::size_t>(row.endpoint),
                 is_plain ? http::Router::Head::kAsGet : http::Router::Head::kNone);
    }
    bind_task_routes(binder);
    bind_worker_routes(binder);
    bind_seed_routes(binder);
    bind_system_routes(binder, std::move(page));
    bind_token_routes(binder);
    bind_metrics_route(binder);
    for (const auto& row : api::endpoints()) (void)binder.handler(row.endpoint);
  }

  // By which a browser may ask for this manager.
  std::vector<std::string> names() const {
    std::vector<std::string> names = binder.service.options().host_names;
    names.push_back(host_without_port(binder.service.options().address));
    return names;
  }

  Binder binder;
  http::Router router;
};

Routes::Routes(Executor& executor, const Clock& clock, Service& service, Forwarder& forwarder,
               ClusterFleet& fleet, Live& live, TokenGuard& guard, Metrics& metrics,
               std::shared_ptr<const http::Document> page)
    : impl_(std::make_unique<Impl>(executor, clock, service, forwarder, fleet, live, guard, metrics,
                                   std::move(page))) {}

Routes::~Routes() = default;

void Routes::handle(http::Request request, http::Responder responder) {
  auto match = impl_->router.match(request.method, request.path);
  if (match.kind == http::RouteMatch::Kind::kNotFound) {
    impl_->binder.count_unknown(404);
    std::move(responder).send(
        problem(404, "there is nothing at " + request.path.substr(0, 200) + ": see /openapi.json"));
    return;
  }
  if (match.kind == http::RouteMatch::Kind::kMethodNotAllowed) {
    impl_->binder.count_unknown(405);
    auto response = problem(405, request.path.substr(0, 200) + " takes only " + match.allow);
    response.headers.set("Allow", match.allow);
    std::move(responder).send(std::move(response));
    return;
  }
  const auto& endpoint = api::endpoints()[match.route];
  auto call = std::make_shared<Call>(std::move(request), std::move(responder), endpoint);
  call->began_at = impl_->binder.clock.now();
  if (!match.parameters.empty()) call->path_param = std::move(match.parameters.front().second);
  TokenGuard& guard = impl_->binder.guard;
  call->guard = &guard;
  auto caller = guard.check(call->request, endpoint.endpoint);
  if (caller) {
    call->caller = std::move(caller.value());
    return let_in(std::move(call));
  }
  if (caller.error().code != Code::kNotFound) return impl_->binder.refuse(call, caller.error());
  guard.look_again([this, call] {
    auto again = call->guard->check(call->request, call->endpoint.endpoint);
    if (!again) {
      const bool is_unknown = again.error().code == Code::kNotFound;
      return impl_->binder.refuse(call, is_unknown ? TokenGuard::unknown_token() : again.error());
    }
    call->caller = std::move(again.value());
    let_in(call);
  });
}

// Past the guard: what is asked is looked at.
void Routes::let_in(CallPtr call) {
  const auto& endpoint = call->endpoint;
  // Where tokens are, what needs none is no secret: the page, which asks for one.
  const bool is_open = call->guard->has_tokens() && api::allowed_roles(endpoint.endpoint).is_everybody();
  if (call->caller.token_id.empty() && !is_open && is_of_browser(call->request.headers)) {
    if (auto checked = check_origin(call->request, endpoint.endpoint, impl_->names()); !checked)
      return impl_->binder.refuse(call, checked.error());
  }
  const bool may_forward = call->caller.token_id.empty() || call->caller.role == Role::kSibling;
  call->is_forwarded = may_forward && call->request.headers.find(kForwardedHeader) != nullptr;
  if (auto checked = check_query(*call); !checked) {
    impl_->binder.refuse(call, checked.error());
    return;
  }
  if (endpoint.body == api::BodyIs::kRaw && call->request.body->size() > limits::kBodyBytesMax) {
    impl_->binder.send(call,
                       problem(413, "the body has " + describe_bytes(call->request.body->size()) +
                                        "; a task's may have " + describe_bytes(limits::kBodyBytesMax)));
    return;
  }
  impl_->binder.handler(endpoint.endpoint)(std::move(call));
}

http::Response Routes::problem(int status, std::string_view detail) {
  return http::Response::text(status, api::kProblemJson,
                              api::problem_json(status, status_name(status), detail));
}

}  // namespace skep::manager
