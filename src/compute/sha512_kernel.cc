// SPDX-License-Identifier: Apache-2.0
// Picks among the instruction sets that sha512_kernel.inc is compiled for.
#include "compute/sha512_kernel.h"

// SHA-512 gains nothing from what these add to their neighbours.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/sha512_kernel.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h, as Highway wants it.
#include "compute/sha512_kernel.inc"

#if HWY_ONCE
#include <array>

#include "compute/openssl_kernel.h"

namespace skep::compute {
namespace {

HWY_EXPORT(append_kernels);

struct TargetInfo {
  Target target;
  std::string_view name;
  std::int64_t highway;  // its bit there; 0: not on this architecture, or none
};

#if HWY_ARCH_X86
constexpr std::int64_t kSse4Bit = HWY_SSE4, kAvx2Bit = HWY_AVX2, kAvx512Bit = HWY_AVX3, kNeonBit = 0,
                       kSveBit = 0;
#elif HWY_ARCH_ARM
constexpr std::int64_t kSse4Bit = 0, kAvx2Bit = 0, kAvx512Bit = 0, kNeonBit = HWY_NEON, kSveBit = HWY_SVE;
#else
constexpr std::int64_t kSse4Bit = 0, kAvx2Bit = 0, kAvx512Bit = 0, kNeonBit = 0, kSveBit = 0;
#endif

// Best first.
constexpr std::array<TargetInfo, 6> kTargets{{{Target::kAvx512, "avx512", kAvx512Bit},
                                              {Target::kAvx2, "avx2", kAvx2Bit},
                                              {Target::kSse4, "sse4", kSse4Bit},
                                              {Target::kSve, "sve", kSveBit},
                                              {Target::kNeon, "neon", kNeonBit},
                                              {Target::kScalar, "scalar", 0}}};

bool is_here(const TargetInfo& info) {
  if (info.target == Target::kScalar) return true;
  return (hwy::SupportedTargets() & HWY_TARGETS & info.highway) != 0;
}

const TargetInfo& info_of(Target target) {
  for (const auto& info : kTargets) {
    if (info.target == target) return info;
  }
  return kTargets.back();
}

}  // namespace

std::string_view target_name(Target target) {
  return info_of(target).name;
}

std::optional<Target> parse_target(std::string_view name) {
  for (const auto& info : kTargets) {
    if (info.name == name) return info.target;
  }
  return std::nullopt;
}

std::vector<Target> targets_here() {
  std::vector<Target> out;
  for (const auto& info : kTargets) {
    if (is_here(info)) out.push_back(info.target);
  }
  return out;
}

std::vector<Kernel> kernels(Target target) {
  const TargetInfo& info = info_of(target);
  if (!is_here(info)) return {};
  std::vector<Kernel> out{openssl_kernel()};
  if (info.highway != 0) {
    hwy::ChosenTarget chosen;  // of our own: Highway's is a global, and one process may use two targets
    chosen.Update(info.highway);
    HWY_DISPATCH_TABLE(append_kernels)[chosen.GetIndex()](out);
  }
  return out;
}

}  // namespace skep::compute
#endif
