// SPDX-License-Identifier: Apache-2.0
// What apply.h says of managers that are ready: they answer for themselves, and know each other.
#include <algorithm>

#include "aws/ssm.h"
#include "deploy/apply.h"

namespace skep::deploy {
namespace {

constexpr Duration kAnswerPatience = seconds(5);
constexpr std::initializer_list<Code> kPassing = {Code::kUnavailable, Code::kTimeout, Code::kUnknownOutcome};

std::string place_of(const Manager& manager) {
  return manager.public_address.empty() ? "" : manager.public_address + ":" + std::to_string(kPort);
}

}  // namespace

Result<int> Applier::ask(const Manager& manager, const std::string& method, const std::string& path,
                         const std::string& token, std::string* body) {
  aws::HttpRequest request;
  request.method = method;
  request.origin = "http://" + place_of(manager);
  request.path = path.substr(0, path.find('?'));
  if (path.find('?') != std::string::npos) {
    const std::string query = path.substr(path.find('?') + 1);
    request.query = {{query.substr(0, query.find('=')), query.substr(query.find('=') + 1)}};
  }
  if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
  SKEP_TRY(aws::HttpResponse answer, parts_.transport.exchange(request, kAnswerPatience));
  if (body != nullptr) *body = std::move(answer.body);
  return answer.status;
}

Result<void> Applier::wait_until_ready(Instant end) {
  for (int slot = 1; slot <= wish_.fleet.managers; ++slot) {
    const Instant begun = parts_.patience.now();
    parts_.progress.begin("wait for " + names_.instance(slot), "it is ready when it answers /readyz");
    auto ready = parts_.patience.repeat<void>(end, kPassing, [&]() -> Result<void> {
      SKEP_TRY(const auto there, managers());
      const Manager& one = there[static_cast<std::size_t>(slot) - 1];
      if (one.public_address.empty())
        return fail(Code::kUnavailable, one.instance + " is " + one.state + " and has no public address");
      const auto status = ask(one, "GET", "/readyz", "", nullptr);
      if (status && status.value() == 200) return ok();
      return fail(Code::kUnavailable, one.instance + " does not answer http://" + place_of(one) +
                                          "/readyz: is this machine within --allow-cidr? `aws ec2 "
                                          "get-console-output --instance-id " +
                                          one.instance + "` shows its boot");
    });
    parts_.progress.end(ready, parts_.patience.now() - begun);
    if (!ready && !is_lost_) return fail(Code::kTimeout, ready.error().message);
    if (!ready) return ready.error();
  }
  const Instant begun = parts_.patience.now();
  parts_.progress.begin("join the siblings", "each manager is to know the others");
  const auto joined = join_siblings(end);
  parts_.progress.end(joined, parts_.patience.now() - begun);
  return joined;
}

// They tell each other when they start; one that missed it is told here. Those that share a database know of
// each other by it, some seconds later.
Result<void> Applier::join_siblings(Instant end) {
  SKEP_TRY(const std::string token,
           aws::Ssm(parts_.client).parameter(names_.token_parameter("sibling"), soon()));
  SKEP_TRY(const auto there, managers());
  return parts_.patience.repeat<void>(end, kPassing, [&]() -> Result<void> {
    for (const Manager& one : there) {
      std::string known;
      SKEP_TRY(const int status, ask(one, "GET", "/get_managers", token, &known));
      if (status != 200) {
        return fail(status == 401 ? Code::kUnauthenticated : Code::kUnavailable,
                    place_of(one) + "/get_managers answers " + std::to_string(status));
      }
      for (const Manager& other : there) {
        const std::string address = other.private_address + ":" + std::to_string(kPort);
        if (known.find("\"" + address + "\"") != std::string::npos) continue;
        if (wish_.store == StoreKind::kVolumes) {
          SKEP_TRY(ask(one, "POST", "/register_sibling?sibling=" + address, token, nullptr));
        }
        return fail(Code::kUnavailable, place_of(one) + " does not know " + address);
      }
    }
    return ok();
  });
}

}  // namespace skep::deploy
