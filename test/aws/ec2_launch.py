# SPDX-License-Identifier: Apache-2.0
"""ec2_launch.py - RunInstances and CreateFleet: from a request and its launch template to instances, or to the error.

The order of the checks is that in which EC2 answers: what is malformed, what is not there, what does not fit, the
quota, and capacity last.

Threads: under the server's lock.
"""
import base64

from answer import ServiceError
from ec2_catalogue import TYPES, Catalogue, is_offered
from ec2_instances import Instance, Instances, shown
from ec2_network import Network
from ec2_templates import Templates
from ec2_volumes import Volumes
from iam import Iam
from quotas import setting_of
from registry import operation, tags_of

USER_DATA_MAX = 16 * 1024


class Launch:
    """What is to be launched, checked and complete, but for the subnet."""

    def __init__(self, world, spec, token):
        network = world.service(Network)
        self.reservation = world.ident("r")
        self.token = token
        self.vpc = network.vpc
        if not spec.get("ImageId"):
            raise ServiceError("MissingParameter", "The request must contain the parameter ImageId", 400)
        self.image = world.service(Catalogue).image(spec["ImageId"])
        self.kind = spec.get("InstanceType", "m1.small")
        if self.kind not in TYPES:
            raise ServiceError("InvalidParameterValue", f"Invalid value '{self.kind}' for InstanceType.", 400)
        if TYPES[self.kind][2] != self.image.architecture:
            raise ServiceError("InvalidParameterValue", f"The architecture '{TYPES[self.kind][2]}' of the specified instance type "
                               f"does not match the architecture '{self.image.architecture}' of the specified AMI.", 400)
        self.user_data = _user_data(spec.get("UserData", ""))
        interface = (spec.get("NetworkInterfaces") or [{}])[0]
        if spec.get("NetworkInterfaces") and (spec.get("SubnetId") or spec.get("SecurityGroupIds")):
            raise ServiceError("InvalidParameterCombination", "Network interfaces and an instance-level subnet ID or security "
                               "groups may not be specified on the same request", 400)
        self.subnet = interface.get("SubnetId") or spec.get("SubnetId")
        self.zone = (spec.get("Placement") or {}).get("AvailabilityZone")
        self.address = spec.get("PrivateIpAddress")
        self.groups = _groups(network, interface.get("Groups") or spec.get("SecurityGroupIds"), spec.get("SecurityGroups"))
        self.profile = _profile(world, spec.get("IamInstanceProfile"))
        self.tags = tags_of(spec, "instance")
        self.volume_tags = tags_of(spec, "volume")
        self.disks = spec.get("BlockDeviceMappings", [])
        self.on_shutdown = spec.get("InstanceInitiatedShutdownBehavior", "stop")
        options = spec.get("MetadataOptions") or {}
        self.http_tokens = options.get("HttpTokens", "required")
        self.shows_tags = options.get("InstanceMetadataTags") == "enabled"
        self.market = (spec.get("InstanceMarketOptions") or {}).get("MarketType", "on-demand")


def _user_data(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ServiceError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data", 400) from None
    if len(data) > USER_DATA_MAX:
        raise ServiceError("InvalidParameterValue", "User data is limited to 16384 bytes", 400)
    return data


def _groups(network, idents, names):
    if network.vpc is None:
        raise ServiceError("VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for EC2-Classic and "
                           "default VPC.", 400)
    if names:
        by_name = {group.name: group.id for group in network.groups.values()}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ServiceError("InvalidGroup.NotFound", f"The security group '{missing[0]}' does not exist in default VPC "
                               f"'{network.vpc}'", 400)
        return [by_name[name] for name in names]
    if idents:
        return [network.group(ident).id for ident in idents]
    return [group.id for group in network.groups.values() if group.name == "default"]


def _profile(world, asked):
    return world.service(Iam).profile_for_ec2(asked.get("Name"), asked.get("Arn")) if asked else None


def merged(world, params):
    """The parameters of RunInstances over those of its launch template."""
    specification = params.get("LaunchTemplate")
    if not specification:
        return params, {}
    template, number, data = world.service(Templates).data(specification)
    both = {**data, **params}
    both["TagSpecifications"] = data.get("TagSpecifications", []) + params.get("TagSpecifications", [])
    if data.get("Placement") or params.get("Placement"):
        both["Placement"] = {**data.get("Placement", {}), **params.get("Placement", {})}
    return both, {"aws:ec2launchtemplate:id": template.id, "aws:ec2launchtemplate:version": str(number)}


def subnet_for(world, launch, zone=None):
    """The subnet to launch in: the one asked for, or the default one of a zone that offers the type."""
    network = world.service(Network)
    if launch.subnet:
        subnet = network.subnet(launch.subnet)
        if zone and subnet.zone != zone:
            raise ServiceError("InvalidParameterCombination", f"The subnet {subnet.id} is not in {zone}", 400)
        return subnet
    zone = zone or launch.zone
    if zone and zone not in world.zones:
        raise ServiceError("InvalidParameterValue", f"Invalid availability zone: [{zone}]", 400)
    if not network.subnets:
        raise ServiceError("MissingInput", "No subnets found for the default VPC. Please specify a subnet.", 400)
    fit = [subnet for subnet in network.subnets.values() if (subnet.zone == zone if zone else is_offered(launch.kind,
                                                                                                         subnet.zone))]
    return world.faults.random.choice(fit)


def start(world, launch, subnet, market, most, least, more_tags=None):
    """`most` instances, at least `least`, or the error that EC2 has for it."""
    instances = world.service(Instances)
    if not is_offered(launch.kind, subnet.zone):
        offered = ", ".join(zone for zone in world.zones if is_offered(launch.kind, zone))
        raise ServiceError("Unsupported", f"Your requested instance type ({launch.kind}) is not supported in your requested "
                           f"Availability Zone ({subnet.zone}). Please retry your request by not specifying an Availability "
                           f"Zone or choosing {offered}.", 400)
    setting, each = setting_of(launch.kind, market), TYPES[launch.kind][0]
    quota = world.setting(setting)
    count = min(most, max(0, quota - instances.vcpus(setting)) // each)
    if count < least:
        if market == "spot":
            raise ServiceError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded", 400)
        raise ServiceError("VcpuLimitExceeded", f"You have requested more vCPU capacity than your current vCPU limit of {quota} "
                           "allows for the instance bucket that the specified instance type belongs to. Please visit "
                           "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.", 400)
    if world.faults.hit("capacity", zone=subnet.zone, type=launch.kind, market=market):
        raise ServiceError("InsufficientInstanceCapacity", f"We currently do not have sufficient {launch.kind} capacity in the "
                           f"Availability Zone you requested ({subnet.zone}). Our system will be working on provisioning "
                           "additional capacity.", 500)
    world.throttle.check_instances(count, world.now)
    if launch.address:
        if most > 1:
            raise ServiceError("InvalidParameterCombination", "A private IP address can be given to one instance alone", 400)
        subnet.check_address(launch.address, instances.addresses())
    made = [Instance(world, launch, subnet, market, instances.addresses()) for _ in range(count)]
    for one in made:
        one.tags.update(more_tags or {})
        instances.all[one.id] = one
        world.service(Volumes).make_disks(one)
    return made


@operation("ec2", "RunInstances")
def run_instances(world, params, caller):
    if params["MinCount"] > params["MaxCount"] or params["MinCount"] < 1:
        raise ServiceError("InvalidParameterValue", "Value for parameter minCount is invalid: must be 1 to maxCount", 400)
    spec, more_tags = merged(world, params)
    token = params.get("ClientToken")
    if token and len(token) > 64:
        raise ServiceError("InvalidParameterValue", "ClientToken is longer than 64 characters", 400)
    network, instances = world.service(Network), world.service(Instances)
    asked_subnet = spec.get("SubnetId") or (spec.get("NetworkInterfaces") or [{}])[0].get("SubnetId")
    scope = network.subnet(asked_subnet).zone if asked_subnet else (spec.get("Placement") or {}).get("AvailabilityZone")
    known = world.tokens.find(scope or world.region, token, params)
    if known:
        made = [instances.all[ident] for ident in known if ident in instances.all]
        if not made or all(one.ending_at for one in made):
            raise ServiceError("IdempotentInstanceTerminated", "The client token that you have provided belongs to an instance "
                               "that has been terminated", 400)
    else:
        launch = Launch(world, spec, token)
        if params.get("DryRun"):
            raise ServiceError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        made = start(world, launch, subnet_for(world, launch), launch.market, params["MaxCount"], params["MinCount"], more_tags)
        world.tokens.keep(scope or world.region, token, params, [one.id for one in made])
    return {"ReservationId": made[0].launch.reservation, "OwnerId": world.account, "Groups": [],
            "Instances": [shown(world, one, one.state) for one in made]}


# ---- fleets ----

def _choices(world, configs):
    """(launch template specification, override, merged parameters) in the order in which they are tried."""
    made = []
    for config in configs:
        specification = config.get("LaunchTemplateSpecification")
        if not specification:
            raise ServiceError("MissingParameter", "The request must contain a LaunchTemplateSpecification", 400)
        for override in config.get("Overrides") or [{}]:
            plain = {name: override[name] for name in ("InstanceType", "SubnetId", "ImageId") if name in override}
            zone = (override.get("Placement") or {}).get("AvailabilityZone") or override.get("AvailabilityZone")
            if zone:
                plain["Placement"] = {"AvailabilityZone": zone}
            made.append((specification, override, *merged(world, {"LaunchTemplate": specification, **plain})))
    made.sort(key=lambda choice: choice[1].get("Priority", 0))
    return made


def _launch_part(world, choices, market, count, spread, tags, errors):
    """Up to `count` instances of one market: spread over the choices evenly, or by their order."""
    made, tried, position = [], set(), 0
    while len(made) < count and len(tried) < len(choices):
        index = position % len(choices)
        position += 1
        if index in tried:
            continue
        specification, override, spec, template_tags = choices[index]
        most = max(1, (count - len(made)) // (len(choices) - len(tried))) if spread else count - len(made)
        shown_choice = {"LaunchTemplateSpecification": specification, "Overrides": override}
        try:
            launch = Launch(world, spec, None)
            launch.tags.update(tags)
            started = start(world, launch, subnet_for(world, launch), market, most, 1, template_tags)
            made += [(shown_choice, one) for one in started]
            if len(started) < most:
                tried.add(index)
        except ServiceError as error:
            tried.add(index)
            errors.append({"LaunchTemplateAndOverrides": shown_choice, "Lifecycle": market, "ErrorCode": error.code,
                           "ErrorMessage": error.message})
    return made


def _split(target):
    total = target["TotalTargetCapacity"]
    spot, fixed = target.get("SpotTargetCapacity", 0), target.get("OnDemandTargetCapacity", 0)
    if spot + fixed > total:
        raise ServiceError("InvalidParameterValue", "TotalTargetCapacity is less than the sum of its parts", 400)
    if target.get("DefaultTargetCapacityType", "on-demand") == "spot":
        return fixed, total - fixed
    return total - spot, spot


@operation("ec2", "CreateFleet")
def create_fleet(world, params, caller):
    if params.get("Type") != "instant":
        raise ServiceError("UnsupportedOperation", "this server knows fleets of type instant alone", 400)
    known = world.tokens.find(world.region, params.get("ClientToken"), params)
    if known:
        return known
    choices = _choices(world, params["LaunchTemplateConfigs"])
    if params.get("DryRun"):
        raise ServiceError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    fixed, spot = _split(params["TargetCapacitySpecification"])
    tags = {**tags_of(params, "instance"), "aws:ec2:fleet-id": (fleet := world.ident("fleet"))}
    errors, made = [], []
    for market, count, options in (("on-demand", fixed, params.get("OnDemandOptions", {})),
                                   ("spot", spot, params.get("SpotOptions", {}))):
        if count:
            spread = options.get("AllocationStrategy") in (None, "diversified") and market == "spot"
            part = _launch_part(world, choices, market, count, spread, tags, errors)
            if len(part) < options.get("MinTargetCapacity", 0):
                for _, one in part:
                    del world.service(Instances).all[one.id]
                part = []
            made += part
    answer = {"FleetId": fleet, "Errors": errors, "Instances": [
        {"LaunchTemplateAndOverrides": choice, "Lifecycle": one.market, "InstanceIds": [one.id], "InstanceType": one.kind}
        for choice, one in made]}
    world.tokens.keep(world.region, params.get("ClientToken"), params, answer)
    return answer
