// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over inputs from a fixed seed: random bytes, and mutations of what it was fed before.
// This finds only what is easy to find; `./dev fuzz` looks deeper.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kInputs = 200'000;  // when no other number is the argument
constexpr std::size_t kSizeMax = 512;
constexpr std::size_t kPoolMax = 64;

std::string random_input(skep::Random& random) {
  std::string input(random.below(kSizeMax), '\0');
  const bool is_text = random.chance(0.5);
  constexpr char kText[] = "{}[]\":,/%?&=.:-_+ \\0123456789abcdefTASKid\r\n";
  for (auto& c : input) {
    c = is_text ? kText[random.below(sizeof(kText) - 1)] : static_cast<char>(random.below(256));
  }
  return input;
}

void mutate(skep::Random& random, std::string& input) {
  for (std::uint64_t i = 1 + random.below(4); i > 0 && !input.empty(); --i) {
    const std::size_t at = random.below(input.size());
    switch (random.below(4)) {
      case 0:
        input[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        input.erase(at, 1 + random.below(8));
        break;
      case 2:
        input.insert(at, input.substr(at, random.below(16)));
        break;
      default:
        input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
        break;
    }
  }
  if (input.size() > kSizeMax) input.resize(kSizeMax);
}

}  // namespace

int main(int argc, char** argv) {
  const int inputs = argc > 1 ? std::atoi(argv[1]) : kInputs;
  skep::Random random(1);
  std::vector<std::string> pool;
  for (int i = 0; i < inputs; ++i) {
    std::string input =
        pool.empty() || random.chance(0.3) ? random_input(random) : pool[random.below(pool.size())];
    if (random.chance(0.7)) mutate(random, input);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
    if (pool.size() < kPoolMax) {
      pool.push_back(std::move(input));
    } else {
      pool[random.below(kPoolMax)] = std::move(input);
    }
  }
  std::printf("%d inputs\n", inputs);
}
