# SPDX-License-Identifier: Apache-2.0
"""answer.py - what a service says: an error as AWS words it, or an HTTP answer ready to be sent.

A handler returns the output as botocore would show it to its caller, or raises ServiceError. Dropped is raised where
the connection is to be closed without an answer.

Threads: values.
"""


class ServiceError(Exception):
    """An error answer. `status` is HTTP's; `fields` are further elements of it (S3's BucketName, for instance)."""

    def __init__(self, code, message, status=400, fields=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}


class Violation(ServiceError):
    """A request that the official model or the signing rules do not allow. The server keeps a list of them."""


class Dropped(Exception):
    """The connection is closed; nobody tells the client whether the request was carried out."""


class HttpAnswer:
    def __init__(self, status, body=b"", headers=None):
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = headers or {}


class HttpRequest:
    """What came in. `path` and `query` as they were sent, header names in lower case."""

    def __init__(self, method, target, headers, body, local_address="127.0.0.1"):
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = body
        self.local_address = local_address
