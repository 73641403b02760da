// SPDX-License-Identifier: Apache-2.0
#include "aws/transport_curl.h"

#include <curl/curl.h>

#include <algorithm>

namespace skep::aws {
namespace {

constexpr std::size_t kBodyBytesMax = std::size_t{64} << 20;
constexpr long kConnectTimeoutMs = 5'000;

struct Incoming {
  HttpResponse response;
  bool is_too_long = false;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  return text;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* into) {
  auto& headers = static_cast<Incoming*>(into)->response.headers;
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) headers.clear();  // what came before was a 100 Continue
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    headers.emplace_back(std::move(name), trimmed(line.substr(colon + 1)));
  }
  return size * count;
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
  auto& incoming = *static_cast<Incoming*>(into);
  if (incoming.response.body.size() + size * count > kBodyBytesMax) {
    incoming.is_too_long = true;
    return 0;
  }
  incoming.response.body.append(data, size * count);
  return size * count;
}

// Not 0 ends the request.
int look_whether_cancelled(void* asked, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(asked))() ? 1 : 0;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void append(HeaderList& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

HeaderList headers_of(const HttpRequest& request) {
  HeaderList list;
  // What libcurl would add of its own is taken out: it is not signed, and not meant.
  append(list, "Expect:");
  append(list, "Accept:");
  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    append(list, value.empty() ? name + ";" : name + ": " + value);
    has_type = has_type || name == "Content-Type";
  }
  if (!has_type) append(list, "Content-Type:");
  return list;
}

Error error_of(CURLcode code, bool is_sent, const HttpRequest& request) {
  const std::string what = std::string(authority_of(request)) + ": " + curl_easy_strerror(code);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fail(Code::kUnauthenticated, what);
    case CURLE_OPERATION_TIMEDOUT:
      return fail(is_sent ? Code::kUnknownOutcome : Code::kTimeout, what);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return fail(Code::kInvalid, what);
    default:
      return fail(is_sent ? Code::kUnknownOutcome : Code::kUnavailable, what);
  }
}

}  // namespace

struct CurlTransport::Impl {
  explicit Impl(std::function<bool()> asked) : is_cancelled(std::move(asked)) {}
  ~Impl() { curl_easy_cleanup(curl); }
  CURL* curl = curl_easy_init();
  const std::function<bool()> is_cancelled;
};

CurlTransport::CurlTransport(std::function<bool()> is_cancelled)
    : impl_(std::make_unique<Impl>(std::move(is_cancelled))) {}
CurlTransport::~CurlTransport() = default;

Result<HttpResponse> CurlTransport::exchange(const HttpRequest& request, Duration timeout) {
  CURL* const curl = impl_->curl;
  if (curl == nullptr) return fail(Code::kInternal, "libcurl could not be started");
  const auto& is_cancelled = impl_->is_cancelled;
  if (is_cancelled && is_cancelled())
    return fail(Code::kUnavailable, std::string(authority_of(request)) + ": it is not asked any more");
  curl_easy_reset(curl);  // connections stay
  const std::string query = canonical_query(request.query);
  const std::string url = request.origin + request.path + (query.empty() ? "" : "?" + query);
  const HeaderList headers = headers_of(request);
  const long timeout_ms = std::max<long>(1, static_cast<long>(timeout / milliseconds(1)));
  Incoming incoming;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::min(timeout_ms, kConnectTimeoutMs));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "skep/" SKEP_VERSION);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &incoming);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &incoming);
  if (is_cancelled) {
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_whether_cancelled);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &is_cancelled);
  }
  if (request.is_direct) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST" || request.method == "PUT" || !request.body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  const CURLcode code = curl_easy_perform(curl);
  if (incoming.is_too_long) return fail(Code::kUnknownOutcome, "the answer is longer than 64 MiB");
  if (code != CURLE_OK) {
    long sent = 0;
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent);
    return error_of(code, sent > 0, request);
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  incoming.response.status = static_cast<int>(status);
  return std::move(incoming.response);
}

}  // namespace skep::aws
