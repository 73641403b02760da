# SPDX-License-Identifier: Apache-2.0
"""metadata.py - the instance metadata service, version 2: what an instance finds at its own address.

An instance asks at the address that it has itself (in life at 169.254.169.254): so the server knows who asks. Times in
spot/instance-action are converted to the wall clock, by which the instance's programs live.

Threads: under the server's lock. Units: seconds.
"""
import json
import secrets
from datetime import timedelta

from answer import HttpAnswer
from ec2_instances import Instances

TOKEN_SECONDS_MAX = 21600
CREDENTIAL_SECONDS = 6 * 3600
TEXT = {"Content-Type": "text/plain"}


class Metadata:
    def __init__(self, world):
        self.world = world
        self.tokens = {}
        self.credentials = {}

    def wall(self, instant):
        """When the wall clock shows what the virtual one calls `instant`."""
        left = (instant - self.world.now) / max(self.world.clock.rate, 1e-6)
        return self.world.clock.wall() + left

    def credential(self, instance):
        """The instance's credentials, renewed five minutes before they end; None without a role."""
        profile = instance.launch.profile
        if profile is None or profile.role is None:
            return None
        known = self.credentials.get(instance.id)
        if known is None or known.expires - timedelta(minutes=5) < self.world.clock.wall():
            role = profile.role.name
            arn = f"arn:aws:sts::{self.world.account}:assumed-role/{role}/{instance.id}"
            known = self.credentials[instance.id] = self.world.new_credential(arn, role, CREDENTIAL_SECONDS)
        return known


def answer(world, request):
    instance = world.service(Instances).at(request.local_address)
    if instance is None:
        return HttpAnswer(404, "no instance has this address", TEXT)
    metadata = world.service(Metadata)
    if request.path == "/latest/api/token":
        return _token(metadata, instance, request)
    if request.method != "GET":
        return HttpAnswer(405, "", TEXT)
    given = request.headers.get("x-aws-ec2-metadata-token")
    if given is None and instance.launch.http_tokens == "required":
        return HttpAnswer(401, "", TEXT)
    if given is not None and metadata.tokens.get((instance.id, given), world.clock.wall()) <= world.clock.wall():
        return HttpAnswer(401, "", TEXT)
    text = _look_up(world, metadata, instance, request.path.rstrip("/"))
    return HttpAnswer(404, "", TEXT) if text is None else HttpAnswer(200, text, TEXT)


def _token(metadata, instance, request):
    if request.method != "PUT" or "x-forwarded-for" in request.headers:
        return HttpAnswer(403, "", TEXT)
    text = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
    if not text.isdigit() or not 1 <= int(text) <= TOKEN_SECONDS_MAX:
        return HttpAnswer(400, "", TEXT)
    token = secrets.token_urlsafe(40)
    metadata.tokens[instance.id, token] = metadata.world.clock.wall() + timedelta(seconds=int(text))
    return HttpAnswer(200, token, {**TEXT, "X-aws-ec2-metadata-token-ttl-seconds": text})


def _look_up(world, metadata, instance, path):
    if path == "/latest/user-data":
        return instance.launch.user_data or None
    if path == "/latest/dynamic/instance-identity/document":
        return json.dumps({"accountId": world.account, "region": world.region, "availabilityZone": instance.zone,
                           "instanceId": instance.id, "instanceType": instance.kind, "imageId": instance.launch.image.id,
                           "architecture": instance.launch.image.architecture, "privateIp": instance.address,
                           "pendingTime": instance.launched.strftime("%Y-%m-%dT%H:%M:%SZ"), "version": "2017-09-30"})
    if not path.startswith("/latest/meta-data"):
        return None
    tree = _tree(world, metadata, instance)
    name = path.removeprefix("/latest/meta-data").strip("/")
    if name in tree:
        return tree[name]
    below = {key[len(name) + 1 if name else 0:].partition("/") for key in tree if not name or key.startswith(name + "/")}
    return "\n".join(sorted({first + slash for first, slash, _ in below})) or None


def _tree(world, metadata, instance):
    host = f"ip-{instance.address.replace('.', '-')}.{world.region}.compute.internal"
    tree = {"instance-id": instance.id, "instance-type": instance.kind, "ami-id": instance.launch.image.id,
            "local-ipv4": instance.address, "public-ipv4": instance.address, "local-hostname": host, "hostname": host,
            "placement/availability-zone": instance.zone, "placement/region": world.region, "reservation-id":
            instance.launch.reservation, "instance-life-cycle": instance.market, "services/domain": "amazonaws.com"}
    if instance.launch.shows_tags:
        tree.update({f"tags/instance/{key}": value for key, value in instance.tags.items()})
    credential = metadata.credential(instance)
    if credential:
        tree["iam/info"] = json.dumps({"Code": "Success", "InstanceProfileArn": instance.launch.profile.arn,
                                       "InstanceProfileId": instance.launch.profile.id})
        now = world.clock.wall()
        tree[f"iam/security-credentials/{credential.role}"] = json.dumps(
            {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
             "AccessKeyId": credential.key, "SecretAccessKey": credential.secret, "Token": credential.token,
             "Expiration": credential.expires.strftime("%Y-%m-%dT%H:%M:%SZ")})
    if instance.notice_at and instance.notice_at <= world.now:
        end = metadata.wall(instance.taken_at).strftime("%Y-%m-%dT%H:%M:%SZ")
        tree["spot/instance-action"] = json.dumps({"action": "terminate", "time": end})
        tree["spot/termination-time"] = end
    if instance.rebalance_at and instance.rebalance_at <= world.now:
        tree["events/recommendations/rebalance"] = json.dumps(
            {"noticeTime": metadata.wall(instance.rebalance_at).strftime("%Y-%m-%dT%H:%M:%SZ")})
    return tree
