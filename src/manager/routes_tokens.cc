// SPDX-License-Identifier: Apache-2.0
// The routes of tokens: decode, ask the guard, encode. A secret leaves in the answer of its making alone.
#include <algorithm>

#include "manager/routes.h"
#include "manager/token_guard.h"
#include "task/limits.h"

namespace skep::manager {
namespace {

using api::Endpoint;

constexpr Duration kLifetimeMax = hours(24 * 365 * 100);

api::v1::Token message_of(const TokenRecord& record, Instant now) {
  api::v1::Token token;
  token.set_id(record.id);
  token.set_role(std::string(role_name(record.role)));
  token.set_name(record.name);
  token.set_state(record.is_valid(now) ? "valid" : record.is_revoked ? "revoked" : "expired");
  token.set_created_at_ms(to_unix_ms(record.created_at));
  token.set_expires_at_ms(to_unix_ms(record.expires_at));
  return token;
}

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
    *reply.mutable_token() = message_of(made.value().second, binder.clock.now());
    binder.answer(call, std::move(reply));
  };
}

void list_tokens(Binder& binder, CallPtr call) {
  binder.guard.list([&binder, call](Result<std::vector<TokenRecord>> tokens) {
    if (!tokens) return binder.refuse(call, tokens.error());
    api::v1::TokensReply reply;
    const Instant now = binder.clock.now();
    for (const auto& record : tokens.value()) *reply.add_tokens() = message_of(record, now);
    binder.answer(call, std::move(reply));
  });
}

void create_token(Binder& binder, CallPtr call) {
  api::v1::CreateTokenRequest request;
  if (auto read = read_message(*call, request); !read) return binder.refuse(call, read.error());
  const auto role = parse_role(request.role());
  if (!role) {
    return binder.refuse(call, fail(Code::kInvalid, "role must be client, worker, sibling or admin"));
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
    binder.answer(call, message_of(record.value(), binder.clock.now()));
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
