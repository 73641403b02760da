// SPDX-License-Identifier: Apache-2.0
// Goal: answers become trees, and what is no XML is refused. Method: small documents.
#include "aws/xml.h"

#include <gtest/gtest.h>

namespace skep::aws {
namespace {

TEST(Xml, ElementsAndTextsAreKept) {
  const auto root = parse_xml(
      "<?xml version=\"1.0\"?><R "
      "xmlns=\"x\"><set><item><id>a&amp;b</id></item><item><id>c</id></item></set></R>");
  ASSERT_TRUE(root);
  ASSERT_EQ(root.value().list("set").size(), 2u);
  EXPECT_EQ(root.value().list("set")[0].text_of("id"), "a&b");
  EXPECT_EQ(root.value().list("set")[1].text_of("nothing"), "");
  EXPECT_TRUE(root.value().list("nothing").empty());
}

TEST(Xml, WhatIsNoXmlIsCorrupt) {
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += "<a>";
  for (int i = 0; i < 70; ++i) deep += "</a>";
  for (const std::string& text : {std::string(), std::string("{}"), std::string("<a><b></a>"), deep}) {
    const auto root = parse_xml(text);
    ASSERT_FALSE(root) << text;
    EXPECT_EQ(root.error().code, Code::kCorrupt);
  }
}

}  // namespace
}  // namespace skep::aws
