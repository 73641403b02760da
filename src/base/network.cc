// SPDX-License-Identifier: Apache-2.0
#include "base/network.h"

#include <arpa/inet.h>

#include <charconv>

namespace skep {
namespace {

using Bytes = std::array<unsigned char, 16>;

bool read_address(const std::string& text, bool& is_v6, Bytes& bytes) {
  is_v6 = text.find(':') != std::string::npos;
  return inet_pton(is_v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) == 1;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const auto bad = [&] {
    return fail(Code::kInvalid, "'" + std::string(text) +
                                    "' is no range of addresses: write ADDRESS/BITS, such as 10.0.0.0/8");
  };
  Network network;
  const auto slash = text.find('/');
  if (!read_address(std::string(text.substr(0, slash)), network.is_v6_, network.bytes_)) return bad();
  const int bits_max = network.is_v6_ ? 128 : 32;
  network.prefix_bits_ = bits_max;
  if (slash == std::string_view::npos) return network;
  const auto digits = text.substr(slash + 1);
  const auto end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, network.prefix_bits_);
  const bool is_number = parsed.ec == std::errc{} && parsed.ptr == end;
  if (!is_number || network.prefix_bits_ < 0 || network.prefix_bits_ > bits_max) return bad();
  return network;
}

bool Network::contains(const std::string& address) const {
  bool is_v6 = false;
  Bytes bytes{};
  if (!read_address(address, is_v6, bytes) || is_v6 != is_v6_) return false;
  for (int bit = 0; bit < prefix_bits_; bit += 8) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int kept = prefix_bits_ - bit >= 8 ? 8 : prefix_bits_ - bit;
    const int mask = 0xff & ~(0xff >> kept);
    if (((bytes[at] ^ bytes_[at]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace skep
