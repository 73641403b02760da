// SPDX-License-Identifier: Apache-2.0
// page.h - the page that people open at `/`: the built form of src/web/page, inside the program.
//
// Everything is in one document (script, style, icon), so that a browser asks for nothing else. Its policy
// names the hashes of its script and style: nothing else runs, and nothing is asked of another host.
//
// Threads:   any thread.
#pragma once

#include <memory>

#include "http/document.h"

namespace skep::web {

// Null in a program that was built without its page (SKEP_PAGE=OFF).
std::shared_ptr<const http::Document> page();

}  // namespace skep::web
