// SPDX-License-Identifier: Apache-2.0
// receipt.h - what a pull gives for an acknowledgement: a part for each shard that results came from.
//
// Threads:   value.
// Errors:    kInvalid: the text is no receipt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "task/id.h"

namespace skep::manager {

// Of one owner of a shard: the next one does not know it.
struct ReceiptPart {
  Epoch epoch = 0;
  ShardId shard = 0;
  std::uint64_t number = 0;
};

// "EPOCH.SHARD.NUMBER", with commas between parts; "" is none.
std::string receipt_text(const std::vector<ReceiptPart>& parts);
Result<std::vector<ReceiptPart>> parse_receipt(std::string_view text);

}  // namespace skep::manager
