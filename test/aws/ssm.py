# SPDX-License-Identifier: Apache-2.0
"""ssm.py - parameters: the public ones that name images, and those of the account, SecureString among them.

Threads: under the server's lock.
"""
from answer import ServiceError
from ec2_catalogue import Catalogue
from registry import operation, page, tag_list, with_token

PUBLIC = "/aws/service/debian/release/12/latest/"
VALUE_MAX = 4096


class Parameter:
    def __init__(self, world, name, kind, value, version, text=""):
        self.name = name
        self.kind = kind
        self.value = value
        self.version = version
        self.text = text
        self.changed = world.now
        self.tags = {}


class Parameters:
    def __init__(self, world):
        self.world = world
        catalogue = world.service(Catalogue)
        self.public = {PUBLIC + short: Parameter(world, PUBLIC + short, "String", catalogue.newest(architecture).id, 12)
                       for short, architecture in (("amd64", "x86_64"), ("arm64", "arm64"))}
        self.own = {}

    def find(self, name):
        found = self.public.get(name) or self.own.get(name)
        if found is None:
            raise ServiceError("ParameterNotFound", f"Parameter {name} not found.", 400)
        return found

    def own_one(self, name):
        if name not in self.own:
            raise ServiceError("ParameterNotFound", f"Parameter {name} not found.", 400)
        return self.own[name]


def _shown(world, parameter, is_decrypted):
    value = parameter.value
    if parameter.kind == "SecureString" and not is_decrypted:
        value = "encrypted:" + value.encode().hex()[:32]
    return {"Name": parameter.name, "Type": parameter.kind, "Value": value, "Version": parameter.version, "DataType": "text",
            "LastModifiedDate": parameter.changed, "ARN": world.arn("ssm", "parameter/" + parameter.name.lstrip("/"))}


@operation("ssm", "GetParameter")
def get_parameter(world, params, caller):
    return {"Parameter": _shown(world, world.service(Parameters).find(params["Name"]), params.get("WithDecryption"))}


@operation("ssm", "GetParameters")
def get_parameters(world, params, caller):
    found, invalid = [], []
    for name in params["Names"]:
        try:
            found.append(_shown(world, world.service(Parameters).find(name), params.get("WithDecryption")))
        except ServiceError:
            invalid.append(name)
    return {"Parameters": found, "InvalidParameters": invalid}


@operation("ssm", "GetParametersByPath")
def get_by_path(world, params, caller):
    path = params["Path"].rstrip("/") + "/"
    both = {**world.service(Parameters).public, **world.service(Parameters).own}
    found = [_shown(world, both[name], params.get("WithDecryption")) for name in sorted(both) if name.startswith(path)
             and (params.get("Recursive") or "/" not in name[len(path):])]
    found, token = page(found, params, 10, "ValidationException")
    return with_token("Parameters", found, token)


@operation("ssm", "PutParameter")
def put_parameter(world, params, caller):
    parameters, name = world.service(Parameters), params["Name"]
    if name.lower().startswith(("/aws", "aws", "/ssm", "ssm")):
        raise ServiceError("ValidationException", f'Parameter name: can\'t be prefixed with "{name[:4]}" (case-insensitive).', 400)
    known = parameters.own.get(name)
    if known and not params.get("Overwrite"):
        raise ServiceError("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite "
                           "option in the request to true.", 400)
    if not known and "Type" not in params:
        raise ServiceError("ValidationException", "A parameter type is required when you create a parameter.", 400)
    if params.get("Overwrite") and params.get("Tags"):
        raise ServiceError("ValidationException", "Invalid request: tags and overwrite can't be used together.", 400)
    if len(params["Value"]) > VALUE_MAX:
        raise ServiceError("ValidationException", "Standard tier parameters support a maximum value of 4096 characters.", 400)
    made = Parameter(world, name, params.get("Type") or known.kind, params["Value"], known.version + 1 if known else 1,
                     params.get("Description", ""))
    made.tags = known.tags if known else {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
    parameters.own[name] = made
    return {"Version": made.version, "Tier": "Standard"}


@operation("ssm", "DeleteParameter")
def delete_parameter(world, params, caller):
    del world.service(Parameters).own[world.service(Parameters).own_one(params["Name"]).name]
    return {}


@operation("ssm", "DeleteParameters")
def delete_parameters(world, params, caller):
    own = world.service(Parameters).own
    gone = [name for name in params["Names"] if own.pop(name, None)]
    return {"DeletedParameters": gone, "InvalidParameters": [name for name in params["Names"] if name not in gone]}


@operation("ssm", "DescribeParameters")
def describe_parameters(world, params, caller):
    found = [one for _, one in sorted(world.service(Parameters).own.items())]
    for condition in params.get("ParameterFilters", []):
        found = [one for one in found if _fits(one, condition)]
    found, token = page(found, params, 50, "ValidationException")
    return with_token("Parameters", [{"Name": one.name, "Type": one.kind, "Version": one.version, "Description": one.text,
                                      "LastModifiedDate": one.changed, "Tier": "Standard", "DataType": "text"}
                                     for one in found], token)


def _fits(one, condition):
    key, option, values = condition["Key"], condition.get("Option", "Equals"), condition.get("Values", [])
    if key.startswith("tag:"):
        return one.tags.get(key[4:]) in values if values else key[4:] in one.tags
    if key == "Path":
        return any(one.name.startswith(value.rstrip("/") + "/") for value in values)
    actual = {"Name": one.name, "Type": one.kind}.get(key)
    if actual is None:
        raise ServiceError("InvalidFilterKey", f"The filter key {key} is not valid", 400)
    return any(actual.startswith(value) if option == "BeginsWith" else actual == value for value in values)


@operation("ssm", "AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource")
def parameter_tags(world, params, caller):
    if params["ResourceType"] != "Parameter":
        raise ServiceError("InvalidResourceType", f"{params['ResourceType']} is not a resource type of this server", 400)
    if params["ResourceId"] not in world.service(Parameters).own:
        raise ServiceError("InvalidResourceId", f"there is no parameter {params['ResourceId']}", 400)
    tags = world.service(Parameters).own[params["ResourceId"]].tags
    if caller.operation == "ListTagsForResource":
        return {"TagList": tag_list(tags)}
    tags.update({tag["Key"]: tag["Value"] for tag in params.get("Tags", [])})
    for key in params.get("TagKeys", []):
        tags.pop(key, None)
    return {}
