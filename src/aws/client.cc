// SPDX-License-Identifier: Apache-2.0
#include "aws/client.h"

#include <algorithm>
#include <charconv>

#include "aws/encoding.h"

namespace skep::aws {
namespace {

constexpr Duration kSkewMin = minutes(4);  // AWS allows 5

std::string form_body(const Call& call) {
  std::string body = "Action=" + call.operation + "&Version=" + std::string(service_version(call.service));
  for (const auto& [name, value] : call.form)
    body += "&" + percent_encoded(name) + "=" + percent_encoded(value);
  return body;
}

HttpRequest request_of(const Call& call, const Endpoint& endpoint) {
  HttpRequest request = call.http;
  request.origin = endpoint.origin;
  if (!service_version(call.service).empty()) {
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    request.body = form_body(call);
  }
  if (!call.bucket.empty() && endpoint.is_own) {
    request.origin.insert(std::string_view("https://").size(), call.bucket + ".");
  } else if (!call.bucket.empty()) {
    request.path = "/" + call.bucket + request.path;
  }
  return request;
}

std::string subject_of(const Call& call) {
  std::string name(service_name(call.service));
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name + " " + call.operation;
}

std::optional<Duration> asked_pause(const HttpResponse& response) {
  const std::string_view text = response.header("x-amz-retry-after");
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || ms < 0 || ms > 3'600'000)
    return std::nullopt;
  return milliseconds(ms);
}

}  // namespace

struct Client::Try {
  int done = 0;
  int repeated = 0;
  bool has_fresh_credentials = false;
  bool has_corrected_clock = false;
  std::optional<Verdict> paid;
};

Result<Reply> Client::once(const Call& call, const CallOptions& options) {
  SKEP_TRY(const Endpoint endpoint, find_endpoint(call.service, parts_.region, parts_.environment));
  HttpRequest request = request_of(call, endpoint);
  if (call.is_signed) {
    SKEP_TRY(const Credentials credentials, parts_.credentials.get(now()));
    sign(request, credentials, endpoint.scope, now() + skew_);
  }
  const Duration left = options.deadline - now();
  if (left <= Duration::zero()) return fail(Code::kTimeout, subject_of(call) + ": no time is left");
  auto response = parts_.transport.exchange(request, std::min(left, options.try_timeout));
  if (!response) return with_context(std::move(response.error()), subject_of(call));
  Reply reply;
  reply.http = std::move(response.value());
  reply.subject = subject_of(call);
  if (!reply.is_ok()) read_service_error(reply);
  return reply;
}

// Whether the service's clock differs so much that the date was the fault; it is followed from then on.
bool Client::corrects_clock(const Reply& reply) {
  const auto theirs = parse_http_date(reply.http.header("date"));
  if (!theirs) return false;
  const Duration wanted = *theirs - now();
  const Duration off = wanted - skew_;
  if (off < kSkewMin && off > -kSkewMin) return false;
  skew_ = wanted;
  return true;
}

std::optional<Duration> Client::with_fresh_credentials(Try& state) {
  if (state.has_fresh_credentials) return std::nullopt;
  state.has_fresh_credentials = true;
  parts_.credentials.forget();
  return Duration::zero();
}

std::optional<Duration> Client::next_pause(Try& state, const Result<Reply>& reply) {
  const bool is_answer = reply.has_value();
  if (!is_answer) {
    const Code code = reply.error().code;
    if (code != Code::kUnavailable && code != Code::kUnknownOutcome && code != Code::kTimeout)
      return std::nullopt;
  }
  const Verdict verdict =
      is_answer ? judge(reply.value().error_code, reply.value().http.status) : Verdict::kTransient;
  switch (verdict) {
    case Verdict::kFinal:
      return std::nullopt;
    case Verdict::kSkewed:
      if (!state.has_corrected_clock && corrects_clock(reply.value())) {
        state.has_corrected_clock = true;
        return Duration::zero();
      }
      // With a clock that is right, EC2 says the same of a session that has ended.
      if (reply.value().error_code != "RequestExpired") return std::nullopt;
      return with_fresh_credentials(state);
    case Verdict::kExpired:
      return with_fresh_credentials(state);
    case Verdict::kTransient:
    case Verdict::kThrottled:
      break;
  }
  if (!budget_.take(verdict)) return std::nullopt;
  state.paid = verdict;
  return retry_delay(verdict, state.repeated++, is_answer ? asked_pause(reply.value().http) : std::nullopt,
                     random_);
}

Result<Reply> Client::send(const Call& call, const CallOptions& options) {
  Try state;
  for (;;) {
    auto reply = once(call, options);
    if (reply && reply.value().is_ok()) {
      budget_.give_back(state.paid);
      return reply;
    }
    if (++state.done >= options.tries_max) return reply;
    const auto pause = next_pause(state, reply);
    if (!pause || now() + *pause >= options.deadline) return reply;
    if (*pause > Duration::zero()) parts_.pauses.pause(*pause);
  }
}

Result<Element> Client::send_xml(const Call& call, const CallOptions& options) {
  SKEP_TRY(const Reply reply, send(call, options));
  if (!reply.is_ok()) return to_error(reply);
  auto parsed = parse_xml(reply.http.body);
  if (!parsed) return with_context(std::move(parsed.error()), reply.subject);
  return parsed;
}

}  // namespace skep::aws
