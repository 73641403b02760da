// SPDX-License-Identifier: Apache-2.0
// Signs each request that comes as a line of JSON on standard input, and prints its headers as one.
#include <boost/json.hpp>
#include <iostream>

#include "aws/encoding.h"
#include "aws/signer.h"
#include "base/secret.h"

namespace json = boost::json;

namespace {

std::string text(const json::object& object, const char* name) {
  return std::string(object.at(name).as_string());
}

skep::aws::Pairs pairs(const json::value& list) {
  skep::aws::Pairs out;
  for (const json::value& pair : list.as_array())
    out.emplace_back(pair.at(0).as_string().c_str(), pair.at(1).as_string().c_str());
  return out;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const json::value parsed = json::parse(line);
    const json::object& given = parsed.as_object();
    skep::aws::HttpRequest request;
    request.method = text(given, "method");
    request.origin = text(given, "origin");
    // A path is given as it is before its encoding, which is ours to do.
    request.path = skep::aws::percent_encoded(text(given, "path"), skep::aws::Slash::kKept);
    request.query = pairs(given.at("query"));
    request.headers = pairs(given.at("headers"));
    request.body = skep::bytes_of_hex(text(given, "body"));
    const skep::Instant now(skep::seconds(given.at("now").as_int64()));
    skep::aws::sign(request, {text(given, "id"), text(given, "secret"), text(given, "token"), skep::kNever},
                    {text(given, "region"), text(given, "service")}, now);
    json::object shown;
    for (const auto& [name, value] : request.headers) shown[name] = value;
    std::cout << json::serialize(json::object{{"path", request.path},
                                              {"query", skep::aws::canonical_query(request.query)},
                                              {"headers", std::move(shown)}})
              << "\n";
  }
}
