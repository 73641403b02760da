# SPDX-License-Identifier: Apache-2.0
"""many_at_once.py - asyncio: a hundred tasks are enqueued and waited for at the same time."""
import asyncio

import skep


async def hashed(client: skep.AsyncClient, body: bytes) -> bytes:
    task = await client.enqueue(body, iterations=1000, priority=9)
    return await client.result(task.id, timeout=60)


async def main() -> None:
    async with skep.AsyncClient() as client:
        results = await asyncio.gather(*(hashed(client, b"%d" % number) for number in range(100)))
        print(len(set(results)), "different results")


asyncio.run(main())
