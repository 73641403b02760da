# SPDX-License-Identifier: Apache-2.0
"""sts.py - who a caller is, and credentials for a while.

Threads: under the server's lock.
"""
from answer import ServiceError
from iam import Iam
from registry import operation


def _assume(world, params, seconds_max):
    name = params["RoleArn"].rpartition("/")[2]
    role = world.service(Iam).roles.get(name)
    if role is None or role.arn != params["RoleArn"]:
        raise ServiceError("AccessDenied", f"not authorized to perform: sts:AssumeRole on resource: {params['RoleArn']}", 403)
    seconds = params.get("DurationSeconds", 3600)
    if seconds > seconds_max:
        raise ServiceError("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                           400)
    session = params["RoleSessionName"]
    arn = f"arn:aws:sts::{world.account}:assumed-role/{name}/{session}"
    made = world.new_credential(arn, name, seconds)
    return {"Credentials": {"AccessKeyId": made.key, "SecretAccessKey": made.secret, "SessionToken": made.token,
                            "Expiration": made.expires},
            "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{session}", "Arn": arn}}


@operation("sts", "AssumeRole")
def assume_role(world, params, caller):
    return _assume(world, params, 43200)


@operation("sts", "AssumeRoleWithWebIdentity")
def assume_role_with_web_identity(world, params, caller):
    if params["WebIdentityToken"].startswith("expired"):
        raise ServiceError("ExpiredTokenException", "Token expired", 400)
    return _assume(world, params, 43200)


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world, params, caller):
    return {"UserId": caller.credential.key, "Account": world.account, "Arn": caller.credential.principal}
