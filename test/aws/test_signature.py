# SPDX-License-Identifier: Apache-2.0
"""Goal: the server's own signer agrees with the published example and with botocore's, and its verifier lets nothing by.

Method: one known vector; 300 random requests signed by botocore, with odd queries, keys, headers and tokens; then each
way in which a request can be changed or badly signed.
"""
import hashlib
import random
import unittest
import urllib.parse
from datetime import datetime, timedelta, timezone

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import signature
from answer import HttpRequest, ServiceError, Violation
from world import Credential

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
ALPHABET = "abcXYZ019-_.~ /+=&%?*'()!@$,:;ü\u4e16"


class KnownVector(unittest.TestCase):
    def test_the_published_example_has_its_published_signature(self):
        headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
        scope = signature.Scope("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                                "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64)
        made = signature.sign("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, HttpRequest("GET", "/", headers, b""),
                              signature.EMPTY_HASH)
        self.assertEqual(made, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")


def signed_by_botocore(chance, service):
    """A random request, signed; and its credential."""
    def text(length):
        return "".join(chance.choice(ALPHABET) for _ in range(chance.randrange(1, length)))
    key = "/" + "/".join(urllib.parse.quote(text(9), safe="-_.~") for _ in range(chance.randrange(1, 4)))
    pairs = [(text(8), text(12)) for _ in range(chance.randrange(4))]
    query = urllib.parse.urlencode(sorted(pairs), quote_via=urllib.parse.quote)
    body = text(40).encode() if chance.random() < 0.7 else b""
    token = chance.choice([None, "a+token/of=this", ""]) or None
    headers = {"X-Amz-Meta-A": " two  blanks ", "X-Amz-Meta-A-B": "1", "X-Custom": "y"} if chance.random() < 0.5 else {}
    path = key if service == "s3" else "/"
    request = botocore.awsrequest.AWSRequest("PUT" if body else "GET", f"http://127.0.0.1:8000{path}?{query}".rstrip("?"),
                                             headers, body)
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer = kind(botocore.credentials.Credentials("AKIA", "secret", token), service, "eu-central-1")
    if service == "s3":
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    signer.add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    sent["host"] = "127.0.0.1:8000"
    target = path + ("?" + query if query else "")
    return HttpRequest(request.method, target, sent, body), Credential("AKIA", "secret", "me", token)


def stamp_of(request):
    return datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def check(request, credential, now=None):
    scope = signature.Scope(request.headers["authorization"])
    signature.verify(request, scope, "query", credential, now or stamp_of(request))
    return scope


class AgainstBotocore(unittest.TestCase):
    def test_random_requests_signed_by_botocore_are_accepted(self):
        chance = random.Random(7)
        for index in range(300):
            request, credential = signed_by_botocore(chance, "s3" if index % 2 else "ec2")
            with self.subTest(index=index, path=request.path, query=request.query):
                check(request, credential)

    def test_what_we_sign_ourselves_is_accepted(self):
        headers = {"host": "127.0.0.1:1", "x-amz-date": NOW.strftime("%Y%m%dT%H%M%SZ")}
        request = HttpRequest("POST", "/", headers, b"Action=X")
        text = signature.authorization("AKIA", "secret", "eu-central-1", "ec2", request)
        headers["authorization"] = text
        check(request, Credential("AKIA", "secret", "me"), NOW)


class Refusals(unittest.TestCase):
    def setUp(self):
        self.request, self.credential = signed_by_botocore(random.Random(1), "s3")
        self.credential.token = self.request.headers.get("x-amz-security-token")

    def refused(self, code, kind=Violation, now=None):
        with self.assertRaises(kind) as caught:
            check(self.request, self.credential, now)
        self.assertEqual(caught.exception.code, code)

    def test_another_body_path_query_or_method_is_refused(self):
        for name, value in (("path", "/other"), ("query", "x=1"), ("method", "DELETE")):
            before = getattr(self.request, name)
            setattr(self.request, name, value)
            self.refused("SignatureDoesNotMatch")
            setattr(self.request, name, before)
        self.request.body += b"x"
        self.refused("XAmzContentSHA256Mismatch")

    def test_another_secret_is_refused(self):
        self.credential.secret = "other"
        self.refused("SignatureDoesNotMatch")

    def test_an_amz_header_that_is_not_signed_is_refused(self):
        self.request.headers["x-amz-acl"] = "public-read"
        self.refused("SignatureDoesNotMatch")

    def test_a_signed_header_that_was_not_sent_is_refused(self):
        self.request.headers["x-amz-date"] = ""
        self.refused("IncompleteSignature", now=NOW)
        del self.request.headers["x-amz-date"]
        self.refused("SignatureDoesNotMatch", now=NOW)

    def test_s3_without_the_hash_of_its_body_is_refused(self):
        text = self.request.headers["authorization"].replace("x-amz-content-sha256;", "")
        self.request.headers["authorization"] = text
        del self.request.headers["x-amz-content-sha256"]
        self.refused("InvalidRequest")

    def test_a_request_of_another_time_is_refused(self):
        stamp = stamp_of(self.request)
        for minutes in (-16, 16):
            self.refused("RequestTimeTooSkewed", ServiceError, stamp + timedelta(minutes=minutes))

    def test_unknown_keys_wrong_tokens_and_expired_ones_are_refused(self):
        self.credential.token = "another"
        self.refused("InvalidAccessKeyId", ServiceError)
        self.credential.token = self.request.headers.get("x-amz-security-token")
        self.credential.expires = NOW - timedelta(days=400)
        self.refused("ExpiredToken", ServiceError)
        self.credential = None
        self.refused("InvalidAccessKeyId", ServiceError)

    def test_an_authorization_of_another_form_is_refused(self):
        self.request.headers["authorization"] = "Bearer x"
        self.refused("IncompleteSignature")


if __name__ == "__main__":
    unittest.main()
