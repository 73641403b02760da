#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - runs the tests of the Python client, three files at a time, as most of them wait: run.py [PYTEST ARGUMENT...]

Says what each file said once it has ended; exit 1 if one failed.
"""
import concurrent.futures
import glob
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AT_ONCE = 3
FILE_SECONDS_MAX = 200


def run(path: str) -> bool:
    began = time.monotonic()
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", path, *sys.argv[1:]]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=FILE_SECONDS_MAX, check=False)
        code, said = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired as late:
        code, said = 1, f"{late}\n{late.stdout or ''}"
    print(f"{os.path.basename(path)}: {time.monotonic() - began:.1f} s\n{said}", flush=True)
    return code == 0


def main() -> int:
    # The longest first.
    files = sorted(glob.glob(os.path.join(HERE, "test_*.py")), key=os.path.getsize, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return 0 if files and all(list(pool.map(run, files))) else 1


if __name__ == "__main__":
    sys.exit(main())
