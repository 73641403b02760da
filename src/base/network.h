// SPDX-License-Identifier: Apache-2.0
// network.h - a range of IP addresses, as people write it: 10.0.0.0/8, fd00::/8, 127.0.0.1.
//
// Threads:   value.
// Errors:    parse: kInvalid with a sentence.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"

namespace skep {

class Network {
 public:
  // An address alone is itself. Bits beyond the prefix are ignored.
  static Result<Network> parse(std::string_view text);

  // `address` without port or brackets, as the system writes it. What is no address is not contained.
  bool contains(const std::string& address) const;

 private:
  bool is_v6_ = false;
  int prefix_bits_ = 0;
  std::array<unsigned char, 16> bytes_{};
};

}  // namespace skep
