# SPDX-License-Identifier: Apache-2.0
"""ec2_tags.py - tags of whatever EC2 has, by its id.

Threads: under the server's lock.
"""
from answer import ServiceError
from ec2_instances import Instances
from ec2_network import Network
from ec2_templates import Templates
from ec2_volumes import Volumes
from registry import operation, page, with_token

TAGS_MAX = 50


def resources(world):
    """id -> (kind, what has the tags)."""
    network = world.service(Network)
    found = {}
    for kind, things in (("instance", world.service(Instances).all), ("volume", world.service(Volumes).all),
                         ("security-group", network.groups), ("subnet", network.subnets),
                         ("launch-template", world.service(Templates).all)):
        found.update({ident: (kind, thing) for ident, thing in things.items()})
    return found


def _chosen(world, params):
    known = resources(world)
    for ident in params["Resources"]:
        thing = known.get(ident)
        if thing and thing[0] == "instance" and not thing[1].is_visible(world.now):
            thing = None
        if thing is None:
            code = {"i": "InvalidInstanceID.NotFound", "sg": "InvalidGroup.NotFound", "vol": "InvalidVolume.NotFound",
                    "lt": "InvalidLaunchTemplateId.NotFound"}.get(ident.split("-")[0], "InvalidID")
            raise ServiceError(code, f"The ID '{ident}' is not valid", 400)
        yield thing[1]


@operation("ec2", "CreateTags")
def create_tags(world, params, caller):
    for thing in list(_chosen(world, params)):
        for tag in params["Tags"]:
            if tag["Key"].lower().startswith("aws:"):
                raise ServiceError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved", 400)
            thing.tags[tag["Key"]] = tag.get("Value", "")
        if len(thing.tags) > TAGS_MAX:
            raise ServiceError("TagLimitExceeded", f"The maximum number of Tags is {TAGS_MAX}", 400)
    return {}


@operation("ec2", "DeleteTags")
def delete_tags(world, params, caller):
    for thing in list(_chosen(world, params)):
        wanted = params.get("Tags")
        for key in [key for key in thing.tags if not wanted or any(
                tag["Key"] == key and tag.get("Value", thing.tags[key]) == thing.tags[key] for tag in wanted)]:
            del thing.tags[key]
    return {}


@operation("ec2", "DescribeTags")
def describe_tags(world, params, caller):
    found = [{"ResourceId": ident, "ResourceType": kind, "Key": key, "Value": value}
             for ident, (kind, thing) in resources(world).items() for key, value in sorted(thing.tags.items())]
    fields = {"resource-id": "ResourceId", "resource-type": "ResourceType", "key": "Key", "value": "Value"}
    for one in params.get("Filters", []):
        if one["Name"].startswith("tag:"):
            found = [tag for tag in found if tag["Key"] == one["Name"][4:] and tag["Value"] in one["Values"]]
        elif one["Name"] in fields:
            found = [tag for tag in found if tag[fields[one["Name"]]] in one["Values"]]
        else:
            raise ServiceError("InvalidParameterValue", f"The filter '{one['Name']}' is invalid", 400)
    found, token = page(found, params)
    return with_token("Tags", found, token)
