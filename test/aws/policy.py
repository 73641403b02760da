# SPDX-License-Identifier: Apache-2.0
"""policy.py - whether the inline policies of a role allow a call; how an instance gets to know that they are too narrow.

As much of the policy language as inline policies of a small system use: Allow and Deny, patterns in Action and
Resource, conditions of the String, Arn and Bool families with IfExists and ForAllValues, and the context keys of tags
and PassRole. A condition that is not known here denies, so that a policy can not pass by what is not understood.

Threads: functions of their arguments.
"""
import fnmatch
import json

from answer import ServiceError
from call_targets import targets

TESTS = {
    "StringEquals": lambda value, wanted: value == wanted, "StringLike": lambda value, wanted: _like(value, wanted),
    "StringNotEquals": lambda value, wanted: value != wanted, "ArnEquals": lambda value, wanted: _like(value, wanted),
    "ArnLike": lambda value, wanted: _like(value, wanted), "Bool": lambda value, wanted: str(value).lower() == wanted.lower(),
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower()}


def _like(value, pattern):
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _list(value):
    return value if isinstance(value, list) else [value]


def _matches(patterns, value, is_caseless=False):
    if is_caseless:
        value, patterns = value.lower(), [pattern.lower() for pattern in _list(patterns)]
    return any(_like(value, pattern) for pattern in _list(patterns))


def _holds(conditions, context):
    for name, wanted in conditions.items():
        set_test, _, test = name.rpartition(":")
        is_optional = test.endswith("IfExists")
        decide = TESTS.get(test.removesuffix("IfExists"))
        for key, values in wanted.items():
            actual = context.get(key.lower())
            if actual is None:
                if is_optional or set_test == "ForAllValues" or test.startswith("StringNot"):
                    continue
                return False
            hits = [any(decide(value, str(one)) for one in _list(values)) for value in _list(actual)] if decide else [False]
            if not (all(hits) if set_test != "ForAnyValue" else any(hits)):
                return False
    return True


def allows(documents, action, resource, context):
    """Whether `documents` allow the action on one resource. `context`: key in lower case -> value or list of them."""
    is_allowed = False
    for text in documents:
        for statement in _list(json.loads(text)["Statement"]):
            if "Action" in statement and not _matches(statement["Action"], action, is_caseless=True):
                continue
            if "NotAction" in statement and _matches(statement["NotAction"], action, is_caseless=True):
                continue
            if not _matches(statement.get("Resource", "*"), resource) or not _holds(statement.get("Condition", {}), context):
                continue
            if statement["Effect"] == "Deny":
                return False
            is_allowed = True
    return is_allowed


def check(world, role, caller, params):
    """Raises what the service would say unless the role may make this call on everything that it touches."""
    action = f"{caller.service}:{caller.operation}"
    for checked, resource, context in targets(world, caller, params):
        if allows(role.effective(world.now).values(), checked, resource, context):
            continue
        text = (f"User: {caller.credential.principal} is not authorized to perform: {checked} on resource: {resource} because no "
                f"identity-based policy allows the {checked} action")
        world.denied.append({"action": action, "checked": checked, "resource": resource, "context": context})
        codes = {"ec2": ("UnauthorizedOperation", 403), "ssm": ("AccessDeniedException", 400)}
        code, status = codes.get(caller.service, ("AccessDenied", 403))
        raise ServiceError(code, "You are not authorized to perform this operation. " + text if caller.service == "ec2"
                           else text, status)
