// SPDX-License-Identifier: Apache-2.0
// bare_http.h - skep's HTTP layer with a handler that does nothing: what HTTP costs, without a queue or a
// disk.
//
// Threads:   blocks the calling thread until the process's input ends.
#pragma once

namespace skep::bench::queue {

// Says "listening on HOST:PORT", then answers as a manager would, with bodies and numbers as the driver asks
// for.
int serve_bare_http();

}  // namespace skep::bench::queue
