// SPDX-License-Identifier: Apache-2.0
// The peers that this build has the libraries of.
#include "driver.h"

namespace skep::bench::queue {

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all = {
      skep_peer(),       bare_http_peer(),
#ifdef SKEP_BENCH_REDIS
      redis_peer(),
#endif
#ifdef SKEP_BENCH_NATS
      nats_peer(),
#endif
#ifdef SKEP_BENCH_RABBITMQ
      rabbitmq_peer(),
#endif
#ifdef SKEP_BENCH_POSTGRES
      postgres_peer(),
#endif
      beanstalkd_peer(),
  };
  return all;
}

}  // namespace skep::bench::queue
