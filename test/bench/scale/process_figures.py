# SPDX-License-Identifier: Apache-2.0
"""process_figures.py - what the system says of a process and of a directory: memory, processor seconds, bytes on disk."""
import os
import time

QUIET_SHARE = 0.02  # of a core: less is rest
QUIET_SECONDS = 1.0
POLL_SECONDS = 0.5


def memory(pid):
    """Bytes: resident now, of that not from files, and the most that was ever resident."""
    names = {"VmRSS": "rss", "RssAnon": "anonymous", "VmHWM": "peak"}
    found = {}
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in names:
                found[names[name]] = int(rest.split()[0]) * 1024
    return found


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        parts = file.read().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Of all processors, since the system's start: what anybody used."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def directory_bytes(directory):
    """By the files' suffixes, and in all."""
    sizes = {"all": 0}
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size = os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue  # the store has just removed it
            suffix = os.path.splitext(name)[1].lstrip(".") or "other"
            sizes[suffix] = sizes.get(suffix, 0) + size
            sizes["all"] += size
    return sizes


def forget_cached(directory):
    """The system drops what it has of these files in memory, as after a boot of the machine."""
    for folder, _, names in os.walk(directory):
        for name in names:
            descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def wait_for_rest(pid, seconds):
    """Until the process uses next to no processor time: what the store does after writes is part of them. Its seconds."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        before = cpu_seconds(pid)
        wait_for_instant(time.monotonic() + QUIET_SECONDS)
        if cpu_seconds(pid) - before < QUIET_SHARE * QUIET_SECONDS:
            return time.monotonic() - began
    raise AssertionError(f"process {pid} does not come to rest within {seconds:.0f} s")


def wait_for_instant(instant):
    while (left := instant - time.monotonic()) > 0:
        time.sleep(min(left, POLL_SECONDS))
