# SPDX-License-Identifier: Apache-2.0
"""ec2_network.py - regions, zones, the default VPC with its subnets, and security groups.

Addresses are of 127.0.0.0/8, so that instances, which are processes of this machine, can have one each.

Threads: under the server's lock.
"""
import ipaddress

from answer import ServiceError
from registry import operation, page, select, tag_list, tags_of, with_token

ANY_IPV4 = "0.0.0.0/0"


class Subnet:
    def __init__(self, ident, zone, cidr):
        self.id = ident
        self.zone = zone
        self.cidr = cidr
        self.tags = {}
        self.used = 10  # the last part of the address that was given out

    def next_address(self, taken=()):
        """One that was not given out yet and is none of `taken`."""
        while True:
            self.used += 1
            if self.used > 250 * 16:
                raise ServiceError("InsufficientFreeAddressesInSubnet", f"No free addresses in subnet '{self.id}'.", 400)
            base = self.cidr.split("/")[0].split(".")
            address = f"{base[0]}.{base[1]}.{int(base[2]) + self.used // 250}.{self.used % 250 + 1}"
            if address not in taken:
                return address

    def check_address(self, address, taken):
        """Whether an instance may have this one."""
        if ipaddress.ip_address(address) not in ipaddress.ip_network(self.cidr):
            raise ServiceError("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range", 400)
        if address in taken:
            raise ServiceError("InvalidIPAddress.InUse", f"Address {address} is in use.", 400)


class Group:
    """A security group. Its rules are dictionaries: protocol, ports, and a CIDR or a group."""

    def __init__(self, ident, name, text, vpc, tags, visible_at):
        self.id = ident
        self.name = name
        self.text = text
        self.vpc = vpc
        self.tags = tags
        self.visible_at = visible_at
        self.ingress = {}
        self.egress = {}


class Network:
    def __init__(self, world):
        self.world = world
        self.vpc = None
        self.subnets = {}
        self.groups = {}
        self.make_default_vpc()

    def make_default_vpc(self):
        self.vpc = self.world.ident("vpc")
        number = self.world.network
        for index, zone in enumerate(self.world.zones):
            ident = self.world.ident("subnet")
            self.subnets[ident] = Subnet(ident, zone, f"127.{number}.{index * 16}.0/20")
        group = Group(self.world.ident("sg"), "default", "default VPC security group", self.vpc, {}, self.world.now)
        self.groups[group.id] = group

    def remove_default_vpc(self):
        self.vpc, self.subnets, self.groups = None, {}, {}

    def group(self, ident):
        found = self.groups.get(ident)
        if found is None or found.visible_at > self.world.now:
            raise ServiceError("InvalidGroup.NotFound", f"The security group '{ident}' does not exist", 400)
        return found

    def subnet(self, ident):
        if ident not in self.subnets:
            raise ServiceError("InvalidSubnetID.NotFound", f"The subnet ID '{ident}' does not exist", 400)
        return self.subnets[ident]

    def cidr(self):
        return f"127.{self.world.network}.0.0/16"


@operation("ec2", "DescribeRegions")
def describe_regions(world, params, caller):
    names = sorted({world.region, "us-east-1", "us-west-2", "eu-west-1", "eu-central-1"})
    wanted = params.get("RegionNames") or names
    unknown = set(wanted) - set(names)
    if unknown:
        raise ServiceError("InvalidParameterValue", f"Invalid region name '{sorted(unknown)[0]}'", 400)
    return {"Regions": [{"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
                        for name in wanted]}


@operation("ec2", "DescribeAvailabilityZones")
def describe_zones(world, params, caller):
    zones = [zone for zone in world.zones if zone in (params.get("ZoneNames") or world.zones)]
    return {"AvailabilityZones": [{"ZoneName": zone, "State": "available", "RegionName": world.region, "ZoneType":
                                   "availability-zone", "ZoneId": f"euc1-az{index + 1}", "OptInStatus": "opt-in-not-required",
                                   "Messages": []} for index, zone in enumerate(zones)]}


@operation("ec2", "DescribeAccountAttributes")
def describe_account_attributes(world, params, caller):
    network = world.service(Network)
    values = {"default-vpc": network.vpc or "none", "supported-platforms": "VPC", "max-instances": "20"}
    wanted = params.get("AttributeNames") or sorted(values)
    return {"AccountAttributes": [{"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]}
                                  for name in wanted if name in values]}


class _Plain:
    def __init__(self, **values):
        self.__dict__.update(values)


@operation("ec2", "DescribeVpcs")
def describe_vpcs(world, params, caller):
    network = world.service(Network)
    found = [_Plain(id=network.vpc, tags={})] if network.vpc else []
    for ident in params.get("VpcIds", []):
        if ident != network.vpc:
            raise ServiceError("InvalidVpcID.NotFound", f"The vpc ID '{ident}' does not exist", 400)
    found = select(found, params.get("Filters"), {
        "vpc-id": lambda vpc: vpc.id, "is-default": lambda vpc: True, "isDefault": lambda vpc: True,
        "state": lambda vpc: "available", "cidr": lambda vpc: network.cidr()})
    return {"Vpcs": [{"VpcId": vpc.id, "State": "available", "CidrBlock": network.cidr(), "IsDefault": True,
                      "InstanceTenancy": "default", "OwnerId": world.account, "Tags": []} for vpc in found]}


@operation("ec2", "CreateDefaultVpc")
def create_default_vpc(world, params, caller):
    network = world.service(Network)
    if network.vpc:
        raise ServiceError("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.", 400)
    network.make_default_vpc()
    return {"Vpc": {"VpcId": network.vpc, "State": "pending", "CidrBlock": network.cidr(), "IsDefault": True}}


@operation("ec2", "DescribeSubnets")
def describe_subnets(world, params, caller):
    network = world.service(Network)
    found = [network.subnet(ident) for ident in params["SubnetIds"]] if params.get("SubnetIds") else network.subnets.values()
    found = select(list(found), params.get("Filters"), {
        "vpc-id": lambda subnet: network.vpc, "subnet-id": lambda subnet: subnet.id, "state": lambda subnet: "available",
        "availability-zone": lambda subnet: subnet.zone, "availabilityZone": lambda subnet: subnet.zone,
        "default-for-az": lambda subnet: True, "defaultForAz": lambda subnet: True,
        "map-public-ip-on-launch": lambda subnet: True})
    found, token = page(found, params)
    return with_token("Subnets", [
        {"SubnetId": subnet.id, "VpcId": network.vpc, "CidrBlock": subnet.cidr, "AvailabilityZone": subnet.zone,
         "State": "available", "DefaultForAz": True, "MapPublicIpOnLaunch": True, "OwnerId": world.account,
         "AvailableIpAddressCount": 4091 - subnet.used, "Tags": tag_list(subnet.tags)} for subnet in found], token)


# ---- security groups ----

@operation("ec2", "CreateSecurityGroup")
def create_group(world, params, caller):
    network = world.service(Network)
    vpc = params.get("VpcId") or network.vpc
    if vpc is None:
        raise ServiceError("VPCIdNotSpecified", "No default VPC for this user", 400)
    if vpc != network.vpc:
        raise ServiceError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist", 400)
    if any(group.name == params["GroupName"] for group in network.groups.values()):
        raise ServiceError("InvalidGroup.Duplicate",
                           f"The security group '{params['GroupName']}' already exists for VPC '{vpc}'", 400)
    if params["GroupName"].startswith("sg-"):
        raise ServiceError("InvalidParameterValue", "Invalid group name. Names can't start with 'sg-'.", 400)
    tags = tags_of(params, "security-group")
    group = Group(world.ident("sg"), params["GroupName"], params["Description"], vpc, tags,
                  world.later(world.faults.delay("describe_seconds")))
    _add(world, group.egress, {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANY_IPV4}]})
    network.groups[group.id] = group
    return {"GroupId": group.id, "Tags": tag_list(tags)}


def _flat(permission):
    """One rule for each source of a permission."""
    ports = (permission.get("IpProtocol", "-1"), permission.get("FromPort", -1), permission.get("ToPort", -1))
    for source in permission.get("IpRanges", []):
        yield ports, ("cidr", source.get("CidrIp")), source.get("Description")
    for source in permission.get("Ipv6Ranges", []):
        yield ports, ("cidr6", source.get("CidrIpv6")), source.get("Description")
    for source in permission.get("UserIdGroupPairs", []):
        yield ports, ("group", source.get("GroupId")), source.get("Description")


def _add(world, rules, permission):
    made = []
    for ports, source, text in _flat(permission):
        if (ports, source) in rules:
            raise ServiceError("InvalidPermission.Duplicate", f'the specified rule "peer: {source[1]}, {ports[0].upper()}, '
                               f'from port: {ports[1]}, to port: {ports[2]}, ALLOW" already exists', 400)
        if source[0] == "group":
            world.service(Network).group(source[1])
        rules[ports, source] = {"id": world.ident("sgr"), "text": text, "tags": {}}
        made.append((ports, source))
    return made


def _permissions(params):
    if params.get("IpPermissions"):
        return params["IpPermissions"]
    one = {name: params[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in params}
    if "CidrIp" in params:
        one["IpRanges"] = [{"CidrIp": params["CidrIp"]}]
    if not one:
        raise ServiceError("MissingParameter", "The request must contain the parameter ipPermissions", 400)
    return [one]


@operation("ec2", "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
def authorize(world, params, caller):
    group = world.service(Network).group(params.get("GroupId"))
    is_egress = caller.operation.endswith("Egress")
    rules = group.egress if is_egress else group.ingress
    wanted = _permissions(params)
    for permission in wanted:
        if permission.get("IpProtocol") in ("tcp", "udp") and not 0 <= permission.get("FromPort", -1) <= 65535:
            raise ServiceError("InvalidParameterValue", "Invalid value for portRange. Must specify both from and to ports", 400)
    before = dict(rules)
    try:
        made = [key for permission in wanted for key in _add(world, rules, permission)]
    except ServiceError:
        rules.clear()
        rules.update(before)
        raise
    return {"Return": True, "SecurityGroupRules": [_rule(world, group, key, rules[key], is_egress) for key in made]}


@operation("ec2", "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress")
def revoke(world, params, caller):
    group = world.service(Network).group(params.get("GroupId"))
    rules = group.egress if caller.operation.endswith("Egress") else group.ingress
    idents = params.get("SecurityGroupRuleIds")
    keys = [key for key, rule in rules.items() if rule["id"] in idents] if idents else [
        (ports, source) for permission in _permissions(params) for ports, source, _ in _flat(permission)]
    for key in keys:
        if key not in rules:
            raise ServiceError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.", 400)
        del rules[key]
    return {"Return": True}


def _rule(world, group, key, rule, is_egress):
    (protocol, begin, end), (kind, value) = key
    made = {"SecurityGroupRuleId": rule["id"], "GroupId": group.id, "GroupOwnerId": world.account, "IsEgress": is_egress,
            "IpProtocol": protocol, "FromPort": begin, "ToPort": end, "Description": rule["text"], "Tags": []}
    if kind == "group":
        made["ReferencedGroupInfo"] = {"GroupId": value, "UserId": world.account}
    else:
        made["CidrIpv4" if kind == "cidr" else "CidrIpv6"] = value
    return made


def _permission_list(world, rules):
    by_ports = {}
    for (ports, (kind, value)), rule in rules.items():
        found = by_ports.setdefault(ports, {"IpProtocol": ports[0], "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [],
                                            "UserIdGroupPairs": []})
        if ports[0] != "-1":
            found.update(FromPort=ports[1], ToPort=ports[2])
        if kind == "group":
            found["UserIdGroupPairs"].append({"GroupId": value, "UserId": world.account, "Description": rule["text"]})
        elif kind == "cidr":
            found["IpRanges"].append({"CidrIp": value, "Description": rule["text"]})
        else:
            found["Ipv6Ranges"].append({"CidrIpv6": value, "Description": rule["text"]})
    return list(by_ports.values())


@operation("ec2", "DescribeSecurityGroups")
def describe_groups(world, params, caller):
    network = world.service(Network)
    found = [group for group in network.groups.values() if group.visible_at <= world.now]
    if params.get("GroupIds"):
        found = [network.group(ident) for ident in params["GroupIds"]]
    for name in params.get("GroupNames", []):
        if not any(group.name == name for group in found):
            raise ServiceError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC "
                               f"'{network.vpc}'", 400)
    if params.get("GroupNames"):
        found = [group for group in found if group.name in params["GroupNames"]]
    found = select(found, params.get("Filters"), {
        "group-name": lambda group: group.name, "group-id": lambda group: group.id, "vpc-id": lambda group: group.vpc,
        "description": lambda group: group.text})
    found, token = page(found, params)
    return with_token("SecurityGroups", [
        {"GroupId": group.id, "GroupName": group.name, "Description": group.text, "VpcId": group.vpc, "OwnerId": world.account,
         "IpPermissions": _permission_list(world, group.ingress),
         "IpPermissionsEgress": _permission_list(world, group.egress), "Tags": tag_list(group.tags)} for group in found], token)


@operation("ec2", "DescribeSecurityGroupRules")
def describe_rules(world, params, caller):
    network = world.service(Network)
    made = []
    for group in network.groups.values():
        for rules, is_egress in ((group.ingress, False), (group.egress, True)):
            made += [_rule(world, group, key, rule, is_egress) for key, rule in rules.items()]
    for one in params.get("Filters", []):
        if one["Name"] != "group-id":
            raise ServiceError("InvalidParameterValue", f"The filter '{one['Name']}' is invalid", 400)
        made = [rule for rule in made if rule["GroupId"] in one["Values"]]
    made, token = page(made, params)
    return with_token("SecurityGroupRules", made, token)


@operation("ec2", "DeleteSecurityGroup")
def delete_group(world, params, caller):
    from ec2_instances import Instances
    network = world.service(Network)
    ident = params.get("GroupId")
    if ident is None:
        ident = next((group.id for group in network.groups.values() if group.name == params.get("GroupName")), None)
    group = network.group(ident)
    if group.name == "default":
        raise ServiceError("CannotDelete", "the specified group: \"" + group.id + "\" name: \"default\" cannot be deleted by "
                           "a user", 400)
    users = [one.id for one in world.service(Instances).all.values() if group.id in one.groups and not one.is_terminated]
    users += [other.id for other in network.groups.values() if other is not group
              and any(source == ("group", group.id) for _, source in [*other.ingress, *other.egress])]
    from rds import Rds  # which needs this module
    if users or world.service(Rds).group_is_used(group.id):
        raise ServiceError("DependencyViolation", f"resource {group.id} has a dependent object", 400)
    del network.groups[group.id]
    return {}
