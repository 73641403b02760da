// SPDX-License-Identifier: Apache-2.0
// Stands in for page.cc in a program that is built without its page.
#include "web/page.h"

namespace skep::web {

std::shared_ptr<const http::Document> page() {
  return nullptr;
}

}  // namespace skep::web
