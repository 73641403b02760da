// SPDX-License-Identifier: Apache-2.0
// xml.h - an XML document as a tree of names and texts, as AWS answers in it; attributes are left out.
//
// Threads:   value.
// Errors:    kCorrupt: not XML, or deeper than 64.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace skep::aws {

struct Element {
  std::string name;
  std::string text;
  std::vector<Element> children;

  // The first child of that name, or one without name, text and children.
  const Element& at(std::string_view child) const;
  // The text of the first child of that name, "" without one.
  const std::string& text_of(std::string_view child) const { return at(child).text; }
  // The children of the first child of that name: "item" of EC2's sets, "member" of IAM's lists.
  const std::vector<Element>& list(std::string_view child) const { return at(child).children; }
};

// The root element.
Result<Element> parse_xml(std::string_view text);

}  // namespace skep::aws
