# SPDX-License-Identifier: Apache-2.0
"""ha_faults.py - what is done to a cluster of ha.py in a round: begin, hold, end.

Threads: the test's thread.
"""
import signal

from harness import wait_until

HOLD_SECONDS = 7.0  # of a cut: longer than a manager may be silent
PAUSE_SECONDS = 30.0
PAUSE_SHORT_SECONDS = 7.0


class Fault:
    needs_cut = False

    def __init__(self, ha):
        self.ha = ha
        self.random = ha.random
        self.victim = None  # a manager

    def begin(self):
        """Does it; a sentence for people."""
        raise NotImplementedError

    def left(self):
        """The managers that have to give service while it lasts."""
        return [name for name in self.ha.managers if name != self.victim]

    def hurt(self):
        """The managers that must serve nothing while it lasts."""
        return [self.victim] if self.victim else []

    def holds(self):
        return 0.0

    def end(self):
        """Undoes it, and waits until what was hurt is there again."""

    def pick(self):
        self.victim = self.random.choice(list(self.ha.managers))
        return self.victim


class KillManager(Fault):
    def begin(self):
        name = self.pick()
        self.ha.managers[name].kill()
        return f"kill -9 of {name}"

    def end(self):
        self.ha.start_again(self.victim)


class KillLeader(KillManager):
    """The one that sizes the fleet."""

    def pick(self):
        address = wait_until(self.ha.leads, "one manager sizes the fleet")
        self.victim = next(name for name, own in self.ha.addresses.items() if own == address)
        return self.victim


class KillPrimary(Fault):
    def begin(self):
        self.node = wait_until(self.ha.database.primary, "there is a primary")
        self.node.kill_servers()
        return f"kill -9 of the primary, {self.node.name}"

    def end(self):
        self.ha.database.repair()
        self.ha.database.wait_until_safe()


class KillStandby(KillPrimary):
    def begin(self):
        self.node = wait_until(lambda: self.ha.database.node_of("sync_standby"), "there is a synchronous standby")
        self.node.kill_servers()
        return f"kill -9 of the synchronous standby, {self.node.name}"


class KillEtcd(Fault):
    def begin(self):
        node = self.random.choice(self.ha.database.nodes)
        node.etcd.kill()
        return f"kill -9 of the etcd of {node.name}"

    def holds(self):
        return 3.0

    def end(self):
        self.ha.database.repair()
        self.ha.database.wait_until_safe()


class KillBoth(KillPrimary):
    """The primary and a manager at once."""

    def begin(self):
        text = super().begin()
        name = self.pick()
        self.ha.managers[name].kill()
        return f"{text}, and of {name}"

    def end(self):
        KillManager.end(self)
        super().end()


class Pause(Fault):
    """It wakes as a stale owner."""
    seconds = PAUSE_SECONDS

    def begin(self):
        name = self.pick()
        self.ha.managers[name].signal(signal.SIGSTOP)
        return f"SIGSTOP of {name} for {self.seconds:.0f} s"

    def holds(self):
        return self.seconds

    def end(self):
        manager = self.ha.managers[self.victim]
        manager.signal(signal.SIGCONT)
        # By its own clock, before a commit had to be refused.
        wait_until(lambda: "could not renew its claims in time" in manager.log(1 << 20), "the stale owner notices", 10)


class PauseShort(Pause):
    seconds = PAUSE_SHORT_SECONDS


class Cut(Fault):
    needs_cut = True

    def holds(self):
        return HOLD_SECONDS

    def hurt(self):
        return []

    def end(self):
        self.ha.networks.heal()


class CutManagers(Cut):
    """Two managers do not hear each other, or one does not hear the other."""
    ways = 2
    pair = ()

    def begin(self):
        self.pair = first, second = self.random.sample(list(self.ha.managers), 2)
        self.ha.networks.cut(first, second)
        if self.ways == 2:
            self.ha.networks.cut(second, first)
        return f"{first} {'and' if self.ways == 2 else 'is not heard by'} {second}{' cut off' if self.ways == 2 else ''}"

    def left(self):
        return [name for name in self.ha.managers if name not in self.pair]


class CutManagersOneWay(CutManagers):
    ways = 1


class CutFromDatabase(Cut):
    """A manager and the database do not hear each other, or one of them does not hear the other."""
    to_database = True
    from_database = True

    def begin(self):
        name = self.pick()
        for node in self.ha.database.nodes:
            if self.to_database:
                self.ha.networks.cut(name, node.name)
            if self.from_database:
                self.ha.networks.cut(node.name, name)
        if self.to_database and self.from_database:
            return f"{name} and the database cut off"
        return f"{name} does not hear the database" if self.from_database else f"the database does not hear {name}"

    def hurt(self):
        return [self.victim]


class CutToDatabase(CutFromDatabase):
    from_database = False


class CutFromDatabaseOnly(CutFromDatabase):
    to_database = False


class CutPrimary(Cut):
    """The primary alone, from the other two and from what elects."""

    def begin(self):
        node = wait_until(self.ha.database.primary, "there is a primary")
        for other in self.ha.database.nodes:
            if other is not node:
                self.ha.networks.cut(node.name, other.name)
                self.ha.networks.cut(other.name, node.name)
        return f"the primary, {node.name}, and the other two cut off"

    def end(self):
        super().end()
        self.ha.database.repair()
        self.ha.database.wait_until_safe()


FAULTS = {
    "kill-manager": KillManager,
    "kill-leader": KillLeader,
    "kill-primary": KillPrimary,
    "kill-standby": KillStandby,
    "kill-etcd": KillEtcd,
    "kill-both": KillBoth,
    "pause": Pause,
    "pause-short": PauseShort,
    "cut-managers": CutManagers,
    "cut-managers-one-way": CutManagersOneWay,
    "cut-database": CutFromDatabase,
    "cut-to-database": CutToDatabase,
    "cut-from-database": CutFromDatabaseOnly,
    "cut-primary": CutPrimary,
}
# Of the test suite.
SHORT = ["kill-leader", "kill-primary", "cut-to-database"]
