// SPDX-License-Identifier: Apache-2.0
// What client.h reads a refusal as: the three forms in which services write one, and which Code it is.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "aws/client.h"

namespace skep::aws {
namespace {

namespace json = boost::json;

constexpr std::size_t kMessageBytesMax = 500;

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// "com.amazon#Code:http://..." is Code.
std::string bare_code(std::string_view code) {
  code = code.substr(0, code.find(':'));
  const std::size_t hash = code.rfind('#');
  return std::string(hash == std::string_view::npos ? code : code.substr(hash + 1));
}

void read_json_error(Reply& reply) {
  boost::system::error_code error;
  const json::value parsed = json::parse(reply.http.body, error);
  if (error || !parsed.is_object()) return;
  const json::object& object = parsed.get_object();
  reply.error_code = bare_code(text_of(object, "__type"));
  reply.error_message = text_of(object, "message");
  if (reply.error_message.empty()) reply.error_message = text_of(object, "Message");
}

// EC2: Response/Errors/Error; IAM, STS: ErrorResponse/Error; S3: Error.
void read_xml_error(Reply& reply) {
  const auto parsed = parse_xml(reply.http.body);
  if (!parsed) return;
  const Element& root = parsed.value();
  const Element& error =
      root.name == "Error" ? root : (root.name == "Response" ? root.at("Errors") : root).at("Error");
  reply.error_code = error.text_of("Code");
  reply.error_message = error.text_of("Message");
}

struct Meaning {
  std::string_view part;  // of the error's code
  Code code;
};

// The first whose part is in the code counts.
constexpr Meaning kMeanings[] = {
    {"InvalidAMIID", Code::kInvalid},  // before NotFound: images do not show late
    {"NotFound", Code::kNotFound},
    {"NoSuch", Code::kNotFound},
    {"ParameterNotFound", Code::kNotFound},
    {"Duplicate", Code::kConflict},
    {"AlreadyExists", Code::kConflict},
    {"AlreadyOwnedByYou", Code::kConflict},
    {"DependencyViolation", Code::kConflict},
    {"DeleteConflict", Code::kConflict},
    {"InvalidIPAddress", Code::kExhausted},  // before InUse: another address may be free
    {"InUse", Code::kConflict},
    {"IncorrectState", Code::kConflict},
    {"IncorrectInstanceState", Code::kConflict},
    {"BucketNotEmpty", Code::kConflict},
    {"InvalidDBInstanceState", Code::kConflict},
    {"InvalidDBSubnetGroupState", Code::kConflict},
    {"Idempotent", Code::kConflict},
    {"OperationAborted", Code::kUnavailable},  // of S3: a bucket of that name is just being made or deleted
    {"Throttl", Code::kUnavailable},
    {"RequestLimitExceeded", Code::kUnavailable},
    {"SlowDown", Code::kUnavailable},
    {"TooManyRequests", Code::kUnavailable},
    {"Insufficient", Code::kExhausted},
    {"UnfulfillableCapacity", Code::kExhausted},
    {"UnsupportedOperation", Code::kInvalid},
    {"Unsupported", Code::kExhausted},
    {"LimitExceeded", Code::kExhausted},
    {"QuotaExceeded", Code::kExhausted},
    {"MaxSpotInstanceCountExceeded", Code::kExhausted},
    {"UnauthorizedOperation", Code::kForbidden},
    {"AccessDenied", Code::kForbidden},
    {"OptInRequired", Code::kForbidden},
    {"AuthFailure", Code::kUnauthenticated},
    {"ExpiredToken", Code::kUnauthenticated},
    {"InvalidClientTokenId", Code::kUnauthenticated},
    {"InvalidAccessKeyId", Code::kUnauthenticated},
    {"UnrecognizedClientException", Code::kUnauthenticated},
    {"IncompleteSignature", Code::kUnauthenticated},
    {"InvalidSignature", Code::kUnauthenticated},
    {"SignatureDoesNotMatch", Code::kUnauthenticated},
    {"MissingAuthenticationToken", Code::kUnauthenticated},
    {"RequestExpired", Code::kUnauthenticated},
    {"RequestTimeTooSkewed", Code::kUnauthenticated},
};

}  // namespace

void read_service_error(Reply& reply) {
  const bool is_json = reply.http.body.starts_with('{');
  if (is_json) {
    read_json_error(reply);
  } else {
    read_xml_error(reply);
  }
  // After its first line a refused signature's message goes on with the signed headers, a session token too.
  reply.error_message.resize(std::min(reply.error_message.find('\n'), reply.error_message.size()));
  if (reply.error_message.size() > kMessageBytesMax) reply.error_message.resize(kMessageBytesMax);
}

Code code_of(std::string_view error_code, int status) {
  for (const Meaning& meaning : kMeanings) {
    if (error_code.find(meaning.part) != std::string_view::npos) return meaning.code;
  }
  if (status == 404) return Code::kNotFound;
  if (status == 401 || (status == 403 && error_code.empty())) return Code::kForbidden;
  if (status == 429 || status >= 500) return Code::kUnavailable;
  return Code::kInvalid;
}

Error to_error(const Reply& reply) {
  const std::string what =
      reply.error_code.empty() ? "status " + std::to_string(reply.http.status) : reply.error_code;
  return fail(code_of(reply.error_code, reply.http.status),
              reply.subject + ": " + what + (reply.error_message.empty() ? "" : ": " + reply.error_message));
}

}  // namespace skep::aws
