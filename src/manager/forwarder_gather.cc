// SPDX-License-Identifier: Apache-2.0
// Leases, results and lists: from here and from the siblings.
#include <algorithm>

#include "api/convert.h"
#include "api/errors.h"
#include "manager/forwarder_ask.h"
#include "manager/wait_times.h"

namespace skep::manager {
namespace {

using api::Endpoint;
using client::Encoding;
namespace v1 = api::v1;

// Between two looks at the siblings of one who waits here.
constexpr Duration kLeaseSlice = seconds(1);

http::ClientRequest request_of(Endpoint endpoint, http::Query query = {},
                               const std::string& path_value = "") {
  return client::make_request(endpoint, {path_value, std::move(query)}, Encoding::kProtobuf);
}
http::ClientRequest request_with(Endpoint endpoint, const google::protobuf::Message& message,
                                 const std::string& path_value = "") {
  auto request = request_of(endpoint, {}, path_value);
  client::set_message(message, Encoding::kProtobuf, request);
  return request;
}

Granted from_message(v1::AcquireReply&& reply) {
  Granted granted;
  for (auto& lease : *reply.mutable_leases()) {
    const auto token = LeaseToken::parse(lease.lease());
    if (!token) continue;
    queue::LeasedTask task;
    task.token = token.value();
    task.kind = lease.kind();
    task.iterations = lease.iterations();
    task.program = lease.program();
    task.run_timeout = milliseconds(static_cast<std::int64_t>(lease.timeout_ms()));
    task.body_bytes = lease.body().size();
    task.keeps_checkpoints = lease.keep_checkpoints();
    task.parameters.assign(lease.parameters().begin(), lease.parameters().end());
    task.trace = parse_trace_context(lease.traceparent(), lease.tracestate());
    if (!lease.checkpoint().empty())
      task.checkpoint = Checkpoint{lease.iterations_done(), lease.checkpoint(), kNoInstant};
    granted.lease_ms = lease.lease_ms();
    granted.leases.push_back(
        {std::move(task), std::make_shared<const std::string>(std::move(*lease.mutable_body()))});
  }
  return granted;
}

// One that is asked to go on elsewhere is given nothing, however long it waits.
bool is_to_go(const Service& service, const std::string& worker) {
  const auto& known = service.workers_seen().all();
  const auto found = known.find(worker);
  return found != known.end() && !found->second.move_to.empty();
}

// What a worker looks for, for the book of siblings.
std::string wish_of(const v1::AcquireRequest& request) {
  std::string wish;
  for (const auto& kind : request.kinds()) wish += kind + " ";
  for (const auto& program : request.programs()) wish += program + " ";
  return wish;
}

// Who did not answer, in the order of their addresses.
template <class Message, class Out>
void name_silent(const std::map<std::string, Result<Message>>& answers, Out& out) {
  for (const auto& [address, answer] : answers) {
    if (!answer) out.add_silent(address);
  }
}

}  // namespace

// ---- leases ----

struct Forwarder::Acquiring {
  v1::AcquireRequest request;
  std::string wish;
  Instant wait_until{};
  std::shared_ptr<IsWanted> is_wanted;
  Reply<Granted> reply;
};

void Forwarder::acquire(v1::AcquireRequest request, IsWanted is_wanted, Reply<Granted> reply) {
  auto acquiring = std::make_shared<Acquiring>();
  const auto wait =
      milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(request.wait_ms(), 86'400'000)));
  acquiring->wait_until = add_saturated(executor_.now(), std::min<Duration>(wait, limits::kWaitMax));
  acquiring->wish = wish_of(request);
  acquiring->request = std::move(request);
  acquiring->is_wanted = std::make_shared<IsWanted>(std::move(is_wanted));
  acquiring->reply = std::move(reply);
  acquire_here(acquiring, book_.longest_backlog(acquiring->wish) == nullptr);
}

// Waits only while nothing is known to wait elsewhere.
void Forwarder::acquire_here(const std::shared_ptr<Acquiring>& acquiring, bool may_wait) {
  const Instant now = executor_.now();
  const Duration left = acquiring->wait_until - now;
  const Duration wait =
      may_wait ? std::clamp<Duration>(left, Duration::zero(), kLeaseSlice) : Duration::zero();
  v1::AcquireRequest request = acquiring->request;
  // Rounded up: with less than a millisecond left it would ask without a wait until that has passed.
  request.set_wait_ms(static_cast<std::uint64_t>((wait + milliseconds(1) - Duration(1)) / milliseconds(1)));
  const auto is_wanted = [shared = acquiring->is_wanted] { return !*shared || (*shared)(); };
  service_.acquire(std::move(request), is_wanted, [this, alive = alive_, acquiring](Result<Granted> granted) {
    if (!*alive) return;
    const bool is_over = !granted || !granted.value().leases.empty() || granted.value().must_drain ||
                         service_.is_draining() || is_to_go(service_, acquiring->request.worker()) ||
                         (*acquiring->is_wanted && !(*acquiring->is_wanted)());
    if (is_over) return acquiring->reply(std::move(granted));
    if (book_.longest_backlog(acquiring->wish) != nullptr) return acquire_there(acquiring);
    if (executor_.now() >= acquiring->wait_until) return acquiring->reply(Granted{});
    acquire_here(acquiring, true);
  });
}

void Forwarder::acquire_there(const std::shared_ptr<Acquiring>& acquiring) {
  const std::string address = *book_.longest_backlog(acquiring->wish);
  v1::AcquireRequest request = acquiring->request;
  request.clear_wait_ms();
  ask<v1::AcquireReply>(address, request_with(Endpoint::kAcquire, request), kGatherPatience,
                        [this, acquiring, address](Result<v1::AcquireReply> answer) {
                          if (answer && answer.value().leases_size() > 0) {
                            const auto taken = static_cast<std::uint64_t>(answer.value().leases_size());
                            book_.note_leased(address, taken);
                            service_.note_leased_elsewhere(acquiring->request.worker(), taken);
                            return acquiring->reply(from_message(std::move(answer.value())));
                          }
                          // Nothing for this worker: until the next look at its backlog it is not asked
                          // again.
                          book_.note_nothing_there(address, acquiring->wish);
                          acquire_here(acquiring, book_.longest_backlog(acquiring->wish) == nullptr);
                        });
}

// It asks again and again, so one sibling is asked for each call.
void Forwarder::seed_get_work(const std::string& peer, std::uint64_t connection,
                              Reply<Service::SeedWork> reply) {
  service_.seed_get_work(peer, connection,
                         [this, alive = alive_, peer, connection,
                          reply = std::move(reply)](Result<Service::SeedWork> work) mutable {
                           if (!*alive) return;
                           const bool is_over = !work || work.value().is_found || work.value().is_exit_wanted;
                           const auto request = service_.seed_acquire(peer);
                           const std::string wish = wish_of(request);
                           const std::string* longest = book_.longest_backlog(wish);
                           if (is_over || longest == nullptr || !service_.has_room_for_seed_lease())
                             return reply(std::move(work));
                           const std::string address = *longest;
                           ask<v1::AcquireReply>(
                               address, request_with(Endpoint::kAcquire, request), kGatherPatience,
                               [this, address, wish, peer, connection,
                                reply = std::move(reply)](Result<v1::AcquireReply> answer) mutable {
                                 if (!answer || answer.value().leases_size() == 0) {
                                   book_.note_nothing_there(address, wish);
                                   return reply(Service::SeedWork{});
                                 }
                                 book_.note_leased(address, 1);
                                 Granted granted = from_message(std::move(answer.value()));
                                 if (granted.leases.empty()) return reply(Service::SeedWork{});
                                 reply(service_.take_seed_lease(peer, connection, granted.leases.front()));
                               });
                         });
}

// ---- lists ----

// Each part is in the order of ids, and complete up to where it says that it goes on.
void Forwarder::list_tasks(queue::ListTasks query, Reply<v1::ListTasksReply> reply) {
  http::Query there{{"limit", std::to_string(query.limit)}};
  if (query.state) there.emplace_back("state", std::string(state_name(*query.state)));
  if (!query.queue.empty()) there.emplace_back("queue", query.queue);
  if (!query.tag.empty()) there.emplace_back("tag", query.tag);
  if (query.after != TaskId{}) there.emplace_back("cursor", query.after.to_string());
  auto request = request_of(Endpoint::kListTasks, std::move(there));
  const std::size_t limit = query.limit;
  service_.list_tasks(std::move(query), [this, alive = alive_, limit, request = std::move(request),
                                         reply = std::move(reply)](Result<v1::ListTasksReply> here) mutable {
    if (!*alive) return;
    ask_all<v1::ListTasksReply>(
        request,
        [limit, address = service_.options().address, here = std::move(here),
         reply = std::move(reply)](std::map<std::string, Result<v1::ListTasksReply>> answers) mutable {
          v1::ListTasksReply all;
          answers.emplace(address, std::move(here));
          name_silent(answers, all);
          std::vector<v1::Task> tasks;
          std::string bound;  // "": everything is here
          for (auto& [manager, answer] : answers) {
            if (!answer) continue;
            const auto& next = answer.value().next_cursor();
            if (!next.empty() && (bound.empty() || next < bound)) bound = next;
            for (auto& task : *answer.value().mutable_tasks()) tasks.emplace_back().Swap(&task);
          }
          std::sort(tasks.begin(), tasks.end(), [](const auto& x, const auto& y) { return x.id() < y.id(); });
          for (auto& task : tasks) {
            if (!bound.empty() && task.id() > bound) break;
            if (static_cast<std::size_t>(all.tasks_size()) == limit) {
              bound = all.tasks(all.tasks_size() - 1).id();
              break;
            }
            all.add_tasks()->Swap(&task);
          }
          all.set_next_cursor(bound);
          reply(std::move(all));
        });
  });
}

void Forwarder::list_workers(Reply<v1::WorkersReply> reply) {
  service_.list_workers([this, reply = std::move(reply)](Result<v1::WorkersReply> here) mutable {
    ask_all<v1::WorkersReply>(request_of(Endpoint::kListWorkers),
                              [here = std::move(here), reply = std::move(reply)](
                                  std::map<std::string, Result<v1::WorkersReply>> answers) mutable {
                                name_silent(answers, here.value());
                                for (auto& [address, answer] : answers) {
                                  if (answer) here.value().MergeFrom(answer.value());
                                }
                                reply(std::move(here));
                              });
  });
}

void Forwarder::decisions(const DecisionQuery& query, Reply<v1::DecisionsReply> reply) {
  http::Query there{{"limit", std::to_string(query.limit)}};
  if (!query.task.empty()) there.emplace_back("task", query.task);
  if (!query.worker.empty()) there.emplace_back("worker", query.worker);
  if (query.until != kNever) there.emplace_back("until_ms", std::to_string(to_unix_ms(query.until)));
  service_.decisions(query, [this, limit = query.limit, there = std::move(there),
                             reply = std::move(reply)](Result<v1::DecisionsReply> here) mutable {
    ask_all<v1::DecisionsReply>(request_of(Endpoint::kDecisions, std::move(there)),
                                [limit, here = std::move(here), reply = std::move(reply)](
                                    std::map<std::string, Result<v1::DecisionsReply>> answers) mutable {
                                  name_silent(answers, here.value());
                                  for (auto& [address, answer] : answers) {
                                    if (answer) here.value().MergeFrom(answer.value());
                                  }
                                  merge_decisions(limit, here.value());
                                  reply(std::move(here));
                                });
  });
}

// Its home knows the worker, the others what it has leased of them.
void Forwarder::get_worker(const std::string& worker, Reply<v1::Worker> reply) {
  service_.get_worker(worker, [this, worker, reply = std::move(reply)](Result<v1::Worker> here) mutable {
    ask_all<v1::Worker>(
        request_of(Endpoint::kGetWorker, {}, worker),
        [worker, here = std::move(here.value()),
         reply = std::move(reply)](std::map<std::string, Result<v1::Worker>> answers) mutable {
          for (auto& [address, answer] : answers) {
            if (answer) here.MergeFrom(answer.value());
          }
          if (here.state().empty())
            return reply(fail(Code::kNotFound, "there is no worker '" + worker.substr(0, 64) + "'"));
          std::sort(here.mutable_running()->begin(), here.mutable_running()->end(),
                    [](const auto& x, const auto& y) { return x.leased_at_ms() < y.leased_at_ms(); });
          reply(std::move(here));
        });
  });
}

namespace {

void add(const v1::TaskCounts& more, v1::TaskCounts& sum) {
  sum.set_delayed(sum.delayed() + more.delayed());
  sum.set_queued(sum.queued() + more.queued());
  sum.set_leased(sum.leased() + more.leased());
  sum.set_done(sum.done() + more.done());
  sum.set_dead(sum.dead() + more.dead());
  sum.set_cancelled(sum.cancelled() + more.cancelled());
  sum.set_undelivered(sum.undelivered() + more.undelivered());
}

// Every field of it is a count.
void add(const v1::Totals& more, v1::Totals& sum) {
  const auto* fields = v1::Totals::descriptor();
  const auto* reflection = v1::Totals::GetReflection();
  for (int i = 0; i < fields->field_count(); ++i) {
    const auto* field = fields->field(i);
    reflection->SetUInt64(&sum, field,
                          reflection->GetUInt64(sum, field) + reflection->GetUInt64(more, field));
  }
}

}  // namespace

// Settings are the same everywhere; counts add up.
void Forwarder::list_queues(Reply<v1::QueuesReply> reply) {
  service_.list_queues([this, reply = std::move(reply)](Result<v1::QueuesReply> here) mutable {
    ask_all<v1::QueuesReply>(request_of(Endpoint::kListQueues),
                             [here = std::move(here), reply = std::move(reply)](
                                 std::map<std::string, Result<v1::QueuesReply>> answers) mutable {
                               v1::QueuesReply all;
                               name_silent(answers, all);
                               answers.emplace("", std::move(here));
                               std::map<std::string, v1::Queue> by_name;
                               for (auto& [address, answer] : answers) {
                                 if (!answer) continue;
                                 for (auto& queue : *answer.value().mutable_queues()) {
                                   const auto [at, is_new] = by_name.try_emplace(queue.name());
                                   if (is_new) {
                                     at->second.Swap(&queue);
                                     continue;
                                   }
                                   add(queue.tasks(), *at->second.mutable_tasks());
                                   add_waits(queue.waits(), *at->second.mutable_waits());
                                   at->second.set_oldest_queued_ms(
                                       std::max(at->second.oldest_queued_ms(), queue.oldest_queued_ms()));
                                 }
                               }
                               for (auto& [name, queue] : by_name) all.add_queues()->Swap(&queue);
                               reply(std::move(all));
                             });
  });
}

// The store is as this manager sees it; scaling is as the leader of the fleet does.
void Forwarder::cluster(Reply<v1::ClusterReply> reply) {
  service_.cluster([this, reply = std::move(reply)](Result<v1::ClusterReply> here) mutable {
    ask_all<v1::ClusterReply>(
        request_of(Endpoint::kCluster), [here = std::move(here), reply = std::move(reply)](
                                            std::map<std::string, Result<v1::ClusterReply>> answers) mutable {
          v1::ClusterReply& all = here.value();
          name_silent(answers, all);
          for (auto& [address, answer] : answers) {
            if (!answer) continue;
            const v1::ClusterReply& part = answer.value();
            add(part.tasks(), *all.mutable_tasks());
            add(part.totals(), *all.mutable_totals());
            add_waits(part.waits(), *all.mutable_waits());
            all.set_backlog_seconds(all.backlog_seconds() + part.backlog_seconds());
            all.mutable_shards()->MergeFrom(part.shards());
            all.set_workers_active(all.workers_active() + part.workers_active());
            all.set_workers_draining(all.workers_draining() + part.workers_draining());
            all.set_slots(all.slots() + part.slots());
            all.set_oldest_queued_ms(std::max(all.oldest_queued_ms(), part.oldest_queued_ms()));
            all.mutable_warnings()->MergeFrom(part.warnings());
            all.mutable_refusals()->MergeFrom(part.refusals());
            if (part.scaling().role() == "leads") *all.mutable_scaling() = part.scaling();
          }
          std::sort(all.mutable_shards()->begin(), all.mutable_shards()->end(),
                    [](const auto& x, const auto& y) { return x.shard() < y.shard(); });
          reply(std::move(here));
        });
  });
}

void Forwarder::patch_queue(std::string name, v1::PatchQueueRequest request, Reply<v1::Queue> reply) {
  auto there = request_with(Endpoint::kPatchQueue, request, name);
  service_.patch_queue(
      std::move(name), std::move(request),
      [this, alive = alive_, there = std::move(there),
       reply = std::move(reply)](Result<v1::Queue> here) mutable {
        if (!*alive) return;
        if (!here) return reply(std::move(here));
        ask_all<v1::Queue>(there, [here = std::move(here), reply = std::move(reply)](
                                      std::map<std::string, Result<v1::Queue>> answers) mutable {
          for (auto& [address, answer] : answers) {
            if (!answer) {
              reply(fail(answer.error().code, "the change is not made at every manager, make it again: " +
                                                  address + ": " + answer.error().message));
              return;
            }
            add(answer.value().tasks(), *here.value().mutable_tasks());
            if (here.value().name().empty()) here.value().MergeFrom(answer.value());
          }
          reply(std::move(here));
        });
      });
}

}  // namespace skep::manager
