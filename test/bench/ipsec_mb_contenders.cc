// SPDX-License-Identifier: Apache-2.0
// Intel's multi-buffer library: contenders of contender.h, on the architecture that it is for.
//
// Its manager computes when all its lanes have a job, and gives back one finished job for each that is
// submitted. So there must always be a next job at hand: there are more chains than lanes, and only the end
// of a run() is flushed.
#include "contender.h"

#if defined(__x86_64__)
#define NO_COMPAT_IMB_API_053  // its old names are also OpenSSL's
#include <intel-ipsec-mb.h>

#include <array>

namespace skep::bench {
namespace {

using compute::Digest;

// The library's widest SHA-512 has 8 lanes. It holds a few jobs more than these at times; more chains
// than 16 gain nothing (tried: 12 to 64).
constexpr std::size_t kChains = 16;

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

Manager make_manager() {
  Manager manager(alloc_mb_mgr(0));
  if (manager == nullptr) fail("ipsec-mb gives no manager");
  init_mb_mgr_auto(manager.get(), nullptr);
  return manager;
}

std::string architecture(const IMB_MGR& manager) {
  switch (manager.used_arch) {
    case IMB_ARCH_SSE:
      return "SSE";
    case IMB_ARCH_AVX:
      return "AVX";
    case IMB_ARCH_AVX2:
      return "AVX2";
    case IMB_ARCH_AVX512:
      return "AVX-512";
    default:
      return "no vector unit";
  }
}

void fill(IMB_JOB& job, const void* data, std::size_t bytes, std::uint8_t* out, std::size_t number) {
  job.cipher_mode = IMB_CIPHER_NULL;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.chain_order = IMB_ORDER_HASH_CIPHER;
  job.hash_alg = IMB_AUTH_SHA_512;
  job.src = static_cast<const std::uint8_t*>(data);
  job.hash_start_src_offset_in_bytes = 0;
  job.msg_len_to_hash_in_bytes = bytes;
  job.auth_tag_output = out;
  job.auth_tag_output_len_in_bytes = sizeof(Digest);
  job.user_data = reinterpret_cast<void*>(number);
}

std::size_t number_of(const IMB_JOB& job) {
  if (job.status != IMB_STATUS_COMPLETED) fail("ipsec-mb has not completed a job");
  return reinterpret_cast<std::size_t>(job.user_data);
}

class JobChains final : public Contender {
 public:
  std::string name() const override { return "ipsec-mb jobs"; }
  std::string what() const override {
    return "submit_job_nocheck, " + architecture(*manager_) + ", " + std::to_string(kChains) +
           " chains in turn, its lanes always full";
  }
  std::uint64_t width() const override { return kChains; }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override {
    for (; rounds != 0; --rounds) {
      for (std::size_t i = 0; i < kChains; ++i) {
        while (is_submitted_[i]) take_back(IMB_GET_COMPLETED_JOB(manager_.get()));
        is_submitted_[i] = true;
        IMB_JOB* job = IMB_GET_NEXT_JOB(manager_.get());
        fill(*job, digests_[i].data(), sizeof(Digest), digests_[i].data(), i);
        job = IMB_SUBMIT_JOB_NOCHECK(manager_.get());
        if (job != nullptr) take_back(job);
      }
    }
    while (const IMB_JOB* job = IMB_FLUSH_JOB(manager_.get())) take_back(job);
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  void take_back(const IMB_JOB* job) {
    if (job == nullptr) fail("ipsec-mb holds more jobs than there are chains");
    is_submitted_[number_of(*job)] = false;
  }

  Manager manager_ = make_manager();
  std::vector<Digest> digests_ = first_digests(kChains);
  std::array<bool, kChains> is_submitted_{};
};

// The calls for many jobs at once. What a burst leaves in the lanes comes back with the next one, so that the
// chains take turns by halves.
class BurstChains final : public Contender {
 public:
  std::string name() const override { return "ipsec-mb bursts"; }
  std::string what() const override {
    return "submit_burst_nocheck, " + architecture(*manager_) + ", " + std::to_string(kBurst) +
           " jobs a call, its lanes always full";
  }
  std::uint64_t width() const override { return 2 * kBurst; }
  std::uint64_t unit() const override { return 1; }
  void run(std::uint64_t rounds) override {
    std::array<IMB_JOB*, kBurst> jobs{};
    for (; rounds != 0; --rounds) {
      for (const std::size_t first : {0u, kBurst}) {
        for (std::size_t i = first; i < first + kBurst; ++i) {
          while (is_submitted_[i]) take_back(IMB_GET_COMPLETED_JOB(manager_.get()));
        }
        if (IMB_GET_NEXT_BURST(manager_.get(), kBurst, jobs.data()) != kBurst) fail("ipsec-mb is full");
        for (std::size_t i = first; i < first + kBurst; ++i) {
          is_submitted_[i] = true;
          fill(*jobs[i - first], digests_[i].data(), sizeof(Digest), digests_[i].data(), i);
        }
        const auto count = IMB_SUBMIT_BURST_NOCHECK(manager_.get(), kBurst, jobs.data());
        for (std::uint32_t i = 0; i < count; ++i) take_back(jobs[i]);
      }
    }
    while (const IMB_JOB* job = IMB_FLUSH_JOB(manager_.get())) take_back(job);
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  static constexpr std::uint32_t kBurst = 32;  // 16 and 64 are no faster, 128 is slower

  void take_back(const IMB_JOB* job) {
    if (job == nullptr) fail("ipsec-mb holds more jobs than there are chains");
    is_submitted_[number_of(*job)] = false;
  }

  Manager manager_ = make_manager();
  std::vector<Digest> digests_ = first_digests(2 * std::size_t{kBurst});
  std::array<bool, 2 * std::size_t{kBurst}> is_submitted_{};
};

class JobBulk final : public Contender {
 public:
  std::string name() const override { return "ipsec-mb jobs"; }
  std::string what() const override {
    return "submit_job_nocheck, " + architecture(*manager_) + ", its lanes always full; bodies of " +
           std::to_string(kBytesMax) + " bytes, as it refuses 64 KiB and more";
  }
  std::uint64_t width() const override { return kChains; }
  std::uint64_t unit() const override { return kBytesMax; }
  void run(std::uint64_t rounds) override {
    for (std::uint64_t left = rounds * kChains; left != 0; --left, next_ = (next_ + 1) % bodies_.size()) {
      IMB_JOB* job = IMB_GET_NEXT_JOB(manager_.get());
      fill(*job, bodies_[next_]->data(), kBytesMax, digests_[next_].data(), next_);
      job = IMB_SUBMIT_JOB_NOCHECK(manager_.get());
      if (job != nullptr) number_of(*job);
    }
    while (const IMB_JOB* job = IMB_FLUSH_JOB(manager_.get())) number_of(*job);
  }
  std::vector<Digest> digests() const override { return digests_; }

 private:
  static constexpr std::size_t kBytesMax = 65'408;  // whole blocks

  Manager manager_ = make_manager();
  Bodies bodies_ = bulk_bodies(kBytesMax);
  std::size_t next_ = 0;
  std::vector<Digest> digests_ = std::vector<Digest>(bodies_.size());
};

}  // namespace

void add_ipsec_mb_chains(Contenders& out) {
  out.push_back(std::make_unique<JobChains>());
  out.push_back(std::make_unique<BurstChains>());
}

void add_ipsec_mb_bulk(Contenders& out) {
  out.push_back(std::make_unique<JobBulk>());
}

std::string ipsec_mb_version() {
  return imb_get_version_str();
}

}  // namespace skep::bench
#else
namespace skep::bench {

void add_ipsec_mb_chains(Contenders&) {}
void add_ipsec_mb_bulk(Contenders&) {}
std::string ipsec_mb_version() {
  return "not for this architecture";
}

}  // namespace skep::bench
#endif
