// SPDX-License-Identifier: Apache-2.0
#include "base/allocator.h"

#if defined(__GLIBC__) || __has_include(<gnu/libc-version.h>)
#include <malloc.h>
#endif

namespace skep {

void keep_freed_memory() {
#if defined(M_MMAP_THRESHOLD)
  constexpr int kMiB = 1024 * 1024;
  mallopt(M_MMAP_THRESHOLD, 32 * kMiB);  // the largest that glibc takes
  mallopt(M_TRIM_THRESHOLD, 64 * kMiB);
  mallopt(M_TOP_PAD, kMiB);
#endif
}

}  // namespace skep
