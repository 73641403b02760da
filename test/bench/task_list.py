# SPDX-License-Identifier: Apache-2.0
"""task_list.py - the mixed load of `./dev bench compute`: a list of tasks from a seed, for engines and workers alike.

A body is a piece of a pool of random bytes. The C++ program reads the same two files (task_list.h).
"""
import math
import os
import random

SEED = 20_260_101
BODY_BYTES = (16 * 1024, 256 * 1024)  # uniform
ITERATIONS = (10, 1_000_000)  # log-uniform
POOL_BYTES = 8 * 1024 * 1024


class TaskList:
    """tasks: (where the body begins in the pool, its bytes, iterations)."""

    def __init__(self, count, seed=SEED):
        source = random.Random(seed)
        self.pool = source.randbytes(POOL_BYTES)
        self.tasks = []
        for _ in range(count):
            size = source.randint(*BODY_BYTES)
            iterations = round(math.exp(source.uniform(*map(math.log, ITERATIONS))))
            self.tasks.append((source.randrange(POOL_BYTES - size), size, iterations))

    def body(self, task):
        begin, size, _ = task
        return self.pool[begin:begin + size]

    def batches(self, bytes_max, count_max):
        """The tasks in their order, in groups within both limits."""
        group, size = [], 0
        for task in self.tasks:
            if group and (size + task[1] > bytes_max or len(group) == count_max):
                yield group
                group, size = [], 0
            group.append(task)
            size += task[1]
        if group:
            yield group

    def write(self, directory):
        """The paths of the list and of the pool."""
        listed, pool = os.path.join(directory, "tasks"), os.path.join(directory, "pool")
        with open(listed, "w", encoding="ascii") as file:
            file.writelines(f"{begin} {size} {iterations}\n" for begin, size, iterations in self.tasks)
        with open(pool, "wb") as file:
            file.write(self.pool)
        return listed, pool
