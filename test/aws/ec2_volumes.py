# SPDX-License-Identifier: Apache-2.0
"""ec2_volumes.py - EBS volumes: made in a zone, attached to one instance at a time, kept when that ends or not.

Threads: under the server's lock. Units: instants of the virtual clock, GiB.
"""
from answer import ServiceError
from ec2_instances import Instances
from registry import operation, page, select, tag_list, tags_of, with_token


class Volume:
    def __init__(self, ident, zone, size, kind, tags, now, ready_at):
        self.id = ident
        self.zone = zone
        self.size = size
        self.kind = kind
        self.tags = tags
        self.created = now
        self.ready_at = ready_at
        self.instance = None
        self.device = None
        self.attached_at = None
        self.ends_with_instance = False
        self.detaching_until = None


class Volumes:
    def __init__(self, world):
        self.world = world
        self.all = {}

    def find(self, ident):
        if ident not in self.all:
            raise ServiceError("InvalidVolume.NotFound", f"The volume '{ident}' does not exist.", 400)
        volume = self.all[ident]
        if volume.detaching_until and volume.detaching_until <= self.world.now:
            volume.instance = volume.device = volume.detaching_until = None
        return volume

    def state(self, volume):
        if volume.ready_at > self.world.now:
            return "creating"
        return "in-use" if volume.instance else "available"

    def make(self, zone, size, kind, tags):
        volume = Volume(self.world.ident("vol"), zone, size, kind, tags, self.world.now,
                        self.world.later(self.world.faults.delay("volume_seconds")))
        self.all[volume.id] = volume
        return volume

    def make_disks(self, instance):
        """The root disk and those of the block device mappings of a new instance."""
        mappings = {mapping["DeviceName"]: mapping.get("Ebs", {}) for mapping in instance.launch.disks}
        mappings.setdefault("/dev/xvda", {})
        for device, disk in mappings.items():
            volume = self.make(instance.zone, disk.get("VolumeSize", 8), disk.get("VolumeType", "gp3"),
                               dict(instance.launch.volume_tags))
            volume.instance, volume.device, volume.attached_at = instance.id, device, self.world.now
            volume.ends_with_instance = disk.get("DeleteOnTermination", True)

    def of(self, instance):
        return [self.find(ident) for ident, volume in list(self.all.items()) if volume.instance == instance]

    def release(self, instance):
        for volume in self.of(instance):
            volume.instance = volume.device = volume.detaching_until = None
            if volume.ends_with_instance:
                del self.all[volume.id]

    def mappings(self, instance):
        return [{"DeviceName": volume.device, "Ebs": {"VolumeId": volume.id, "Status": "attached", "AttachTime":
                 volume.attached_at, "DeleteOnTermination": volume.ends_with_instance}} for volume in self.of(instance)]


def _attachment(world, volume):
    state = "detaching" if volume.detaching_until else "attached"
    if volume.attached_at and (world.now - volume.attached_at).total_seconds() < world.setting("volume_seconds"):
        state = "attaching"
    return {"VolumeId": volume.id, "InstanceId": volume.instance, "Device": volume.device, "State": state,
            "AttachTime": volume.attached_at, "DeleteOnTermination": volume.ends_with_instance}


def _shown(world, volume):
    return {"VolumeId": volume.id, "AvailabilityZone": volume.zone, "Size": volume.size, "VolumeType": volume.kind,
            "State": world.service(Volumes).state(volume), "CreateTime": volume.created, "Encrypted": False,
            "SnapshotId": "", "MultiAttachEnabled": False, "Tags": tag_list(volume.tags),
            "Attachments": [_attachment(world, volume)] if volume.instance else []}


@operation("ec2", "CreateVolume")
def create_volume(world, params, caller):
    volumes = world.service(Volumes)
    if params["AvailabilityZone"] not in world.zones:
        raise ServiceError("InvalidZone.NotFound", f"The zone '{params['AvailabilityZone']}' does not exist.", 400)
    if not params.get("Size") and not params.get("SnapshotId"):
        raise ServiceError("MissingParameter", "The request must contain the parameter size or snapshotId", 400)
    scope = "volume " + params["AvailabilityZone"]
    known = world.tokens.find(scope, params.get("ClientToken"), params)
    volume = volumes.all.get(known) if known else None
    if volume is None:
        volume = volumes.make(params["AvailabilityZone"], params["Size"], params.get("VolumeType", "gp2"),
                              tags_of(params, "volume"))
        world.tokens.keep(scope, params.get("ClientToken"), params, volume.id)
    made = _shown(world, volume)
    made.pop("Attachments")
    return made


@operation("ec2", "DescribeVolumes")
def describe_volumes(world, params, caller):
    volumes = world.service(Volumes)
    found = [volumes.find(ident) for ident in params.get("VolumeIds") or list(volumes.all)]
    found = select(found, params.get("Filters"), {
        "status": volumes.state, "availability-zone": lambda volume: volume.zone, "volume-id": lambda volume: volume.id,
        "attachment.instance-id": lambda volume: volume.instance, "attachment.device": lambda volume: volume.device,
        "attachment.status": lambda volume: volume.instance and _attachment(world, volume)["State"]})
    found, token = page(found, params, 500)
    return with_token("Volumes", [_shown(world, volume) for volume in found], token)


@operation("ec2", "AttachVolume")
def attach(world, params, caller):
    volume = world.service(Volumes).find(params["VolumeId"])
    instance = world.service(Instances).find(params["InstanceId"])
    if world.service(Volumes).state(volume) != "available":
        code = "VolumeInUse" if volume.instance else "IncorrectState"
        raise ServiceError(code, f"{volume.id} is not available: it is {world.service(Volumes).state(volume)}", 400)
    if volume.zone != instance.zone:
        raise ServiceError("InvalidVolume.ZoneMismatch", f"The volume '{volume.id}' is not in the same availability zone as "
                           f"instance '{instance.id}'", 400)
    if instance.state != "running":
        raise ServiceError("IncorrectState", f"Instance '{instance.id}' is not 'running'.", 400)
    if any(other.device == params["Device"] for other in world.service(Volumes).of(instance.id)):
        raise ServiceError("InvalidParameterValue", f"Invalid value '{params['Device']}' for unixDevice. Attachment point "
                           f"{params['Device']} is already in use", 400)
    volume.instance, volume.device, volume.attached_at = instance.id, params["Device"], world.now
    volume.ends_with_instance = False
    instance.has_new_devices = True
    return _attachment(world, volume)


@operation("ec2", "DetachVolume")
def detach(world, params, caller):
    volume = world.service(Volumes).find(params["VolumeId"])
    if not volume.instance:
        raise ServiceError("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.", 400)
    volume.detaching_until = world.later(world.faults.delay("volume_seconds"))
    return _attachment(world, volume)


@operation("ec2", "DeleteVolume")
def delete_volume(world, params, caller):
    volume = world.service(Volumes).find(params["VolumeId"])
    if volume.instance:
        raise ServiceError("VolumeInUse", f"Volume {volume.id} is currently attached to {volume.instance}", 400)
    del world.service(Volumes).all[volume.id]
    return {}
