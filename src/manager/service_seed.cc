// SPDX-License-Identifier: Apache-2.0
// The seed's protocol, whose leases have no names: which one a result is of.
#include <algorithm>

#include "api/errors.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

constexpr Duration kSeedLeaseKept = minutes(10);  // after it ran out: a late result still finds its task
// Of the tasks that a result may be of, so many are looked at, and none that is longer.
constexpr std::size_t kMatchedMax = 16;
constexpr std::uint64_t kMatchedIterationsMax = 100'000'000;

}  // namespace

void Service::seed_get_work(std::string address, std::uint64_t connection, Reply<SeedWork> reply) {
  WorkerInfo& worker = registry_.seed(address, executor_.now());
  if (worker.is_draining) {
    SeedWork work;
    work.is_exit_wanted = true;
    reply(std::move(work));
    return;
  }
  ShardHost::Acquire acquire;
  acquire.command.worker = worker.id;
  acquire.command.max = 1;
  acquire.command.lease = options_.seed_lease;
  acquire.is_wanted = [this] { return !is_draining_; };
  acquire.done = [this, id = worker.id, connection,
                  reply = std::move(reply)](Result<std::vector<GrantedLease>> granted) mutable {
    if (!granted) {
      reply(granted.error());
      return;
    }
    note_waits(granted.value());
    SeedWork work;
    if (!granted.value().empty()) {
      auto& lease = granted.value().front();
      work.is_found = true;
      work.iterations = lease.task.iterations;
      work.body = std::move(lease.body);
      hold_seed_lease(id, {lease.task.token, connection, executor_.now(), nullptr, 0});
    }
    reply(std::move(work));
  };
  host_.acquire(std::move(acquire));
}

// One connection has one lease at a time: who asks again has dropped the one before.
void Service::hold_seed_lease(const std::string& id, SeedLease lease) {
  drop_seed_leases(id, [&](const SeedLease& other) { return other.connection == lease.connection; });
  if (lease.body) seed_bodies_bytes_ += lease.body->size();
  seed_leases_[id].push_back(std::move(lease));
}

void Service::drop_seed_leases(const std::string& id,
                               const std::function<bool(const SeedLease&)>& is_dropped) {
  std::erase_if(seed_leases_[id], [&](const SeedLease& lease) {
    if (!is_dropped(lease)) return false;
    if (lease.body) seed_bodies_bytes_ -= lease.body->size();
    return true;
  });
}

// ---- leases of siblings ----

api::v1::AcquireRequest Service::seed_acquire(const std::string& address) const {
  api::v1::AcquireRequest request;
  request.set_worker(seed_worker_id(address));
  request.set_max(1);
  request.add_kinds("sha512");
  request.set_lease_ms(static_cast<std::uint64_t>(duration_cast<milliseconds>(options_.seed_lease).count()));
  return request;
}

Service::SeedWork Service::take_seed_lease(const std::string& address, std::uint64_t connection,
                                           const GrantedLease& lease) {
  hold_seed_lease(seed_worker_id(address),
                  {lease.task.token, connection, executor_.now(), lease.body, lease.task.iterations});
  SeedWork work;
  work.is_found = true;
  work.iterations = lease.task.iterations;
  work.body = lease.body;
  return work;
}

void Service::complete_seed_lease(const std::string& id, const SeedClaim& claim, const Blob& result,
                                  Reply<void> done) {
  if (!claim.body) {
    host_.submit<void>([this, id, token = claim.token,
                        result](Turn& turn) { return take_seed_result(turn, id, token, result); },
                       std::move(done));
    return;
  }
  Report report;
  report.worker = id;
  report.outcomes.push_back({claim.token.to_string(), claim.token, false, result, "", false, false, 0, {}});
  complete_elsewhere_(std::move(report), [this, id, done = std::move(done)](Result<Settled> settled) mutable {
    if (!settled) return done(settled.error());
    const auto& outcome = settled.value().outcomes.front();
    const auto code = api::parse_code(outcome.status);
    if (code) return done(fail(*code, outcome.detail));
    if (auto* known = registry_.find(id)) ++known->completed;
    done(ok());
  });
}

// ---- results ----

// The leases that a result without a name may be of, the likeliest first: the one whose body this connection
// fetched, whatever became of its task since, and no other; else the live ones of the address by age; then
// those that ran out and whose task is still open.
std::vector<Service::SeedClaim> Service::seed_claims(Turn& turn, const std::string& id,
                                                     std::uint64_t connection) {
  const auto claim = [&](const LeaseToken& token) -> SeedClaim {
    auto* shard = turn.shard(token.task.shard);
    const auto record = shard == nullptr ? std::nullopt : shard->find(token.task);
    if (!record) return {token, 0, false, Instant(), false, nullptr};
    return {token, record->spec.iterations, !is_terminal(record->state), record->leased_at, false, nullptr};
  };
  const auto claim_held = [&](const SeedLease& lease) -> SeedClaim {
    if (!lease.body) return claim(lease.token);
    return {lease.token, lease.iterations, true, lease.given_at, false, lease.body};
  };
  const auto& held = seed_leases_[id];
  for (const auto& lease : held) {
    if (lease.connection != connection) continue;
    SeedClaim sure = claim_held(lease);
    sure.is_sure = true;
    return {std::move(sure)};
  }
  std::vector<SeedClaim> claims;
  for (const auto& shard : turn.shards()) {
    for (const auto& token : shard->leases_of(id)) claims.push_back(claim(token));
  }
  std::sort(claims.begin(), claims.end(),
            [](const auto& x, const auto& y) { return x.leased_at < y.leased_at; });
  for (const auto& lease : held) {
    const auto is_same = [&](const SeedClaim& other) { return other.token.task == lease.token.task; };
    const SeedClaim late = claim_held(lease);
    if (late.is_open && std::none_of(claims.begin(), claims.end(), is_same)) claims.push_back(late);
  }
  return claims;
}

Result<void> Service::take_seed_result(Turn& turn, const std::string& id, const LeaseToken& token,
                                       const Blob& result) {
  auto* shard = turn.shard(token.task.shard);
  if (shard == nullptr) return fail(Code::kNotFound, "there is no task " + token.task.to_string() + " here");
  SKEP_TRY(turn.apply(*shard, queue::Complete{id, token, result}));
  if (auto* known = registry_.find(id)) ++known->completed;
  return ok();
}

void Service::seed_push_result(std::string address, std::uint64_t connection, std::string hex,
                               Reply<void> reply) {
  struct Push {
    std::string id;
    Blob result;
    std::vector<SeedClaim> claims;
    bool is_taken = false;
    Reply<void> reply;
  };
  auto push = std::make_shared<Push>();
  push->id = registry_.seed(address, executor_.now()).id;
  push->result = std::make_shared<const std::string>(std::move(hex));
  push->reply = std::move(reply);
  host_.submit<void>(
      [this, push, connection](Turn& turn) -> Result<void> {
        push->claims = seed_claims(turn, push->id, connection);
        if (push->claims.empty()) {
          return fail(Code::kNotFound,
                      "this address holds no lease, so there is no task that the result could be of");
        }
        const auto& likeliest = push->claims.front();
        // What siblings gave, this manager may have forgotten: the only one that it knows need not be meant.
        const bool is_clear = likeliest.is_sure || (push->claims.size() == 1 && !has_siblings());
        if (likeliest.body || (!is_clear && options_.match_digest)) return ok();
        push->is_taken = true;
        return take_seed_result(turn, push->id, push->claims.front().token, push->result);
      },
      [this, push](Result<void> done) mutable {
        if (push->is_taken || !done) {
          end_seed_push(push->id, push->claims, done);
          push->reply(std::move(done));
          return;
        }
        if (push->claims.front().is_sure || !options_.match_digest) {
          const SeedClaim meant = push->claims.front();
          complete_seed_lease(push->id, meant, push->result, [this, push](Result<void> passed) {
            end_seed_push(push->id, push->claims, passed);
            push->reply(std::move(passed));
          });
          return;
        }
        match_seed_result(push->id, std::move(push->claims), push->result, std::move(push->reply));
      });
}

// Several tasks may be meant: computed, the result tells which.
void Service::match_seed_result(std::string id, std::vector<SeedClaim> claims, Blob result,
                                Reply<void> reply) {
  std::vector<SeedClaim> matched;
  std::vector<SeedClaim> others;  // too long to be computed here
  for (const auto& claim : claims) {
    const bool is_short = claim.iterations <= kMatchedIterationsMax && matched.size() < kMatchedMax;
    (is_short ? matched : others).push_back(claim);
  }
  std::vector<store::BlobKey> keys;
  for (const auto& claim : matched) keys.push_back({store::BlobKind::kBody, claim.token.task});
  host_.read_each(std::move(keys), [this, id = std::move(id), matched = std::move(matched),
                                    others = std::move(others), result = std::move(result),
                                    reply = std::move(reply)](std::vector<Result<Blob>> bodies) mutable {
    std::vector<DigestCandidate> candidates;
    std::vector<SeedClaim> readable;
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      if (!matched[i].body && !bodies[i]) continue;  // finished meanwhile, or damaged
      candidates.push_back({matched[i].body ? matched[i].body : bodies[i].value(), matched[i].iterations});
      readable.push_back(matched[i]);
    }
    options_.match_digest(
        std::move(candidates), *result,
        [this, id = std::move(id), readable = std::move(readable), others = std::move(others), result,
         reply = std::move(reply)](std::optional<std::size_t> found) mutable {
          std::vector<SeedClaim> meant;
          if (found) {
            meant = {readable[*found]};
          } else if (!others.empty()) {
            meant = {others.front()};
          } else {
            reply(fail(Code::kConflict, "the result is of none of the tasks that this address holds"));
            return;
          }
          const SeedClaim claim = meant.front();
          complete_seed_lease(
              id, claim, result,
              [this, id, meant = std::move(meant), reply = std::move(reply)](Result<void> done) mutable {
                end_seed_push(id, meant, done);
                reply(std::move(done));
              });
        });
  });
}

// After an answer that may come out differently the worker may push it again.
void Service::end_seed_push(const std::string& id, const std::vector<SeedClaim>& claims,
                            const Result<void>& done) {
  const bool is_final = done || !api::info(done.error().code).is_retryable;
  if (!is_final || claims.empty()) return;
  drop_seed_leases(id, [&](const SeedLease& lease) { return lease.token == claims.front().token; });
}

// What was fetched and never pushed.
void Service::drop_old_seed_leases(Instant now) {
  for (auto at = seed_leases_.begin(); at != seed_leases_.end();) {
    drop_seed_leases(at->first, [&](const SeedLease& lease) {
      return now - lease.given_at > options_.seed_lease + kSeedLeaseKept;
    });
    at = at->second.empty() ? seed_leases_.erase(at) : std::next(at);
  }
}

}  // namespace skep::manager
