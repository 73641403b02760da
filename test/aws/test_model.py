# SPDX-License-Identifier: Apache-2.0
"""Goal: a request that the official model does not allow is refused, and what it allows comes back as it was sent.

Method: forms as a careless client would write them; then random values of the operations that skep calls, written by
botocore's serializer and read by ours.
"""
import random
import unittest
import urllib.parse

import read_request
from answer import HttpRequest, Violation
from model import Service, check
from registry import HANDLERS

import dispatch  # noqa: F401  (it registers the operations)

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = {name: Service(name) for name in ("ec2", "iam", "s3")}

    def read(self, text, service="ec2"):
        version = self.services[service].model.api_version
        body = f"{text}&Version={version}".encode()
        return read_request.read(self.services[service], HttpRequest("POST", "/", FORM, body))[1]

    def refused(self, code, text, service="ec2"):
        with self.assertRaises(Violation) as caught:
            self.read(text, service)
        self.assertEqual(caught.exception.code, code, str(caught.exception))

    def test_right_forms_are_read(self):
        self.assertEqual(self.read("Action=DescribeInstances&Filter.1.Name=tag%3Aa&Filter.1.Value.1=b&Filter.1.Value.2=c"),
                         {"Filters": [{"Name": "tag:a", "Values": ["b", "c"]}]})
        self.assertEqual(self.read("Action=DeleteSecurityGroup&GroupId=sg-1&DryRun=true"), {"GroupId": "sg-1", "DryRun": True})

    def test_names_that_the_model_does_not_know_are_refused(self):
        for text in ("Action=DescribeInstances&Filters.1.Name=a&Filters.1.Values.1=b",
                     "Action=RunInstances&MinCount=1&MaxCount=1&TagSpecifications.1.ResourceType=instance",
                     "Action=DescribeInstances&InstanceIds.1=i-1", "Action=DescribeInstances&Instanceid.1=i-1",
                     "Action=DescribeInstances&InstanceId.2=i-1"):
            self.refused("UnknownParameter", text)

    def test_missing_members_and_wrong_values_are_refused(self):
        self.refused("MissingParameter", "Action=RunInstances&MinCount=1")
        self.refused("MissingParameter", "Action=CreateLaunchTemplate&LaunchTemplateName=ab&LaunchTemplateData.ImageId=ami-1")
        self.refused("InvalidParameterValue", "Action=RunInstances&MinCount=one&MaxCount=1")
        self.refused("InvalidParameterValue", "Action=DescribeInstances&DryRun=True")
        self.refused("InvalidParameterValue", "Action=RunInstances&MinCount=01&MaxCount=1")  # one, but not written so
        self.refused("MissingParameter", "Action=RunInstances&MinCount=1&MaxCount=1&InstanceInitiatedShutdownBehavior=explode")
        self.refused("ValidationError", "Action=CreateRole&AssumeRolePolicyDocument=x&RoleName=" + "r" * 65, "iam")
        self.refused("InvalidAction", "Action=RunInstance")

    def test_a_parameter_twice_another_version_and_another_type_of_content_are_refused(self):
        self.refused("InvalidParameterCombination", "Action=DescribeVpcs&DryRun=true&DryRun=false")
        for headers, body, code in ((FORM, b"Action=DescribeVpcs&Version=2010-01-01", "NoSuchVersion"),
                                    ({"content-type": "text/plain"}, b"Action=DescribeVpcs", "MalformedInput")):
            with self.assertRaises(Violation) as caught:
                read_request.read(self.services["ec2"], HttpRequest("POST", "/", headers, body))
            self.assertEqual(caught.exception.code, code)

    def test_what_s3_does_not_know_is_refused(self):
        for target, headers, body in (("/b/k?bogus=1", {}, b""), ("/b/k", {"x-amz-nonsense": "1"}, b""),
                                      ("/b?tagging", {}, b"<Tagging><Tags/></Tagging>"), ("/b?tagging", {}, b"<Tagging>")):
            with self.assertRaises(Violation):
                read_request.read(self.services["s3"], HttpRequest("PUT", target, headers, body))

    def test_s3_operations_are_told_apart(self):
        for method, target, headers, body, wanted in (
                ("PUT", "/b/k/with/slash", {}, b"x", "PutObject"), ("PUT", "/b", {}, b"", "CreateBucket"),
                ("GET", "/b?list-type=2&prefix=a%2Fb", {}, b"", "ListObjectsV2"), ("GET", "/", {}, b"", "ListBuckets"),
                ("PUT", "/b/k?partNumber=1&uploadId=u", {}, b"x", "UploadPart"), ("HEAD", "/b/k", {}, b"", "HeadObject"),
                ("POST", "/b/k?uploads", {}, b"", "CreateMultipartUpload"), ("GET", "/b?location", {}, b"", "GetBucketLocation"),
                ("PUT", "/b/k", {"x-amz-copy-source": "b/o"}, b"", "CopyObject"), ("HEAD", "/b", {}, b"", "HeadBucket")):
            operation, _ = read_request.read(self.services["s3"], HttpRequest(method, target, headers, body))
            self.assertEqual(operation.name, wanted, target)


def random_value(shape, chance, depth=0):
    """A value of the shape. Lists have one or two members, and structures are cut off where they nest deep."""
    kind = shape.type_name
    if kind == "structure":
        names = [name for name in shape.members if name in shape.required_members
                 or (depth < 4 and chance.random() < 0.4)]
        value = {name: random_value(shape.members[name], chance, depth + 1) for name in names}
        return {name: item for name, item in value.items() if item not in ({}, [])}
    if kind == "list":
        items = [random_value(shape.member, chance, depth + 1) for _ in range(chance.randrange(1, 3))]
        return [item for item in items if item not in ({}, [])]
    if kind == "boolean":
        return chance.random() < 0.5
    if kind in ("integer", "long"):
        return chance.randrange(max(1, shape.metadata.get("min", 1)), min(1000, shape.metadata.get("max", 900)) + 1)
    if kind in ("float", "double"):
        return chance.randrange(1, 9) / 2
    if kind == "string":
        if shape.enum:
            return chance.choice(shape.enum)
        least = shape.metadata.get("min", 1)
        text = "".join(chance.choice("abcXYZ019 +&=%/ü") for _ in range(max(least, chance.randrange(1, 12))))
        return text[:shape.metadata.get("max", 1000)]
    return None


class RoundTrip(unittest.TestCase):
    def test_random_requests_come_back_as_they_were(self):
        chance, tried = random.Random(3), 0
        for service in [Service(name) for name in ("ec2", "iam", "sts", "rds")]:
            names = [name for known, name in HANDLERS if known == service.name]
            for operation in [service.operation(name) for name in names for _ in range(3)]:
                if operation.input_shape is None:
                    continue
                try:
                    value = random_value(operation.input_shape, chance)
                    check(operation, value)
                    body = service.serialized(operation, value)["body"]
                except (TypeError, ValueError, AttributeError, Violation):
                    continue  # has a timestamp or a blob, which random_value() does not make, or lacks what it cut off
                text = urllib.parse.urlencode({name: read_request._text(item) for name, item in body.items()}).encode()
                with self.subTest(operation=operation.name):
                    back = read_request.read(service, HttpRequest("POST", "/", FORM, text))[1]
                    self.assertEqual(service.serialized(operation, back)["body"], body)
                    tried += 1
        self.assertGreater(tried, 200)


if __name__ == "__main__":
    unittest.main()
