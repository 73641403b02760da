// SPDX-License-Identifier: Apache-2.0
// document.h - a page that is the same for everybody, and the answer to one who asks for it.
//
// What a browser has already is not sent again (ETag), and what can be sent compressed is.
//
// Threads:   value; serve() from any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "http/message.h"

namespace skep::http {

struct Document {
  std::string content_type;
  Body plain;        // never null
  Body gzip;         // the same, compressed; null if there is none
  std::string etag;  // of the plain form, without quotes; "" if the page is not to be kept
  std::vector<std::pair<std::string, std::string>> headers;  // sent along
};

// 200 with the form that the request accepts, or 304 if it names the one that it would get.
Response serve(const Document& document, const Request& request);

}  // namespace skep::http
