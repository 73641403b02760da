// SPDX-License-Identifier: Apache-2.0
// forwarder_ask.h - how the forwarder asks siblings for messages: one, or all of them.
//
// Threads:   as forwarder.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "client/request.h"
#include "manager/forwarder.h"

namespace skep::manager {

// The caller was let in here. That a sibling does not let this manager in, or is not trusted by it, is no
// fault of the caller's.
inline Error error_of_sibling(Error error) {
  if (error.code != Code::kUnauthenticated && error.code != Code::kForbidden) return error;
  return fail(Code::kUnavailable,
              "this manager and the one asked do not take each other for siblings "
              "(--sibling-token-file, --sibling-ca): " +
                  error.message);
}

template <class Message>
void Forwarder::ask(const std::string& address, http::ClientRequest request, Duration patience,
                    Reply<Message> reply) {
  calls_.send(
      address, std::move(request), patience,
      [this, alive = alive_, address, reply = std::move(reply)](Result<http::Response> answer) mutable {
        if (!*alive) return;
        if (!answer) {
          book_.note_silent(address, answer.error().message);
          return reply(error_of_sibling(answer.error()));
        }
        if (auto status = client::check_status(answer.value()); !status)
          return reply(error_of_sibling(status.error()));
        Message message;
        if (auto read = client::read_message(answer.value(), message); !read) return reply(read.error());
        reply(std::move(message));
      });
}

template <class Message>
struct Forwarder::Gathering {
  std::map<std::string, Result<Message>> answers;
  std::size_t left = 0;
  UniqueFunction<void(std::map<std::string, Result<Message>>)> done;
};

template <class Message>
void Forwarder::ask_all(const http::ClientRequest& request,
                        UniqueFunction<void(std::map<std::string, Result<Message>>)> done) {
  auto gathering = std::make_shared<Gathering<Message>>();
  const auto addresses = sibling_addresses();
  gathering->left = addresses.size();
  gathering->done = std::move(done);
  if (addresses.empty()) return gathering->done({});
  for (const auto& address : addresses) {
    ask<Message>(address, request, kGatherPatience, [gathering, address](Result<Message> answer) {
      gathering->answers.emplace(address, std::move(answer));
      if (--gathering->left == 0) gathering->done(std::move(gathering->answers));
    });
  }
}

// One call's items, each to where its shard is served, and again where nobody took them.
//   Item, Outcome   values
//   shard_of        of an item; nothing: it is answered here whatever it is
//   ask             a part of the items, at a sibling or ("") here; an outcome for each
//   nobody_has      why an item has no place
//   give_up         the outcome of an item that nobody took; empty: the whole call is an error then
// Until the deadline.
template <class Item, class Outcome>
struct Split : std::enable_shared_from_this<Split<Item, Outcome>> {
  using PartDone = UniqueFunction<void(Result<std::vector<Outcome>>)>;

  std::vector<Item> items;
  std::function<std::optional<store::ShardAt>(const Item&)> shard_of;
  std::function<void(const std::string& address, std::vector<Item> part, PartDone done)> ask;
  UniqueFunction<void(Result<std::vector<Outcome>>)> done;
  std::function<Error(store::ShardAt)> nobody_has;
  std::function<Outcome(const Item&, const Error& why)> give_up;
  Instant deadline{};
  bool is_repeatable = true;  // repeating a part whose outcome is unknown is harmless
  // An error that says that nothing was done is not given where some of it was, or may have been.
  bool is_none_on_error = false;
  std::vector<std::optional<Outcome>> outcomes{};
  std::size_t parts_left = 0;
  Error problem{};
  bool has_begun = false;  // a part of it was done, or may have been
  bool is_unsure = false;  // of a part of this round it is not known

  void run(Forwarder& forwarder, Executor& executor, std::shared_ptr<bool> alive) {
    outcomes.resize(items.size());
    is_unsure = false;
    std::map<std::string, std::vector<std::size_t>> parts;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (outcomes[i]) continue;
      const auto shard = shard_of(items[i]);
      const auto place = shard ? forwarder.place_of(*shard) : Forwarder::Place{true, ""};
      if (place.is_here || !place.address.empty()) {
        parts[place.address].push_back(i);
      } else {
        problem = nobody_has(*shard);
      }
    }
    parts_left = parts.size();
    if (parts.empty()) return end_round(forwarder, executor, std::move(alive));
    for (auto& [address, places] : parts) {
      std::vector<Item> part;
      for (const std::size_t place : places) part.push_back(items[place]);
      ask(address, std::move(part),
          [self = this->shared_from_this(), &forwarder, &executor, alive,
           asked = places](Result<std::vector<Outcome>> answered) {
            if (!*alive) return;
            self->take(asked, std::move(answered));
            if (--self->parts_left == 0) self->end_round(forwarder, executor, alive);
          });
    }
  }

 private:
  void take(const std::vector<std::size_t>& places, Result<std::vector<Outcome>> answered) {
    if (!answered) {
      problem = answered.error();
      has_begun |= problem.code == Code::kUnknownOutcome;
      is_unsure |= problem.code == Code::kTimeout || problem.code == Code::kUnknownOutcome;
      return;
    }
    has_begun = true;
    for (std::size_t i = 0; i < places.size() && i < answered.value().size(); ++i)
      outcomes[places[i]] = std::move(answered.value()[i]);
  }
  Error final_problem() const {
    if (!is_none_on_error || !has_begun || problem.code == Code::kUnknownOutcome) return problem;
    return fail(Code::kUnknownOutcome, "a part of it was taken, the rest was not: " + problem.message);
  }
  void end() {
    if (!give_up) return done(final_problem());
    std::vector<Outcome> all;
    for (std::size_t i = 0; i < items.size(); ++i)
      all.push_back(outcomes[i] ? std::move(*outcomes[i]) : give_up(items[i], problem));
    done(std::move(all));
  }
  void end_round(Forwarder& forwarder, Executor& executor, std::shared_ptr<bool> alive) {
    const bool is_whole = std::all_of(outcomes.begin(), outcomes.end(),
                                      [](const auto& outcome) { return outcome.has_value(); });
    if (is_whole) {
      std::vector<Outcome> all;
      for (auto& outcome : outcomes) all.push_back(std::move(*outcome));
      return done(std::move(all));
    }
    const bool is_away = problem.code == Code::kFenced || problem.code == Code::kUnavailable;
    const bool may_mend = is_repeatable ? is_away || is_unsure : is_away && !is_unsure;
    if (!may_mend || executor.now() >= deadline) return end();
    forwarder.look_for_owners();
    forwarder.when_changed([self = this->shared_from_this(), &forwarder, &executor, alive] {
      if (*alive) self->run(forwarder, executor, alive);
    });
  }
};

}  // namespace skep::manager
