// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/check.h"

namespace skep::api {
namespace {

namespace json = boost::json;
namespace pb = google::protobuf;
using Type = pb::FieldDescriptor::CppType;

constexpr std::string_view kBase64Suffix = "_base64";

// ---- writing ----

void append_escaped(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

template <class Number>
void append_number(Number number, std::string& out) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  out.append(text.data(), end.ptr);
}

class Writer {
 public:
  Writer(JsonStyle style, std::string& out) : style_(style), out_(out) {}

  void message(const pb::Message& message) {
    const pb::Descriptor& type = *message.GetDescriptor();
    open('{');
    for (int i = 0; i < type.field_count(); ++i) field(message, *type.field(i));
    close('}');
  }

 private:
  void field(const pb::Message& message, const pb::FieldDescriptor& field) {
    const pb::Reflection& reflection = *message.GetReflection();
    const bool is_sparse = style_ == JsonStyle::kSparse;
    if (field.is_repeated() ? is_sparse && reflection.FieldSize(message, &field) == 0
                            : (is_sparse || field.has_presence()) && !reflection.HasField(message, &field))
      return;
    if (field.type() == pb::FieldDescriptor::TYPE_BYTES) {
      std::string scratch;
      bytes(field.name(), reflection.GetStringReference(message, &field, &scratch));
      return;
    }
    key(field.name());
    if (!field.is_repeated()) {
      single(message, reflection, field);
      return;
    }
    open('[');
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      separate();
      element(message, reflection, field, i);
    }
    close(']');
  }

  void bytes(const std::string& name, const std::string& value) {
    if (value.empty()) return;
    if (is_valid_utf8(value)) {
      key(name);
      append_escaped(value, out_);
    } else {
      key(name + std::string(kBase64Suffix));
      append_escaped(base64_encode(value), out_);
    }
  }

  void single(const pb::Message& message, const pb::Reflection& reflection,
              const pb::FieldDescriptor& field) {
    std::string scratch;
    switch (field.cpp_type()) {
      case Type::CPPTYPE_INT32:
        return append_number(reflection.GetInt32(message, &field), out_);
      case Type::CPPTYPE_INT64:
        return append_number(reflection.GetInt64(message, &field), out_);
      case Type::CPPTYPE_UINT32:
        return append_number(reflection.GetUInt32(message, &field), out_);
      case Type::CPPTYPE_UINT64:
        return append_number(reflection.GetUInt64(message, &field), out_);
      case Type::CPPTYPE_DOUBLE:
        return number(reflection.GetDouble(message, &field));
      case Type::CPPTYPE_BOOL:
        out_ += reflection.GetBool(message, &field) ? "true" : "false";
        return;
      case Type::CPPTYPE_STRING:
        return text(reflection.GetStringReference(message, &field, &scratch));
      case Type::CPPTYPE_MESSAGE:
        return this->message(reflection.GetMessage(message, &field));
      default:
        SKEP_CHECK(false, "skep.proto uses a type that its JSON form does not have");
    }
  }

  void element(const pb::Message& message, const pb::Reflection& reflection, const pb::FieldDescriptor& field,
               int i) {
    std::string scratch;
    switch (field.cpp_type()) {
      case Type::CPPTYPE_INT64:
        return append_number(reflection.GetRepeatedInt64(message, &field, i), out_);
      case Type::CPPTYPE_UINT32:
        return append_number(reflection.GetRepeatedUInt32(message, &field, i), out_);
      case Type::CPPTYPE_UINT64:
        return append_number(reflection.GetRepeatedUInt64(message, &field, i), out_);
      case Type::CPPTYPE_DOUBLE:
        return number(reflection.GetRepeatedDouble(message, &field, i));
      case Type::CPPTYPE_STRING:
        return text(reflection.GetRepeatedStringReference(message, &field, i, &scratch));
      case Type::CPPTYPE_MESSAGE:
        return this->message(reflection.GetRepeatedMessage(message, &field, i));
      default:
        SKEP_CHECK(false, "skep.proto repeats a type that its JSON form does not repeat");
    }
  }

  void text(const std::string& value) {
    append_escaped(is_valid_utf8(value) ? value : to_valid_utf8(value), out_);
  }

  // JSON has no infinity and no NaN.
  void number(double value) {
    if (std::isfinite(value)) {
      append_number(value, out_);
    } else {
      out_ += "null";
    }
  }

  void key(const std::string& name) {
    separate();
    append_escaped(name, out_);
    out_ += style_ == JsonStyle::kIndented ? ": " : ":";
  }

  void open(char bracket) {
    out_ += bracket;
    ++depth_;
    is_first_ = true;
  }
  void separate() {
    if (!is_first_) out_ += ',';
    is_first_ = false;
    new_line();
  }
  void close(char bracket) {
    --depth_;
    if (!is_first_) new_line();
    is_first_ = false;
    out_ += bracket;
  }
  void new_line() {
    if (style_ != JsonStyle::kIndented) return;
    out_ += '\n';
    out_.append(2 * depth_, ' ');
  }

  JsonStyle style_;
  std::string& out_;
  std::size_t depth_ = 0;
  bool is_first_ = true;
};

// ---- reading ----

// Where a value stands; made into text only when there is an error to tell.
struct Place {
  const Place* parent = nullptr;
  std::string_view name;  // of a field; empty for an element
  std::size_t index = 0;  // of an element

  std::string to_string() const {
    if (parent == nullptr) return {};
    std::string path = parent->to_string();
    if (name.empty()) return path + "[" + std::to_string(index) + "]";
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  }
};

Error refuse(const Place& place, std::string_view what) {
  const std::string path = place.to_string();
  return fail(Code::kInvalid, path.empty() ? std::string(what) : path + ": " + std::string(what));
}

// A value as an error sentence shows it.
std::string shown(const json::value& value) {
  constexpr std::size_t kShownMax = 40;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (!value.is_string()) return json::serialize(value);
  std::string text(value.get_string().data(), value.get_string().size());
  if (text.size() > kShownMax) text = to_valid_utf8(text.substr(0, kShownMax)) + "...";
  std::string out;
  append_escaped(text, out);
  return out;
}

Error expected(const Place& place, std::string_view what, const json::value& value) {
  return refuse(place, "expected " + std::string(what) + ", got " + shown(value));
}

// A whole number as JSON writes it: 7, "7", 7e0. Numbers with a fraction or exponent are read as doubles, so
// they count only as far as a double is exact.
struct Whole {
  bool is_negative = false;
  std::uint64_t magnitude = 0;
};

std::optional<Whole> whole_from_text(std::string_view text) {
  Whole whole;
  if (text.starts_with('-')) {
    whole.is_negative = true;
    text.remove_prefix(1);
  }
  const auto read = std::from_chars(text.data(), text.data() + text.size(), whole.magnitude);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return whole;
}

std::optional<Whole> whole_from(const json::value& value) {
  constexpr double kExactMax = 0x1.0p53;
  switch (value.kind()) {
    case json::kind::uint64:
      return Whole{false, value.get_uint64()};
    case json::kind::int64: {
      const std::int64_t number = value.get_int64();
      const auto bits = static_cast<std::uint64_t>(number);
      return number < 0 ? Whole{true, ~bits + 1} : Whole{false, bits};
    }
    case json::kind::double_: {
      const double number = value.get_double();
      if (!(std::fabs(number) <= kExactMax) || number != std::trunc(number)) return std::nullopt;
      return Whole{number < 0, static_cast<std::uint64_t>(std::fabs(number))};
    }
    case json::kind::string:
      return whole_from_text({value.get_string().data(), value.get_string().size()});
    default:
      return std::nullopt;
  }
}

template <class Integer>
Result<Integer> read_integer(const json::value& value, const Place& place) {
  using Limits = std::numeric_limits<Integer>;
  const auto whole = whole_from(value);
  if (!whole) return expected(place, "a whole number", value);
  const bool is_negative = whole->is_negative && whole->magnitude != 0;
  std::uint64_t most = static_cast<std::uint64_t>(Limits::max());
  if (is_negative) most = Limits::is_signed ? most + 1 : 0;
  if (whole->magnitude > most) {
    return refuse(place, shown(value) + " is out of range: " + std::to_string(Limits::min()) + " to " +
                             std::to_string(Limits::max()));
  }
  return static_cast<Integer>(is_negative ? ~whole->magnitude + 1 : whole->magnitude);
}

Result<double> read_double(const json::value& value, const Place& place) {
  double number = 0;
  switch (value.kind()) {
    case json::kind::uint64:
      number = static_cast<double>(value.get_uint64());
      break;
    case json::kind::int64:
      number = static_cast<double>(value.get_int64());
      break;
    case json::kind::double_:
      number = value.get_double();
      break;
    default:
      return expected(place, "a number", value);
  }
  if (!std::isfinite(number)) return refuse(place, "the number is out of range");
  return number;
}

Result<std::string> read_text(const json::value& value, const Place& place) {
  if (!value.is_string()) return expected(place, "a string", value);
  return std::string(value.get_string().data(), value.get_string().size());
}

std::string names_of(const pb::Descriptor& type) {
  std::string names;
  for (int i = 0; i < type.field_count(); ++i) names += (i == 0 ? "" : ", ") + type.field(i)->name();
  return names;
}

struct Named {
  const pb::FieldDescriptor* field = nullptr;
  bool is_base64 = false;
};

// The field that `name` means, also as "x_base64".
Named find_field(const pb::Descriptor& type, std::string_view name) {
  if (const auto* field = type.FindFieldByName(std::string(name)); field != nullptr) return {field, false};
  if (!name.ends_with(kBase64Suffix)) return {};
  name.remove_suffix(kBase64Suffix.size());
  const auto* field = type.FindFieldByName(std::string(name));
  if (field == nullptr || field->type() != pb::FieldDescriptor::TYPE_BYTES) return {};
  return {field, true};
}

Result<void> read_message(const json::value& value, pb::Message& message, const Place& place);

Result<void> read_bytes(const json::value& value, bool is_base64, pb::Message& message,
                        const pb::FieldDescriptor& field, const Place& place) {
  SKEP_TRY(auto bytes, read_text(value, place));
  if (is_base64) {
    auto decoded = base64_decode(bytes);
    if (decoded.has_error()) return refuse(place, decoded.error().message);
    bytes = std::move(decoded.value());
  }
  message.GetReflection()->SetString(&message, &field, std::move(bytes));
  return ok();
}

Result<void> read_single(const json::value& value, pb::Message& message, const pb::FieldDescriptor& field,
                         const Place& place) {
  const pb::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case Type::CPPTYPE_INT32: {
      SKEP_TRY(const auto number, read_integer<std::int32_t>(value, place));
      reflection.SetInt32(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_INT64: {
      SKEP_TRY(const auto number, read_integer<std::int64_t>(value, place));
      reflection.SetInt64(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_UINT32: {
      SKEP_TRY(const auto number, read_integer<std::uint32_t>(value, place));
      reflection.SetUInt32(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_UINT64: {
      SKEP_TRY(const auto number, read_integer<std::uint64_t>(value, place));
      reflection.SetUInt64(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_DOUBLE: {
      SKEP_TRY(const auto number, read_double(value, place));
      reflection.SetDouble(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_BOOL:
      if (!value.is_bool()) return expected(place, "true or false", value);
      reflection.SetBool(&message, &field, value.get_bool());
      return ok();
    case Type::CPPTYPE_STRING: {
      SKEP_TRY(auto text, read_text(value, place));
      reflection.SetString(&message, &field, std::move(text));
      return ok();
    }
    case Type::CPPTYPE_MESSAGE:
      return read_message(value, *reflection.MutableMessage(&message, &field), place);
    default:
      SKEP_CHECK(false, "skep.proto uses a type that its JSON form does not have");
  }
  return ok();
}

Result<void> read_element(const json::value& value, pb::Message& message, const pb::FieldDescriptor& field,
                          const Place& place) {
  const pb::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case Type::CPPTYPE_INT64: {
      SKEP_TRY(const auto number, read_integer<std::int64_t>(value, place));
      reflection.AddInt64(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_UINT32: {
      SKEP_TRY(const auto number, read_integer<std::uint32_t>(value, place));
      reflection.AddUInt32(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_UINT64: {
      SKEP_TRY(const auto number, read_integer<std::uint64_t>(value, place));
      reflection.AddUInt64(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_DOUBLE: {
      SKEP_TRY(const auto number, read_double(value, place));
      reflection.AddDouble(&message, &field, number);
      return ok();
    }
    case Type::CPPTYPE_STRING: {
      SKEP_TRY(auto text, read_text(value, place));
      reflection.AddString(&message, &field, std::move(text));
      return ok();
    }
    case Type::CPPTYPE_MESSAGE:
      return read_message(value, *reflection.AddMessage(&message, &field), place);
    default:
      SKEP_CHECK(false, "skep.proto repeats a type that its JSON form does not repeat");
  }
  return ok();
}

Result<void> read_list(const json::value& value, pb::Message& message, const pb::FieldDescriptor& field,
                       const Place& place) {
  if (!value.is_array()) return expected(place, "a list", value);
  std::size_t index = 0;
  for (const auto& element : value.get_array()) {
    const Place here{&place, {}, index++};
    SKEP_TRY(read_element(element, message, field, here));
  }
  return ok();
}

Result<void> read_message(const json::value& value, pb::Message& message, const Place& place) {
  if (!value.is_object()) return expected(place, "an object", value);
  const pb::Descriptor& type = *message.GetDescriptor();
  const auto& object = value.get_object();
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    const Named named = find_field(type, name);
    const Place here{&place, name, 0};
    if (named.field == nullptr) {
      return refuse(place,
                    "unknown field " + shown(json::value(member.key())) + "; known are " + names_of(type));
    }
    if (member.value().is_null()) continue;  // as absent
    if (named.field->type() == pb::FieldDescriptor::TYPE_BYTES) {
      if (named.is_base64 && object.contains(named.field->name())) {
        return refuse(here, "given beside " + named.field->name() + "; give one of them");
      }
      SKEP_TRY(read_bytes(member.value(), named.is_base64, message, *named.field, here));
    } else if (named.field->is_repeated()) {
      SKEP_TRY(read_list(member.value(), message, *named.field, here));
    } else {
      SKEP_TRY(read_single(member.value(), message, *named.field, here));
    }
  }
  return ok();
}

// "line 3, column 14" of a byte offset.
std::string position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  std::size_t line = 1;
  for (const char c : before) line += c == '\n' ? 1 : 0;
  const std::size_t start = before.rfind('\n');
  const std::size_t column = start == std::string_view::npos ? offset + 1 : offset - start;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

Result<json::value> parse(std::string_view text, json::storage_ptr storage) {
  if (text.empty()) return fail(Code::kInvalid, "there is no JSON here: the body is empty");
  if (text.size() > kJsonBytesMax) {
    return fail(Code::kInvalid, "the JSON has " + std::to_string(text.size()) + " bytes, more than " +
                                    std::to_string(kJsonBytesMax));
  }
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  json::parser parser(std::move(storage), options);
  boost::system::error_code problem;
  const std::size_t read = parser.write(text.data(), text.size(), problem);
  if (problem) {
    return fail(Code::kInvalid, "not JSON at " + position(text, read) + ": " + problem.message());
  }
  return parser.release();
}

}  // namespace

std::string to_json(const pb::Message& message, JsonStyle style) {
  std::string out;
  Writer(style, out).message(message);
  return out;
}

Result<void> from_json(std::string_view text, pb::Message& message) {
  message.Clear();
  // The tree lives only in this call: one arena, freed at once.
  json::monotonic_resource arena(text.size() + 1024);
  SKEP_TRY(const auto tree, parse(text, &arena));
  auto result = read_message(tree, message, Place{});
  if (result.has_error()) message.Clear();
  return result;
}

}  // namespace skep::api
