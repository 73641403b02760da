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
    const http::Url manager = session_->managers.current();
    note(manager.host_port());
    session_->transport.send(manager, plan_.request, try_deadline(), session_->executor,
                             [self = shared_from_this(), manager](Result<http::Response> response) {
                               self->on_response(manager, std::move(response));
                             });
  }

 private:
  Instant try_deadline() const {
    if (plan_.options.retry == Retry::kNever && plan_.options.deadline != kNever)
      return plan_.options.deadline;
    return std::min(plan_.options.deadline, add_saturated(session_->executor.now(), kTryMax + plan_.wait));
  }

  void note(std::string manager) {
    if (std::find(tried_.begin(), tried_.end(), manager) == tried_.end())
      tried_.push_back(std::move(manager));
  }

  void on_response(const http::Url& manager, Result<http::Response> response) {
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
    if (next.is_next_manager) session.managers.next_after(manager);
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
};

}  // namespace

void start_call(std::shared_ptr<Session> session, CallPlan plan, Done done) {
  Executor& executor = session->executor;
  executor.post([call = std::make_shared<Call>(std::move(session), std::move(plan), std::move(done))] {
    call->start();
  });
}

}  // namespace skep::client
