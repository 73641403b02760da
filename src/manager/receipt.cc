// SPDX-License-Identifier: Apache-2.0
#include "manager/receipt.h"

#include <charconv>

namespace skep::manager {

std::string receipt_text(const std::vector<ReceiptPart>& parts) {
  std::string text;
  for (const auto& part : parts) {
    text += (text.empty() ? "" : ",") + std::to_string(part.epoch) + "." + std::to_string(part.shard) + "." +
            std::to_string(part.number);
  }
  return text;
}

Result<std::vector<ReceiptPart>> parse_receipt(std::string_view text) {
  std::vector<ReceiptPart> parts;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  const auto refuse = [&] {
    return fail(Code::kInvalid, "'" + std::string(text.substr(0, 64)) + "' is not a receipt");
  };
  while (at != end) {
    ReceiptPart part;
    for (int field = 0; field < 3; ++field) {
      const auto [next, error] = field == 0   ? std::from_chars(at, end, part.epoch)
                                 : field == 1 ? std::from_chars(at, end, part.shard)
                                              : std::from_chars(at, end, part.number);
      const bool is_last = field == 2;
      if (error != std::errc{} || (!is_last && (next == end || *next != '.'))) return refuse();
      at = is_last ? next : next + 1;
    }
    parts.push_back(part);
    if (at != end && *at++ != ',') return refuse();
  }
  return parts;
}

}  // namespace skep::manager
