// SPDX-License-Identifier: Apache-2.0
// A contender of contender.h that takes one cycle of the core for each unit: what the others' seconds are in
// cycles.
#include "contender.h"

namespace skep::bench {
namespace {

constexpr std::uint64_t kAddsAtOnce = 1'000;

#if defined(__x86_64__) || defined(__aarch64__)
// Each addition waits for the one before it, and takes one cycle. Registers on both sides: an addition of a
// constant may be taken out of the way by the processor before it is executed.
class CycleClock final : public Contender {
 public:
  std::string name() const override { return "clock"; }
  std::string what() const override { return "additions that wait for each other: one a cycle"; }
  std::uint64_t width() const override { return kAddsAtOnce; }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override {
    std::uint64_t sum = sum_;
    const std::uint64_t term = rounds | 1;
    for (; rounds != 0; --rounds) {
#if defined(__x86_64__)
      asm volatile(".rept 1000\n\tadd %1, %0\n\t.endr" : "+r"(sum) : "r"(term) : "cc");
#else
      asm volatile(".rept 1000\n\tadd %0, %0, %1\n\t.endr" : "+r"(sum) : "r"(term));
#endif
    }
    sum_ = sum;
  }
  std::vector<compute::Digest> digests() const override {
    return {};
  }

 private:
  std::uint64_t sum_ = 0;
};
#endif

}  // namespace

void add_clock([[maybe_unused]] Contenders& out) {
#if defined(__x86_64__) || defined(__aarch64__)
  out.push_back(std::make_unique<CycleClock>());
#endif
}

}  // namespace skep::bench
