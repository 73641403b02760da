// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <cstdio>
#include <cstdlib>

namespace skep::bench::queue {

void fail(const std::string& why) {
  std::fprintf(stderr, "queue_bench: %s\n", why.c_str());
  std::fflush(stderr);
  std::_Exit(1);
}

}  // namespace skep::bench::queue
