// SPDX-License-Identifier: Apache-2.0
#include "aws/xml.h"

#include <pugixml.hpp>

namespace skep::aws {
namespace {

constexpr int kDepthMax = 64;

bool convert(const pugi::xml_node& node, Element& element, int depth) {
  if (depth > kDepthMax) return false;
  element.name = node.name();
  element.text = node.text().get();
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    if (!convert(child, element.children.emplace_back(), depth + 1)) return false;
  }
  return true;
}

}  // namespace

const Element& Element::at(std::string_view child) const {
  static const Element kNone;
  for (const Element& each : children) {
    if (each.name == child) return each;
  }
  return kNone;
}

Result<Element> parse_xml(std::string_view text) {
  pugi::xml_document document;
  Element root;
  if (!document.load_buffer(text.data(), text.size()) || !convert(document.document_element(), root, 0) ||
      root.name.empty())
    return fail(Code::kCorrupt, "the answer is not XML");
  return root;
}

}  // namespace skep::aws
