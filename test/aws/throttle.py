# SPDX-License-Identifier: Apache-2.0
"""throttle.py - token buckets with the figures that EC2 documents for its API.

Calls of an account and region take from a bucket: some operations have one of their own, all others share that of
their group. RunInstances and CreateFleet take from a bucket of instances too.

Threads: under the server's lock. Units: tokens, tokens a second of the virtual clock.
"""
from answer import ServiceError

# name: (largest burst, refill a second)
BUCKETS = {"RunInstances": (5, 2.0), "TerminateInstances": (100, 5.0), "describe": (100, 20.0), "unfiltered": (50, 10.0),
           "mutating": (50, 5.0), "instances": (1000, 2.0)}
UNFILTERED = {"DescribeInstances", "DescribeInstanceStatus", "DescribeSecurityGroups", "DescribeSnapshots",
              "DescribeSpotInstanceRequests", "DescribeVolumes", "DescribeNetworkInterfaces"}


class Bucket:
    def __init__(self, burst, refill):
        self.burst = burst
        self.refill = refill
        self.tokens = float(burst)
        self.at = None

    def take(self, tokens, now):
        if self.at is not None:
            self.tokens = min(self.burst, self.tokens + (now - self.at).total_seconds() * self.refill)
        self.at = now
        if self.tokens < tokens:
            return False
        self.tokens -= tokens
        return True


def bucket_of(operation, params):
    if operation in BUCKETS:
        return operation
    if operation.startswith("Describe"):
        narrowed = any(name in params for name in ("Filters", "MaxResults")) or any(name.endswith("Ids") for name in params)
        return "unfiltered" if operation in UNFILTERED and not narrowed else "describe"
    return "mutating"


class Throttle:
    def __init__(self):
        self.scale = None
        self.buckets = {}

    def check(self, operation, params, now, scale):
        """Raises RequestLimitExceeded if the bucket of this EC2 call is empty. `scale`: of AWS's figures; 0 is off."""
        if not scale:
            return
        if scale != self.scale:
            self.scale = scale
            self.buckets = {name: Bucket(max(1, burst * scale), refill * scale) for name, (burst, refill) in BUCKETS.items()}
        if not self.buckets[bucket_of(operation, params)].take(1, now):
            raise ServiceError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def check_instances(self, count, now):
        if self.scale and not self.buckets["instances"].take(count, now):
            raise ServiceError("RequestLimitExceeded", "Request limit exceeded.", 503)
