// SPDX-License-Identifier: Apache-2.0
// openssl_kernel.h - the kernel of one lane: OpenSSL's SHA-512 transform, which uses what the processor has
// for a single chain (BMI2 and a vectorised schedule on x86, the SHA-512 instructions on ARMv8.2).
//
// Threads:   pure functions.
#pragma once

#include "compute/sha512_kernel.h"

namespace skep::compute {

Kernel openssl_kernel();

}  // namespace skep::compute
