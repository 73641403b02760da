// SPDX-License-Identifier: Apache-2.0
#include "manager/token_guard.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "base/mutex.h"
#include "base/runner.h"

namespace skep::manager {
namespace {

// Calls with unknown tokens share a look at the store, and get one no sooner than this after the last.
constexpr Duration kLookInterval = milliseconds(200);
constexpr std::size_t kLookersMax = 1'000;

constexpr std::string_view kAdvice =
    ": send it as 'Authorization: Bearer TOKEN'; skep's commands take it from --token-file or SKEP_TOKEN";

using Table = std::map<std::string, TokenRecord, std::less<>>;

// What follows "Bearer "; nothing if the field has another form.
std::optional<std::string_view> bearer_of(std::string_view field) {
  constexpr std::string_view kScheme = "bearer ";
  if (field.size() < kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char lower = field[i] >= 'A' && field[i] <= 'Z' ? static_cast<char>(field[i] + 32) : field[i];
    if (lower != kScheme[i]) return std::nullopt;
  }
  field.remove_prefix(kScheme.size());
  while (field.starts_with(' ')) field.remove_prefix(1);
  while (field.ends_with(' ')) field.remove_suffix(1);
  return field;
}

Error ended(const TokenRecord& record) {
  return fail(Code::kUnauthenticated,
              "token " + record.id +
                  (record.is_revoked ? std::string(" was revoked")
                                     : " expired at " + format_instant(record.expires_at)) +
                  ": ask for a new one");
}

Error forbidden(const TokenRecord& record, api::Endpoint endpoint) {
  const auto& row = api::info(endpoint);
  return fail(Code::kForbidden, "token " + record.id + " has the role " +
                                    std::string(role_name(record.role)) + "; " + std::string(row.method) +
                                    " " + std::string(row.path) + " is for " +
                                    api::describe(api::allowed_roles(endpoint)));
}

Error no_tokens() {
  return fail(Code::kConflict,
              "this store has no tokens, so anybody could make the first: make it where the "
              "store is, with `skep token create --role admin --store STORE`");
}

}  // namespace

struct TokenGuard::Impl {
  Impl(store::TokenStore* t, const Clock& c, Options o, Logger l)
      : tokens(t), clock(c), options(std::move(o)), log(std::move(l)) {
    if (tokens != nullptr) runner.emplace(c, "skep-tokens");
    auto own = make_token(Role::kWorker, "workers of this process", clock.now(), kNever);
    own_token = std::move(own.first);
    own_record = std::move(own.second);
  }

  std::shared_ptr<const Table> known() const {
    const MutexLock lock(mutex);
    return table;
  }

  // On the runner, or before it has anything to do.
  Result<void> read() {
    if (tokens == nullptr) return ok();
    SKEP_TRY(const auto listed, tokens->list());
    auto fresh = std::make_shared<Table>();
    for (const auto& record : listed) fresh->emplace(record.id, record);
    if (!listed.empty() && !is_required.exchange(true)) log.info("calls need a token from now on");
    fresh->emplace(own_record.id, own_record);
    const MutexLock lock(mutex);
    table = std::move(fresh);
    return ok();
  }

  void read_and_tell() {
    const auto done = read();
    read_at = clock.now();
    const std::string problem = done ? "" : done.error().message;
    if (problem != last_problem) {
      if (problem.empty()) {
        log.info("the tokens can be read again");
      } else {
        log.error("the tokens can not be read: those read last count", {{"problem", problem}});
      }
    }
    last_problem = problem;
    for (auto& looker : std::exchange(lookers, {})) looker();
  }

  void go_on() {
    runner->post_at(clock.now() + options.interval, [this] {
      read_and_tell();
      go_on();
    });
  }

  void look(UniqueFunction<void()> done) {
    if (lookers.size() >= kLookersMax) return done();
    lookers.push_back(std::move(done));
    if (lookers.size() == 1) runner->post_at(read_at + kLookInterval, [this] { read_and_tell(); });
  }

  // A change of the store, which counts here at once.
  template <class T, class Change>
  void change(Reply<T> reply, Change change) {
    if (!runner) return reply(no_tokens());
    runner->post([this, reply = std::move(reply), change = std::move(change)]() mutable {
      if (!is_required.load(std::memory_order_relaxed)) return reply(no_tokens());
      Result<T> result = change();
      if (result) read_and_tell();
      reply(std::move(result));
    });
  }

  store::TokenStore* const tokens;
  const Clock& clock;
  const Options options;
  const Logger log;
  std::string own_token;
  TokenRecord own_record;

  std::atomic<bool> is_required = false;
  mutable Mutex mutex;
  std::shared_ptr<const Table> table SKEP_GUARDED_BY(mutex) = std::make_shared<const Table>();

  // Of the runner.
  std::string last_problem;
  std::vector<UniqueFunction<void()>> lookers;
  Instant read_at{};

  std::optional<Runner> runner;  // where there is a place for tokens; last: it ends first
};

TokenGuard::TokenGuard(store::TokenStore* tokens, const Clock& clock, Options options, Logger log)
    : impl_(std::make_unique<Impl>(tokens, clock, std::move(options), std::move(log))) {}

TokenGuard::~TokenGuard() = default;

Result<void> TokenGuard::start() {
  SKEP_TRY(impl_->read());
  if (impl_->runner) impl_->runner->post([impl = impl_.get()] { impl->go_on(); });
  return ok();
}

void TokenGuard::stop() {
  if (impl_->runner) impl_->runner->stop();
}

bool TokenGuard::has_tokens() const {
  return impl_->is_required.load(std::memory_order_relaxed);
}

Error TokenGuard::unknown_token() {
  return fail(Code::kUnauthenticated, "the token of this call is not known here");
}

Result<Caller> TokenGuard::check(const http::Request& request, api::Endpoint endpoint) const {
  if (!has_tokens()) return Caller{};
  const auto roles = api::allowed_roles(endpoint);
  if (roles.is_everybody()) return Caller{};
  const auto* field = request.headers.find("Authorization");
  if (field == nullptr) {
    const auto& seeds = impl_->options.seed_clients;
    const bool is_seed = api::is_for_seed_clients(endpoint) &&
                         std::any_of(seeds.begin(), seeds.end(), [&](const Network& network) {
                           return network.contains(request.peer_address);
                         });
    if (is_seed) return Caller{};
    return fail(Code::kUnauthenticated,
                "this call needs a token of the role " + api::describe(roles) + std::string(kAdvice));
  }
  const auto token = bearer_of(*field);
  const auto parts = token ? split_token(*token) : std::nullopt;
  if (!parts) {
    return fail(Code::kUnauthenticated,
                "what this call has as Authorization is no token of skep" + std::string(kAdvice));
  }
  const auto table = impl_->known();
  const auto found = table->find(parts->id);
  if (found == table->end()) return fail(Code::kNotFound, unknown_token().message);
  const TokenRecord& record = found->second;
  if (!is_secret_of(record, parts->secret)) return unknown_token();
  if (!record.is_valid(impl_->clock.now())) return ended(record);
  if (!roles.contains(record.role)) return forbidden(record, endpoint);
  return Caller{record.id, record.role};
}

void TokenGuard::look_again(UniqueFunction<void()> done) {
  if (!impl_->runner) return done();
  impl_->runner->post(
      [impl = impl_.get(), done = std::move(done)]() mutable { impl->look(std::move(done)); });
}

bool TokenGuard::is_still_valid(const Caller& caller) const {
  if (caller.token_id.empty()) return true;
  const auto table = impl_->known();
  const auto found = table->find(caller.token_id);
  return found != table->end() && found->second.is_valid(impl_->clock.now());
}

const std::string& TokenGuard::own_workers_token() const {
  return impl_->own_token;
}

void TokenGuard::list(Reply<std::vector<TokenRecord>> reply) {
  if (!impl_->runner) return reply(std::vector<TokenRecord>());
  impl_->runner->post(
      [impl = impl_.get(), reply = std::move(reply)]() mutable { reply(impl->tokens->list()); });
}

void TokenGuard::create(Role role, std::string name, Duration lifetime, Reply<Made> reply) {
  impl_->change<
      Made>(std::move(reply), [impl = impl_.get(), role, name = std::move(name), lifetime]() -> Result<Made> {
    SKEP_TRY(check_token_name(name));
    const Instant now = impl->clock.now();
    const Instant end = lifetime > Duration::zero() ? add_saturated(now, lifetime) : kNever;
    auto made = make_token(role, name, now, end);
    SKEP_TRY(impl->tokens->add(made.second));
    impl->log.info("token created", {{"token", made.second.id}, {"role", role_name(role)}, {"name", name}});
    return made;
  });
}

void TokenGuard::rotate(std::string id, Duration overlap, Reply<Made> reply) {
  impl_->change<Made>(std::move(reply), [impl = impl_.get(), id = std::move(id), overlap]() -> Result<Made> {
    SKEP_TRY(auto made, rotate_token(*impl->tokens, id, overlap, impl->clock.now()));
    impl->log.info("token rotated", {{"token", id}, {"successor", made.second.id}});
    return made;
  });
}

void TokenGuard::revoke(std::string id, Reply<TokenRecord> reply) {
  impl_->change<TokenRecord>(
      std::move(reply), [impl = impl_.get(), id = std::move(id)]() -> Result<TokenRecord> {
        SKEP_TRY(auto record, impl->tokens->end(id, impl->clock.now(), store::TokenEnd::kRevoked));
        impl->log.info("token revoked", {{"token", id}, {"role", role_name(record.role)}});
        return record;
      });
}

Result<TokenGuard::Made> rotate_token(store::TokenStore& tokens, const std::string& id, Duration overlap,
                                      Instant now) {
  SKEP_TRY(const auto listed, tokens.list());
  const auto old =
      std::find_if(listed.begin(), listed.end(), [&](const auto& record) { return record.id == id; });
  if (old == listed.end()) return fail(Code::kNotFound, "there is no token '" + id.substr(0, 64) + "'");
  if (!old->is_valid(now)) {
    return fail(Code::kConflict, "token " + id + " has ended: create a new one instead of a successor");
  }
  const Instant end =
      old->expires_at == kNever ? kNever : add_saturated(now, old->expires_at - old->created_at);
  auto made = make_token(old->role, old->name, now, end);
  SKEP_TRY(tokens.add(made.second));
  SKEP_TRY(tokens.end(id, add_saturated(now, overlap), store::TokenEnd::kRotated));
  return made;
}

}  // namespace skep::manager
