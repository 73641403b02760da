// SPDX-License-Identifier: Apache-2.0
// Goal: a range contains its addresses and no other. Method: addresses on both sides of each border.
#include "base/network.h"

#include <gtest/gtest.h>

namespace skep {
namespace {

TEST(Network, ContainsItsAddressesAndNoOther) {
  struct Row {
    const char* network;
    const char* address;
    bool is_inside;
  };
  const Row rows[] = {{"10.0.0.0/8", "10.255.255.255", true},
                      {"10.0.0.0/8", "11.0.0.0", false},
                      {"10.0.0.0/8", "9.255.255.255", false},
                      {"192.168.4.0/23", "192.168.5.255", true},
                      {"192.168.4.0/23", "192.168.6.0", false},
                      {"192.168.4.0/23", "192.168.3.255", false},
                      {"127.0.0.1", "127.0.0.1", true},
                      {"127.0.0.1", "127.0.0.2", false},
                      {"0.0.0.0/0", "8.8.8.8", true},
                      {"0.0.0.0/0", "::1", false},
                      {"fd00::/8", "fdff::1", true},
                      {"fd00::/8", "fe00::1", false},
                      {"::/0", "::1", true},
                      {"::/0", "10.0.0.1", false},
                      {"2001:db8::/33", "2001:db8:7fff::", true},
                      {"2001:db8::/33", "2001:db8:8000::", false},
                      {"10.1.2.3/8", "10.9.9.9", true},
                      {"10.0.0.0/8", "", false},
                      {"10.0.0.0/8", "10.0.0.1:80", false}};
  for (const auto& row : rows) {
    const auto network = Network::parse(row.network);
    ASSERT_TRUE(network) << row.network;
    EXPECT_EQ(network.value().contains(row.address), row.is_inside) << row.network << " " << row.address;
  }
}

TEST(Network, WhatIsNoRangeIsRefusedWithASentence) {
  for (const char* bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8",
                          "host/8", "::/129", "10.0.0.0/ 8"}) {
    const auto network = Network::parse(bad);
    ASSERT_FALSE(network) << bad;
    EXPECT_EQ(network.error().code, Code::kInvalid);
    EXPECT_NE(network.error().message.find("10.0.0.0/8"), std::string::npos);
  }
}

}  // namespace
}  // namespace skep
