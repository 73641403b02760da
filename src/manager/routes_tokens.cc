// SPDX-License-Identifier: Apache-2.0
// The routes of tokens: decode, ask the guard, encode. A secret leaves in the answer of its making alone.
#include <algorithm>

#include "api/convert.h"
#include "manager/routes.h"
#include "manager/token_guard.h"
#include "task/limits.h"

namespace skep::manager {
namespace {

using api::Endpoint;

constexpr Duration kLifetimeMax = hours(24 * 365 * 100);

Result<Duration> duration_of(std::uint64_t ms) {
  const auto max = static_cast<std::uint64_t>(kLifetimeMax / milliseconds(1));
  if (ms > max) return fail(Code::kInvalid, "a duration of a token is at most 100 years");
  return milliseconds(static_cast<std::int64_t>(ms));
}

auto made_replier(Binder& binder, CallPtr call) {
  return [&binder, call = std::move(call)](Result<TokenGuard::Made> made) {
    if (!made) return binder.refuse(call, made.error());
    api::v1::CreateTokenReply reply;
    reply.set_secret(made.value().first);
    api::from_token(made.value().second, binder.clock.now(), *reply.mutable_token());
    binder.answer(call, std::move(reply));
  };
}

void list_tokens(Binder& binder, CallPtr call) {
  binder.guard.list([&binder, call](Result<std::vector<TokenRecord>> tokens) {
    if (!tokens) return binder.refuse(call, tokens.error());
    api::v1::TokensReply reply;
    const Instant now = binder.clock.now();
    for (const auto& record : tokens.value()) api::from_token(record, now, *reply.add_tokens());
    binder.answer(call, std::move(reply));
  });
}

void create_token(Binder& binder, CallPtr call) {
  api::v1::CreateTokenRequest request;
  if (auto read = read_message(*call, request); !read) return binder.refuse(call, read.error());
  const auto role = parse_role(request.role());
  if (!role) {
    return binder.refuse(call, fail(Code::kInvalid, "role must be " + std::string(kRolesInWords)));
  }
  const auto lifetime = duration_of(request.expires_in_ms());
  if (!lifetime) return binder.refuse(call, lifetime.error());
  binder.guard.create(*role, request.name(), lifetime.value(), made_replier(binder, call));
}

void rotate_token_of(Binder& binder, CallPtr call) {
  api::v1::RotateTokenRequest request;
  if (auto read = read_message(*call, request); !read) return binder.refuse(call, read.error());
  const auto overlap = duration_of(request.overlap_ms());
  if (!overlap) return binder.refuse(call, overlap.error());
  binder.guard.rotate(call->path_param, overlap.value(), made_replier(binder, call));
}

void revoke_token(Binder& binder, CallPtr call) {
  binder.guard.revoke(call->path_param, [&binder, call](Result<TokenRecord> record) {
    if (!record) return binder.refuse(call, record.error());
    api::v1::Token token;
    api::from_token(record.value(), binder.clock.now(), token);
    binder.answer(call, std::move(token));
  });
}

}  // namespace

void bind_token_routes(Binder& binder) {
  const auto bind = [&](Endpoint endpoint, void (*handler)(Binder&, CallPtr)) {
    binder.bind(endpoint, [&binder, handler](CallPtr call) { handler(binder, std::move(call)); });
  };
  bind(Endpoint::kListTokens, list_tokens);
  bind(Endpoint::kCreateToken, create_token);
  bind(Endpoint::kRotateToken, rotate_token_of);
  bind(Endpoint::kRevokeToken, revoke_token);
}

}  // namespace skep::manager
