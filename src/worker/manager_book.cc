// SPDX-License-Identifier: Apache-2.0
#include "worker/manager_book.h"

#include <algorithm>
#include <utility>

namespace skep::worker {
namespace {

bool contains(const std::vector<http::Url>& urls, const http::Url& url) {
  return std::any_of(urls.begin(), urls.end(),
                     [&](const http::Url& other) { return other.host_port() == url.host_port(); });
}

}  // namespace

Result<ManagerBook> ManagerBook::make(const std::vector<std::string>& urls) {
  ManagerBook book;
  for (const auto& text : urls) {
    SKEP_TRY(auto parsed, client::parse_managers(text));
    for (auto& url : parsed) {
      if (!contains(book.urls_, url)) book.urls_.push_back(std::move(url));
    }
  }
  if (book.urls_.empty()) return fail(Code::kInvalid, "a worker needs the URL of a manager");
  book.own_ = book.urls_.size();
  return book;
}

bool ManagerBook::is_own(const std::string& host_port) const {
  const auto end = urls_.begin() + static_cast<std::ptrdiff_t>(own_);
  return std::any_of(urls_.begin(), end, [&](const http::Url& url) { return url.host_port() == host_port; });
}

const http::Url& ManagerBook::find(const std::string& host_port) const {
  const auto found = std::find_if(urls_.begin(), urls_.end(),
                                  [&](const http::Url& url) { return url.host_port() == host_port; });
  return found == urls_.end() ? urls_.front() : *found;
}

void ManagerBook::shuffle(Random& random) {
  const auto end = urls_.begin() + static_cast<std::ptrdiff_t>(own_);
  auto own = client::in_random_order({urls_.begin(), end}, random);
  std::move(own.begin(), own.end(), urls_.begin());
}

bool ManagerBook::learn(const std::vector<std::string>& names) {
  std::vector<http::Url> urls(urls_.begin(), urls_.begin() + static_cast<std::ptrdiff_t>(own_));
  for (const auto& name : names) {
    auto parsed = client::parse_managers(name);
    if (!parsed.has_value() || parsed.value().size() != 1 || contains(urls, parsed.value()[0])) continue;
    // A name says nothing of TLS: what the operator's own managers speak holds. Nobody can lead a worker from
    // there to where its token goes over the wire as it is.
    parsed.value()[0].is_tls = urls.front().is_tls;
    if (urls.size() < std::max(kManagersMax, own_)) urls.push_back(std::move(parsed.value()[0]));
  }
  const bool is_same =
      urls.size() == urls_.size() &&
      std::all_of(urls.begin(), urls.end(), [&](const http::Url& url) { return contains(urls_, url); });
  if (is_same) return false;
  urls_ = std::move(urls);
  return true;
}

}  // namespace skep::worker
