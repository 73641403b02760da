# SPDX-License-Identifier: Apache-2.0
"""model.py - the official service models that botocore carries, as judge of requests and maker of answers.

A request is read by the shapes of its operation, which refuses names that the model does not know; then checked for
required members, types, lengths and enumerations; then written again by botocore's own serializer, and must come out
as it came in. An answer is written by the shapes of the output, so a handler can not answer what the model lacks.

Threads: a Service may be used from one thread at a time; the server's lock sees to that.
"""
import botocore.loaders
import botocore.model
import botocore.serialize
import botocore.validate

from answer import Violation

# The model is older than some of what AWS rents out today.
FREE_ENUMS = {"InstanceType", "DescribeInstanceTypesInstanceTypeList", "BucketLocationConstraint"}


class Service:
    """One service: its model, and the serializer that a client of it uses."""

    def __init__(self, name):
        model = botocore.loaders.Loader().load_service_model(name, "service-2")
        self.name = name
        self.model = botocore.model.ServiceModel(model, name)
        self.protocol = self.model.metadata["protocol"]
        self.namespace = self.model.metadata.get("xmlNamespace", "")
        self.serializer = botocore.serialize.create_serializer(self.protocol, include_validation=False)

    def operation(self, name):
        if name not in self.model.operation_names:
            raise Violation("InvalidAction", f"The action {name} is not valid for {self.name}.", 400)
        return self.model.operation_model(name)

    def serialized(self, operation, value):
        return self.serializer.serialize_to_request(value, operation)


def check(operation, value, code="ValidationError"):
    """Raises Violation where `value` is not what the input shape of `operation` allows."""
    shape = operation.input_shape
    if shape is None:
        if value:
            raise Violation(code, f"{operation.name} has no parameters, not {sorted(value)}", 400)
        return
    report = botocore.validate.ParamValidator().validate(value, shape)
    if report.has_errors():
        raise Violation(code, f"{operation.name}: {report.generate_report()}", 400)
    _check_limits(operation.name, shape, value, code)


def _check_limits(path, shape, value, code):
    """What ParamValidator leaves out: enumerations and the upper ends of lengths."""
    if shape.type_name == "structure":
        for name, item in value.items():
            _check_limits(f"{path}.{name}", shape.members[name], item, code)
    elif shape.type_name == "list":
        for item in value:
            _check_limits(path + "[]", shape.member, item, code)
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum and shape.name not in FREE_ENUMS:
            raise Violation(code, f"{path}: '{value}' is none of {shape.enum[:12]}", 400)
        most = shape.metadata.get("max")
        if most and len(value) > most:
            raise Violation(code, f"{path}: {len(value)} characters, at most {most} are allowed", 400)
