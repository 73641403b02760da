# SPDX-License-Identifier: Apache-2.0
"""read_request.py - from the bytes of a request to the parameters of an operation, by the official model.

Each protocol has its reader: form parameters (ec2, query), JSON (json), method, path, headers and XML (rest-xml).
A reader consumes what the model names; anything that is left over is a Violation.

Threads: functions of their arguments.
"""
import base64
import hashlib
import json
import re
import urllib.parse
import xml.etree.ElementTree
from datetime import datetime, timezone

import model
from answer import ServiceError, Violation

# Headers that belong to the transport and to signing, not to an operation.
PLAIN_HEADERS = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-user-agent", "x-amz-target"}


def read(service, request):
    """(operation model, parameters) of a request to `service`."""
    if service.protocol in ("ec2", "query"):
        return _read_form(service, request)
    if service.protocol == "json":
        return _read_json(service, request)
    return _read_rest(service, request)


# ---- forms ----

def form_of(request):
    """The fields of a form POST, or of the query of a GET."""
    text = request.body.decode() if request.method == "POST" else request.query
    fields = {}
    for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        if name in fields:
            raise Violation("InvalidParameterCombination", f"The parameter {name} was given twice", 400)
        fields[name] = value
    return fields


def _read_form(service, request):
    if request.method == "POST" and not request.headers.get("content-type", "").startswith(
            "application/x-www-form-urlencoded"):
        raise Violation("MalformedInput", "Content-Type of a query request is application/x-www-form-urlencoded", 400)
    fields = form_of(request)
    operation = service.operation(fields.pop("Action", ""))
    version = fields.pop("Version", "")
    if version != service.model.api_version:
        raise Violation("NoSuchVersion", f"Version is '{version}', not {service.model.api_version}", 400)
    left = set(fields)
    value = {}
    if operation.input_shape is not None:
        value = FormReader(service.protocol, fields, left).structure(operation.input_shape, "")
    if left:
        raise Violation("UnknownParameter", f"{operation.name}: The parameter {sorted(left)[0]} is not recognized", 400)
    model.check(operation, value, "MissingParameter" if service.name == "ec2" else "ValidationError")
    again = {name: _text(item) for name, item in service.serialized(operation, value)["body"].items()
             if name not in ("Action", "Version")}
    if again != fields:
        odd = sorted(set(again.items()) ^ set(fields.items()))
        raise Violation("InvalidParameterValue", f"{operation.name}: not as the model writes it: {odd[:4]}", 400)
    return operation, value


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


class FormReader:
    """Reads `fields` by shape; takes the names that it has read out of `left`."""

    def __init__(self, protocol, fields, left):
        self.protocol = protocol
        self.fields = fields
        self.left = left

    def structure(self, shape, prefix):
        value = {}
        for name, member in shape.members.items():
            full = prefix + self._name(member, name)
            if self._is_there(full, member):
                value[name] = self._value(member, full)
        return value

    def _name(self, member, name):
        if self.protocol == "ec2":
            if "queryName" in member.serialization:
                return member.serialization["queryName"]
            given = member.serialization.get("name", name)
            return given[0].upper() + given[1:]
        return member.serialization.get("name", name)

    def _is_there(self, full, member):
        if member.type_name == "list":
            full = self._list_prefix(member, full)
        return any(name == full or name.startswith(full + ".") for name in self.fields)

    def _list_prefix(self, shape, full):
        if self.protocol == "ec2":
            return full
        name = shape.member.serialization.get("name")
        if shape.serialization.get("flattened"):
            return ".".join(full.split(".")[:-1] + [name]) if name else full
        return f"{full}.{name or 'member'}"

    def _value(self, shape, full):
        if shape.type_name == "structure":
            return self.structure(shape, full + ".")
        if shape.type_name == "list":
            return self._list(shape, self._list_prefix(shape, full))
        if full not in self.fields:
            raise Violation("InvalidParameterValue", f"{full} is one value, not a list or a structure", 400)
        self.left.discard(full)
        return scalar(shape, self.fields[full], full)

    def _list(self, shape, prefix):
        items = []
        while self._is_there(f"{prefix}.{len(items) + 1}", shape.member):
            items.append(self._value(shape.member, f"{prefix}.{len(items) + 1}"))
        return items


def scalar(shape, text, where):
    kind = shape.type_name
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
        if kind == "timestamp":
            return _instant(text)
    except (ValueError, KeyError):
        raise Violation("InvalidParameterValue", f"{where}: '{text[:60]}' is no {kind}", 400) from None
    return text


def _instant(text):
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%a, %d %b %Y %H:%M:%S GMT"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    raise ValueError(text)


# ---- JSON ----

def _read_json(service, request):
    version = service.model.metadata["jsonVersion"]
    if request.headers.get("content-type") != f"application/x-amz-json-{version}":
        raise Violation("SerializationException", f"Content-Type is to be application/x-amz-json-{version}", 400)
    prefix, _, name = request.headers.get("x-amz-target", "").partition(".")
    if prefix != service.model.metadata["targetPrefix"]:
        raise Violation("UnknownOperationException", f"X-Amz-Target names no operation of {service.name}", 400)
    operation = service.operation(name)
    try:
        value = json.loads(request.body or b"{}")
    except ValueError as error:
        raise Violation("SerializationException", f"the body is no JSON: {error}", 400) from None
    model.check(operation, value, "ValidationException")
    _refuse_unknown(operation.input_shape, value, operation.name)
    again = json.loads(service.serialized(operation, value)["body"] or b"{}")
    if again != value:
        raise Violation("SerializationException", f"{operation.name}: not as the model writes it: {again}", 400)
    return operation, value


def _refuse_unknown(shape, value, where):
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, item in value.items():
            if name not in shape.members:
                raise Violation("SerializationException", f"{where} has no member {name}", 400)
            _refuse_unknown(shape.members[name], item, f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            _refuse_unknown(shape.member, item, where)


# ---- REST with XML (S3) ----

def _read_rest(service, request):
    query = urllib.parse.parse_qsl(request.query, keep_blank_values=True)
    operation, labels = _rest_operation(service, request, dict(query))
    value = dict(labels)
    shape = operation.input_shape
    if shape is None:
        if request.body or request.query not in ("", "x-id=" + operation.name):
            raise Violation("InvalidArgument", f"{operation.name} has no parameters", 400)
        return operation, {}
    literals = set(_literals(operation))
    known = {member.serialization["name"]: name for name, member in shape.members.items()
             if member.serialization.get("location") == "querystring"}
    for name, text in query:
        if name in known:
            value[known[name]] = scalar(shape.members[known[name]], text, name)
        elif name not in literals and name != "x-id":
            raise Violation("InvalidArgument", f"{operation.name} has no parameter '{name}' in its query", 400)
    _read_headers(operation, request, value)
    payload = shape.serialization.get("payload")
    if payload and request.body:
        member = shape.members[payload]
        value[payload] = request.body if member.type_name in ("blob", "string") else _xml(member, request.body)
    elif payload and shape.members[payload].type_name == "blob":
        value[payload] = b""
    elif request.body and not payload:
        raise Violation("InvalidRequest", f"{operation.name} has no body", 400)
    model.check(operation, value, "InvalidArgument")
    _check_checksums(operation, request)
    return operation, value


CHECKSUMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
CHECKSUM = "x-amz-checksum-"


def _check_checksums(operation, request):
    """Holds the body against the checksums sent with it. Some operations want one: MD5's or another."""
    named = getattr(operation, "http_checksum", None) or {}
    sent = [name for name in request.headers if name.startswith(CHECKSUM)]
    if named.get("requestChecksumRequired") and not sent and "content-md5" not in request.headers:
        raise Violation("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*", 400)
    if "x-amz-sdk-checksum-algorithm" in request.headers and not sent and "x-amz-trailer" not in request.headers:
        raise Violation("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                        "x-amz-trailer headers were found.", 400)
    for name in sent:
        digest = CHECKSUMS.get(name[len(CHECKSUM):])
        if digest and base64.b64encode(digest(request.body).digest()).decode() != request.headers[name]:
            raise ServiceError("BadDigest", f"The {name[len(CHECKSUM):].upper()} you specified did not match the calculated "
                               "checksum.", 400)
    if "content-md5" in request.headers:
        digest = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        if digest != request.headers["content-md5"]:
            raise ServiceError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)


def _literals(operation):
    uri = operation.http["requestUri"]
    return [part.partition("=")[0] for part in uri.partition("?")[2].split("&") if part]


def _rest_operation(service, request, query):
    """The operation with the right method and path that wants most of what the query has."""
    best, best_rank, best_labels = None, (-1, -1), {}
    for name in service.model.operation_names:
        operation = service.model.operation_model(name)
        if operation.http["method"] != request.method or operation.deprecated:
            continue
        match = _path_pattern(operation.http["requestUri"].partition("?")[0]).fullmatch(request.path)
        wanted = operation.http["requestUri"].partition("?")[2]
        pairs = [part.partition("=")[::2] for part in wanted.split("&") if part]
        if not match or any(key not in query or (text and query[key] != text) for key, text in pairs):
            continue
        if _misses_a_required_one(operation, request, query):
            continue
        rank = (len(pairs), len(operation.input_shape.required_members) if operation.input_shape else 0)
        if rank > best_rank:
            labels = {label: urllib.parse.unquote(text) for label, text in match.groupdict().items()}
            best, best_rank, best_labels = operation, rank, labels
    if best is None:
        raise Violation("MethodNotAllowed", f"no operation is {request.method} {request.path}?{request.query}", 405)
    return best, best_labels


def _misses_a_required_one(operation, request, query):
    """Operations on one path differ by what else they require: UploadPart wants uploadId, CopyObject its source."""
    for name in operation.input_shape.required_members if operation.input_shape else ():
        place = operation.input_shape.members[name].serialization
        if place.get("location") == "querystring" and place["name"] not in query:
            return True
        if place.get("location") == "header" and place["name"].lower() not in request.headers:
            return True
    return False


def _path_pattern(uri):
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(uri))
    pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", pattern)
    return re.compile(pattern if "Key" in pattern else pattern.rstrip("/") + "/?")


def _read_headers(operation, request, value):
    members = operation.input_shape.members
    by_header = {member.serialization["name"].lower(): name for name, member in members.items()
                 if member.serialization.get("location") == "header"}
    by_prefix = {member.serialization["name"].lower(): name for name, member in members.items()
                 if member.serialization.get("location") == "headers"}
    for header, text in request.headers.items():
        if header in by_header:
            name = by_header[header]
            value[name] = scalar(members[name], text, header)
            continue
        prefix = next((found for found in by_prefix if header.startswith(found)), None)
        if prefix:
            value.setdefault(by_prefix[prefix], {})[header[len(prefix):]] = text
        elif header.startswith(CHECKSUM) and getattr(operation, "http_checksum", None):
            continue  # of any algorithm, whether the model names it for this operation or not
        elif header.startswith("x-amz-") and header not in PLAIN_HEADERS:
            raise Violation("InvalidArgument", f"{operation.name} has no header '{header}'", 400)


def _xml(shape, body):
    try:
        root = xml.etree.ElementTree.fromstring(body)
    except xml.etree.ElementTree.ParseError:
        raise Violation("MalformedXML", "The XML you provided was not well-formed", 400) from None
    return _element(shape, root, root.tag)


def _plain(tag):
    return tag.rpartition("}")[2]


def _element(shape, element, where):
    if shape.type_name != "structure":
        return scalar(shape, element.text or "", where)
    value = {}
    names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    for child in element:
        tag = _plain(child.tag)
        if tag not in names:
            raise Violation("MalformedXML", f"{where} has no element {tag}", 400)
        member = shape.members[names[tag]]
        if member.type_name != "list":
            value[names[tag]] = _element(member, child, tag)
        elif member.serialization.get("flattened"):
            value.setdefault(names[tag], []).append(_element(member.member, child, tag))
        else:
            value[names[tag]] = [_element(member.member, item, tag) for item in child]
    return value
