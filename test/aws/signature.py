# SPDX-License-Identifier: Apache-2.0
"""signature.py - AWS Signature Version 4: checks the one that a request carries, and makes one.

Written from the public description of the algorithm, not from a client's code: canonical request, string to sign,
derived key. Beyond the sum itself it holds the request to the rules that a lenient verifier would let pass: host and
every x-amz-* header are signed, every signed header is there, S3 names the hash of its body and the hash is right.

Threads: functions of their arguments. Units: instants are datetimes in UTC.
"""
import hashlib
import hmac
import re
import urllib.parse
from datetime import datetime, timedelta, timezone

from answer import ServiceError, Violation

SKEW_MAX = timedelta(minutes=5)
SKEW_MAX_S3 = timedelta(minutes=15)
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request, ?"
                           r"SignedHeaders=([a-z0-9;\-_.]+), ?Signature=([0-9a-f]{64})$")
NO_AUTHORIZATION = {"ec2": ("MissingAuthenticationToken", 403), "s3": ("AccessDenied", 403)}
# What each service calls: an unknown key, a wrong signature, a request of another time, a token that has run out.
NAMES = {
    "ec2": ("AuthFailure", "AuthFailure", "RequestExpired", "RequestExpired"),
    "s3": ("InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken"),
    "json": ("UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException",
             "ExpiredTokenException"),
    "query": ("InvalidClientTokenId", "SignatureDoesNotMatch", "SignatureDoesNotMatch", "ExpiredToken"),
}


class Scope:
    """Who signed, for which day, region and service."""

    def __init__(self, authorization):
        match = AUTHORIZATION.match(authorization)
        if not match:
            raise Violation("IncompleteSignature", "Authorization header is not of the form AWS4-HMAC-SHA256 "
                            "Credential=..., SignedHeaders=..., Signature=...", 400)
        self.key, self.day, self.region, self.service, headers, self.signature = match.groups()
        self.signed_headers = headers.split(";")

    def __str__(self):
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def names_of(service, protocol):
    return NAMES.get(service) or NAMES["json" if protocol == "json" else "query"]


def _quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(query):
    pairs = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        pairs.append((_quote(urllib.parse.unquote(name)), _quote(urllib.parse.unquote(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_path(path, service):
    """S3 encodes a key once; every other service encodes the path that was sent once more."""
    if service == "s3":
        return "/".join(urllib.parse.quote(urllib.parse.unquote_to_bytes(part), safe="-_.~") for part in path.split("/"))
    return urllib.parse.quote(path, safe="/-_.~")


def sign(secret, scope, request, body_hash):
    """The signature of `request` as hex digits: what the client should have sent."""
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in scope.signed_headers)
    canonical = "\n".join([request.method, canonical_path(request.path, scope.service), canonical_query(request.query),
                           headers, ";".join(scope.signed_headers), body_hash])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), str(scope), digest])
    key = ("AWS4" + secret).encode()
    for part in (scope.day, scope.region, scope.service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def authorization(key, secret, region, service, request):
    """The Authorization header for `request`, all of whose headers are signed."""
    day = request.headers["x-amz-date"][:8]
    names = ";".join(sorted(request.headers))
    head = f"AWS4-HMAC-SHA256 Credential={key}/{day}/{region}/{service}/aws4_request, SignedHeaders={names}, Signature="
    body_hash = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    return head + sign(secret, Scope(head + "0" * 64), request, body_hash)


def _check_headers(scope, request):
    signed = scope.signed_headers
    if signed != sorted(set(signed)):
        raise Violation("SignatureDoesNotMatch", f"SignedHeaders are not sorted or not unique: {';'.join(signed)}", 403)
    for name in signed:
        if name not in request.headers:
            raise Violation("SignatureDoesNotMatch", f"the header '{name}' is signed but was not sent", 403)
    for name in request.headers:
        if (name == "host" or name.startswith("x-amz-")) and name not in signed:
            raise Violation("SignatureDoesNotMatch", f"the header '{name}' is to be signed and is not", 403)


def _body_hash(scope, request):
    actual = hashlib.sha256(request.body).hexdigest()
    named = request.headers.get("x-amz-content-sha256")
    if named is None:
        if scope.service == "s3":
            raise Violation("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", 400)
        return actual
    if named == "UNSIGNED-PAYLOAD" and scope.service == "s3":
        return named
    if named != actual:
        raise Violation("XAmzContentSHA256Mismatch",
                        f"The provided 'x-amz-content-sha256' header does not match what was computed: {actual}", 400)
    return named


def _check_time(scope, request, now, code):
    stamp = request.headers.get("x-amz-date", "")
    try:
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Violation("IncompleteSignature", f"X-Amz-Date is missing or malformed: '{stamp}'", 400) from None
    if not stamp.startswith(scope.day):
        raise Violation("SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from X-Amz-Date", 403)
    most = SKEW_MAX_S3 if scope.service == "s3" else SKEW_MAX
    here = now.strftime("%Y%m%dT%H%M%SZ")
    text = {"s3": "The difference between the request time and the current time is too large.",
            "ec2": "Request has expired."}.get(scope.service)
    if now - sent > most:
        raise ServiceError(code, text or f"Signature expired: {stamp} is now earlier than {here} minus {most}", 403)
    if sent - now > most:
        raise ServiceError(code, text or f"Signature not yet current: {stamp} is still later than {here} plus {most}", 403)


def verify(request, scope, protocol, credential, now):
    """Raises what the service would answer unless `credential` (secret, token, is_expired; None if unknown) signed."""
    unknown, mismatch, skewed, expired = names_of(scope.service, protocol)
    if credential is None:
        raise ServiceError(unknown, "The security token included in the request is invalid." if unknown != "AuthFailure"
                           else "AWS was not able to validate the provided access credentials", 403)
    _check_headers(scope, request)
    _check_time(scope, request, now, skewed)
    wanted = sign(credential.secret, scope, request, _body_hash(scope, request))
    if not hmac.compare_digest(wanted, scope.signature):
        raise Violation(mismatch, "The request signature we calculated does not match the signature you provided. "
                        "Check your key and signing method.", 403)
    if credential.token != request.headers.get("x-amz-security-token"):
        raise ServiceError(unknown, "The security token included in the request is invalid.", 403)
    if credential.is_expired(now):
        raise ServiceError(expired, "The security token included in the request is expired", 403)
