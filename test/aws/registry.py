# SPDX-License-Identifier: Apache-2.0
"""registry.py - which function carries out which operation, and what several of them need: paging, filters, tokens.

Threads: filled when the modules are imported, read after that.
"""
import base64
import fnmatch
import json

from answer import ServiceError

HANDLERS = {}


def operation(service, *names):
    """Makes the function (world, params, caller) -> output the handler of these operations."""
    def register(function):
        for name in names:
            HANDLERS[service, name] = function
        return function
    return register


def page(items, params, size_max=1000, code="InvalidParameterValue"):
    """(the items of this page, its NextToken or None). Tokens are opaque, and refused where they are not ours."""
    begin = 0
    if params.get("NextToken"):
        try:
            begin = int(base64.b64decode(params["NextToken"], validate=True).decode().removeprefix("from "))
        except ValueError:
            raise ServiceError(code, "The token is invalid.", 400) from None
    size = min(params.get("MaxResults") or size_max, size_max)
    more = base64.b64encode(f"from {begin + size}".encode()).decode() if len(items) > begin + size else None
    return items[begin:begin + size], more


def with_token(name, items, token, token_name="NextToken"):
    return {name: items, **({token_name: token} if token else {})}


def tags_of(params, kind):
    """The tags that TagSpecifications give to resources of `kind`."""
    tags = {}
    for specification in params.get("TagSpecifications", []):
        if specification.get("ResourceType") == kind:
            for tag in specification.get("Tags", []):
                if tag.get("Key", "").lower().startswith("aws:"):
                    raise ServiceError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved", 400)
                tags[tag["Key"]] = tag.get("Value", "")
    return tags


def tag_list(tags):
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def select(items, filters, fields):
    """Those of `items` that match all filters. `fields`: filter name -> function of an item giving its value(s).

    Items have `tags`. An unknown filter is refused, as EC2 does.
    """
    for one in filters or []:
        name, patterns = one["Name"], one.get("Values", [])
        if name.startswith("tag:"):
            items = [item for item in items if _hits([item.tags.get(name[4:])], patterns)]
        elif name == "tag-key":
            items = [item for item in items if _hits(list(item.tags), patterns)]
        elif name in fields:
            items = [item for item in items if _hits(_listed(fields[name](item)), patterns)]
        else:
            raise ServiceError("InvalidParameterValue", f"The filter '{name}' is invalid", 400)
    return items


def _listed(value):
    return list(value) if isinstance(value, (list, tuple, set)) else [value]


def _hits(values, patterns):
    return any(fnmatch.fnmatchcase(_text(value), pattern.replace("[", "[[]")) for value in values if value is not None
               for pattern in patterns)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


class ClientTokens:
    """What was asked under each client token, and what came of it."""

    def __init__(self):
        self._known = {}

    def find(self, scope, token, params):
        """What was made under the token by the same request, or None. `scope`: a zone, or the region."""
        if not token:
            return None
        if (scope, token) not in self._known:
            return None
        asked, made = self._known[scope, token]
        if asked != _fingerprint(params):
            raise ServiceError("IdempotentParameterMismatch", "The client token you have provided has already been used "
                               "with a different request.", 400)
        return made

    def keep(self, scope, token, params, made):
        if token:
            self._known[scope, token] = (_fingerprint(params), made)


def _fingerprint(params):
    return json.dumps({name: value for name, value in params.items() if name not in ("ClientToken", "DryRun")},
                      sort_keys=True, default=str)
