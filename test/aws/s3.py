# SPDX-License-Identifier: Apache-2.0
"""s3.py - buckets and objects, in memory: put, get with ranges, list, delete, parts; what is checked on the way in.

Threads: under the server's lock.
"""
import hashlib
import re

from answer import ServiceError
from registry import operation

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PART_MIN = 5 * 1024 * 1024
REMEMBERED = ("ContentType", "ContentEncoding", "CacheControl", "ContentDisposition", "Metadata", "StorageClass")


class Bucket:
    def __init__(self, name, created):
        self.name = name
        self.created = created
        self.tags = {}
        self.objects = {}
        self.settings = {}


class Object:
    def __init__(self, body, params, now, parts=0):
        self.body = body
        self.changed = now
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.etag = f'"{digest}-{parts}"' if parts else f'"{digest}"'
        self.fields = {name: params[name] for name in REMEMBERED if name in params}


class S3:
    def __init__(self, world):
        self.world = world
        self.buckets = {}
        self.uploads = {}

    def bucket(self, name):
        if name not in self.buckets:
            raise ServiceError("NoSuchBucket", "The specified bucket does not exist", 404, {"BucketName": name})
        return self.buckets[name]

    def object(self, bucket, key):
        found = self.bucket(bucket).objects.get(key)
        if found is None:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", 404, {"Key": key})
        return found


# ---- buckets ----

@operation("s3", "CreateBucket")
def create_bucket(world, params, caller):
    s3, name = world.service(S3), params["Bucket"]
    if not NAME.fullmatch(name) or ".." in name:
        raise ServiceError("InvalidBucketName", "The specified bucket is not valid.", 400, {"BucketName": name})
    place = params.get("CreateBucketConfiguration", {}).get("LocationConstraint", "us-east-1")
    if place != world.region:
        raise ServiceError("IllegalLocationConstraintException", f"The {place} location constraint is incompatible for the region "
                           "specific endpoint this request was sent to.", 400)
    if name in s3.buckets:
        raise ServiceError("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you "
                           "already own it.", 409, {"BucketName": name})
    s3.buckets[name] = Bucket(name, world.now)
    return {"Location": "/" + name}


@operation("s3", "HeadBucket")
def head_bucket(world, params, caller):
    world.service(S3).bucket(params["Bucket"])
    return {}


@operation("s3", "ListBuckets")
def list_buckets(world, params, caller):
    return {"Buckets": [{"Name": name, "CreationDate": bucket.created}
                        for name, bucket in sorted(world.service(S3).buckets.items())],
            "Owner": {"ID": world.account, "DisplayName": "tester"}}


@operation("s3", "GetBucketLocation")
def bucket_location(world, params, caller):
    world.service(S3).bucket(params["Bucket"])
    return {"LocationConstraint": world.region if world.region != "us-east-1" else ""}


@operation("s3", "DeleteBucket")
def delete_bucket(world, params, caller):
    bucket = world.service(S3).bucket(params["Bucket"])
    if bucket.objects:
        raise ServiceError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409, {"BucketName": bucket.name})
    del world.service(S3).buckets[bucket.name]
    return {}


@operation("s3", "PutBucketTagging", "GetBucketTagging", "DeleteBucketTagging")
def bucket_tagging(world, params, caller):
    bucket = world.service(S3).bucket(params["Bucket"])
    if caller.operation == "PutBucketTagging":
        bucket.tags = {tag["Key"]: tag["Value"] for tag in params["Tagging"]["TagSet"]}
    elif caller.operation == "DeleteBucketTagging":
        bucket.tags = {}
    elif not bucket.tags:
        raise ServiceError("NoSuchTagSet", "The TagSet does not exist", 404, {"BucketName": bucket.name})
    else:
        return {"TagSet": [{"Key": key, "Value": value} for key, value in sorted(bucket.tags.items())]}
    return {}


@operation("s3", "PutPublicAccessBlock", "PutBucketEncryption", "PutBucketPolicy", "PutBucketOwnershipControls",
           "PutBucketLifecycleConfiguration", "PutBucketVersioning")
def put_setting(world, params, caller):
    world.service(S3).bucket(params["Bucket"]).settings[caller.operation] = params
    return {}


# ---- objects ----

def _check_body(params):
    if "aws-chunked" in params.get("ContentEncoding", ""):
        raise ServiceError("NotImplemented", "aws-chunked bodies are not known to this server", 501)


@operation("s3", "PutObject")
def put_object(world, params, caller):
    bucket = world.service(S3).bucket(params["Bucket"])
    body = params.get("Body", b"")
    _check_body(params)
    bucket.objects[params["Key"]] = made = Object(body, params, world.now)
    return {"ETag": made.etag}


def _range(text, size):
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not match or not any(match.groups()):
        return 0, size - 1
    first, last = match.groups()
    begin, end = (int(first), min(int(last or size), size - 1)) if first else (max(0, size - int(last)), size - 1)
    if begin >= size:
        raise ServiceError("InvalidRange", "The requested range is not satisfiable", 416)
    return begin, end


@operation("s3", "GetObject", "HeadObject")
def get_object(world, params, caller):
    found = world.service(S3).object(params["Bucket"], params["Key"])
    if params.get("IfMatch", found.etag).strip('"') != found.etag.strip('"'):
        raise ServiceError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    made = {"ETag": found.etag, "LastModified": found.changed, "AcceptRanges": "bytes", "ContentLength": len(found.body),
            "ContentType": "binary/octet-stream", **found.fields}
    body = found.body
    if "Range" in params:
        begin, end = _range(params["Range"], len(body))
        made.update(ContentRange=f"bytes {begin}-{end}/{len(body)}", ContentLength=end - begin + 1)
        body = body[begin:end + 1]
    return {**made, "Body": body} if caller.operation == "GetObject" else made


@operation("s3", "DeleteObject")
def delete_object(world, params, caller):
    world.service(S3).bucket(params["Bucket"]).objects.pop(params["Key"], None)
    return {}


@operation("s3", "DeleteObjects")
def delete_objects(world, params, caller):
    bucket = world.service(S3).bucket(params["Bucket"])
    keys = [one["Key"] for one in params["Delete"]["Objects"]]
    for key in keys:
        bucket.objects.pop(key, None)
    return {} if params["Delete"].get("Quiet") else {"Deleted": [{"Key": key} for key in keys]}


@operation("s3", "ListObjectsV2")
def list_objects(world, params, caller):
    bucket, prefix = world.service(S3).bucket(params["Bucket"]), params.get("Prefix", "")
    after = params.get("ContinuationToken") or params.get("StartAfter", "")
    delimiter = params.get("Delimiter")
    items, most = {}, params.get("MaxKeys", 1000)
    for key in sorted(bucket.objects):
        if not key.startswith(prefix) or key <= after:
            continue
        rest = key[len(prefix):]
        name = prefix + rest.partition(delimiter)[0] + delimiter if delimiter and delimiter in rest else key
        items.setdefault(name, key)
    names = list(items)[:most]
    made = {"Name": bucket.name, "Prefix": prefix, "KeyCount": len(names), "MaxKeys": most, "IsTruncated": len(items) > most}
    if made["IsTruncated"]:
        made["NextContinuationToken"] = items[names[-1]]
    made["Contents"] = [_listed(name, bucket.objects[name]) for name in names if name in bucket.objects]
    made["CommonPrefixes"] = [{"Prefix": name} for name in names if name not in bucket.objects]
    return made


def _listed(key, found):
    return {"Key": key, "LastModified": found.changed, "ETag": found.etag, "Size": len(found.body), "StorageClass": "STANDARD"}


# ---- uploads in parts ----

@operation("s3", "CreateMultipartUpload")
def create_upload(world, params, caller):
    s3 = world.service(S3)
    s3.bucket(params["Bucket"])
    ident = world.ident("upload")
    s3.uploads[ident] = (params, {})
    return {"Bucket": params["Bucket"], "Key": params["Key"], "UploadId": ident}


def _upload(world, params):
    uploads = world.service(S3).uploads
    if params["UploadId"] not in uploads:
        raise ServiceError("NoSuchUpload", "The specified upload does not exist.", 404)
    return uploads[params["UploadId"]]


@operation("s3", "UploadPart")
def upload_part(world, params, caller):
    body = params.get("Body", b"")
    _check_body(params)
    _upload(world, params)[1][params["PartNumber"]] = body
    return {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}


@operation("s3", "CompleteMultipartUpload")
def complete_upload(world, params, caller):
    asked, parts = _upload(world, params)
    numbers = [part["PartNumber"] for part in params["MultipartUpload"]["Parts"]]
    if numbers != sorted(numbers) or any(number not in parts for number in numbers):
        raise ServiceError("InvalidPart", "One or more of the specified parts could not be found.", 400)
    if any(len(parts[number]) < PART_MIN for number in numbers[:-1]):
        raise ServiceError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", 400)
    made = Object(b"".join(parts[number] for number in numbers), asked, world.now, len(numbers))
    world.service(S3).bucket(params["Bucket"]).objects[params["Key"]] = made
    del world.service(S3).uploads[params["UploadId"]]
    return {"Bucket": params["Bucket"], "Key": params["Key"], "ETag": made.etag}


@operation("s3", "AbortMultipartUpload")
def abort_upload(world, params, caller):
    _upload(world, params)
    del world.service(S3).uploads[params["UploadId"]]
    return {}
