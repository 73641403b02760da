# SPDX-License-Identifier: Apache-2.0
"""control.py - how a test looks into the server and steers it: `/_control/...`, JSON in and out.

README.md lists the paths. Nothing of it is signed; it is served on 127.0.0.1 only.

Threads: under the server's lock.
"""
import json
from datetime import timedelta

from answer import HttpAnswer, ServiceError
from ec2_instances import Instances
from ec2_network import Network
from ec2_templates import Templates
from ec2_volumes import Volumes
from iam import Iam
from metadata import Metadata
from rds import Rds
from s3 import S3
from ssm import Parameters

# What happens now and then when everything goes wrong at once. None of it may keep a patient client from its end.
CHAOS = [
    {"kind": "error", "operation": "*", "code": "RequestLimitExceeded", "status": 503, "probability": 0.05},
    {"kind": "error", "operation": "*", "code": "InternalError", "status": 500, "probability": 0.02},
    {"kind": "error", "operation": "*", "code": "InternalError", "status": 500, "probability": 0.02, "after": True},
    {"kind": "drop", "operation": "*", "probability": 0.02},
    {"kind": "drop", "operation": "*", "probability": 0.02, "after": True},
    {"kind": "slow", "operation": "*", "probability": 0.02, "seconds": 0.3},
    {"kind": "capacity", "probability": 0.25},
    {"kind": "never_boots", "probability": 0.1, "count": 3},
    {"kind": "stuck_pending", "probability": 0.05, "count": 2},
    {"kind": "vanishes", "probability": 0.1, "count": 3, "after_seconds": 60},
    {"kind": "spot_interruption", "probability": 0.2, "count": 4, "after_seconds": 90},
    {"kind": "expired_token", "probability": 0.01, "count": 3},
]


def answer(world, request):
    try:
        data = json.loads(request.body) if request.body else {}
        made = _route(world, request.method, request.path.removeprefix("/_control").strip("/").split("/"), data)
    except (ValueError, KeyError, TypeError, ServiceError) as error:
        return _json(400, {"error": str(error)})
    if made is None:
        return _json(404, {"error": f"there is no {request.method} {request.path}"})
    return _json(200, made)


def _json(status, value):
    return HttpAnswer(status, json.dumps(value, default=str), {"Content-Type": "application/json"})


def _route(world, method, path, data):
    name = path[0]
    if method == "GET":
        looks = {"state": state, "faults": _faults, "settings": lambda world: world.faults.settings,
                 "requests": lambda world: world.requests, "violations": lambda world: world.violations,
                 "denied": lambda world: world.denied, "clock": _clock, "counts": counts,
                 "credentials": lambda world: [{"key": one.key, "principal": one.principal, "expires": one.expires}
                                               for one in world.credentials.values()]}
        if name == "console" and len(path) == 2:
            return {"console": world.machines.console(path[1]).decode(errors="replace") if world.machines else ""}
        return looks[name](world) if name in looks else None
    changes = {("POST", "faults"): _add_faults, ("DELETE", "faults"): _remove_faults, ("POST", "settings"): _set,
               ("POST", "clock"): _set_clock, ("POST", "seed"): _seed, ("POST", "chaos"): _chaos, ("POST", "vpc"): _vpc,
               ("POST", "database"): _database, ("POST", "expire"): _expire, ("DELETE", "requests"): _forget}
    if (method, name) in changes:
        return changes[method, name](world, data)
    if (method, name) == ("POST", "instances") and len(path) == 2:
        return _instance(world, path[1], data)
    return None


# ---- looking ----

def state(world):
    """Everything that there is, by kind and id: what a test counts in the end."""
    instances = world.service(Instances)
    instances.advance()
    return {
        "instances": {one.id: {"state": one.state, "type": one.kind, "zone": one.zone, "market": one.market, "tags": one.tags,
                               "address": one.address, "has_booted": one.has_booted, "launched": one.launched,
                               "reason": one.reason and one.reason[0]} for one in instances.all.values()},
        "volumes": {one.id: {"state": world.service(Volumes).state(one), "instance": one.instance, "tags": one.tags,
                             "device": one.device} for one in world.service(Volumes).all.values()},
        "security_groups": {one.id: {"name": one.name, "tags": one.tags, "ingress": sorted(map(str, one.ingress))}
                            for one in world.service(Network).groups.values() if one.name != "default"},
        "launch_templates": {one.id: {"name": one.name, "tags": one.tags} for one in world.service(Templates).all.values()},
        "roles": {one.name: {"tags": one.tags, "policies": one.policies, "attached": one.attached}
                  for one in world.service(Iam).roles.values()},
        "instance_profiles": {one.name: {"role": one.role and one.role.name} for one in world.service(Iam).profiles.values()},
        "buckets": {one.name: {"tags": one.tags, "objects": sorted(one.objects)}
                    for one in world.service(S3).buckets.values()},
        "parameters": {one.name: {"kind": one.kind, "tags": one.tags} for one in world.service(Parameters).own.values()},
        "databases": {one.name: {"state": one.status(world.now), "tags": one.tags}
                      for one in world.service(Rds).living()},
        "snapshots": {name: {"tags": tags} for name, tags in world.service(Rds).snapshots.items()},
        "subnet_groups": sorted(world.service(Rds).subnet_groups)}


def counts(world):
    """How many of each there are; terminated instances and their root disks are none."""
    found = state(world)
    found["instances"] = {ident: one for ident, one in found["instances"].items() if one["state"] != "terminated"}
    return {kind: len(things) for kind, things in found.items()}


def _faults(world):
    return {"rules": world.faults.rules, "fired": world.faults.fired}


def _clock(world):
    return {"now": world.now, "rate": world.clock.rate, "wall": world.clock.wall()}


# ---- steering ----

def _add_faults(world, data):
    return {"ids": [world.faults.add(rule) for rule in (data if isinstance(data, list) else [data])]}


def _remove_faults(world, data):
    world.faults.remove(data.get("id"))
    return _faults(world)


def _set(world, data):
    world.faults.set(data)
    return world.faults.settings


def _set_clock(world, data):
    if "skew_seconds" in data:
        world.clock.skew = timedelta(seconds=data["skew_seconds"])
    world.clock.set(data.get("rate"), data.get("advance_seconds", 0.0))
    world.service(Instances).advance()
    return _clock(world)


def _seed(world, data):
    world.faults.random.seed(data["seed"])
    return {}


def _chaos(world, data):
    world.faults.random.seed(data.get("seed", 0))
    kinds = data.get("kinds")
    chosen = [dict(rule) for rule in CHAOS if not kinds or rule["kind"] in kinds]
    for rule in chosen:
        if rule["kind"] in ("never_boots", "stuck_pending"):
            rule["type"] = data.get("type", "*")
        if data.get("is_sure") and "count" in rule:
            rule.update(probability=1.0, count=2)
    return {"ids": [world.faults.add(rule) for rule in chosen]}


def _vpc(world, data):
    network = world.service(Network)
    if not data["default"]:
        network.remove_default_vpc()
    elif network.vpc is None:
        network.make_default_vpc()
    return {"vpc": network.vpc}


def _database(world, data):
    world.service(Rds).point(data)
    return {}


def _expire(world, data):
    """Ends the credentials of all roles, as they stand, at once. Instances get new ones when they ask."""
    gone = [key for key, one in world.credentials.items() if one.token is not None]
    for key in gone:
        world.credentials[key].expires = world.clock.wall()
    world.service(Metadata).credentials.clear()
    return {"expired": len(gone)}


def _forget(world, data):
    world.requests.clear()
    world.violations.clear()
    world.denied.clear()
    return {}


def _instance(world, ident, data):
    one = world.service(Instances).find(ident, is_asked_by_user=False)
    action = data["action"]
    if action == "interrupt":
        one.interrupt(world, data.get("after_seconds", 0))
    elif action == "rebalance":
        one.rebalance_at = world.now
    elif action == "vanish":
        one.vanishes_at = world.now
    elif action == "hang" and world.machines:
        world.machines.hang(ident)
    else:
        raise ValueError(f"an instance can interrupt, rebalance, vanish or (with machines) hang, not '{action}'")
    world.service(Instances).advance()
    return {"state": one.state}
