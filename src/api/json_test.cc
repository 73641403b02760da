// SPDX-License-Identifier: Apache-2.0
// The JSON form: what is written is read back equal, for random messages; and each way to be wrong has its
// sentence.
#include "api/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "api/decisions.pb.h"
#include "api/skep.pb.h"

namespace skep::api {
namespace {

namespace pb = google::protobuf;

std::string sentence(std::string_view text) {
  v1::EnqueueBatchRequest message;
  const auto result = from_json(text, message);
  if (result.has_value()) return "no error";
  EXPECT_EQ(result.error().code, Code::kInvalid);
  EXPECT_EQ(message.ByteSizeLong(), 0u);
  return result.error().message;
}

// A message with every field set or not, at random.
std::string any_text(bool is_utf8) {
  const auto raw = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  return is_utf8 ? to_valid_utf8(raw) : raw;
}

void randomize_field(pb::Message& message, const pb::FieldDescriptor& field);

void randomize(pb::Message& message) {
  const auto& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (*rc::gen::arbitrary<bool>()) randomize_field(message, *type.field(i));
  }
}

void randomize_element(pb::Message& message, const pb::FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  using Field = pb::FieldDescriptor;
  switch (field.cpp_type()) {
    case Field::CPPTYPE_MESSAGE:
      return randomize(*reflection.AddMessage(&message, &field));
    case Field::CPPTYPE_INT64:
      return reflection.AddInt64(&message, &field, *rc::gen::arbitrary<std::int64_t>());
    case Field::CPPTYPE_UINT32:
      return reflection.AddUInt32(&message, &field, *rc::gen::arbitrary<std::uint32_t>());
    case Field::CPPTYPE_UINT64:
      return reflection.AddUInt64(&message, &field, *rc::gen::arbitrary<std::uint64_t>());
    case Field::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&message, &field, *rc::gen::arbitrary<std::int32_t>());
    default:
      return reflection.AddString(&message, &field, any_text(true));
  }
}

void randomize_field(pb::Message& message, const pb::FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  using Field = pb::FieldDescriptor;
  if (field.is_repeated()) {
    const int count = *rc::gen::inRange(0, 3);
    for (int i = 0; i < count; ++i) {
      randomize_element(message, field);
    }
    return;
  }
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT64:
      reflection.SetInt64(&message, &field, *rc::gen::arbitrary<std::int64_t>());
      break;
    case Field::CPPTYPE_UINT32:
      reflection.SetUInt32(&message, &field, *rc::gen::arbitrary<std::uint32_t>());
      break;
    case Field::CPPTYPE_UINT64:
      reflection.SetUInt64(&message, &field, *rc::gen::arbitrary<std::uint64_t>());
      break;
    case Field::CPPTYPE_DOUBLE:
      reflection.SetDouble(&message, &field, *rc::gen::arbitrary<std::int32_t>());
      break;
    case Field::CPPTYPE_BOOL:
      reflection.SetBool(&message, &field, *rc::gen::arbitrary<bool>());
      break;
    case Field::CPPTYPE_STRING:
      reflection.SetString(&message, &field, any_text(field.type() == Field::TYPE_STRING));
      break;
    case Field::CPPTYPE_MESSAGE:
      randomize(*reflection.MutableMessage(&message, &field));
      break;
    default:
      FAIL() << field.full_name();
  }
}

template <class Message>
void expect_round_trip() {
  Message message;
  randomize(message);
  for (const auto style : {JsonStyle::kCompact, JsonStyle::kIndented}) {
    const std::string text = to_json(message, style);
    boost::system::error_code problem;
    boost::json::parse(text, problem);
    RC_ASSERT(!problem);
    Message again;
    RC_LOG(text);
    const auto result = from_json(text, again);
    RC_ASSERT(result.has_value());
    RC_ASSERT(pb::util::MessageDifferencer::Equals(message, again));
  }
}

RC_GTEST_PROP(Json, TaskComesBackEqual, ()) {
  expect_round_trip<v1::Task>();
}
RC_GTEST_PROP(Json, BatchComesBackEqual, ()) {
  expect_round_trip<v1::EnqueueBatchRequest>();
}
RC_GTEST_PROP(Json, PatchComesBackEqual, ()) {
  expect_round_trip<v1::PatchQueueRequest>();
}
RC_GTEST_PROP(Json, ScalingComesBackEqual, ()) {
  expect_round_trip<v1::ScalingReply>();
}
RC_GTEST_PROP(Json, ListsOfNumbersComeBackEqual, ()) {
  expect_round_trip<v1::LiveHead>();
}
RC_GTEST_PROP(Json, OutcomesComeBackEqual, ()) {
  expect_round_trip<v1::CompleteRequest>();
}

RC_GTEST_PROP(Json, AnyTextIsReadOrRefusedButNeverBreaks, ()) {
  const auto text =
      *rc::gen::container<std::string>(rc::gen::elementOf(std::string("{}[]\":,0123456789eE+-.truefalsn ")));
  v1::Task message;
  RC_ASSERT(from_json(text, message).has_value() || message.ByteSizeLong() == 0);
}

RC_GTEST_PROP(Base64, ComesBackEqual, (const std::string& bytes)) {
  const auto decoded = base64_decode(base64_encode(bytes));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded.value() == bytes);
}

RC_GTEST_PROP(Utf8, RepairedTextIsValidAndValidTextIsKept, (const std::string& bytes)) {
  RC_ASSERT(is_valid_utf8(to_valid_utf8(bytes)));
  RC_ASSERT(is_valid_utf8(bytes) == (to_valid_utf8(bytes) == bytes));
}

TEST(Json, SchemasHaveOnlyWhatTheirJsonFormHas) {
  std::vector<const pb::Descriptor*> types;
  for (const auto* file : {v1::Problem::descriptor()->file(), v1::FleetPart::descriptor()->file(),
                           v1::DecisionsReply::descriptor()->file()}) {
    for (int m = 0; m < file->message_type_count(); ++m) types.push_back(file->message_type(m));
  }
  for (const auto* each : types) {
    const auto& type = *each;
    for (int f = 0; f < type.field_count(); ++f) {
      const auto& field = *type.field(f);
      EXPECT_FALSE(field.is_map()) << field.full_name();
      EXPECT_EQ(field.name().find("_base64"), std::string::npos) << field.full_name();
      EXPECT_NE(field.cpp_type(), pb::FieldDescriptor::CPPTYPE_ENUM) << field.full_name();
      EXPECT_NE(field.cpp_type(), pb::FieldDescriptor::CPPTYPE_FLOAT) << field.full_name();
      if (field.is_repeated()) {
        EXPECT_NE(field.type(), pb::FieldDescriptor::TYPE_BYTES) << field.full_name();
        EXPECT_NE(field.cpp_type(), pb::FieldDescriptor::CPPTYPE_BOOL) << field.full_name();
        EXPECT_NE(field.cpp_type(), pb::FieldDescriptor::CPPTYPE_INT32) << field.full_name();
      }
    }
  }
}

TEST(Json, WritesZeroesButNotWhatIsUnset) {
  v1::ResultItem item;
  EXPECT_EQ(to_json(item), R"({"id":"","queue":"","finished_at_ms":0})");
  v1::PullReply reply;
  reply.add_items()->set_result("ok");
  EXPECT_EQ(to_json(reply), R"({"items":[{"id":"","result":"ok","queue":"","finished_at_ms":0}],)"
                            R"("receipt":"","redelivered_at_ms":0,"silent":[]})");
  EXPECT_EQ(to_json(v1::PatchQueueRequest()), "{}");
  EXPECT_EQ(to_json(v1::PatchQueueRequest(), JsonStyle::kIndented), "{}");
}

TEST(Json, SparseNamesOnlyWhatIsUsed) {
  v1::CompleteRequest request;
  auto& outcome = *request.add_outcomes();
  outcome.set_lease("l");
  EXPECT_EQ(to_json(request, JsonStyle::kSparse), R"({"outcomes":[{"lease":"l"}]})");
  v1::TaskOptions options;
  options.set_checkpoint(false);
  EXPECT_EQ(to_json(options, JsonStyle::kSparse), R"({"checkpoint":false})")
      << "an optional field that is set";
  v1::TaskOptions read;
  ASSERT_TRUE(from_json(to_json(options, JsonStyle::kSparse), read));
  EXPECT_TRUE(read.has_checkpoint());
}

TEST(Json, IndentsForPeople) {
  v1::AckRequest message;
  message.set_receipt("r");
  message.add_ids("a");
  message.add_ids("b");
  EXPECT_EQ(to_json(message, JsonStyle::kIndented),
            "{\n  \"receipt\": \"r\",\n  \"ids\": [\n    \"a\",\n    \"b\"\n  ],\n  \"put_back\": [],\n  "
            "\"put_back_receipt\": \"\"\n}");
}

TEST(Json, BytesThatAreNotUtf8GoAsBase64) {
  v1::ResultItem item;
  item.set_result("\xff\x00\x01", 3);
  EXPECT_NE(to_json(item).find(R"("result_base64":"/wAB")"), std::string::npos);
}

TEST(Json, TextThatIsNotUtf8IsRepairedWhenWritten) {
  v1::AckRequest message;
  message.set_receipt("a\xff");
  EXPECT_EQ(to_json(message), R"({"receipt":"a?","ids":[],"put_back":[],"put_back_receipt":""})");
}

TEST(Json, ReadsWholeNumbersInEveryExactForm) {
  for (const auto* text : {"1000", "\"1000\"", "1e3", "1000.0", "1.0e3"}) {
    v1::TaskOptions options;
    const auto result = from_json("{\"iterations\":" + std::string(text) + "}", options);
    ASSERT_TRUE(result.has_value()) << text << " " << result.error().message;
    EXPECT_EQ(options.iterations(), 1000u);
  }
  v1::TaskOptions options;
  ASSERT_TRUE(from_json(R"({"iterations":18446744073709551615,"priority":0})", options).has_value());
  EXPECT_EQ(options.iterations(), 18446744073709551615u);
  EXPECT_TRUE(options.has_priority());
  v1::Task task;
  ASSERT_TRUE(from_json(R"({"ready_at_ms":-9223372036854775808,"enqueued_at_ms":"-1"})", task).has_value());
  EXPECT_EQ(task.ready_at_ms(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(task.enqueued_at_ms(), -1);
}

TEST(Json, NullIsAbsent) {
  v1::PatchQueueRequest patch;
  ASSERT_TRUE(from_json(R"({"paused":null,"max_depth":3})", patch).has_value());
  EXPECT_FALSE(patch.has_paused());
  EXPECT_EQ(patch.max_depth(), 3u);
}

TEST(Json, RefusalsNameTheFieldByItsPath) {
  EXPECT_EQ(sentence(R"({"tasks":[{},{"options":{"priority":"high"}}]})"),
            R"(tasks[1].options.priority: expected a whole number, got "high")");
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{"priority":4294967296}}]})"),
            "tasks[0].options.priority: 4294967296 is out of range: 0 to 4294967295");
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{"priority":-1}}]})"),
            "tasks[0].options.priority: -1 is out of range: 0 to 4294967295");
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{"iterations":1.5}}]})"),
            "tasks[0].options.iterations: expected a whole number, got 1.5E0");
  EXPECT_EQ(sentence(R"({"tasks":{}})"), "tasks: expected a list, got an object");
  EXPECT_EQ(sentence(R"({"tasks":[7]})"), "tasks[0]: expected an object, got 7");
  EXPECT_EQ(sentence(R"([])"), "expected an object, got a list");
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{"queue":5}}]})"),
            "tasks[0].options.queue: expected a string, got 5");
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{"tags":["a",1]}}]})"),
            "tasks[0].options.tags[1]: expected a string, got 1");
}

TEST(Json, UnknownFieldIsRefusedWithTheKnownOnes) {
  EXPECT_EQ(sentence(R"({"tasks":[{"options":{},"bodi":"x"}]})"),
            R"(tasks[0]: unknown field "bodi"; known are options, body)");
  EXPECT_EQ(sentence(R"({"tasks_base64":""})"), R"(unknown field "tasks_base64"; known are tasks)");
}

TEST(Json, BytesGivenTwiceOrBrokenAreRefused) {
  EXPECT_EQ(sentence(R"({"tasks":[{"body":"x","body_base64":"eA=="}]})"),
            "tasks[0].body_base64: given beside body; give one of them");
  EXPECT_EQ(sentence(R"({"tasks":[{"body_base64":"e"}]})"),
            "tasks[0].body_base64: not base64: one character is missing or too many");
}

TEST(Json, BrokenTextIsRefusedWithItsPlace) {
  EXPECT_EQ(sentence(""), "there is no JSON here: the body is empty");
  EXPECT_EQ(sentence("{\n  \"tasks\": x}").substr(0, 31), "not JSON at line 2, column 12: ");
  EXPECT_NE(sentence("{} trailing").find("not JSON"), std::string::npos);
  EXPECT_NE(sentence("{\"tasks\":").find("not JSON"), std::string::npos);
  EXPECT_NE(sentence("{\"tasks\":\"\xff\"}").find("not JSON"), std::string::npos);
  EXPECT_NE(sentence(std::string(1000, '[')).find("not JSON"), std::string::npos);
}

RC_GTEST_PROP(Json, DoublesComeBackToTheirLastBits, (double value)) {
  v1::HeartbeatRequest message;
  message.set_iterations_per_second(value);
  v1::HeartbeatRequest again;
  RC_ASSERT(from_json(to_json(message), again).has_value());
  RC_ASSERT(std::fabs(again.iterations_per_second() - value) <= 1e-15 * std::fabs(value));
}

TEST(Json, NumbersOutOfTheRangeOfADoubleAreRefused) {
  v1::HeartbeatRequest message;
  EXPECT_FALSE(from_json(R"({"iterations_per_second":1e999})", message).has_value());
  EXPECT_FALSE(from_json(R"({"iterations_per_second":"1"})", message).has_value());
  EXPECT_TRUE(from_json(R"({"iterations_per_second":2})", message).has_value());
  EXPECT_EQ(message.iterations_per_second(), 2.0);
}

TEST(Base64, KnownTexts) {
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
  EXPECT_EQ(base64_decode("Zm9vYg").value(), "foob");
  EXPECT_EQ(base64_decode("Zm9vYg==").value(), "foob");
}

TEST(Base64, RefusesWhatNoEncoderWrites) {
  for (const auto* text : {"Z", "Zm9vYg=", "Zm9v=g==", "Zm9vYh==", "Zm 9v", "Zm9vYmF-", "===="}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

TEST(Utf8, KnowsTheBordersOfTheCode) {
  for (const auto* good :
       {"", "plain", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << good;
  }
  for (const auto* bad : {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "eight ascii then \xff"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace skep::api
