// SPDX-License-Identifier: Apache-2.0
// The list of managers moves on once for each silent manager and keeps its place when it is replaced.
#include "client/manager_list.h"

#include <gtest/gtest.h>

namespace skep::client {
namespace {

http::Url url(std::string host) {
  return {std::move(host), 80, ""};
}

TEST(ManagerList, GoesAround) {
  ManagerList list({url("a"), url("b")});
  EXPECT_EQ(list.current().host, "a");
  list.next();
  EXPECT_EQ(list.current().host, "b");
  list.next();
  EXPECT_EQ(list.current().host, "a");
}

TEST(ManagerList, TwoCallsThatFailAtOneManagerMoveItOnce) {
  ManagerList list({url("a"), url("b"), url("c")});
  list.next_after(url("a"));
  list.next_after(url("a"));
  EXPECT_EQ(list.current().host, "b");
}

TEST(ManagerList, ReplacingKeepsTheCurrentOneIfItIsStillThere) {
  ManagerList list({url("a"), url("b")});
  list.next();
  list.replace({url("x"), url("b"), url("y")});
  EXPECT_EQ(list.current().host, "b");
  EXPECT_EQ(list.size(), 3u);
  list.replace({url("x"), url("y")});
  EXPECT_EQ(list.current().host, "x");
  list.replace({});
  EXPECT_EQ(list.size(), 2u);
}

}  // namespace
}  // namespace skep::client
