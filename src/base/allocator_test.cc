// SPDX-License-Identifier: Apache-2.0
// A large block must come from memory that stays: glibc counts the blocks that it maps one by one.
#include "base/allocator.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <string>

namespace skep {
namespace {

TEST(KeepFreedMemory, LargeBlocksAreNotMappedOneByOne) {
  keep_freed_memory();
  const std::size_t mapped_before = mallinfo2().hblks;
  const std::string block(4 << 20, 'x');
  EXPECT_EQ(mallinfo2().hblks, mapped_before);
}

}  // namespace
}  // namespace skep
