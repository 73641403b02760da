// SPDX-License-Identifier: Apache-2.0
#include "client/request.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "api/errors.h"
#include "api/json.h"
#include "base/check.h"

namespace skep::client {
namespace {

namespace json = boost::json;

http::Method method_of(std::string_view name) {
  using enum http::Method;
  for (const auto method : {kGet, kHead, kPut, kPost, kPatch, kDelete}) {
    if (http::method_name(method) == name) return method;
  }
  SKEP_CHECK(false, "the table of endpoints has a method that http does not know");
  return kOther;
}

std::string target_of(std::string_view path, const Arguments& arguments) {
  std::string target;
  const std::size_t open = path.find('{');
  if (open == std::string_view::npos) {
    target = path;
  } else {
    const std::size_t close = path.find('}', open);
    target = std::string(path.substr(0, open)) + http::percent_encode(arguments.path_value) +
             std::string(path.substr(close + 1));
  }
  char separator = '?';
  for (const auto& [name, value] : arguments.query) {
    target += std::exchange(separator, '&');
    target += http::percent_encode(name) + "=" + http::percent_encode(value);
  }
  return target;
}

std::string_view content_type(Encoding encoding) {
  return encoding == Encoding::kProtobuf ? api::kProtobuf : api::kJson;
}

// The media type of an answer without its parameters.
std::string_view media_type(const http::Response& response) {
  const std::string* type = response.headers.find("Content-Type");
  if (type == nullptr) return {};
  std::string_view text = *type;
  text = text.substr(0, text.find(';'));
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string_view body_of(const http::Response& response) {
  return response.body == nullptr ? std::string_view() : std::string_view(*response.body);
}

bool is_header_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool are_header_words(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// A member of an object as text; nothing if it is absent or another type.
std::optional<std::string> text_member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string().data(), value->get_string().size());
}

}  // namespace

http::ClientRequest make_request(api::Endpoint endpoint, const Arguments& arguments, Encoding encoding) {
  const auto& row = api::info(endpoint);
  http::ClientRequest request;
  request.method = method_of(row.method);
  request.target = target_of(row.path, arguments);
  if (!row.reply.empty()) request.headers.set("Accept", std::string(content_type(encoding)));
  return request;
}

void set_message(const google::protobuf::Message& message, Encoding encoding, http::ClientRequest& request) {
  request.headers.set("Content-Type", std::string(content_type(encoding)));
  request.body = std::make_shared<const std::string>(encoding == Encoding::kProtobuf
                                                         ? message.SerializeAsString()
                                                         : api::to_json(message, api::JsonStyle::kSparse));
}

Result<http::ClientRequest> make_enqueue(const api::v1::TaskOptions& options, http::Body body,
                                         Encoding encoding) {
  if (!is_header_text(options.idempotency_key())) {
    return fail(Code::kInvalid, "idempotency_key must be printable ASCII without blanks");
  }
  if (!is_header_text(options.traceparent()) || !are_header_words(options.tracestate()))
    return fail(Code::kInvalid, "traceparent and tracestate must be printable ASCII");
  Arguments arguments;
  const auto add = [&](std::string_view name, std::string value) {
    arguments.query.emplace_back(std::string(name), std::move(value));
  };
  const auto add_duration = [&](std::string_view name, std::uint64_t ms) {
    if (ms != 0) add(name, std::to_string(ms) + "ms");
  };
  if (!options.queue().empty()) add("queue", options.queue());
  if (!options.kind().empty()) add("kind", options.kind());
  if (options.iterations() != 0) add("iterations", std::to_string(options.iterations()));
  if (!options.program().empty()) add("program", options.program());
  if (options.has_priority()) add("priority", std::to_string(options.priority()));
  if (options.max_attempts() != 0) add("max_attempts", std::to_string(options.max_attempts()));
  add_duration("delay", options.delay_ms());
  add_duration("start_deadline", options.start_deadline_ms());
  add_duration("timeout", options.timeout_ms());
  for (const auto& tag : options.tags()) add("tag", tag);
  for (const auto& parameter : options.parameters()) add("parameter", parameter);
  if (options.has_checkpoint()) add("checkpoint", options.checkpoint() ? "true" : "false");
  http::ClientRequest request = make_request(api::Endpoint::kEnqueue, arguments, encoding);
  request.headers.set("Content-Type", "application/octet-stream");
  if (!options.idempotency_key().empty()) request.headers.set("Idempotency-Key", options.idempotency_key());
  if (!options.traceparent().empty()) request.headers.set("traceparent", options.traceparent());
  if (!options.tracestate().empty()) request.headers.set("tracestate", options.tracestate());
  request.body = std::move(body);
  return request;
}

Result<void> check_status(const http::Response& response) {
  if (response.status >= 200 && response.status < 300) return ok();
  return api::error_from_problem(response.status, body_of(response));
}

std::optional<Duration> retry_after(const http::Response& response) {
  const std::string* text = response.headers.find("Retry-After");
  if (text == nullptr) return std::nullopt;
  std::uint32_t whole = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), whole);
  // The other form, a date, would compare two clocks; it counts as not given.
  if (read.ec != std::errc{} || read.ptr != text->data() + text->size()) return std::nullopt;
  return seconds(whole);
}

Result<void> read_message(const http::Response& response, google::protobuf::Message& message) {
  const std::string_view type = media_type(response);
  if (type == api::kProtobuf) {
    const std::string_view bytes = body_of(response);
    if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return ok();
  } else if (type == api::kJson) {
    auto read = api::from_json(body_of(response), message);
    if (read.has_value()) return ok();
    return fail(Code::kInternal, "the manager's answer is not understood: " + read.error().message);
  }
  return fail(Code::kInternal, "the manager's answer is no " + message.GetDescriptor()->name() +
                                   " (its content type is \"" + std::string(type) + "\")");
}

std::string read_bytes(const http::Response& response) {
  return std::string(body_of(response));
}

Result<std::vector<Client::PulledResult>> read_pull_completed(const http::Response& response) {
  const Error not_understood =
      fail(Code::kInternal, "the manager's answer to pullCompleted is not understood");
  boost::system::error_code problem;
  const json::value tree = json::parse(body_of(response), problem);
  if (problem || !tree.is_object()) return not_understood;
  std::vector<Client::PulledResult> results;
  if (const auto* items = tree.get_object().if_contains("items"); items != nullptr && items->is_array()) {
    for (const auto& item : items->get_array()) {
      if (!item.is_object()) return not_understood;
      auto id = text_member(item.get_object(), "id");
      auto result = text_member(item.get_object(), "result");
      if (!id || !result) return not_understood;
      results.push_back({std::move(*id), std::move(*result)});
    }
    return results;
  }
  const auto* plain = tree.get_object().if_contains("results");
  if (plain == nullptr || !plain->is_array()) return not_understood;
  for (const auto& result : plain->get_array()) {
    if (!result.is_string()) return not_understood;
    results.push_back({"", std::string(result.get_string().data(), result.get_string().size())});
  }
  return results;
}

}  // namespace skep::client
