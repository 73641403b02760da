# SPDX-License-Identifier: Apache-2.0
"""words.py - functions for a fleet, each with what @skep.task can say: `python3 -m skep worker words` offers them all."""
import collections
import zlib

import skep


@skep.task(timeout=60, retry_on=(MemoryError,))
def count(path: str) -> "dict[str, int]":
    """The ten most frequent words of a file that all workers see."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return dict(collections.Counter(file.read().split()).most_common(10))


@skep.task(codec=skep.BYTES)
def pack(body: bytes) -> bytes:
    """Bytes in, bytes out: nothing is encoded on the way."""
    return zlib.compress(body, 9)
