# SPDX-License-Identifier: Apache-2.0
"""faults.py - what is to go wrong, how often, and the one source of chance that decides.

A rule has a kind, what it applies to, and how often: `skip`, how many occasions it lets pass first, `probability` (1 if
not given) and `count`, after which it is used up. README.md lists the kinds and their fields. Settings are figures that are
no rules: delays, quotas.

Threads: under the server's lock.
"""
import fnmatch
import random

KINDS = {
    "error": {"operation", "code", "message", "status", "after"},
    "drop": {"operation", "after"},
    "slow": {"operation", "seconds"},
    "capacity": {"zone", "type", "market"},
    "never_boots": {"type", "zone"},
    "stuck_pending": {"type", "zone"},
    "vanishes": {"type", "zone", "after_seconds"},
    "spot_interruption": {"type", "zone", "after_seconds"},
    "expired_token": {"operation"},
    "kill": {"operation", "after", "pid"},
}
COMMON = {"kind", "probability", "count", "skip", "id"}

# Seconds are the server's virtual ones. AWS promises none of these figures; they are what users report.
SETTINGS = {
    "profile_seconds": 10.0,       # until an instance profile, or a role in it, is seen by EC2
    "policy_seconds": 0.0,         # until a changed policy of a role counts
    "describe_seconds": 2.0,       # at most so long until a describe shows what was made, or a change of it
    "pending_seconds": 8.0,        # pending to running
    "boot_seconds": 20.0,          # running until the user data runs
    "stop_seconds": 15.0,          # shutting-down to terminated
    "listed_seconds": 3600.0,      # how long a terminated instance is still listed
    "quota_release_seconds": 30.0,  # how long a terminated instance counts for the quota
    "volume_seconds": 3.0,         # creating, attaching, detaching
    "database_seconds": 240.0,     # creating, deleting a database
    "spot_notice_seconds": 120.0,  # between the notice and the end
    "vcpus_on_demand": 256,        # of standard instances
    "vcpus_spot": 256,
    "vcpus_g_on_demand": 0,        # of those with graphics, as new accounts have it
    "vcpus_g_spot": 0,
    "throttle": 1.0,               # AWS's buckets times this; 0 switches throttling off
}


class Faults:
    def __init__(self, seed=0):
        self.random = random.Random(seed)
        self.rules = []
        self.settings = dict(SETTINGS)
        self.fired = {}
        self._next = 0

    def add(self, rule):
        """Switches a rule on; gives its id. ValueError if it is none."""
        kind = rule.get("kind")
        if kind not in KINDS:
            raise ValueError(f"there is no fault '{kind}', only {', '.join(KINDS)}")
        unknown = set(rule) - KINDS[kind] - COMMON
        if unknown:
            raise ValueError(f"the fault {kind} has no field '{sorted(unknown)[0]}', only "
                             f"{', '.join(sorted(KINDS[kind] | COMMON - {'id', 'kind'}))}")
        self._next += 1
        self.rules.append({**rule, "id": self._next})
        return self._next

    def remove(self, ident=None):
        self.rules = [rule for rule in self.rules if ident is not None and rule["id"] != ident]

    def set(self, values):
        for name, value in values.items():
            if name not in SETTINGS:
                raise ValueError(f"there is no setting '{name}', only {', '.join(SETTINGS)}")
            self.settings[name] = type(SETTINGS[name])(value)

    def hit(self, kind, **what):
        """The rule that strikes here, or None. `what`: the fields of this occasion; a rule's may be patterns."""
        for rule in self.rules:
            if rule["kind"] != kind or rule.get("count") == 0:
                continue
            if any(not _matches(rule.get(name, False if name == "after" else "*"), value) for name, value in what.items()):
                continue
            if rule.get("skip", 0) > 0:
                rule["skip"] -= 1
                continue
            if self.random.random() >= rule.get("probability", 1.0):
                continue
            if "count" in rule:
                rule["count"] -= 1
            self.fired[kind] = self.fired.get(kind, 0) + 1
            return rule
        return None

    def delay(self, setting):
        """Seconds of a setting that is an upper bound: between a half and the whole of it."""
        return self.settings[setting] * self.random.uniform(0.5, 1.0)


def _matches(pattern, value):
    if isinstance(pattern, bool) or isinstance(value, bool):
        return bool(pattern) == bool(value)
    return fnmatch.fnmatchcase(str(value), str(pattern))
