// SPDX-License-Identifier: Apache-2.0
// explain: why a task, a worker or the fleet is, or was, as it is; and what workers cost.
#include <algorithm>
#include <cstdio>

#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "scaler/cost_ledger.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(10);

struct Question {
  std::string what;
  std::string id;
  std::string at_text;
  Instant at = kNever;  // kNever: now
  std::uint32_t limit = 20;
};

std::string instant_of(std::int64_t ms) {
  return format_instant(from_unix_ms(ms));
}

int print_json(const google::protobuf::Message& message) {
  std::printf("%s\n", api::to_json(message).c_str());
  return api::kExitOk;
}

// The oldest first, as a story is told.
void print_decisions(const v1::DecisionsReply& reply, bool has_subject) {
  for (auto decision = reply.decisions().rbegin(); decision != reply.decisions().rend(); ++decision) {
    const std::string subject = has_subject ? decision->subject() + ": " : "";
    std::printf("  %s  %-10s %s%s\n", instant_of(decision->at_ms()).c_str(), decision->kind().c_str(),
                subject.c_str(), decision->outcome().c_str());
  }
  for (const auto& silent : reply.silent())
    std::printf("  %s does not answer: what it decided is not in here\n", silent.c_str());
}

Result<v1::DecisionsReply> fetch_decisions(Remote& remote, client::Client::DecisionsAsked asked) {
  return remote.wait<v1::DecisionsReply>([&](client::Client& client, auto done) {
    client.decisions(asked, remote.within(kCallTimeout), std::move(done));
  });
}

// ---- tasks ----

// What the record and the decisions after `at` (`next`: the first of them, or null) tell of then.
std::string state_at(const v1::Task& task, const v1::Decision* last, const v1::Decision* next, Instant at) {
  const std::int64_t ms = to_unix_ms(at);
  const std::string then = "At " + format_instant(at) + " it ";
  if (task.enqueued_at_ms() > ms)
    return then + "was not there yet: it came at " + instant_of(task.enqueued_at_ms()) + ".";
  if (task.finished_at_ms() > 0 && task.finished_at_ms() <= ms)
    return then + "was " + task.state() + ", since " + instant_of(task.finished_at_ms()) + ".";
  const bool is_last_lease = task.leased_at_ms() > 0 && task.leased_at_ms() <= ms &&
                             (last == nullptr || last->at_ms() < task.leased_at_ms());
  if (is_last_lease && next == nullptr) {
    const bool has_begun = task.started_at_ms() > 0 && task.started_at_ms() <= ms;
    return then + "was with worker " + task.worker() + " since " + instant_of(task.leased_at_ms()) +
           (has_begun ? ", which ran it." : ", which had not said that it ran it.");
  }
  if (next != nullptr && !next->worker().empty())
    return then + "waited for worker " + next->worker() + " or was with it already: that attempt ended at " +
           instant_of(next->at_ms()) + ".";
  if (last == nullptr && task.ready_at_ms() > ms)
    return then + "was delayed until " + instant_of(task.ready_at_ms()) + ".";
  if (last != nullptr && last->kind() == "retry") return then + "waited for its next attempt.";
  return then + "waited in queue '" + task.options().queue() + "'.";
}

int explain_task(const Context& context, Remote& remote, const Question& question) {
  auto task = remote.wait<v1::Task>([&](client::Client& client, auto done) {
    client.get_task(question.id, Duration::zero(), remote.within(kCallTimeout), std::move(done));
  });
  if (!task) return report(task.error());
  if (context.is_json && question.at == kNever) return print_json(task.value());
  auto told = fetch_decisions(remote, {question.id, "", kNever, 1'000});
  if (!told) return report(told.error());
  v1::DecisionsReply before;
  const v1::Decision* next = nullptr;
  for (const auto& decision : told.value().decisions()) {
    if (question.at != kNever && decision.at_ms() > to_unix_ms(question.at)) {
      next = &decision;
    } else if (static_cast<std::uint32_t>(before.decisions_size()) < question.limit) {
      *before.add_decisions() = decision;
    }
  }
  *before.mutable_silent() = told.value().silent();
  if (context.is_json) return print_json(before);
  if (question.at == kNever) {
    std::printf("%s is %s. %s\n", question.id.c_str(), task.value().state().c_str(),
                task.value().explanation().c_str());
  } else {
    const v1::Decision* last = before.decisions_size() > 0 ? &before.decisions(0) : nullptr;
    std::printf("%s\n", state_at(task.value(), last, next, question.at).c_str());
  }
  // What was decided before a restart is not known any more, but the record has the errors.
  for (const auto& error : task.value().errors()) {
    const bool is_told =
        std::any_of(before.decisions().begin(), before.decisions().end(),
                    [&](const auto& decision) { return decision.attempt() == error.number(); });
    if (is_told || (question.at != kNever && error.at_ms() > to_unix_ms(question.at))) continue;
    std::printf("  %s  attempt %u %s on %s: %s\n", instant_of(error.at_ms()).c_str(), error.number(),
                error.end().c_str(), error.worker().c_str(), error.message().c_str());
  }
  print_decisions(before, false);
  return api::kExitOk;
}

// ---- the fleet ----

std::string describe_parts(const v1::ScalingReply& scaling) {
  std::vector<std::vector<std::string>> rows{
      {"  MANAGER", "STARTS BY", "SHARE", "RUNNING", "BOOTING", "MOST", "QUEUED", ""}};
  for (const auto& part : scaling.parts()) {
    const auto silence = milliseconds(static_cast<std::int64_t>(part.silence_ms()));
    rows.push_back({"  " + part.address(), part.provisioner(), std::to_string(part.share()),
                    std::to_string(part.running()), std::to_string(part.booting()),
                    part.can_launch() ? std::to_string(part.max_workers()) : "-",
                    with_thousands(part.queued()),
                    part.silence_ms() > 0 ? "silent for " + describe_duration(silence) : ""});
  }
  return table(rows);
}

std::string describe_ms(std::uint64_t ms) {
  return describe_duration(milliseconds(static_cast<std::int64_t>(ms)));
}

// Queues with objectives of their own, and boots by type of machine, where there are any.
std::string describe_learned(const v1::ScalingState& state) {
  std::string text;
  if (state.objectives_size() > 0) {
    std::vector<std::vector<std::string>> rows{
        {"  QUEUE", "START WITHIN", "WEIGHT", "QUEUED", "LEASED", "OLDEST", "ARRIVES A SECOND"}};
    for (const auto& one : state.objectives()) {
      const auto arrives = Duration(static_cast<Duration::rep>(std::min(one.arrival_seconds(), 1e9) * 1e9));
      rows.push_back(
          {"  " + (one.queue().empty() ? "all others" : one.queue()), describe_ms(one.target_wait_ms()),
           std::to_string(one.weight()), with_thousands(one.queued()), with_thousands(one.leased()),
           one.queued() > 0 ? describe_ms(one.oldest_wait_ms()) : "-", describe_duration(arrives)});
    }
    text += table(rows);
  }
  if (state.boot_times_size() > 0) {
    std::vector<std::vector<std::string>> rows{{"  MACHINES", "BOOTS", "HALF WITHIN", "NINE IN TEN WITHIN"}};
    for (const auto& one : state.boot_times()) {
      rows.push_back({"  " + (one.type().empty() ? "of any type" : one.type()), with_thousands(one.count()),
                      describe_ms(one.p50_ms()), describe_ms(one.p90_ms())});
    }
    text += table(rows);
  }
  return text;
}

// What was decided last before, and what it rested on.
std::string scaling_at(const v1::ScalingDecision& decision, Instant at) {
  const std::string wanted = std::to_string(decision.wanted());
  std::string text =
      "At " + format_instant(at) + " " + wanted + (decision.wanted() == 1 ? " worker was" : " workers were") +
      " wanted, as decided at " + instant_of(decision.at_ms()) + ": " + decision.reason() +
      ".\nIt rested on: " + with_thousands(decision.queued()) + " tasks that waited (the oldest for " +
      describe_ms(decision.oldest_wait_ms()) + ") and " + with_thousands(decision.leased()) +
      " with workers; " + std::to_string(decision.running()) + " workers that ran (" +
      std::to_string(decision.idle()) + " idle), " + std::to_string(decision.booting()) + " that booted, " +
      std::to_string(decision.draining()) + " that drained; " + std::to_string(decision.slots_per_worker()) +
      " slots each, boots of " +
      (decision.boot_ms() == 0 ? "unknown length" : describe_ms(decision.boot_ms())) + "; bounds of " +
      std::to_string(decision.min_workers()) + " to " + std::to_string(decision.max_workers()) +
      ", a wait of " + describe_ms(decision.target_wait_ms()) + " aimed at.";
  if (decision.rule() == "order") text += " A person's order held.";
  if (decision.rule() == "share") text += " Another manager led the fleet.";
  return text + "\n";
}

int explain_scaling(const Context& context, Remote& remote, const Question& question) {
  auto scaling = remote.wait<v1::ScalingReply>([&](client::Client& client, auto done) {
    client.scaling(question.limit, question.at, remote.within(kCallTimeout), std::move(done));
  });
  if (!scaling) return report(scaling.error());
  if (context.is_json) return print_json(scaling.value());
  const auto& decisions = scaling.value().decisions();
  if (question.at == kNever) {
    std::printf("%s\n", scaling.value().explanation().c_str());
    std::printf("%s", describe_learned(scaling.value().state()).c_str());
    if (scaling.value().parts_size() > 1) std::printf("%s", describe_parts(scaling.value()).c_str());
  } else if (decisions.empty()) {
    std::printf("Nothing is known of %s: the decisions of this manager begin later, or it sizes no fleet.\n",
                format_instant(question.at).c_str());
  } else {
    std::printf("%s", scaling_at(decisions[0], question.at).c_str());
  }
  for (const auto& decision : decisions) {
    std::printf("  %s  %-9s wanted %u, running %u, booting %u, queued %llu: %s\n",
                instant_of(decision.at_ms()).c_str(), decision.action().c_str(), decision.wanted(),
                decision.running(), decision.booting(), static_cast<unsigned long long>(decision.queued()),
                decision.reason().c_str());
  }
  return api::kExitOk;
}

// ---- cost ----

void print_lines(const std::string& title, const google::protobuf::RepeatedPtrField<v1::CostLine>& lines) {
  if (lines.empty()) return;
  std::vector<std::vector<std::string>> rows{{title, "ATTEMPTS", "SLOT TIME", "COST", "OF IT BOOT AND IDLE"}};
  for (const auto& line : lines) {
    rows.push_back({line.name(), with_thousands(line.attempts()),
                    describe_duration(milliseconds(static_cast<std::int64_t>(line.seconds() * 1e3))),
                    scaler::describe_money(line.used() + line.overhead()),
                    scaler::describe_money(line.overhead())});
  }
  std::printf("\n%s", table(rows).c_str());
}

int explain_cost(const Context& context, Remote& remote) {
  auto cost = remote.wait<v1::CostReply>(
      [&](client::Client& client, auto done) { client.cost(remote.within(kCallTimeout), std::move(done)); });
  if (!cost) return report(cost.error());
  const auto& reply = cost.value();
  if (context.is_json) return print_json(reply);
  using scaler::describe_money;
  std::printf(
      "Workers cost %s since %s at %s an hour each: %s while they ran tasks, %s of boot and idle that tasks "
      "took with it, and %s that no task has taken.\n",
      describe_money(reply.cost()).c_str(), instant_of(reply.since_ms()).c_str(),
      describe_money(reply.price_hour()).c_str(), describe_money(reply.tasks().used()).c_str(),
      describe_money(reply.tasks().overhead()).c_str(), describe_money(reply.idle()).c_str());
  print_lines("QUEUE", reply.queues());
  print_lines("TAG", reply.tags());
  return api::kExitOk;
}

// ---- workers ----

void print_worker(const v1::Worker& worker, Instant now) {
  const Duration silence = now - from_unix_ms(worker.heard_at_ms());
  std::printf(
      "Worker %s (%s, pid %lld on %s) is %s: heard from %s ago, holds %u %s in %u %s, completed "
      "%llu, failed %llu.\n",
      worker.id().c_str(), worker.name().c_str(), static_cast<long long>(worker.pid()), worker.host().c_str(),
      worker.state().c_str(), describe_duration(std::max(Duration::zero(), silence)).c_str(), worker.leases(),
      worker.leases() == 1 ? "task" : "tasks", worker.slots(), worker.slots() == 1 ? "slot" : "slots",
      static_cast<unsigned long long>(worker.completed()), static_cast<unsigned long long>(worker.failed()));
  if (!worker.notice().empty()) std::printf("Its machine was told: %s.\n", worker.notice().c_str());
  if (worker.mismatches() > 0)
    std::printf("It is suspect: %llu of its results differ from the accepted ones.\n",
                static_cast<unsigned long long>(worker.mismatches()));
}

int explain_worker(const Context& context, Remote& remote, const Question& question) {
  auto workers = remote.wait<v1::WorkersReply>([&](client::Client& client, auto done) {
    client.workers(remote.within(kCallTimeout), std::move(done));
  });
  if (!workers) return report(workers.error());
  const v1::Worker* found = nullptr;
  for (const auto& worker : workers.value().workers()) {
    if (worker.id() == question.id || worker.name() == question.id) found = &worker;
  }
  if (found != nullptr && context.is_json && question.at == kNever) return print_json(*found);
  const std::string id = found != nullptr ? found->id() : question.id;
  auto told = fetch_decisions(remote, {"", id, question.at, question.limit});
  if (!told) return report(told.error());
  if (found == nullptr && told.value().decisions_size() == 0)
    return report(fail(Code::kNotFound, "there is no worker '" + id + "': skep status lists them"));
  if (context.is_json) return print_json(told.value());
  if (found == nullptr) {
    std::printf("Worker %s is not there any more.\n", id.c_str());
  } else {
    print_worker(*found, remote.clock().now());
  }
  if (question.at != kNever)
    std::printf("Until %s %s:\n", format_instant(question.at).c_str(),
                told.value().decisions_size() == 0 ? "nothing was decided about it"
                                                   : "this was decided about it and its tasks");
  print_decisions(told.value(), true);
  return api::kExitOk;
}

int explain(const Context& context, Question question) {
  const bool has_id = question.what == "task" || question.what == "worker";
  if (has_id && question.id.empty())
    return report(fail(Code::kInvalid, "skep explain " + question.what + " wants an ID"));
  if (question.what == "cost" && !question.at_text.empty())
    return report(fail(Code::kInvalid, "skep explain cost knows no --at: it tells what was spent until now"));
  if (!question.at_text.empty()) {
    auto at = parse_moment(question.at_text, SystemClock().now());
    if (!at) return report(with_context(at.error(), "--at"));
    question.at = at.value();
  }
  const auto remote = Remote::connect(context);
  if (!remote) return report(remote.error());
  if (question.what == "cost") return explain_cost(context, *remote.value());
  if (question.what == "scaling") return explain_scaling(context, *remote.value(), question);
  return question.what == "task" ? explain_task(context, *remote.value(), question)
                                 : explain_worker(context, *remote.value(), question);
}

}  // namespace

void add_explain_command(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("explain", "Why a task, the fleet or a worker is as it is");
  command->footer(
      "Example: skep explain task 00000g00000000000001\n         skep explain scaling --at 5m\n"
      "         skep explain worker w7 --at 09:30");
  auto question = std::make_shared<Question>();
  command->add_option("WHAT", question->what, "task, scaling, cost or worker")
      ->required()
      ->check(CLI::IsMember({"task", "scaling", "cost", "worker"}));
  command->add_option("ID", question->id, "Id of the task or worker");
  command->add_option("--limit", question->limit, "Decisions to show")->check(CLI::Range(1, 1000));
  command->add_option("--at", question->at_text,
                      "As it was then: 2026-11-27T09:30:00Z, 09:30 of today (UTC), or 5m ago");
  add_client_options(*command, context);
  context.actions[command] = [&context, question] { return explain(context, *question); };
}

}  // namespace skep::cli
