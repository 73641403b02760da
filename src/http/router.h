// SPDX-License-Identifier: Apache-2.0
// router.h - from method and path to the number of a route.
//
// A template is literal text with at most one {parameter} in each segment: "/v1/tasks/{id}",
// "/v1/tasks/{id}:retry",
// "/v1/leases:acquire". A parameter is never empty and never contains '/'. Where several templates fit a path
// the one with more literal text in the first segment that differs is taken, whatever the method.
//
// Threads:   immutable once every route is added.
// Errors:    a malformed template, or one method twice on one path, is a mistake in the program and aborts.
// Ownership: owns copies of the templates; a match points into the router.
// Cost:      one look-up for each segment of the path.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"

namespace skep::http {

struct RouteMatch {
  enum class Kind : std::uint8_t { kFound, kNotFound, kMethodNotAllowed };
  Kind kind = Kind::kNotFound;
  std::size_t route = 0;                                             // kFound: as given to add()
  std::vector<std::pair<std::string_view, std::string>> parameters;  // kFound: from left to right
  std::string allow;  // kMethodNotAllowed: for the Allow header, "GET, HEAD, POST"

  // The parameter of that name; "" if the template has none.
  std::string_view parameter(std::string_view name) const;
};

class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // Whether HEAD finds a GET route: not where a GET changes something, or does not end.
  enum class Head : std::uint8_t { kAsGet, kNone };
  void add(Method method, std::string_view path_template, std::size_t route, Head head = Head::kAsGet);

  // `path` is decoded.
  RouteMatch match(Method method, std::string_view path) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace skep::http
