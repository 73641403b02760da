# SPDX-License-Identifier: Apache-2.0
"""call_targets.py - what a call touches, as policies see it: (action, ARN, context) for each resource.

Follows the service authorization reference for the calls that instances make: a launch needs RunInstances on the
image, subnet, group, profile and on what it makes, CreateTags on what it tags, PassRole on the role that it hands over.

Threads: functions of their arguments.
"""
import importlib

PASSED_TO = {"iam:passedtoservice": "ec2.amazonaws.com"}


def _tags(tags, prefix):
    return {f"{prefix}/{key.lower()}": value for key, value in tags.items()}


def _requested(params):
    tags = {}
    for specification in params.get("TagSpecifications", []):
        tags.update({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])})
    tags.update({tag["Key"]: tag.get("Value", "") for tag in params.get("Tags", []) if isinstance(tag, dict)})
    return {**_tags(tags, "aws:requesttag"), **({"aws:tagkeys": list(tags)} if tags else {})}


def _existing(world, ident, kind):
    known = importlib.import_module("ec2_tags").resources(world).get(ident)
    tags = known[1].tags if known else {}
    owner = "" if kind == "image" else world.account
    return (f"arn:aws:ec2:{world.region}:{owner}:{known[0] if known else kind}/{ident}",
            {**_tags(tags, "aws:resourcetag"), **_tags(tags, "ec2:resourcetag")})


def _launch(world, action, params):
    spec = importlib.import_module("ec2_launch").merged(world, params)[0]
    requested = _requested(spec)
    region = {"ec2:region": world.region}
    for kind in ("instance", "volume", "network-interface"):
        tagged = requested if kind == "instance" else {}
        yield action, world.arn("ec2", f"{kind}/*"), {**region, **tagged, "ec2:instancetype": spec.get("InstanceType", "")}
    if requested:
        yield "ec2:CreateTags", world.arn("ec2", "instance/*"), {**requested, "ec2:createaction": action.rpartition(":")[2]}
    interface = (spec.get("NetworkInterfaces") or [{}])[0]
    for ident in interface.get("Groups") or spec.get("SecurityGroupIds") or []:
        yield (action, *_existing(world, ident, "security-group"))
    subnet = interface.get("SubnetId") or spec.get("SubnetId")
    if subnet:
        yield (action, *_existing(world, subnet, "subnet"))
    yield (action, *_existing(world, spec.get("ImageId", ""), "image"))
    template = params.get("LaunchTemplate")
    if template:
        found = importlib.import_module("ec2_templates").Templates
        ident = world.service(found).find(template.get("LaunchTemplateId"), template.get("LaunchTemplateName")).id
        yield (action, *_existing(world, ident, "launch-template"))
    yield from _pass_role(world, spec.get("IamInstanceProfile"))


def _pass_role(world, asked):
    if not asked:
        return
    profiles = world.service(importlib.import_module("iam").Iam).profiles.values()
    for profile in profiles:
        if profile.role and (profile.name == asked.get("Name") or profile.arn == asked.get("Arn")):
            yield "iam:PassRole", profile.role.arn, PASSED_TO


def _fleet(world, params):
    yield "ec2:CreateFleet", world.arn("ec2", "fleet/*"), _requested(params)
    for config in params.get("LaunchTemplateConfigs", []):
        override = (config.get("Overrides") or [{}])[0]
        plain = {name: override[name] for name in ("InstanceType", "SubnetId") if name in override}
        yield from _launch(world, "ec2:RunInstances", {"LaunchTemplate": config.get("LaunchTemplateSpecification"),
                                                       "TagSpecifications": params.get("TagSpecifications", []), **plain})


def targets(world, caller, params):
    """(action, resource, context) of all that the call touches."""
    action = f"{caller.service}:{caller.operation}"
    if caller.service == "ec2":
        if caller.operation == "RunInstances":
            return list(_launch(world, action, params))
        if caller.operation == "CreateFleet":
            return list(_fleet(world, params))
        idents = [(ident, "instance") for ident in params.get("InstanceIds", [])] if caller.operation[:8] != "Describe" else []
        idents += [(params[name], kind) for name, kind in (("VolumeId", "volume"), ("InstanceId", "instance"),
                                                           ("GroupId", "security-group")) if name in params]
        idents += [(ident, "instance") for ident in params.get("Resources", [])]
        requested = _requested(params)
        found = [_existing(world, ident, kind) for ident, kind in idents]
        return [(action, arn, {**context, **requested}) for arn, context in found] or [(action, "*", requested)]
    if caller.service == "ssm":
        names = params.get("Names") or [params.get("Name") or params.get("Path") or "*"]
        return [(action, world.arn("ssm", "parameter/" + name.strip("/")), {}) for name in names]
    if caller.service == "s3":
        bucket, key = params.get("Bucket", "*"), params.get("Key")
        names = {"HeadObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket"}
        return [(names.get(caller.operation, action), f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""), {})]
    if caller.service == "iam" and "RoleName" in params:
        return [(action, f"arn:aws:iam::{world.account}:role/{params['RoleName']}", {})]
    return [(action, "*", {})]
