# SPDX-License-Identifier: Apache-2.0
"""fleet_functions.py - functions that the tests of the Python client have done by workers."""
import os
import signal
import subprocess
import threading

import skep


class Refused(Exception):
    """An exception of a module of ours."""


@skep.task
def square(number):
    return number * number


@skep.task
def pair(first, second=0, *, scale=1):
    return [first * scale, second * scale]


@skep.task
def pid():
    print("what a function prints does not mix with its result")
    return os.getpid()


@skep.task(codec=skep.BYTES)
def upper(body):
    return body.upper()


@skep.task
def refuse(text):
    raise Refused(text)


@skep.task
def divide(first, second):
    return first / second


@skep.task
def wait_for_file(path, seconds=60):
    """Says that it runs, then waits until the file is there."""
    with open(path + ".runs", "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    for _ in range(int(seconds / 0.02)):
        if os.path.exists(path):
            return "it is there"
        threading.Event().wait(0.02)
    return "it did not come"


@skep.task(timeout=0.3)
def too_slow(path):
    """Never ends in time; leaves a child behind, which is to be killed with it."""
    child = subprocess.Popen(["sleep", "600"])
    with open(path, "w", encoding="ascii") as file:
        file.write(str(child.pid))
    threading.Event().wait(600)


@skep.task
def dies_once(path):
    """Kills its process, but not the second time."""
    if not os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return "lives"


@skep.task(retry_on=(OSError,))
def fails_once(path, kind):
    if os.path.exists(path):
        return "well"
    with open(path, "w", encoding="ascii") as file:
        file.write("x")
    raise skep.Retry("not yet") if kind == "retry" else FileNotFoundError("not there yet")


@skep.task
def not_json():
    return {1, 2}


@skep.task
def large(size):
    return "x" * size


def not_marked(number):
    return number


@skep.task
def trace():
    return skep.current_trace()


@skep.task
def hand_on(count):
    """Enqueues tasks of its own trace."""
    with skep.Client(trace=skep.current_trace) as client:
        return [client.enqueue(b"", iterations=1, delay=3600).id for _ in range(count)]
