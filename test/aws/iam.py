# SPDX-License-Identifier: Apache-2.0
"""iam.py - roles, their inline policies, instance profiles; and when EC2 comes to know of them.

IAM itself shows what was made at once. EC2 sees an instance profile, and the role in it, only after a delay of
seconds, and until then says that the name is invalid: launching too early is the commonest failure of deployers.

Threads: under the server's lock.
"""
import json
import urllib.parse

from answer import ServiceError
from policy import allows
from registry import operation, tag_list


class Role:
    def __init__(self, world, params):
        self.id = "AROA" + world.ident("x")[2:18].upper()
        self.name = params["RoleName"]
        self.path = params.get("Path", "/")
        self.arn = f"arn:aws:iam::{world.account}:role{self.path}{self.name}"
        self.trust = params["AssumeRolePolicyDocument"]
        self.text = params.get("Description", "")
        self.session_seconds = params.get("MaxSessionDuration", 3600)
        self.created = world.now
        self.tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        self.policies = {}
        self.before = {}  # the policies that still count, until `changed_at`
        self.changed_at = world.now
        self.attached = {}

    def change(self, world, name, document):
        """Puts a policy in, or takes it away where there is no document. It counts a little later."""
        self.before = dict(self.effective(world.now))
        self.changed_at = world.later(world.faults.delay("policy_seconds"))
        self.policies = {key: text for key, text in self.policies.items() if key != name}
        if document is not None:
            self.policies[name] = document

    def effective(self, now):
        return self.policies if now >= self.changed_at else self.before


class Profile:
    def __init__(self, world, params):
        self.id = "AIPA" + world.ident("x")[2:18].upper()
        self.name = params["InstanceProfileName"]
        self.path = params.get("Path", "/")
        self.arn = f"arn:aws:iam::{world.account}:instance-profile{self.path}{self.name}"
        self.created = world.now
        self.tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        self.role = None
        self.seen_by_ec2_at = world.later(world.faults.delay("profile_seconds"))
        self.role_seen_at = None


class Iam:
    def __init__(self, world):
        self.world = world
        self.roles = {}
        self.profiles = {}

    def role(self, name):
        if name not in self.roles:
            raise ServiceError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
        return self.roles[name]

    def profile(self, name):
        if name not in self.profiles:
            raise ServiceError("NoSuchEntity", f"Instance Profile {name} cannot be found.", 404)
        return self.profiles[name]

    def profile_for_ec2(self, name, arn):
        """The profile for a launch, if EC2 knows of it and its role by now."""
        found = self.profiles.get(name) or next((one for one in self.profiles.values() if one.arn == arn), None)
        if found is None or found.seen_by_ec2_at > self.world.now:
            shown, what = (name, "name") if name else (arn, "arn")
            raise ServiceError("InvalidParameterValue", f"Value ({shown}) for parameter iamInstanceProfile.{what} is invalid. "
                               f"Invalid IAM Instance Profile {what}", 400)
        if found.role is None or found.role_seen_at > self.world.now:
            raise ServiceError("InvalidParameterValue", f"IAM Instance Profile '{found.arn}' has no associated IAM Roles", 400)
        return found


def _document(text):
    """A policy as parameters carry it, checked to be JSON with statements."""
    try:
        statements = json.loads(text)["Statement"]
        assert isinstance(statements, (list, dict))
    except (ValueError, KeyError, TypeError, AssertionError):
        raise ServiceError("MalformedPolicyDocument", "Syntax errors in policy.", 400) from None
    return text


def _shown_role(role):
    return {"Path": role.path, "RoleName": role.name, "RoleId": role.id, "Arn": role.arn, "CreateDate": role.created,
            "AssumeRolePolicyDocument": urllib.parse.quote(role.trust), "Description": role.text,
            "MaxSessionDuration": role.session_seconds, "Tags": tag_list(role.tags)}


def _shown_profile(profile):
    return {"Path": profile.path, "InstanceProfileName": profile.name, "InstanceProfileId": profile.id, "Arn": profile.arn,
            "CreateDate": profile.created, "Roles": [_shown_role(profile.role)] if profile.role else [],
            "Tags": tag_list(profile.tags)}


def _marked(name, items, params):
    """A page with IAM's way of markers."""
    begin = int(params["Marker"]) if params.get("Marker", "").isdigit() else 0
    end = begin + params.get("MaxItems", 100)
    more = {"IsTruncated": True, "Marker": str(end)} if len(items) > end else {"IsTruncated": False}
    return {name: items[begin:end], **more}


# ---- roles ----

@operation("iam", "CreateRole")
def create_role(world, params, caller):
    iam = world.service(Iam)
    if params["RoleName"] in iam.roles:
        raise ServiceError("EntityAlreadyExists", f"Role with name {params['RoleName']} already exists.", 409)
    _document(params["AssumeRolePolicyDocument"])
    role = iam.roles[params["RoleName"]] = Role(world, params)
    return {"Role": _shown_role(role)}


@operation("iam", "GetRole")
def get_role(world, params, caller):
    return {"Role": _shown_role(world.service(Iam).role(params["RoleName"]))}


@operation("iam", "ListRoles")
def list_roles(world, params, caller):
    found = [_shown_role(role) for _, role in sorted(world.service(Iam).roles.items())
             if role.path.startswith(params.get("PathPrefix", "/"))]
    for role in found:
        role.pop("Tags")  # as IAM does
    return _marked("Roles", found, params)


@operation("iam", "DeleteRole")
def delete_role(world, params, caller):
    iam = world.service(Iam)
    role = iam.role(params["RoleName"])
    if role.policies or role.attached:
        raise ServiceError("DeleteConflict", "Cannot delete entity, must delete policies first.", 409)
    if any(profile.role is role for profile in iam.profiles.values()):
        raise ServiceError("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409)
    del iam.roles[role.name]
    return {}


@operation("iam", "UpdateAssumeRolePolicy")
def update_trust(world, params, caller):
    world.service(Iam).role(params["RoleName"]).trust = _document(params["PolicyDocument"])
    return {}


@operation("iam", "TagRole", "UntagRole", "ListRoleTags")
def role_tags(world, params, caller):
    return _tags(world.service(Iam).role(params["RoleName"]), params, caller)


@operation("iam", "TagInstanceProfile", "ListInstanceProfileTags")
def profile_tags(world, params, caller):
    return _tags(world.service(Iam).profile(params["InstanceProfileName"]), params, caller)


def _tags(thing, params, caller):
    if caller.operation.startswith("List"):
        return _marked("Tags", tag_list(thing.tags), params)
    for tag in params.get("Tags", []):
        thing.tags[tag["Key"]] = tag["Value"]
    for key in params.get("TagKeys", []):
        thing.tags.pop(key, None)
    return {}


@operation("iam", "PutRolePolicy")
def put_policy(world, params, caller):
    world.service(Iam).role(params["RoleName"]).change(world, params["PolicyName"], _document(params["PolicyDocument"]))
    return {}


@operation("iam", "GetRolePolicy", "DeleteRolePolicy")
def get_or_delete_policy(world, params, caller):
    role, name = world.service(Iam).role(params["RoleName"]), params["PolicyName"]
    if name not in role.policies:
        raise ServiceError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)
    if caller.operation == "DeleteRolePolicy":
        role.change(world, name, None)
        return {}
    return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": urllib.parse.quote(role.policies[name])}


@operation("iam", "ListRolePolicies")
def list_policies(world, params, caller):
    return _marked("PolicyNames", sorted(world.service(Iam).role(params["RoleName"]).policies), params)


@operation("iam", "AttachRolePolicy", "DetachRolePolicy")
def attach_policy(world, params, caller):
    role, arn = world.service(Iam).role(params["RoleName"]), params["PolicyArn"]
    if caller.operation == "AttachRolePolicy":
        role.attached[arn] = arn.rpartition("/")[2]
    elif role.attached.pop(arn, None) is None:
        raise ServiceError("NoSuchEntity", f"Policy {arn} was not found.", 404)
    return {}


@operation("iam", "ListAttachedRolePolicies")
def list_attached(world, params, caller):
    role = world.service(Iam).role(params["RoleName"])
    return _marked("AttachedPolicies", [{"PolicyName": name, "PolicyArn": arn} for arn, name in role.attached.items()], params)


# ---- instance profiles ----

@operation("iam", "CreateInstanceProfile")
def create_profile(world, params, caller):
    iam, name = world.service(Iam), params["InstanceProfileName"]
    if name in iam.profiles:
        raise ServiceError("EntityAlreadyExists", f"Instance Profile {name} already exists.", 409)
    iam.profiles[name] = Profile(world, params)
    return {"InstanceProfile": _shown_profile(iam.profiles[name])}


@operation("iam", "GetInstanceProfile")
def get_profile(world, params, caller):
    return {"InstanceProfile": _shown_profile(world.service(Iam).profile(params["InstanceProfileName"]))}


@operation("iam", "ListInstanceProfiles")
def list_profiles(world, params, caller):
    found = [_shown_profile(profile) for _, profile in sorted(world.service(Iam).profiles.items())
             if profile.path.startswith(params.get("PathPrefix", "/"))]
    return _marked("InstanceProfiles", found, params)


@operation("iam", "ListInstanceProfilesForRole")
def list_profiles_of_role(world, params, caller):
    role = world.service(Iam).role(params["RoleName"])
    return _marked("InstanceProfiles", [_shown_profile(profile) for profile in world.service(Iam).profiles.values()
                                        if profile.role is role], params)


@operation("iam", "AddRoleToInstanceProfile")
def add_role(world, params, caller):
    iam = world.service(Iam)
    profile, role = iam.profile(params["InstanceProfileName"]), iam.role(params["RoleName"])
    if profile.role:
        raise ServiceError("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409)
    profile.role = role
    profile.role_seen_at = world.later(world.faults.delay("profile_seconds"))
    return {}


@operation("iam", "RemoveRoleFromInstanceProfile")
def remove_role(world, params, caller):
    profile = world.service(Iam).profile(params["InstanceProfileName"])
    if profile.role is None or profile.role.name != params["RoleName"]:
        raise ServiceError("NoSuchEntity", f"The role with name {params['RoleName']} cannot be found.", 404)
    profile.role = None
    return {}


@operation("iam", "DeleteInstanceProfile")
def delete_profile(world, params, caller):
    profile = world.service(Iam).profile(params["InstanceProfileName"])
    if profile.role:
        raise ServiceError("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409)
    del world.service(Iam).profiles[profile.name]
    return {}


@operation("iam", "SimulatePrincipalPolicy")
def simulate(world, params, caller):
    role = world.service(Iam).roles.get(params["PolicySourceArn"].rpartition("/")[2])
    results = []
    for action in params["ActionNames"]:
        for resource in params.get("ResourceArns", ["*"]):
            is_allowed = role is None or allows(role.policies.values(), action, resource, {})
            results.append({"EvalActionName": action, "EvalResourceName": resource,
                            "EvalDecision": "allowed" if is_allowed else "implicitDeny"})
    return {"EvaluationResults": results, "IsTruncated": False}
