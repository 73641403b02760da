// SPDX-License-Identifier: Apache-2.0
#include "client/call.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/request.h"

namespace skep::client {
namespace {

using Done = UniqueFunction<void(Result<http::Response>)>;

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(std::shared_ptr<Session> session, CallPlan plan, Done done)
      : session_(std::move(session)),
        plan_(std::move(plan)),
        policy_(plan_.repeatable, plan_.options.deadline),
        done_(std::move(done)) {}

  void start() {
    const http::Url manager = session_->managers.choose(session_->executor.now());
    note(manager.host_port());
    const std::uint64_t attempt = ++attempt_;
    session_->transport.send(manager, plan_.request, try_deadline(), session_->executor,
                             [self = shared_from_this(), manager, attempt](Result<http::Response> response) {
                               if (self->attempt_ == attempt) self->on_response(manager, std::move(response));
                             });
    // A list that stays is that of many long-polls: what they wait for is no silence.
    const bool is_patient = session_->habit == Habit::kStay;
    watch(manager, (is_patient ? plan_.wait : Duration::zero()) + kSilenceMax);
  }

 private:
  Instant try_deadline() const {
    if (plan_.options.retry == Retry::kNever && plan_.options.deadline != kNever)
      return plan_.options.deadline;
    return std::min(plan_.options.deadline, add_saturated(session_->executor.now(), kTryMax + plan_.wait));
  }

  // Where there is another manager to turn to, one that stands still is not waited for.
  void watch(const http::Url& manager, Duration patience) {
    Session& session = *session_;
    if (session.managers.size() < 2) return;
    watch_ = session.executor.post_at(add_saturated(session.executor.now(), patience),
                                      [self = shared_from_this(), manager, attempt = attempt_] {
                                        if (self->attempt_ == attempt) self->ask_after_its_health(manager);
                                      });
  }

  void ask_after_its_health(const http::Url& manager) {
    session_->transport.send(
        manager, make_request(api::Endpoint::kHealth, {}, Encoding::kJson),
        add_saturated(session_->executor.now(), kSilenceMax), session_->executor,
        [self = shared_from_this(), manager, attempt = attempt_](const Result<http::Response>& answer) {
          if (self->attempt_ != attempt) return;
          if (answer) return self->watch(manager, kAskAgain);
          self->on_standstill(manager);
        });
  }

  // What may not be repeated goes on waiting: it may be answered yet. The calls after it go elsewhere.
  void on_standstill(const http::Url& manager) {
    if (plan_.repeatable != Repeatable::kAlways)
      return session_->managers.next_after(manager, session_->executor.now(), session_->random);
    ++attempt_;
    on_failure(manager, Failure{Code::kUnknownOutcome, false, std::nullopt},
               fail(Code::kUnknownOutcome,
                    manager.host_port() + " does not answer, nor does it say that it is well"));
  }

  void note(std::string manager) {
    if (std::find(tried_.begin(), tried_.end(), manager) == tried_.end())
      tried_.push_back(std::move(manager));
  }

  void on_response(const http::Url& manager, Result<http::Response> response) {
    ++attempt_;
    session_->executor.cancel(watch_);
    if (!response.has_error()) session_->managers.note_answer(manager);
    Failure failure;
    Error error;
    if (response.has_error()) {
      error = std::move(response.error());
    } else {
      auto status = check_status(response.value());
      if (status.has_value()) return done_(std::move(response));
      error = std::move(status.error());
      failure.is_answer = true;
      failure.retry_after = retry_after(response.value());
    }
    failure.code = error.code;
    on_failure(manager, failure, std::move(error));
  }

  void on_failure(const http::Url& manager, const Failure& failure, Error error) {
    if (plan_.options.retry == Retry::kNever) return give_up(std::move(error));
    Session& session = *session_;
    const NextTry next =
        policy_.after(failure, session.managers.size(), session.executor.now(), session.random);
    // The calls after this one are not to begin at a manager that does not answer either.
    if (next.is_next_manager) session.managers.next_after(manager, session.executor.now(), session.random);
    if (next.is_over || session.transport.is_closed()) return give_up(std::move(error));
    session.executor.post_at(next.at, [self = shared_from_this(), error = std::move(error)]() mutable {
      if (self->session_->transport.is_closed()) return self->give_up(std::move(error));
      self->start();
    });
  }

  void give_up(Error error) {
    if (error.code == Code::kUnavailable) {
      error.message += " (tried";
      for (const auto& manager : tried_) error.message += " " + manager;
      error.message += ")";
    }
    done_(std::move(error));
  }

  std::shared_ptr<Session> session_;
  CallPlan plan_;
  RetryPolicy policy_;
  Done done_;
  std::vector<std::string> tried_;  // HOST:PORT, each once
  std::uint64_t attempt_ = 0;       // an answer to an earlier one is not waited for any more
  TimerId watch_ = 0;
};

}  // namespace

void start_call(std::shared_ptr<Session> session, CallPlan plan, Done done) {
  Executor& executor = session->executor;
  executor.post([call = std::make_shared<Call>(std::move(session), std::move(plan), std::move(done))] {
    call->start();
  });
}

}  // namespace skep::client
