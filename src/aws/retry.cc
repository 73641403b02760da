// SPDX-License-Identifier: Apache-2.0
#include "aws/retry.h"

#include <algorithm>
#include <array>

namespace skep::aws {
namespace {

constexpr std::array kThrottling = {
    std::string_view("BandwidthLimitExceeded"),
    std::string_view("EC2ThrottledException"),
    std::string_view("LimitExceededException"),
    std::string_view("PriorRequestNotComplete"),
    std::string_view("ProvisionedThroughputExceededException"),
    std::string_view("RequestLimitExceeded"),
    std::string_view("RequestThrottled"),
    std::string_view("RequestThrottledException"),
    std::string_view("SlowDown"),
    std::string_view("ThrottledException"),
    std::string_view("Throttling"),
    std::string_view("ThrottlingException"),
    std::string_view("TooManyRequestsException"),
    std::string_view("TransactionInProgressException"),
};
constexpr std::array kTransient = {
    std::string_view("IDPCommunicationError"),
    std::string_view("InternalError"),
    std::string_view("InternalFailure"),
    std::string_view("RequestTimeout"),
    std::string_view("RequestTimeoutException"),
    std::string_view("ServiceUnavailable"),
    std::string_view("Unavailable"),
};
constexpr std::array kSkewed = {
    std::string_view("AuthFailure"),          std::string_view("InvalidSignatureException"),
    std::string_view("RequestExpired"),       std::string_view("RequestInTheFuture"),
    std::string_view("RequestTimeTooSkewed"), std::string_view("SignatureDoesNotMatch"),
};
constexpr std::array kExpired = {
    std::string_view("ExpiredToken"),
    std::string_view("ExpiredTokenException"),
    // Keys that were replaced, and are no more.
    std::string_view("InvalidAccessKeyId"),
    std::string_view("InvalidClientTokenId"),
    std::string_view("UnrecognizedClientException"),
};
// EC2 counts these among the errors of the server, with a status that says "again".
constexpr std::array kFinalOfServer = {
    std::string_view("InsufficientAddressCapacity"),
    std::string_view("InsufficientCapacity"),
    std::string_view("InsufficientHostCapacity"),
    std::string_view("InsufficientInstanceCapacity"),
    std::string_view("InsufficientReservedInstanceCapacity"),
    std::string_view("InsufficientVolumeCapacity"),
    std::string_view("UnfulfillableCapacity"),
    std::string_view("Unsupported"),
};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view code) {
  return std::find(list.begin(), list.end(), code) != list.end();
}

int cost_of(Verdict verdict) {
  return verdict == Verdict::kThrottled ? 5 : 14;
}

}  // namespace

Verdict judge(std::string_view code, int status) {
  if (contains(kThrottling, code)) return Verdict::kThrottled;
  if (contains(kTransient, code)) return Verdict::kTransient;
  if (contains(kSkewed, code)) return Verdict::kSkewed;
  if (contains(kExpired, code)) return Verdict::kExpired;
  if (contains(kFinalOfServer, code)) return Verdict::kFinal;
  if (status == 429) return Verdict::kThrottled;
  if (status == 0 || status == 500 || status == 502 || status == 503 || status == 504)
    return Verdict::kTransient;
  return Verdict::kFinal;
}

bool RetryBudget::take(Verdict verdict) {
  if (left_ < cost_of(verdict)) return false;
  left_ -= cost_of(verdict);
  return true;
}

void RetryBudget::give_back(std::optional<Verdict> paid) {
  left_ = std::min(kMost, left_ + (paid ? cost_of(*paid) : 1));
}

Duration retry_delay(Verdict verdict, int repeated, std::optional<Duration> asked, Random& random) {
  constexpr Duration kMost = seconds(20);
  Duration most = verdict == Verdict::kThrottled ? Duration(seconds(1)) : Duration(milliseconds(50));
  for (int i = 0; i < repeated && most < kMost; ++i) most *= 2;
  most = std::min(most, kMost);
  const Duration drawn{static_cast<Duration::rep>(random.unit() * static_cast<double>(most.count()))};
  return asked ? std::clamp(*asked, drawn, drawn + Duration(seconds(5))) : drawn;
}

}  // namespace skep::aws
