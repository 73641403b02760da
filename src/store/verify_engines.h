// SPDX-License-Identifier: Apache-2.0
// verify_engines.h - verify of each engine, behind verify_store().
//
// Threads:   any thread; blocks.
// Errors:    as verify.h.
#pragma once

#include <string>

#include "store/verify.h"

namespace skep::store {

Result<void> verify_rocksdb(const VerifyOptions& options, VerifyReport& report);
// `created_at` as skep.store says it.
Result<void> verify_log(const VerifyOptions& options, const std::string& created_at, VerifyReport& report);

}  // namespace skep::store
