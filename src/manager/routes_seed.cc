// SPDX-License-Identifier: Apache-2.0
// The seed's protocol: its clients and workers run unchanged. docs/protocol.md, section "The seed's
// protocol".
#include <algorithm>
#include <boost/json.hpp>

#include "api/json.h"
#include "http/client.h"
#include "manager/routes.h"

namespace skep::manager {
namespace {

using api::Endpoint;

http::Response json_response(std::string body) {
  return http::Response::text(200, api::kJson, std::move(body));
}

void enqueue(Binder& binder, CallPtr call) {
  const auto iterations = number_param(*call, "iterations", 1, limits::kIterationsMax, std::nullopt);
  if (!iterations) {
    binder.refuse(call, iterations.error());
    return;
  }
  const auto ask = [&binder, call, iterations = iterations.value()](Reply<queue::EnqueueReply> reply) {
    TaskSpec spec;
    spec.iterations = iterations;
    spec.trace = trace_of(call->request.headers);
    std::vector<Service::NewTask> tasks;
    tasks.push_back({std::move(spec), call->request.body});
    binder.service.enqueue(std::move(tasks), std::move(reply));
  };
  // An id needs no escaping: it is base32.
  const auto answer = [&binder, call](const queue::EnqueueReply& reply) {
    binder.send(call,
                json_response("{\"status\":\"success\",\"id\":\"" + reply.front().id.to_string() + "\"}"));
  };
  binder.run([&binder, call, ask, answer] {
    if (binder.is_shared(*call)) {
      binder.pass({binder.forwarder.shard_for_new(), 0}, call, false, [ask, answer](auto answered) {
        ask([answer, answered = std::move(answered)](Result<queue::EnqueueReply> reply) mutable {
          if (!reply) return answered(reply.error());
          answered(UniqueFunction<void()>([answer, value = std::move(reply.value())] { answer(value); }));
        });
      });
      return;
    }
    ask([&binder, call, answer](Result<queue::EnqueueReply> reply) {
      if (reply) {
        answer(reply.value());
      } else {
        binder.refuse(call, reply.error());
      }
    });
  });
}

std::string pulled_json(const api::v1::PullReply& pulled) {
  boost::json::array results;
  boost::json::array items;
  for (const auto& item : pulled.items()) {
    const std::string result = api::to_valid_utf8(item.result());
    results.emplace_back(result);
    boost::json::object entry{{"id", item.id()}, {"result", result}};
    // A program's result may be any bytes; the text is then only for people.
    if (result != item.result()) entry["result_base64"] = api::base64_encode(item.result());
    items.push_back(std::move(entry));
  }
  boost::json::object answer{{"results", std::move(results)}, {"items", std::move(items)}};
  // Only where somebody is: the seed's clients know of nothing else.
  if (pulled.silent_size() > 0)
    answer["silent"] = boost::json::array(pulled.silent().begin(), pulled.silent().end());
  return boost::json::serialize(answer);
}

void pull_completed(Binder& binder, CallPtr call) {
  const auto top = number_param(*call, "top", 1, ~std::uint64_t{0}, std::nullopt);
  if (!top) {
    binder.refuse(call, top.error());
    return;
  }
  queue::Pull command;
  command.max = static_cast<std::uint32_t>(std::min<std::uint64_t>(top.value(), limits::kPullMax));
  binder.run([&binder, call, command] {
    auto reply = [&binder, call](Result<api::v1::PullReply> pulled) {
      if (pulled) {
        binder.send(call, json_response(pulled_json(pulled.value())));
      } else {
        binder.refuse(call, pulled.error());
      }
    };
    const auto delivery = Service::Delivery::kOnce;
    if (binder.has_siblings(*call)) return binder.forwarder.pull(command, delivery, kNoInstant, {}, reply);
    binder.service.pull(command, delivery, kNoInstant, {}, reply);
  });
}

void register_sibling(Binder& binder, CallPtr call) {
  const auto sibling = http::parse_url(*call->param("sibling"));
  if (!sibling) {
    binder.refuse(call, with_context(sibling.error(), "query parameter 'sibling'"));
    return;
  }
  binder.run([&binder, call, address = sibling.value().host_port()] {
    binder.service.register_sibling(address, [&binder, call](Result<void> kept) {
      if (!kept) return binder.refuse(call, kept.error());
      binder.send(call, http::Response::text(200, "text/plain; charset=utf-8", "ok"));
    });
  });
}

void get_managers(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    boost::json::array managers;
    for (const auto& manager : binder.service.managers()) managers.emplace_back(manager);
    binder.send(
        call, json_response(boost::json::serialize(boost::json::object{{"managers", std::move(managers)}})));
  });
}

void send_work(Binder& binder, const CallPtr& call, Service::SeedWork work) {
  http::Response response;
  response.headers.set("Content-Type", "application/octet-stream");
  if (work.is_exit_wanted) {
    response =
        http::Response::text(400, "text/plain; charset=utf-8", "please exit: this worker is being drained\n");
  } else if (!work.is_found) {
    response.status = 204;
  } else {
    response.headers.set("X-Iterations", std::to_string(work.iterations));
    response.body = std::move(work.body);
  }
  binder.send(call, std::move(response));
}

void get_work(Binder& binder, CallPtr call) {
  binder.run([&binder, call] {
    auto reply = [&binder, call](Result<Service::SeedWork> work) {
      if (!work) return binder.refuse(call, work.error());
      send_work(binder, call, std::move(work.value()));
    };
    const auto& request = call->request;
    if (binder.has_siblings(*call))
      return binder.forwarder.seed_get_work(request.peer_address, request.connection, reply);
    binder.service.seed_get_work(request.peer_address, request.connection, reply);
  });
}

// {"result": HEX}; other members are passed over, as the seed does.
Result<std::string> decode_result(const std::string& body) {
  boost::system::error_code error;
  const auto value = boost::json::parse(body, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* result = object == nullptr ? nullptr : object->if_contains("result");
  if (result == nullptr || !result->is_string()) {
    return fail(Code::kInvalid, "the body must be JSON with the member \"result\", a string");
  }
  std::string hex(result->get_string());
  for (auto& c : hex) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  const bool is_hex = std::all_of(hex.begin(), hex.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (hex.size() != 128 || !is_hex)
    return fail(Code::kInvalid, "\"result\" must be the 128 hexadecimal digits of a SHA-512 digest");
  return hex;
}

void push_result(Binder& binder, CallPtr call) {
  auto hex = decode_result(*call->request.body);
  if (!hex) {
    binder.refuse(call, hex.error());
    return;
  }
  binder.run([&binder, call, hex = std::move(hex.value())]() mutable {
    const auto& request = call->request;
    binder.service.seed_push_result(request.peer_address, request.connection, std::move(hex),
                                    [&binder, call](Result<void> done) {
                                      if (done) {
                                        binder.send(call, json_response("{\"status\":\"success\"}"));
                                      } else {
                                        binder.refuse(call, done.error());
                                      }
                                    });
  });
}

}  // namespace

void bind_seed_routes(Binder& binder) {
  const auto bind = [&](Endpoint endpoint, void (*handler)(Binder&, CallPtr)) {
    binder.bind(endpoint, [&binder, handler](CallPtr call) { handler(binder, std::move(call)); });
  };
  bind(Endpoint::kSeedEnqueue, enqueue);
  bind(Endpoint::kSeedPullCompleted, pull_completed);
  bind(Endpoint::kSeedRegisterSibling, register_sibling);
  bind(Endpoint::kSeedGetManagers, get_managers);
  bind(Endpoint::kSeedGetWork, get_work);
  bind(Endpoint::kSeedPushResult, push_result);
}

}  // namespace skep::manager
