#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: every request that skep signs for AWS carries the signature that botocore would give it.

Method: several hundred requests made from a seed go to sign_tool and to botocore's signers, with the same date and keys. The
seed is printed when they differ; SIGNING_SEED runs it again. A second test spoils a request in one place and expects another
signature, so that agreement means something.
"""

import datetime
import json
import os
import random
import subprocess
import unittest
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials

TOOL = os.environ["SIGN_TOOL"]
SEED = int(os.environ.get("SIGNING_SEED", "20260131"))
REQUESTS = 600
WORDS = ["a", "Z9", "-._~", " ", "+", "/", "..", "//", "%", "%2F", "=", "&", "?", "#", ":", "@", "é", "日", "*", "'", "(", "\\"]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def text(rng: random.Random, most: int = 6) -> str:
    return "".join(rng.choice(WORDS) for _ in range(rng.randrange(most)))


def form(rng: random.Random) -> str:
    fields = [("Action", "RunInstances"), ("Version", "2016-11-15")]
    fields += [(f"Tag.{i}.Value", text(rng)) for i in range(rng.randrange(5))]
    return "&".join(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in fields)


def make_request(rng: random.Random) -> dict:
    service = rng.choice(["ec2", "iam", "sts", "ssm", "s3"])
    request = {"service": service, "region": "us-east-1" if service == "iam" else rng.choice(["eu-central-1", "us-west-2"]),
               "method": "POST", "origin": f"https://{service}.example.com", "path": "/", "query": [], "headers": [], "body": ""}
    if rng.random() < 0.3:
        request["origin"] = f"http://127.0.0.1:{rng.randrange(1024, 65536)}"
    body = form(rng).encode()
    if service == "ssm":
        request["headers"] = [["Content-Type", "application/x-amz-json-1.1"], ["X-Amz-Target", "AmazonSSM.GetParameter"]]
        body = json.dumps({"Name": text(rng), "WithDecryption": True}).encode()
    elif service == "s3":
        request["method"] = rng.choice(["GET", "PUT", "HEAD", "DELETE"])
        request["path"] = "/bucket/" + text(rng, 12)
        request["query"] = [[rng.choice(["uploads", "prefix", "list-type", "a b", "é"]) + str(i), text(rng)]
                            for i in range(rng.randrange(4))]
        rng.shuffle(request["query"])
        names = rng.sample(["x-amz-meta-a", "x-amz-meta-a-b", "x-amz-acl", "Content-Type", "X-Foo"], rng.randrange(4))
        request["headers"] = [[name, rng.choice(["v", " two  words ", "a;b,c"])] for name in names]
        body = rng.randbytes(rng.randrange(300)) if request["method"] == "PUT" else b""
    else:
        request["headers"] = [["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"]]
    request["body"] = body.hex()
    request["id"] = "AKIDEXAMPLE"
    request["secret"] = SECRET if rng.random() < 0.5 else rng.randbytes(60).hex()
    request["token"] = rng.choice(["", "FwoGZXIvYXdzE/+=" * 8])
    request["now"] = rng.randrange(1_000_000_000, 4_000_000_000)
    return request


def signed_by_skep(requests: list[dict]) -> list[dict]:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([TOOL], input=lines, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def signed_by_botocore(request: dict, path: str, query: str) -> dict:
    url = request["origin"] + path + ("?" + query if query else "")
    made = botocore.awsrequest.AWSRequest(method=request["method"], url=url, data=bytes.fromhex(request["body"]),
                                          headers=dict(request["headers"]))
    keys = botocore.credentials.Credentials(request["id"], request["secret"], request["token"] or None)
    signer = botocore.auth.S3SigV4Auth if request["service"] == "s3" else botocore.auth.SigV4Auth
    now = datetime.datetime.fromtimestamp(request["now"], datetime.timezone.utc)
    with mock.patch.object(botocore.auth, "datetime") as older, \
         mock.patch.object(botocore.auth, "get_current_datetime", create=True, return_value=now):
        older.datetime.utcnow.return_value = now
        signer(keys, request["service"], request["region"]).add_auth(made)
    return {name.lower(): value for name, value in made.headers.items()}


class Signing(unittest.TestCase):
    def test_signatures_are_those_of_botocore(self):
        rng = random.Random(SEED)
        requests = [make_request(rng) for _ in range(REQUESTS)]
        answers = signed_by_skep(requests)
        self.assertEqual(len(answers), REQUESTS)
        for request, answer in zip(requests, answers):
            self.assertEqual(answer["path"], quote(request["path"], safe="/-._~"), f"seed {SEED}: {request}")
            expected = signed_by_botocore(request, answer["path"], answer["query"])
            got = {name.lower(): value for name, value in answer["headers"].items()}
            for name in ["authorization", "x-amz-date", "x-amz-security-token"]:
                self.assertEqual(got.get(name), expected.get(name), f"{name}, seed {SEED}: {request}")
            if request["service"] == "s3":
                self.assertEqual(got["x-amz-content-sha256"], expected["x-amz-content-sha256"])
            signed = set(got["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";"))
            must = {"host"} | {name for name in got if name.startswith("x-amz-")}
            self.assertLessEqual(must, signed)
            self.assertLessEqual(signed - {"host"}, set(got))

    def test_another_request_has_another_signature(self):
        rng = random.Random(SEED)
        request = next(made for made in iter(lambda: make_request(rng), None) if made["service"] == "s3" and made["query"])
        changes = {"method": "POST", "path": request["path"] + "x", "body": "00", "secret": "x", "token": "y", "region": "z",
                   "service": "ec2", "now": request["now"] + 1, "query": [["q", ""]], "headers": [["x-amz-meta-z", ""]]}
        variants = [request] + [{**request, name: value} for name, value in changes.items()]
        signatures = {answer["headers"]["Authorization"].split("Signature=")[1] for answer in signed_by_skep(variants)}
        self.assertEqual(len(signatures), len(variants))


if __name__ == "__main__":
    unittest.main()
