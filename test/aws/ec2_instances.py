# SPDX-License-Identifier: Apache-2.0
"""ec2_instances.py - the instances: their life, what describes show of it, how they end.

    pending -> running (boots, if no fault forbids it) -> shutting-down -> terminated -> no longer listed

advance() carries each of them on to the present; everything else only sets instants. Describes show an instance, and
each change of its state, only after a delay of its own.

Threads: under the server's lock. Units: instants of the virtual clock.
"""
import base64
from datetime import timedelta

from answer import ServiceError
from ec2_catalogue import TYPES
from ec2_network import Network
from quotas import setting_of
from registry import operation, page, select, tag_list, with_token

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")


class Instance:
    def __init__(self, world, launch, subnet, market, taken=()):
        faults, what = world.faults, {"type": launch.kind, "zone": subnet.zone}
        self.id = world.ident("i")
        self.kind = launch.kind
        self.zone = subnet.zone
        self.market = market
        self.launch = launch  # what was asked for: image, groups, profile, user data
        self.groups = launch.groups
        self.tags = dict(launch.tags)
        self.address = launch.address or subnet.next_address(taken)
        self.subnet = subnet.id
        self.launched = world.now
        self.lag = timedelta(seconds=faults.delay("describe_seconds"))
        self.history = [(world.now, "pending")]
        pending = timedelta(seconds=faults.delay("pending_seconds"))
        self.running_at = None if faults.hit("stuck_pending", **what) else world.now + pending
        self.boots_at = None
        if self.running_at and not faults.hit("never_boots", **what):
            self.boots_at = self.running_at + timedelta(seconds=faults.delay("boot_seconds"))
        self.has_booted = False
        self.ending_at = self.ended_at = None
        self.reason = None
        self.has_new_devices = True
        self.notice_at = self.taken_at = self.rebalance_at = None
        vanish = faults.hit("vanishes", **what)
        self.vanishes_at = vanish and world.later(vanish.get("after_seconds", 60))
        taken = market == "spot" and faults.hit("spot_interruption", **what)
        if taken:
            self.interrupt(world, taken.get("after_seconds", 60))

    @property
    def state(self):
        return self.history[-1][1]

    @property
    def is_terminated(self):
        return self.state == "terminated"

    def shown_state(self, now):
        return next((state for at, state in reversed(self.history) if at + self.lag <= now), self.history[0][1])

    def is_visible(self, now):
        return self.launched + self.lag <= now

    def interrupt(self, world, after_seconds=0):
        """A rebalance recommendation, the notice after it, and the end two minutes after that."""
        self.rebalance_at = world.later(after_seconds / 2)
        self.notice_at = world.later(after_seconds)
        self.taken_at = self.notice_at + timedelta(seconds=world.setting("spot_notice_seconds"))

    def end(self, world, reason, is_sudden=False):
        if self.ending_at is None:
            self.ending_at = world.now
            self.ended_at = world.now if is_sudden else world.later(world.faults.delay("stop_seconds"))
            self.reason = reason


class Instances:
    def __init__(self, world):
        self.world = world
        self.all = {}
        self.gone = 0  # how many are no longer listed

    def find(self, ident, is_asked_by_user=True):
        if not (ident or "").startswith("i-"):
            raise ServiceError("InvalidInstanceID.Malformed", f'Invalid id: "{ident}"', 400)
        found = self.all.get(ident)
        if found is None or (is_asked_by_user and not found.is_visible(self.world.now)):
            raise ServiceError("InvalidInstanceID.NotFound", f"The instance ID '{ident}' does not exist", 400)
        return found

    def at(self, address):
        """The instance that has this address and is running, or None."""
        return next((one for one in self.all.values() if one.address == address and not one.is_terminated), None)

    def addresses(self):
        """Those that are taken: an instance has its own until it is terminated."""
        return {one.address for one in self.all.values() if not one.is_terminated}

    def vcpus(self, setting):
        """What counts for the quota of that setting: an ended instance does so for a while."""
        release = timedelta(seconds=self.world.setting("quota_release_seconds"))
        return sum(TYPES[one.kind][0] for one in self.all.values() if setting_of(one.kind, one.market) == setting
                   and (one.ended_at is None or one.ended_at + release > self.world.now))

    def advance(self):
        now, machines = self.world.now, self.world.machines
        for one in list(self.all.values()):
            self._advance(one, now, machines)
            if one.ended_at and one.ended_at + timedelta(seconds=self.world.setting("listed_seconds")) < now:
                del self.all[one.id]
                self.gone += 1

    def _advance(self, one, now, machines):
        if one.vanishes_at and one.vanishes_at <= now:
            one.end(self.world, ("Server.InternalError", "Server.InternalError: Internal error on launch"), True)
        if one.taken_at and one.taken_at <= now:
            one.end(self.world, ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance "
                                 "termination"))
        if one.ending_at is None:
            if one.state == "pending" and one.running_at and one.running_at <= now:
                one.history.append((one.running_at, "running"))
            if one.boots_at and one.boots_at <= now and not one.has_booted:
                one.has_booted = True
                if machines:
                    machines.boot(one)
            if machines and one.has_booted:
                self._look_at(one, machines)
            return
        if one.state in ("pending", "running", "stopped"):
            one.history.append((one.ending_at, "shutting-down"))
            if machines:
                machines.stop(one.id, is_sudden=one.ending_at == one.ended_at)
        if one.state == "shutting-down" and one.ended_at <= now:
            one.history.append((one.ended_at, "terminated"))
            if machines:
                machines.stop(one.id, is_sudden=True)
            self.world.service(_volumes_class()).release(one.id)

    def _look_at(self, one, machines):
        """Shows a running machine its new devices, and sees whether it has shut itself down."""
        if one.has_new_devices:
            devices = {volume.device: volume.id for volume in self.world.service(_volumes_class()).of(one.id)
                       if volume.device != "/dev/xvda"}
            one.has_new_devices = not machines.attach(one.id, devices)
        if one.state == "running" and machines.has_shut_down(one.id):
            if one.launch.on_shutdown == "terminate":
                one.end(self.world, ("Client.InstanceInitiatedShutdown",
                                     "Client.InstanceInitiatedShutdown: Instance initiated shutdown"))
            else:
                one.history.append((self.world.now, "stopped"))


def _volumes_class():
    from ec2_volumes import Volumes  # which needs this module
    return Volumes


FIELDS = {
    "instance-id": lambda one: one.id, "instance-type": lambda one: one.kind, "availability-zone": lambda one: one.zone,
    "instance-state-name": lambda one: one.shown, "instance-state-code": lambda one: CODES[one.shown],
    "private-ip-address": lambda one: one.address, "ip-address": lambda one: one.address,
    "subnet-id": lambda one: one.subnet, "network-interface.subnet-id": lambda one: one.subnet,
    "vpc-id": lambda one: one.launch.vpc, "image-id": lambda one: one.launch.image.id,
    "instance.group-id": lambda one: one.groups, "network-interface.group-id": lambda one: one.groups,
    "client-token": lambda one: one.launch.token, "instance-lifecycle": lambda one: "spot" if one.market == "spot" else None,
    "iam-instance-profile.arn": lambda one: one.launch.profile and one.launch.profile.arn,
    "architecture": lambda one: one.launch.image.architecture}


def shown(world, one, state=None):
    """An instance as DescribeInstances shows it."""
    state = state or one.shown_state(world.now)
    network = world.service(Network)
    is_over = state == "terminated"
    made = {
        "InstanceId": one.id, "ImageId": one.launch.image.id, "State": {"Code": CODES[state], "Name": state},
        "AmiLaunchIndex": 0, "InstanceType": one.kind, "LaunchTime": one.launched, "ClientToken": one.launch.token or "",
        "Placement": {"AvailabilityZone": one.zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "disabled"}, "Architecture": one.launch.image.architecture, "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen", "EnaSupport": True,
        "PrivateDnsName": "" if is_over else f"ip-{one.address.replace('.', '-')}.{world.region}.compute.internal",
        "PublicDnsName": "", "StateTransitionReason": "", "Tags": tag_list(one.tags),
        "MetadataOptions": {"State": "applied", "HttpTokens": one.launch.http_tokens, "HttpPutResponseHopLimit": 1,
                            "HttpEndpoint": "enabled"}}
    if not is_over:
        made.update(PrivateIpAddress=one.address, PublicIpAddress=one.address, SubnetId=one.subnet, VpcId=one.launch.vpc,
                    SecurityGroups=[{"GroupId": ident, "GroupName": network.groups[ident].name} for ident in one.groups
                                    if ident in network.groups])
    if one.launch.profile:
        made["IamInstanceProfile"] = {"Arn": one.launch.profile.arn, "Id": one.launch.profile.id}
    if one.market == "spot":
        made.update(InstanceLifecycle="spot", SpotInstanceRequestId="sir-" + one.id[-8:])
    if one.reason and state in ("shutting-down", "terminated"):
        made["StateReason"] = {"Code": one.reason[0], "Message": one.reason[1]}
        made["StateTransitionReason"] = f"{one.reason[0]} ({one.ending_at:%Y-%m-%d %H:%M:%S} GMT)"
    made["BlockDeviceMappings"] = world.service(_volumes_class()).mappings(one.id)
    return made


def _chosen(world, params):
    instances = world.service(Instances)
    if params.get("InstanceIds"):
        found = [instances.find(ident) for ident in params["InstanceIds"]]
    else:
        found = [one for one in instances.all.values() if one.is_visible(world.now)]
    for one in found:
        one.shown = one.shown_state(world.now)
    return found


@operation("ec2", "DescribeInstances")
def describe_instances(world, params, caller):
    if params.get("InstanceIds") and params.get("MaxResults"):
        raise ServiceError("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter "
                           "maxResults", 400)
    if params.get("MaxResults") and params["MaxResults"] < 5:
        raise ServiceError("InvalidParameterValue", "Value ( " + str(params["MaxResults"]) + " ) for parameter maxResults is "
                           "invalid. Expecting a value greater than 5.", 400)
    found, token = page(select(_chosen(world, params), params.get("Filters"), FIELDS), params)
    reservations = {}
    for one in found:
        reservations.setdefault(one.launch.reservation, []).append(shown(world, one))
    return with_token("Reservations", [{"ReservationId": ident, "OwnerId": world.account, "Groups": [], "Instances": members}
                                       for ident, members in reservations.items()], token)


@operation("ec2", "DescribeInstanceStatus")
def describe_status(world, params, caller):
    found = _chosen(world, params)
    if not params.get("IncludeAllInstances"):
        found = [one for one in found if one.shown == "running"]
    found, token = page(select(found, params.get("Filters"), FIELDS), params)
    made = []
    for one in found:
        health = "ok" if one.has_booted else "initializing" if one.shown == "running" else "not-applicable"
        status = {"Status": health, "Details": [{"Name": "reachability", "Status": "passed" if health == "ok" else health}]}
        made.append({"InstanceId": one.id, "AvailabilityZone": one.zone, "InstanceState": {
            "Code": CODES[one.shown], "Name": one.shown}, "InstanceStatus": status, "SystemStatus": status})
    return with_token("InstanceStatuses", made, token)


@operation("ec2", "TerminateInstances")
def terminate(world, params, caller):
    instances = world.service(Instances)
    found = [instances.find(ident) for ident in params["InstanceIds"]]
    made = []
    for one in found:
        before = one.state
        one.end(world, BY_USER)
        instances.advance()
        made.append({"InstanceId": one.id, "PreviousState": {"Code": CODES[before], "Name": before},
                     "CurrentState": {"Code": CODES[one.state], "Name": one.state}})
    return {"TerminatingInstances": made}


@operation("ec2", "GetConsoleOutput")
def console_output(world, params, caller):
    one = world.service(Instances).find(params["InstanceId"])
    text = world.machines.console(one.id) if world.machines else b""
    return {"InstanceId": one.id, "Timestamp": world.now, "Output": base64.b64encode(text[-65536:]).decode()}


@operation("ec2", "DescribeInstanceAttribute")
def describe_attribute(world, params, caller):
    one = world.service(Instances).find(params["InstanceId"])
    made = {"InstanceId": one.id}
    if params["Attribute"] == "userData":
        made["UserData"] = {"Value": base64.b64encode(one.launch.user_data).decode()}
    elif params["Attribute"] == "instanceInitiatedShutdownBehavior":
        made["InstanceInitiatedShutdownBehavior"] = {"Value": one.launch.on_shutdown}
    return made


@operation("ec2", "DescribeSpotInstanceRequests")
def describe_spot_requests(world, params, caller):
    found = [one for one in world.service(Instances).all.values() if one.market == "spot" and one.is_visible(world.now)]
    wanted = params.get("SpotInstanceRequestIds")
    found = [one for one in found if not wanted or "sir-" + one.id[-8:] in wanted]
    found = select(found, params.get("Filters"), {"instance-id": lambda one: one.id, "launch.image-id":
                                                  lambda one: one.launch.image.id})
    return {"SpotInstanceRequests": [
        {"SpotInstanceRequestId": "sir-" + one.id[-8:], "InstanceId": one.id, "CreateTime": one.launched, "Type": "one-time",
         "State": "active" if one.ending_at is None else "closed", "Tags": [],
         "Status": {"Code": "marked-for-termination" if one.notice_at else "fulfilled", "UpdateTime": world.now}}
        for one in found]}
