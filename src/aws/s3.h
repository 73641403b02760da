// SPDX-License-Identifier: Apache-2.0
// s3.h - the calls of S3 that skep needs: one private bucket, and objects in it.
//
// Threads:   as Client.
// Errors:    those of Client. kNotFound: no such bucket or object. kConflict: the bucket is there already and
// ours, or
//            is not empty. kForbidden of create_bucket and of what is done with one: it is somebody else's.
// Ownership: borrows its client.
#pragma once

#include "aws/client.h"
#include "aws/form.h"

namespace skep::aws {

class S3 {
 public:
  explicit S3(Client& client) : client_(client) {}

  // S3 lets nobody else read a bucket that is made today, unless it is told to.
  Result<void> create_bucket(const std::string& bucket, const CallOptions& options);
  // kNotFound: there is none of that name.
  Result<void> find_bucket(const std::string& bucket, const CallOptions& options);
  Result<Tags> bucket_tags(const std::string& bucket, const CallOptions& options);
  // Instead of those that it has.
  Result<void> tag_bucket(const std::string& bucket, const Tags& tags, const CallOptions& options);
  Result<void> delete_bucket(const std::string& bucket, const CallOptions& options);

  // S3 takes the object only if its SHA-256 is that of `body`.
  Result<void> put(const std::string& bucket, const std::string& key, std::string body,
                   const CallOptions& options);
  Result<std::string> get(const std::string& bucket, const std::string& key, const CallOptions& options);
  Result<Names> keys(const std::string& bucket, const CallOptions& options);
  Result<void> remove(const std::string& bucket, const std::string& key, const CallOptions& options);

 private:
  Result<Reply> send(const std::string& operation, const std::string& method, const std::string& bucket,
                     HttpRequest request, const CallOptions& options);

  Client& client_;
};

}  // namespace skep::aws
