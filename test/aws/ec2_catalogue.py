# SPDX-License-Identifier: Apache-2.0
"""ec2_catalogue.py - what there is to rent: images, instance types, where they are offered, spot prices.

Threads: under the server's lock.
"""
import hashlib
from datetime import timedelta

from answer import ServiceError
from registry import operation, page, select, with_token

DEBIAN = "136693071363"
# type: (vCPUs, MiB, architecture, dollars an hour)
TYPES = {
    "t3.micro": (2, 1024, "x86_64", 0.0120), "t3.small": (2, 2048, "x86_64", 0.0240), "t3.medium": (2, 4096, "x86_64", 0.0480),
    "t3.large": (2, 8192, "x86_64", 0.0960), "t4g.small": (2, 2048, "arm64", 0.0192), "t4g.medium": (2, 4096, "arm64", 0.0384),
    "m5.large": (2, 8192, "x86_64", 0.1150), "m6i.large": (2, 8192, "x86_64", 0.1150), "m7i.large": (2, 8192, "x86_64", 0.1208),
    "c5.large": (2, 4096, "x86_64", 0.0970), "c5.xlarge": (4, 8192, "x86_64", 0.1940), "c6i.large": (2, 4096, "x86_64", 0.0970),
    "c6i.xlarge": (4, 8192, "x86_64", 0.1940), "c6a.large": (2, 4096, "x86_64", 0.0873), "c7i.large": (2, 4096, "x86_64", 0.1018),
    "c7i.xlarge": (4, 8192, "x86_64", 0.2037), "c7a.large": (2, 4096, "x86_64", 0.1171), "c6g.large": (2, 4096, "arm64", 0.0776),
    "g4dn.xlarge": (4, 16384, "x86_64", 0.6580),
    "c7g.large": (2, 4096, "arm64", 0.0824), "c7g.xlarge": (4, 8192, "arm64", 0.1648)}
# The newest are not in every zone, as in life.
NOT_OFFERED = {("c7a.large", "c"), ("c7i.xlarge", "c"), ("c7g.xlarge", "a")}


class Image:
    def __init__(self, ident, name, architecture, created):
        self.id = ident
        self.name = name
        self.architecture = architecture
        self.created = created
        self.owner = DEBIAN
        self.tags = {}


class Catalogue:
    def __init__(self, world):
        self.world = world
        self.images = {}
        for architecture, short in (("x86_64", "amd64"), ("arm64", "arm64")):
            for day in ("20260811-2201", "20261006-2257"):
                name = f"debian-12-{short}-{day}"
                # Another one in each region, as in life.
                ident = "ami-" + hashlib.sha256(f"{world.region} {name}".encode()).hexdigest()[:17]
                image = Image(ident, name, architecture, f"{day[:4]}-{day[4:6]}-{day[6:8]}T06:00:00.000Z")
                self.images[image.id] = image

    def newest(self, architecture):
        return max((image for image in self.images.values() if image.architecture == architecture),
                   key=lambda image: image.created)

    def image(self, ident):
        if not (ident or "").startswith("ami-"):
            raise ServiceError("InvalidAMIID.Malformed", f'Invalid id: "{ident}" (expecting "ami-...")', 400)
        if ident not in self.images:
            raise ServiceError("InvalidAMIID.NotFound", f"The image id '[{ident}]' does not exist", 400)
        return self.images[ident]


def is_offered(kind, zone):
    return kind in TYPES and (kind, zone[-1]) not in NOT_OFFERED


@operation("ec2", "DescribeImages")
def describe_images(world, params, caller):
    catalogue = world.service(Catalogue)
    found = list(catalogue.images.values())
    if params.get("ImageIds"):
        found = [catalogue.image(ident) for ident in params["ImageIds"]]
    if params.get("Owners"):
        found = [image for image in found if image.owner in params["Owners"]]
    found = select(found, params.get("Filters"), {
        "name": lambda image: image.name, "architecture": lambda image: image.architecture, "state": lambda image: "available",
        "image-id": lambda image: image.id, "owner-id": lambda image: image.owner, "root-device-type": lambda image: "ebs",
        "virtualization-type": lambda image: "hvm", "is-public": lambda image: True})
    return {"Images": [
        {"ImageId": image.id, "Name": image.name, "Architecture": image.architecture, "CreationDate": image.created,
         "OwnerId": image.owner, "Public": True, "State": "available", "ImageType": "machine", "RootDeviceName": "/dev/xvda",
         "RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen", "EnaSupport": True,
         "Description": "Debian 12", "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {
             "VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": False}}]} for image in found]}


@operation("ec2", "DescribeInstanceTypes")
def describe_types(world, params, caller):
    wanted = params.get("InstanceTypes") or sorted(TYPES)
    unknown = [kind for kind in wanted if kind not in TYPES]
    if unknown:
        raise ServiceError("InvalidInstanceType",
                           f"The following supplied instance types do not exist: [{', '.join(unknown)}]", 400)
    found, token = page([_Type(kind) for kind in wanted], params, 100)
    found = select(found, params.get("Filters"), {
        "instance-type": lambda one: one.name, "current-generation": lambda one: True,
        "processor-info.supported-architecture": lambda one: TYPES[one.name][2],
        "vcpu-info.default-vcpus": lambda one: TYPES[one.name][0]})
    return with_token("InstanceTypes", [
        {"InstanceType": one.name, "CurrentGeneration": True, "SupportedUsageClasses": ["on-demand", "spot"],
         "VCpuInfo": {"DefaultVCpus": TYPES[one.name][0]}, "MemoryInfo": {"SizeInMiB": TYPES[one.name][1]},
         "ProcessorInfo": {"SupportedArchitectures": [TYPES[one.name][2]]},
         "BurstablePerformanceSupported": one.name.startswith("t")} for one in found], token)


class _Type:
    def __init__(self, name, zone=None):
        self.name = name
        self.zone = zone
        self.tags = {}


@operation("ec2", "DescribeInstanceTypeOfferings")
def describe_offerings(world, params, caller):
    by_zone = params.get("LocationType", "region") == "availability-zone"
    places = world.zones if by_zone else [world.region]
    found = [_Type(kind, place) for kind in sorted(TYPES) for place in places if not by_zone or is_offered(kind, place)]
    found = select(found, params.get("Filters"), {"instance-type": lambda one: one.name, "location": lambda one: one.zone})
    found, token = page(found, params)
    return with_token("InstanceTypeOfferings", [
        {"InstanceType": one.name, "LocationType": "availability-zone" if by_zone else "region", "Location": one.zone}
        for one in found], token)


@operation("ec2", "DescribeSpotPriceHistory")
def describe_spot_prices(world, params, caller):
    kinds = params.get("InstanceTypes") or sorted(TYPES)
    zones = [params["AvailabilityZone"]] if "AvailabilityZone" in params else world.zones
    found = [{"AvailabilityZone": zone, "InstanceType": kind, "ProductDescription": "Linux/UNIX",
              "SpotPrice": f"{TYPES[kind][3] * (0.30 + 0.03 * index):.6f}", "Timestamp": world.now - timedelta(hours=1)}
             for kind in kinds if kind in TYPES for index, zone in enumerate(zones) if is_offered(kind, zone)]
    found, token = page(found, params)
    return with_token("SpotPriceHistory", found, token or "")
