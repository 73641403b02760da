// SPDX-License-Identifier: Apache-2.0
#include "web/page.h"

#include "web/page_data.h"

namespace skep::web {
namespace {

template <std::size_t kSize>
http::Body bytes(const unsigned char (&data)[kSize]) {
  return std::make_shared<const std::string>(data, data + kSize);
}

}  // namespace

std::shared_ptr<const http::Document> page() {
  http::Document document;
  document.content_type = "text/html; charset=utf-8";
  document.plain = bytes(kPlain);
  document.gzip = bytes(kGzip);
  document.etag = kEtag;
  document.headers = {{"Content-Security-Policy", std::string(kPolicy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"}};
  return std::make_shared<const http::Document>(std::move(document));
}

}  // namespace skep::web
