# SPDX-License-Identifier: Apache-2.0
"""world.py - one account in one region: who may sign, what time it is, what goes wrong, and the state of each service.

Threads: everything here and in the services is used under `lock`, which the server takes for each request.
"""
import secrets
import threading
from datetime import timedelta

from faults import Faults
from registry import ClientTokens
from throttle import Throttle
from virtual_clock import VirtualClock

ACCOUNT = "123456789012"


class Credential:
    """A key pair. `principal`: the ARN that it speaks for; `role`: the name of its role if it has one."""

    def __init__(self, key, secret, principal, token=None, expires=None, role=None):
        self.key = key
        self.secret = secret
        self.principal = principal
        self.token = token
        self.expires = expires
        self.role = role

    def is_expired(self, now):
        return self.expires is not None and now >= self.expires


class World:
    """`network`: the second number of the addresses 127.x.0.0/16 that its instances have."""

    def __init__(self, region="eu-central-1", seed=0, rate=1.0, key="AKIATESTOFSKEP000001", secret=None, network=77):
        self.lock = threading.RLock()
        self.region = region
        self.zones = [region + letter for letter in "abc"]
        self.account = ACCOUNT
        self.network = network
        self.clock = VirtualClock(rate)
        self.faults = Faults(seed)
        self.throttle = Throttle()
        self.tokens = ClientTokens()
        self.credentials = {}
        self.violations = []
        self.denied = []
        self.requests = []
        self.state = {}
        self.machines = None  # who runs the instances, if anybody does
        secret = secret or "secret-of-the-test-account"
        self.credentials[key] = Credential(key, secret, f"arn:aws:iam::{ACCOUNT}:user/tester")

    @property
    def now(self):
        return self.clock.now()

    def later(self, seconds):
        return self.now + timedelta(seconds=seconds)

    def setting(self, name):
        return self.faults.settings[name]

    def ident(self, prefix):
        """A new id, reproducible from the seed."""
        return f"{prefix}-{self.faults.random.getrandbits(68):017x}"

    def service(self, kind):
        """The state of a service, made when it is first asked for. `kind`: its class, which takes the world."""
        if kind not in self.state:
            self.state[kind] = kind(self)
        return self.state[kind]

    def new_credential(self, principal, role, lifetime_seconds):
        key = "ASIA" + secrets.token_hex(8).upper()
        expires = self.clock.wall() + timedelta(seconds=lifetime_seconds)
        made = Credential(key, secrets.token_urlsafe(30), principal, secrets.token_urlsafe(60), expires, role)
        self.credentials[key] = made
        return made

    def arn(self, service, rest, has_region=True):
        return f"arn:aws:{service}:{self.region if has_region else ''}:{self.account}:{rest}"
