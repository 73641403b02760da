// SPDX-License-Identifier: Apache-2.0
// token_import.h - the record of a token that was made elsewhere, so that another store accepts it too.
//
// Threads:   any thread; values in, values out.
// Errors:    kInvalid: what is given has not the form of a token.
#pragma once

#include "task/access_token.h"

namespace skep {

// With a salt of its own and without an end. Of the time only milliseconds count.
Result<TokenRecord> record_of(std::string_view token, Role role, std::string name, Instant now);

}  // namespace skep
