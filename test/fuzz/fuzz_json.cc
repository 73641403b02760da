// fuzz: links api
// SPDX-License-Identifier: Apache-2.0
// Goal: no JSON text makes the decoder of requests crash, and what it takes is written and read back as the
// same message. Method: the input as each request that the API takes, and as a problem that a manager may
// answer.
#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/errors.h"
#include "api/json.h"
#include "api/skep.pb.h"

namespace {

using namespace skep;  // NOLINT(google-build-using-namespace): one file, no header
namespace v1 = api::v1;

void check(bool condition) {
  if (!condition) std::abort();
}

template <class Message>
void decode(std::string_view input) {
  Message message;
  const auto read = api::from_json(input, message);
  if (!read) {
    check(read.error().code == Code::kInvalid && !read.error().message.empty());
    check(message.ByteSizeLong() == 0);
    return;
  }
  for (const auto style : {api::JsonStyle::kCompact, api::JsonStyle::kIndented}) {
    const std::string text = api::to_json(message, style);
    check(api::is_valid_utf8(text));
    Message again;
    check(api::from_json(text, again).has_value());
    check(google::protobuf::util::MessageDifferencer::Equals(message, again));
  }
}

void decode_text(std::string_view input) {
  check(api::base64_decode(api::base64_encode(input)).value() == input);
  if (const auto bytes = api::base64_decode(input)) {
    check(api::base64_decode(api::base64_encode(bytes.value())).value() == bytes.value());
  }
  const std::string valid = api::to_valid_utf8(input);
  check(api::is_valid_utf8(valid));
  check(!api::is_valid_utf8(input) || valid == input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  decode<v1::EnqueueBatchRequest>(input);
  decode<v1::AckRequest>(input);
  decode<v1::RegisterRequest>(input);
  decode<v1::HeartbeatRequest>(input);
  decode<v1::AcquireRequest>(input);
  decode<v1::CompleteRequest>(input);
  decode<v1::ReleaseRequest>(input);
  decode<v1::PatchQueueRequest>(input);
  decode<v1::Task>(input);
  decode_text(input);
  for (const int status : {400, 409, 503}) check(!api::error_from_problem(status, input).message.empty());
  return 0;
}
