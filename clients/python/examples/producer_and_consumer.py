# SPDX-License-Identifier: Apache-2.0
"""producer_and_consumer.py - puts hash tasks on a queue and, as another program might, takes results from it."""
import sys
from typing import Iterator

import skep


def tasks() -> Iterator[skep.NewTask]:
    """Any number of them: they are sent in batches, and never all in memory."""
    for number in range(500):
        yield skep.NewTask(b"body %d" % number, iterations=100, queue="example", key=f"example-{number}")


def main() -> None:
    with skep.Client() as client:
        ids = {reply.id for reply in client.enqueue_stream(tasks())}
        print(len(ids), "tasks are on stable storage")
        seen = 0
        # A result is acknowledged when the loop comes back for the next one. If this program dies before, it comes again.
        for result in client.pull(queue="example", wait=30, limit=len(ids)):
            assert result.id in ids and len(result.result) == 128
            seen += 1
        print(seen, "results were taken")


if __name__ == "__main__":
    sys.exit(main())
