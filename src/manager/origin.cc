// SPDX-License-Identifier: Apache-2.0
#include "manager/origin.h"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>

#include "base/network.h"

namespace skep::manager {
namespace {

bool is_of_another_site(const http::Headers& headers, std::string_view host) {
  const auto* site = headers.find("Sec-Fetch-Site");
  if (site != nullptr && (*site == "cross-site" || *site == "same-site")) return true;
  const auto* origin = headers.find("Origin");
  if (origin == nullptr) return false;
  const std::size_t scheme = origin->find("://");
  return scheme == std::string::npos || !boost::iequals(std::string_view(*origin).substr(scheme + 3), host);
}

// A GET of the seed's takes a lease.
bool may_change_something(const http::Request& request, api::Endpoint endpoint) {
  const bool only_looks = request.method == http::Method::kGet || request.method == http::Method::kHead;
  return !only_looks || endpoint == api::Endpoint::kSeedGetWork;
}

bool is_known(const std::string& host, const std::vector<std::string>& names) {
  if (Network::parse(host) || boost::iequals(host, "localhost") || boost::iends_with(host, ".localhost"))
    return true;
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return boost::iequals(name, host); });
}

}  // namespace

bool is_of_browser(const http::Headers& headers) {
  for (const std::string_view name : {"Origin", "Referer", "Sec-Fetch-Site", "Accept-Language"}) {
    if (headers.find(name) != nullptr) return true;
  }
  const auto* agent = headers.find("User-Agent");
  return agent != nullptr && agent->starts_with("Mozilla/");
}

std::string host_without_port(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  const std::size_t colon = host.find(':');
  return std::string(colon == host.rfind(':') ? host.substr(0, colon) : host);
}

Result<void> check_origin(const http::Request& request, api::Endpoint endpoint,
                          const std::vector<std::string>& names) {
  const auto* field = request.headers.find("Host");
  const std::string_view host = field != nullptr ? std::string_view(*field) : std::string_view();
  if (may_change_something(request, endpoint) && is_of_another_site(request.headers, host)) {
    return fail(
        Code::kForbidden,
        "a page of another site asks for this by a browser, which only this manager's own page may: make a "
        "token (skep token create), and send it");
  }
  if (!is_known(host_without_port(host), names)) {
    return fail(Code::kForbidden,
                "a browser asks for '" + std::string(host.substr(0, 200)) +
                    "', which is not known as a name of this manager: start it with --advertise HOST:PORT, "
                    "or open it by its address");
  }
  return ok();
}

}  // namespace skep::manager
