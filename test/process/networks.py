# SPDX-License-Identifier: Apache-2.0
"""networks.py - machines of a test that can be cut off from each other: network namespaces on a bridge, or all loopback.

Where the namespaces can be made (root on Linux, iproute2), each machine has an address of its own, and what one sends to
another can be lost: silently, in one direction or both, as by a broken switch. Elsewhere all share the loopback address
and nothing can be cut; why_not says why.

Threads: the test's thread.
"""
import os
import random
import subprocess

NOBODY = "02:00:00:00:00:fe"  # a link address that no machine has


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], capture_output=True, timeout=20, check=check)


class Networks:
    """`names`: the machines. The test itself reaches all of them, always. `is_loopback`: as where none can be made."""

    def __init__(self, names, is_loopback=False):
        self.names = list(names)
        self.mark = f"{random.SystemRandom().randrange(1 << 20):05x}"
        self.bridge = f"skep{self.mark}"
        self.addresses = {name: "127.0.0.1" for name in self.names}
        self.cuts = set()  # (from, to)
        self.made = []
        self.why_not = "all share the loopback address, as was asked for" if is_loopback else ""
        if is_loopback:
            return
        try:
            self._make()
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", b"") or b""
            self.why_not = f"{error} {detail.decode(errors='replace').strip()}"
            self.close()
            self.addresses = {name: "127.0.0.1" for name in self.names}

    @property
    def can_cut(self):
        return not self.why_not

    def _make(self):
        if os.geteuid() != 0:
            raise OSError("only root makes network namespaces")
        # A range that nothing else here is likely to have.
        network = f"10.{random.SystemRandom().randrange(180, 250)}.{random.SystemRandom().randrange(1, 250)}"
        ip("link", "add", self.bridge, "type", "bridge")
        self.made.append(("link", "del", self.bridge))
        ip("address", "add", f"{network}.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for number, name in enumerate(self.names):
            space, inside, outside = self._space(name), f"sk{self.mark}i{number}", f"sk{self.mark}o{number}"
            ip("netns", "add", space)
            self.made.append(("netns", "del", space))
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            ip("link", "set", outside, "master", self.bridge, "up")
            ip("link", "set", inside, "netns", space)
            ip("-n", space, "link", "set", inside, "name", "eth0")
            address = f"{network}.{number + 10}"
            ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "eth0", "up")
            self.addresses[name] = address

    def _space(self, name):
        return f"skep{self.mark}-{name}"

    def prefix(self, name):
        """What begins a command that is to run on that machine."""
        return ["ip", "netns", "exec", self._space(name)] if self.can_cut else []

    def cut(self, sender, receiver):
        """From now on nothing that `sender` sends reaches `receiver`: its frames go to a link address of nobody."""
        ip("-n", self._space(sender), "neigh", "replace", self.addresses[receiver], "lladdr", NOBODY, "dev", "eth0",
           "nud", "permanent")
        self.cuts.add((sender, receiver))

    def heal(self):
        for sender, receiver in self.cuts:
            ip("-n", self._space(sender), "neigh", "del", self.addresses[receiver], "dev", "eth0", check=False)
        self.cuts.clear()

    def close(self):
        for arguments in reversed(self.made):
            ip(*arguments, check=False)
        self.made.clear()
