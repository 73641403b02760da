// SPDX-License-Identifier: Apache-2.0
#include "http/router.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>

#include "base/check.h"

namespace skep::http {
namespace {

constexpr std::size_t kMethods = static_cast<std::size_t>(Method::kOther);

// One segment of a template with a parameter in it: prefix{name}suffix.
struct Pattern {
  std::string prefix;
  std::string name;
  std::string suffix;

  bool operator==(const Pattern&) const = default;

  std::size_t literal_size() const { return prefix.size() + suffix.size(); }

  // What stands for the parameter in `segment`, if it fits.
  std::optional<std::string_view> value_in(std::string_view segment) const {
    if (segment.size() <= literal_size()) return std::nullopt;
    if (!segment.starts_with(prefix) || !segment.ends_with(suffix)) return std::nullopt;
    return segment.substr(prefix.size(), segment.size() - literal_size());
  }
};

// Nothing if the segment is literal.
std::optional<Pattern> parse_pattern(std::string_view segment, std::string_view path_template) {
  const std::size_t open = segment.find('{');
  const std::size_t close = segment.find('}');
  if (open == std::string_view::npos && close == std::string_view::npos) return std::nullopt;
  const bool is_one_name = open != std::string_view::npos && close != std::string_view::npos &&
                           open + 1 < close && segment.find('{', open + 1) == std::string_view::npos &&
                           segment.find('}', close + 1) == std::string_view::npos;
  SKEP_CHECK(is_one_name, "route '" + std::string(path_template) + "' has a malformed parameter");
  return Pattern{std::string(segment.substr(0, open)),
                 std::string(segment.substr(open + 1, close - open - 1)),
                 std::string(segment.substr(close + 1))};
}

// Takes the first segment of "/a/b" and leaves "/b".
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

}  // namespace

struct Router::Node {
  using Values = std::vector<std::pair<std::string_view, std::string_view>>;

  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::vector<std::pair<Pattern, std::unique_ptr<Node>>> patterns;  // most literal text first
  std::array<std::optional<std::size_t>, kMethods> routes;
  bool has_head = true;  // HEAD finds the GET route

  bool is_end() const {
    return std::any_of(routes.begin(), routes.end(), [](const auto& route) { return route.has_value(); });
  }

  Node& child(std::string_view segment, std::string_view path_template);
  const Node* find(std::string_view path, Values& values) const;
  std::optional<std::size_t> route_for(Method method) const;
  std::string allow() const;
};

Router::Node& Router::Node::child(std::string_view segment, std::string_view path_template) {
  std::optional<Pattern> pattern = parse_pattern(segment, path_template);
  if (!pattern) {
    std::unique_ptr<Node>& node = literals[std::string(segment)];
    if (!node) node = std::make_unique<Node>();
    return *node;
  }
  for (auto& [known, node] : patterns) {
    if (known == *pattern) return *node;
  }
  const auto place = std::find_if(patterns.begin(), patterns.end(), [&pattern](const auto& known) {
    return known.first.literal_size() < pattern->literal_size();
  });
  return *patterns.emplace(place, std::move(*pattern), std::make_unique<Node>())->second;
}

// Depth first, so that a literal segment that leads nowhere does not hide a parameter that does.
const Router::Node* Router::Node::find(std::string_view path, Values& values) const {
  if (path.empty()) return is_end() ? this : nullptr;
  const std::string_view segment = take_segment(path);
  if (const auto literal = literals.find(segment); literal != literals.end()) {
    if (const Node* end = literal->second->find(path, values)) return end;
  }
  for (const auto& [pattern, node] : patterns) {
    const std::optional<std::string_view> value = pattern.value_in(segment);
    if (!value) continue;
    values.emplace_back(pattern.name, *value);
    if (const Node* end = node->find(path, values)) return end;
    values.pop_back();
  }
  return nullptr;
}

std::optional<std::size_t> Router::Node::route_for(Method method) const {
  if (method == Method::kOther) return std::nullopt;
  const std::optional<std::size_t> own = routes[static_cast<std::size_t>(method)];
  if (own || method != Method::kHead || !has_head) return own;
  return routes[static_cast<std::size_t>(Method::kGet)];
}

std::string Router::Node::allow() const {
  std::string list;
  for (std::size_t i = 0; i < kMethods; ++i) {
    const auto method = static_cast<Method>(i);
    if (!route_for(method)) continue;
    if (!list.empty()) list += ", ";
    list += method_name(method);
  }
  return list;
}

std::string_view RouteMatch::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return "";
}

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(Method method, std::string_view path_template, std::size_t route, Head head) {
  SKEP_CHECK(path_template.starts_with('/'), "a route begins with '/'");
  SKEP_CHECK(method != Method::kOther, "a route needs a method of the list");
  Node* node = root_.get();
  for (std::string_view rest = path_template; !rest.empty();)
    node = &node->child(take_segment(rest), path_template);
  std::optional<std::size_t>& place = node->routes[static_cast<std::size_t>(method)];
  SKEP_CHECK(!place, "route '" + std::string(path_template) + "' is added twice");
  place = route;
  if (method == Method::kGet) node->has_head = head == Head::kAsGet;
}

RouteMatch Router::match(Method method, std::string_view path) const {
  RouteMatch match;
  if (!path.starts_with('/')) return match;
  Node::Values values;
  const Node* end = root_->find(path, values);
  if (end == nullptr) return match;
  const std::optional<std::size_t> route = end->route_for(method);
  if (!route) {
    match.kind = RouteMatch::Kind::kMethodNotAllowed;
    match.allow = end->allow();
    return match;
  }
  match.kind = RouteMatch::Kind::kFound;
  match.route = *route;
  for (const auto& [name, value] : values) match.parameters.emplace_back(name, std::string(value));
  return match;
}

}  // namespace skep::http
