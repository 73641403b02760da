// SPDX-License-Identifier: Apache-2.0
// The peers that this build has the libraries of.
#include "driver.h"

namespace skep::bench::queue {

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all = {
      skep_peer(),
      bare_http_peer(),
#ifdef SKEP_BENCH_REDIS
      redis_peer(),
#endif
  };
  return all;
}

}  // namespace skep::bench::queue
