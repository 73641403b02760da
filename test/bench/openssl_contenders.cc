// SPDX-License-Identifier: Apache-2.0
// OpenSSL's ways to a digest, one message at a time: contenders of contender.h.
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "contender.h"

namespace skep::bench {
namespace {

using compute::Digest;

struct FreeDigest {
  void operator()(EVP_MD* md) const { EVP_MD_free(md); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// One context and one fetched digest for all messages.
class ReusedContext {
 public:
  static constexpr const char* kName = "openssl evp";
  static constexpr const char* kWhat =
      "EVP_DigestInit_ex2, Update, Final_ex; digest fetched once, context reused";
  void operator()(const void* data, std::size_t bytes, std::uint8_t* out) {
    const bool is_done = EVP_DigestInit_ex2(context_.get(), md_.get(), nullptr) == 1 &&
                         EVP_DigestUpdate(context_.get(), data, bytes) == 1 &&
                         EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1;
    if (!is_done) fail("EVP_Digest* failed");
  }

 private:
  std::unique_ptr<EVP_MD, FreeDigest> md_{EVP_MD_fetch(nullptr, "SHA512", nullptr)};
  std::unique_ptr<EVP_MD_CTX, FreeContext> context_{EVP_MD_CTX_new()};
};

class OneShot {
 public:
  static constexpr const char* kName = "openssl SHA512()";
  static constexpr const char* kWhat = "one call; since OpenSSL 3.0 it calls EVP_Q_digest()";
  void operator()(const void* data, std::size_t bytes, std::uint8_t* out) {
    SHA512(static_cast<const unsigned char*>(data), bytes, out);
  }
};

class EvpOneShot {
 public:
  static constexpr const char* kName = "openssl EVP_Digest()";
  static constexpr const char* kWhat =
      "one call with EVP_sha512(), which makes a context and fetches each time";
  void operator()(const void* data, std::size_t bytes, std::uint8_t* out) {
    if (EVP_Digest(data, bytes, out, nullptr, EVP_sha512(), nullptr) != 1) fail("EVP_Digest failed");
  }
};

class EvpByName {
 public:
  static constexpr const char* kName = "openssl EVP_Q_digest()";
  static constexpr const char* kWhat = "one call with the digest's name";
  void operator()(const void* data, std::size_t bytes, std::uint8_t* out) {
    if (EVP_Q_digest(nullptr, "SHA512", nullptr, data, bytes, out, nullptr) != 1) fail("EVP_Q_digest failed");
  }
};

template <class Hash>
class Chain final : public Contender {
 public:
  std::string name() const override { return Hash::kName; }
  std::string what() const override { return Hash::kWhat; }
  std::uint64_t width() const override { return 1; }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override {
    // Two places in turn, so that no input is its own output.
    for (; rounds >= 2; rounds -= 2) {
      hash_(digest_.data(), digest_.size(), other_.data());
      hash_(other_.data(), other_.size(), digest_.data());
    }
    if (rounds == 0) return;
    hash_(digest_.data(), digest_.size(), other_.data());
    digest_ = other_;
  }
  std::vector<Digest> digests() const override { return {digest_}; }

 private:
  Hash hash_;
  Digest digest_ = first_digest(0);
  Digest other_{};
};

template <class Hash>
class Bulk final : public Contender {
 public:
  std::string name() const override { return Hash::kName; }
  std::string what() const override { return Hash::kWhat; }
  std::uint64_t width() const override { return 1; }
  std::uint64_t unit() const override { return kBulkBytes; }
  void run(std::uint64_t rounds) override {
    for (; rounds != 0; --rounds, next_ = (next_ + 1) % bodies_.size()) {
      hash_(bodies_[next_]->data(), kBulkBytes, digests_[next_].data());
    }
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  Hash hash_;
  Bodies bodies_ = bulk_bodies(kBulkBytes);
  std::size_t next_ = 0;
  std::vector<Digest> digests_ = std::vector<Digest>(bodies_.size());
};

}  // namespace

void add_openssl_chains(Contenders& out) {
  out.push_back(std::make_unique<Chain<ReusedContext>>());
  out.push_back(std::make_unique<Chain<OneShot>>());
  out.push_back(std::make_unique<Chain<EvpOneShot>>());
  out.push_back(std::make_unique<Chain<EvpByName>>());
}

void add_openssl_bulk(Contenders& out) {
  out.push_back(std::make_unique<Bulk<ReusedContext>>());
  out.push_back(std::make_unique<Bulk<OneShot>>());
}

}  // namespace skep::bench
