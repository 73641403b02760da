// SPDX-License-Identifier: Apache-2.0
// openapi.h - the API as an OpenAPI 3.1 document.
//
// Made from the table of endpoints (api/endpoints.h) and the descriptors of skep.proto, so it can not differ
// from what is served. Schemas describe the JSON form (api/json.h).
//
// Threads:   any thread.
// Cost:      builds the document at each call; a server keeps the text.
#pragma once

#include <string>

namespace skep::api {

std::string openapi_json();

}  // namespace skep::api
