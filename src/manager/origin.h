// SPDX-License-Identifier: Apache-2.0
// origin.h - whether a call that counts without a token may come from a page in somebody's browser.
//
// Any page that a person opens can make the browser call an address on their own machine or network, and
// where no tokens are, the browser's call would count. So what changes something is refused to pages of other
// sites (Fetch standard: Origin; Fetch Metadata: Sec-Fetch-Site), and a browser is answered only by names
// that cannot have been pointed here by a stranger's name server: addresses, localhost, and this manager's
// own. Programs that are no browsers send none of the fields that tell one, and are let in as ever.
//
// Threads:   pure functions.
// Errors:    kForbidden, one sentence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/endpoints.h"
#include "base/result.h"
#include "http/message.h"

namespace skep::manager {

// A browser sends at least one such field with each call, and a page cannot take them all away.
bool is_of_browser(const http::Headers& headers);

// Of a call by a browser, without a token. `names`: hosts by which this manager is known, without ports.
Result<void> check_origin(const http::Request& request, api::Endpoint endpoint,
                          const std::vector<std::string>& names);

// "queue.example" of "queue.example:8080", "::1" of "[::1]:8080".
std::string host_without_port(std::string_view host);

}  // namespace skep::manager
