// SPDX-License-Identifier: Apache-2.0
// internal_parser.h - Beast's HTTP/1 parser, made to fill http/message.h values. For the files of http alone.
//
// Both parsers are fed the head first (not eager). A body with a Content-Length is then taken by the caller
// with internal_buffer.h's BodyBuffer, without another copy; a chunked one goes on through the parser into
// `body`.
//
// Threads:   value; one executor at a time.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/internal_text.h"
#include "http/message.h"

namespace skep::http {

using ParseError = boost::beast::error_code;
using HttpError = boost::beast::http::error;

// What both directions have in common.
template <bool is_request>
class MessageParser : public boost::beast::http::basic_parser<is_request> {
 public:
  Headers headers;
  std::shared_ptr<std::string> body = std::make_shared<std::string>();  // of a chunked message
  bool is_http_1_0 = false;

 protected:
  using Field = boost::beast::http::field;
  using View = boost::beast::string_view;

  static std::string_view view(View text) { return {text.data(), text.size()}; }

  // Called for each field of the head.
  virtual void on_head_field(Field name, std::string_view value, ParseError& error) = 0;

 private:
  void on_field_impl(Field name, View name_text, View value, ParseError& error) final {
    if (is_head_done_) return;  // trailers mean nothing to us
    on_head_field(name, view(value), error);
    if (!error) headers.add(view(name_text), std::string(view(value)));
  }
  void on_header_impl(ParseError& error) final {
    is_head_done_ = true;
    on_head_end(error);
  }
  virtual void on_head_end(ParseError&) {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ParseError&) final {}
  std::size_t on_body_impl(View bytes, ParseError&) final {
    body->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, ParseError&) final {}
  std::size_t on_chunk_body_impl(std::uint64_t, View bytes, ParseError&) final {
    body->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(ParseError&) final {}

  bool is_head_done_ = false;
};

class RequestParser final : public MessageParser<true> {
 public:
  Method method = Method::kOther;
  std::string target;
  bool expects_continue = false;
  // Why this parser itself refused the head; the status is 0 if it did not.
  int refused_status = 0;
  std::string_view refused_detail;

  static constexpr std::size_t kTargetBytesMax = 8 * 1024;

 private:
  void refuse(int status, std::string_view detail, ParseError& error) {
    refused_status = status;
    refused_detail = detail;
    error = HttpError::bad_value;
  }

  void on_request_impl(boost::beast::http::verb, View method_text, View target_text, int version,
                       ParseError& error) override {
    if (target_text.size() > kTargetBytesMax)
      return refuse(414, "the target is longer than 8192 bytes", error);
    method = method_of(view(method_text));
    target = std::string(view(target_text));
    is_http_1_0 = version == 10;
  }
  void on_response_impl(int, View, int, ParseError&) override {}

  void on_head_field(Field name, std::string_view value, ParseError& error) override {
    switch (name) {
      case Field::host:
        ++hosts_;
        return;
      case Field::transfer_encoding:
        // Beast takes an unknown coding for no body at all, and the body would then pass for the next
        // request.
        if (is_http_1_0) return refuse(400, "HTTP/1.0 has no Transfer-Encoding", error);
        if (!equal_without_case(value, "chunked"))
          refuse(501, "the only Transfer-Encoding is chunked", error);
        return;
      case Field::expect:
        if (is_http_1_0) return;
        expects_continue = equal_without_case(value, "100-continue");
        if (!expects_continue) refuse(417, "the only expectation is 100-continue", error);
        return;
      default:
        return;
    }
  }

  void on_head_end(ParseError& error) override {
    if (hosts_ > 1 || (hosts_ == 0 && !is_http_1_0))
      refuse(400, "a request needs exactly one Host header", error);
  }

  int hosts_ = 0;
};

class ResponseParser final : public MessageParser<false> {
 public:
  int status = 0;

 private:
  void on_request_impl(boost::beast::http::verb, View, View, int, ParseError&) override {}
  void on_response_impl(int code, View, int version, ParseError&) override {
    status = code;
    is_http_1_0 = version == 10;
  }
  void on_head_field(Field name, std::string_view value, ParseError& error) override {
    if (name == Field::transfer_encoding && !equal_without_case(value, "chunked"))
      error = HttpError::bad_value;
  }
};

}  // namespace skep::http
