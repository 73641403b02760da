#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - builds the compute kernels for ARM and runs them under qemu, with SVE registers of several lengths.

    run.py BUILD_DIRECTORY

Needs g++-aarch64-linux-gnu and qemu-user; `./dev check` installs them.
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = ["test/arm/kernel_arm.cc", "src/compute/sha512_kernel.cc", "src/compute/sha512_tables.cc"]
# Highway's headers are the same for all architectures and lie with this machine's; after those of the compiler.
COMPILE = ["aarch64-linux-gnu-g++", "-std=c++20", "-O2", "-static", f"-I{ROOT}/src", "-idirafter", "/usr/include"]
SVE_BITS = (128, 256, 512, 2048)


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    program = os.path.join(directory, "kernel_arm")
    subprocess.run([*COMPILE, "-o", program, *(os.path.join(ROOT, source) for source in SOURCES)], check=True)
    for bits in SVE_BITS:
        print(f"SVE registers of {bits} bits:", flush=True)
        subprocess.run(["qemu-aarch64", "-cpu", f"max,sve-default-vector-length={bits // 8}", program], check=True)


if __name__ == "__main__":
    main()
