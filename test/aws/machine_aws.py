# SPDX-License-Identifier: Apache-2.0
"""machine_aws.py - the two calls of `aws` that user data makes at boot, without a second of Python imports.

`aws s3 cp s3://BUCKET/KEY FILE` and `aws ssm get-parameter --name N [--with-decryption] --query Parameter.Value
--output text`, with the instance's own credentials. Anything else is left to Debian's aws.

Threads: one.
"""
import http.client
import json
import sys
import urllib.parse
from datetime import datetime, timezone

import signature
from answer import HttpRequest

TIMEOUT_SECONDS = 30


def _ask(address, method, path, headers=None, body=b""):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    connection.request(method, path, body or None, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def _credentials(settings):
    _, token = _ask(settings["metadata"], "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    headers, place = {"X-aws-ec2-metadata-token": token.decode()}, "/latest/meta-data/iam/security-credentials/"
    status, role = _ask(settings["metadata"], "GET", place, headers)
    if status != 200:
        return None
    return json.loads(_ask(settings["metadata"], "GET", place + role.decode(), headers)[1])


def _call(settings, service, method, path, body=b"", more=None):
    found = _credentials(settings)
    if found is None:
        return 255, b"Unable to locate credentials. You can configure credentials by running \"aws configure\"."
    address = settings["endpoint"].partition("://")[2]
    headers = {"host": address, "x-amz-date": datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
               "x-amz-security-token": found["Token"], **(more or {})}
    if service == "s3":
        headers["x-amz-content-sha256"] = signature.EMPTY_HASH
    request = HttpRequest(method, path, headers, body)
    headers["authorization"] = signature.authorization(found["AccessKeyId"], found["SecretAccessKey"], settings["region"],
                                                       service, request)
    return _ask(address, method, path, headers, body)


def _failed(status, data):
    print(f"An error occurred ({status}): {data[:400].decode(errors='replace')}", file=sys.stderr)
    return 254 if status >= 400 else 255


def run(settings, arguments):
    """The exit code, or None where this is not one of the two calls."""
    options = [word for word in arguments if word.startswith("--")]
    if arguments[:2] == ["s3", "cp"] and set(options) <= {"--no-progress", "--quiet", "--only-show-errors", "--region"}:
        words = [word for word in arguments[2:] if not word.startswith("--") and word != settings["region"]]
        if len(words) == 2 and words[0].startswith("s3://") and words[1] != "-":
            return _download(settings, *words)
    if arguments[:2] == ["ssm", "get-parameter"] and "Parameter.Value" in arguments and "text" in arguments:
        name = arguments[arguments.index("--name") + 1]
        return _parameter(settings, name, "--with-decryption" in arguments)
    return None


def _download(settings, source, target):
    status, data = _call(settings, "s3", "GET", "/" + urllib.parse.quote(source.removeprefix("s3://")))
    if status != 200:
        return _failed(status, data)
    with open(target, "wb") as file:
        file.write(data)
    return 0


def _parameter(settings, name, is_decrypted):
    body = json.dumps({"Name": name, "WithDecryption": is_decrypted}).encode()
    status, data = _call(settings, "ssm", "POST", "/", body, {"content-type": "application/x-amz-json-1.1",
                                                             "x-amz-target": "AmazonSSM.GetParameter"})
    if status != 200:
        return _failed(status, data)
    print(json.loads(data)["Parameter"]["Value"])
    return 0
