// SPDX-License-Identifier: Apache-2.0
#include "aws/vcpu_quota.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace skep::aws {
namespace {

constexpr VcpuQuota kStandard{"standard (A, C, D, H, I, M, R, T, Z)", "L-1216C47A", "L-34B43A08"};

struct Kind {
  std::string_view letters;  // the type's name up to the first digit
  VcpuQuota quota;
};

constexpr Kind kKinds[] = {
    {"dl", {"DL", "L-6E869C2A", "L-85EED4F7"}},       {"f", {"F", "L-74FC7D96", "L-88CF9481"}},
    {"g", {"G and VT", "L-DB2E81BA", "L-3819A6DF"}},  {"gr", {"G and VT", "L-DB2E81BA", "L-3819A6DF"}},
    {"vt", {"G and VT", "L-DB2E81BA", "L-3819A6DF"}}, {"inf", {"Inf", "L-1945791B", "L-B5D1601B"}},
    {"p", {"P", "L-417A185B", "L-7212CCBC"}},         {"trn", {"Trn", "L-2C3B7624", "L-6B0D517C"}},
    {"x", {"X", "L-7295265B", "L-E3A00192"}},
};
// Of these the second letter says what is special of a standard one ("im4gn", "is4gen").
constexpr std::string_view kStandards[] = {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"};

}  // namespace

const VcpuQuota* vcpu_quota_of(std::string_view type) {
  const std::string_view letters = type.substr(0, type.find_first_of("0123456789.-"));
  for (const Kind& kind : kKinds) {
    if (kind.letters == letters) return &kind.quota;
  }
  const bool is_standard =
      std::find(std::begin(kStandards), std::end(kStandards), letters) != std::end(kStandards);
  return is_standard ? &kStandard : nullptr;
}

int vcpus_by_name(std::string_view type) {
  constexpr std::string_view kXlarge = "xlarge";
  const std::size_t dot = type.find('.');
  const std::string_view size = dot == std::string_view::npos ? "" : type.substr(dot + 1);
  if (size == "large") return 2;
  if (size == kXlarge) return 4;
  if (size.ends_with(kXlarge)) {
    int times = 0;
    const std::string_view digits = size.substr(0, size.size() - kXlarge.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), times);
    return 4 * times;
  }
  if (size == "nano" || size == "micro" || size == "small" || size == "medium") return 1;
  return std::numeric_limits<int>::max();
}

}  // namespace skep::aws
