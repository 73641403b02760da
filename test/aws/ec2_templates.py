# SPDX-License-Identifier: Apache-2.0
"""ec2_templates.py - launch templates and their versions.

Threads: under the server's lock.
"""
from answer import ServiceError
from registry import operation, page, select, tag_list, tags_of, with_token

DATA_MAX = 16 * 1024 * 4 // 3 + 4


class Template:
    def __init__(self, ident, name, tags, created, visible_at):
        self.id = ident
        self.name = name
        self.tags = tags
        self.created = created
        self.visible_at = visible_at
        self.versions = []  # (text, data, created)
        self.default = 1


class Templates:
    def __init__(self, world):
        self.world = world
        self.all = {}

    def find(self, ident=None, name=None):
        for template in self.all.values():
            if (template.id == ident or (name and template.name == name)) and template.visible_at <= self.world.now:
                return template
        if ident:
            raise ServiceError("InvalidLaunchTemplateId.NotFound",
                               f"The specified launch template, with template ID {ident}, does not exist.", 400)
        raise ServiceError("InvalidLaunchTemplateName.NotFoundException",
                           f"The specified launch template, with template name {name}, does not exist.", 400)

    def data(self, specification):
        """(template, version number, data) of a LaunchTemplateSpecification."""
        template = self.find(specification.get("LaunchTemplateId"), specification.get("LaunchTemplateName"))
        number = _number(template, specification.get("Version", "$Default"))
        return template, number, template.versions[number - 1][1]


def _number(template, version):
    numbers = {"$Latest": len(template.versions), "$Default": template.default, "": template.default}
    try:
        number = numbers[version] if version in numbers else int(version)
    except ValueError:
        number = 0
    if not 1 <= number <= len(template.versions):
        raise ServiceError("InvalidLaunchTemplateId.VersionNotFound",
                           f"Could not find launch template version {version} for {template.id}.", 400)
    return number


def _shown(template, account):
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "CreateTime": template.created,
            "CreatedBy": f"arn:aws:iam::{account}:user/tester", "DefaultVersionNumber": template.default,
            "LatestVersionNumber": len(template.versions), "Tags": tag_list(template.tags)}


def _version(template, number, account):
    text, data, created = template.versions[number - 1]
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": number,
            "VersionDescription": text, "CreateTime": created, "CreatedBy": f"arn:aws:iam::{account}:user/tester",
            "DefaultVersion": number == template.default, "LaunchTemplateData": data}


def _add_version(world, template, params):
    data = params["LaunchTemplateData"]
    if len(data.get("UserData", "")) > DATA_MAX:
        raise ServiceError("InvalidUserData.Malformed", "User data is limited to 16384 bytes", 400)
    template.versions.append((params.get("VersionDescription"), data, world.now))


@operation("ec2", "CreateLaunchTemplate")
def create_template(world, params, caller):
    templates = world.service(Templates)
    made = world.tokens.find("launch-template", params.get("ClientToken"), params)
    if made:
        return {"LaunchTemplate": _shown(templates.all[made], world.account)}
    if any(template.name == params["LaunchTemplateName"] for template in templates.all.values()):
        raise ServiceError("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.", 400)
    tags = tags_of(params, "launch-template")
    template = Template(world.ident("lt"), params["LaunchTemplateName"], tags, world.now,
                        world.later(world.faults.delay("describe_seconds")))
    _add_version(world, template, params)
    templates.all[template.id] = template
    world.tokens.keep("launch-template", params.get("ClientToken"), params, template.id)
    return {"LaunchTemplate": _shown(template, world.account)}


def _named(world, params):
    return world.service(Templates).find(params.get("LaunchTemplateId"), params.get("LaunchTemplateName"))


@operation("ec2", "CreateLaunchTemplateVersion")
def create_version(world, params, caller):
    template = _named(world, params)
    number = world.tokens.find(template.id, params.get("ClientToken"), params)
    if not number:
        if params.get("SourceVersion"):
            base = template.versions[_number(template, params["SourceVersion"]) - 1][1]
            params = {**params, "LaunchTemplateData": {**base, **params["LaunchTemplateData"]}}
        _add_version(world, template, params)
        number = len(template.versions)
        world.tokens.keep(template.id, params.get("ClientToken"), params, number)
    return {"LaunchTemplateVersion": _version(template, number, world.account)}


@operation("ec2", "ModifyLaunchTemplate")
def modify_template(world, params, caller):
    template = _named(world, params)
    if params.get("DefaultVersion"):
        template.default = _number(template, params["DefaultVersion"])
    return {"LaunchTemplate": _shown(template, world.account)}


@operation("ec2", "DescribeLaunchTemplates")
def describe_templates(world, params, caller):
    templates = world.service(Templates)
    found = [template for template in templates.all.values() if template.visible_at <= world.now]
    if params.get("LaunchTemplateIds"):
        found = [templates.find(ident) for ident in params["LaunchTemplateIds"]]
    if params.get("LaunchTemplateNames"):
        found = [templates.find(None, name) for name in params["LaunchTemplateNames"]]
    found = select(found, params.get("Filters"), {"launch-template-name": lambda template: template.name})
    found, token = page(found, params, 200)
    return with_token("LaunchTemplates", [_shown(template, world.account) for template in found], token)


@operation("ec2", "DescribeLaunchTemplateVersions")
def describe_versions(world, params, caller):
    template = _named(world, params)
    numbers = range(1, len(template.versions) + 1)
    if params.get("Versions"):
        numbers = [_number(template, version) for version in params["Versions"]]
    found, token = page([_version(template, number, world.account) for number in numbers], params, 200)
    return with_token("LaunchTemplateVersions", found, token)


@operation("ec2", "DeleteLaunchTemplate")
def delete_template(world, params, caller):
    template = _named(world, params)
    del world.service(Templates).all[template.id]
    return {"LaunchTemplate": _shown(template, world.account)}
