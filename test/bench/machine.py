# SPDX-License-Identifier: Apache-2.0
"""machine.py - where and of what the figures of a page were measured: the processor, and the commit."""
import os
import platform
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    parts = {name: match.group(1).strip() for name in ("model name", "cpu family", "model")
             if (match := re.search(rf"^{name}\s*:(.*)$", text, re.MULTILINE))}
    found = parts.get("model name", platform.machine())
    if "cpu family" in parts:
        found += f" (family {parts['cpu family']}, model {parts['model']})"
    return found


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
