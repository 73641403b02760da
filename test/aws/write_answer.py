# SPDX-License-Identifier: Apache-2.0
"""write_answer.py - from what a handler returned to the bytes of an answer, by the official model.

What the output shape does not name can not be answered: it is a mistake in the handler and raises KeyError.

Threads: functions of their arguments.
"""
import base64
import json
from datetime import timezone
from email.utils import format_datetime
from xml.sax.saxutils import escape

from answer import HttpAnswer

XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
# The root elements of S3's answers, which the model does not tell.
ROOTS = {"ListObjectsV2": "ListBucketResult", "ListObjects": "ListBucketResult", "ListBuckets": "ListAllMyBucketsResult",
         "GetBucketTagging": "Tagging", "DeleteObjects": "DeleteResult",
         "CreateMultipartUpload": "InitiateMultipartUploadResult",
         "CompleteMultipartUpload": "CompleteMultipartUploadResult"}


def write(service, operation, output, request_id):
    """The answer of `operation` with `output` as botocore's callers see it."""
    shape = operation.output_shape
    if service.protocol == "json":
        text = json.dumps(_json(shape, output)) if shape else "{}"
        return HttpAnswer(200, text, {"Content-Type": f"application/x-amz-json-{service.model.metadata['jsonVersion']}",
                                      "x-amzn-RequestId": request_id})
    if service.protocol == "rest-xml":
        return _write_rest(service, operation, output, request_id)
    members = _members(shape, output) if shape else ""
    if service.protocol == "ec2":
        members = members or "<return>true</return>"
        text = (f'<{operation.name}Response xmlns="http://ec2.amazonaws.com/doc/{service.model.api_version}/">'
                f"<requestId>{request_id}</requestId>{members}</{operation.name}Response>")
    else:
        wrapper = shape.serialization.get("resultWrapper") if shape else None
        inner = f"<{wrapper}>{members}</{wrapper}>" if wrapper else members
        text = (f'<{operation.name}Response xmlns="{service.namespace}">{inner}<ResponseMetadata><RequestId>{request_id}'
                f"</RequestId></ResponseMetadata></{operation.name}Response>")
    return HttpAnswer(200, XML_HEAD + text, {"Content-Type": "text/xml;charset=UTF-8", "x-amzn-RequestId": request_id})


def write_error(protocol, error, request_id):
    code, message = escape(error.code), escape(error.message)
    if protocol == "json":
        return HttpAnswer(error.status, json.dumps({"__type": error.code, "message": error.message}),
                          {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id})
    if protocol == "ec2":
        text = (f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>")
    elif protocol == "rest-xml":
        more = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in error.fields.items())
        text = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>{request_id}</RequestId></Error>"
    else:
        side = "Sender" if error.status < 500 else "Receiver"
        text = (f"<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>")
    return HttpAnswer(error.status, XML_HEAD + text, {"Content-Type": "text/xml;charset=UTF-8",
                                                      "x-amzn-RequestId": request_id})


def _write_rest(service, operation, output, request_id):
    headers = {"x-amz-request-id": request_id, "Content-Type": "application/xml"}
    shape = operation.output_shape
    if shape is None:
        return HttpAnswer(204 if operation.http["method"] == "DELETE" else 200, b"", headers)
    output = dict(output)
    for name in list(output):
        place = shape.members[name].serialization
        if place.get("location") == "header":
            headers[place["name"]] = _scalar(shape.members[name], output.pop(name), is_header=True)
        elif place.get("location") == "headers":
            headers.update({place["name"] + key: text for key, text in output.pop(name).items()})
    payload = shape.serialization.get("payload")
    status = 206 if "Content-Range" in headers else 200
    if payload and shape.members[payload].type_name == "blob":
        return HttpAnswer(status, output.get(payload, b""), headers)
    if not output:
        return HttpAnswer(204 if operation.http["method"] == "DELETE" else 200, b"", headers)
    inner = _members(shape, output)
    if operation.name == "GetBucketLocation":
        region = escape(output["LocationConstraint"])
        text = f'<LocationConstraint xmlns="{service.namespace}">{region}</LocationConstraint>'
    else:
        root = ROOTS.get(operation.name, operation.name + "Result")
        space = service.namespace or "http://s3.amazonaws.com/doc/2006-03-01/"
        text = f'<{root} xmlns="{space}">{inner}</{root}>'
    return HttpAnswer(200, XML_HEAD + text, headers)


def _members(shape, value):
    return "".join(_xml(shape.members[name], shape.members[name].serialization.get("name", name), item)
                   for name, item in value.items() if item is not None)


def _xml(shape, name, value):
    if shape.type_name == "structure":
        return f"<{name}>{_members(shape, value)}</{name}>"
    if shape.type_name == "list":
        if shape.serialization.get("flattened"):
            return "".join(_xml(shape.member, shape.member.serialization.get("name", name), item) for item in value)
        inner = shape.member.serialization.get("name", "member")
        return f"<{name}>" + "".join(_xml(shape.member, inner, item) for item in value) + f"</{name}>"
    if shape.type_name == "map":
        pairs = "".join(f"<entry><key>{escape(key)}</key>{_xml(shape.value, 'value', item)}</entry>"
                        for key, item in value.items())
        return f"<{name}>{pairs}</{name}>"
    return f"<{name}>{escape(_scalar(shape, value))}</{name}>"


def _scalar(shape, value, is_header=False):
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if shape.type_name == "timestamp":
        value = value.astimezone(timezone.utc)
        return format_datetime(value, usegmt=True) if is_header else value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return str(value)


def _json(shape, value):
    if shape.type_name == "structure":
        return {name: _json(shape.members[name], item) for name, item in value.items() if item is not None}
    if shape.type_name == "list":
        return [_json(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _json(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return value.timestamp()
    return base64.b64encode(value).decode() if shape.type_name == "blob" else value
