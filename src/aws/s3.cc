// SPDX-License-Identifier: Apache-2.0
#include "aws/s3.h"

#include "aws/encoding.h"
#include "base/secret.h"

namespace skep::aws {
namespace {

constexpr int kPagesMax = 1'000;

HttpRequest of_query(Pairs query) {
  HttpRequest request;
  request.query = std::move(query);
  return request;
}

HttpRequest of_key(const std::string& key) {
  HttpRequest request;
  request.path = "/" + percent_encoded(key, Slash::kKept);
  return request;
}

// What S3 holds the body against before it takes it.
void add_checksum(HttpRequest& request) {
  request.headers.emplace_back("X-Amz-Sdk-Checksum-Algorithm", "SHA256");
  request.headers.emplace_back("X-Amz-Checksum-Sha256", base64_of(sha256(request.body, "")));
}

std::string xml_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<Reply> S3::send(const std::string& operation, const std::string& method, const std::string& bucket,
                       HttpRequest request, const CallOptions& options) {
  Call call;
  call.service = Service::kS3;
  call.operation = operation;
  call.bucket = bucket;
  call.http = std::move(request);
  call.http.method = method;
  SKEP_TRY(Reply reply, client_.send(call, options));
  if (!reply.is_ok()) return with_context(to_error(reply), "bucket " + bucket);
  return reply;
}

Result<void> S3::create_bucket(const std::string& bucket, const CallOptions& options) {
  HttpRequest request;
  if (client_.region() != "us-east-1") {  // there, naming the region is refused
    request.headers = {{"Content-Type", "application/xml"}};
    request.body =
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
        client_.region() + "</LocationConstraint></CreateBucketConfiguration>";
  }
  SKEP_TRY(send("CreateBucket", "PUT", bucket, std::move(request), options));
  return ok();
}

Result<void> S3::find_bucket(const std::string& bucket, const CallOptions& options) {
  SKEP_TRY(send("HeadBucket", "HEAD", bucket, {}, options));
  return ok();
}

Result<Tags> S3::bucket_tags(const std::string& bucket, const CallOptions& options) {
  const auto reply = send("GetBucketTagging", "GET", bucket, of_query({{"tagging", ""}}), options);
  if (!reply && reply.error().code == Code::kNotFound) return Tags();  // it has none
  if (!reply) return reply.error();
  SKEP_TRY(const Element answer, parse_xml(reply.value().http.body));
  Tags tags;
  for (const Element& tag : answer.list("TagSet")) tags[tag.text_of("Key")] = tag.text_of("Value");
  return tags;
}

Result<void> S3::tag_bucket(const std::string& bucket, const Tags& tags, const CallOptions& options) {
  HttpRequest request = of_query({{"tagging", ""}});
  request.headers = {{"Content-Type", "application/xml"}};
  request.body = "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>";
  for (const auto& [key, value] : tags) {
    request.body += "<Tag><Key>" + xml_text(key) + "</Key><Value>" + xml_text(value) + "</Value></Tag>";
  }
  request.body += "</TagSet></Tagging>";
  add_checksum(request);
  SKEP_TRY(send("PutBucketTagging", "PUT", bucket, std::move(request), options));
  return ok();
}

Result<void> S3::delete_bucket(const std::string& bucket, const CallOptions& options) {
  SKEP_TRY(send("DeleteBucket", "DELETE", bucket, {}, options));
  return ok();
}

Result<void> S3::put(const std::string& bucket, const std::string& key, std::string body,
                     const CallOptions& options) {
  HttpRequest request = of_key(key);
  request.headers = {{"Content-Type", "application/octet-stream"}};
  request.body = std::move(body);
  add_checksum(request);
  SKEP_TRY(send("PutObject", "PUT", bucket, std::move(request), options));
  return ok();
}

Result<std::string> S3::get(const std::string& bucket, const std::string& key, const CallOptions& options) {
  SKEP_TRY(Reply reply, send("GetObject", "GET", bucket, of_key(key), options));
  return std::move(reply.http.body);
}

Result<Names> S3::keys(const std::string& bucket, const CallOptions& options) {
  Names found;
  std::string next;
  for (int page = 0; page < kPagesMax; ++page) {
    Pairs query{{"list-type", "2"}};
    if (!next.empty()) query.emplace_back("continuation-token", next);
    SKEP_TRY(const Reply reply, send("ListObjectsV2", "GET", bucket, of_query(std::move(query)), options));
    SKEP_TRY(const Element answer, parse_xml(reply.http.body));
    for (const Element& child : answer.children) {
      if (child.name == "Contents") found.push_back(child.text_of("Key"));
    }
    next = answer.text_of("NextContinuationToken");
    if (answer.text_of("IsTruncated") != "true" || next.empty()) return found;
  }
  return fail(Code::kCorrupt, "S3 ListObjectsV2: the answer has no last page");
}

Result<void> S3::remove(const std::string& bucket, const std::string& key, const CallOptions& options) {
  SKEP_TRY(send("DeleteObject", "DELETE", bucket, of_key(key), options));
  return ok();
}

}  // namespace skep::aws
