// SPDX-License-Identifier: Apache-2.0
// verify_engines.h - verify of each engine, behind verify_store().
//
// Threads:   any thread; blocks.
// Errors:    as verify.h.
#pragma once

#include <optional>
#include <string>

#include "store/verify.h"

namespace skep::store {

// Without `secret`, which skep.store has lost, what vouches for a commit is believed whoever wrote it.
Result<void> verify_rocksdb(const VerifyOptions& options, std::optional<std::uint64_t> secret,
                            VerifyReport& report);
// `secret` as skep.store says it.
Result<void> verify_log(const VerifyOptions& options, std::uint64_t secret, VerifyReport& report);

}  // namespace skep::store
