// SPDX-License-Identifier: Apache-2.0
// Results, from here and from the siblings: the oldest finished first.
//
// Each manager gives what it has, up to as many as are wanted, with a receipt. The oldest of all of these are
// chosen, and the others are put back where they came from. Where each result is given once, what was chosen
// is acknowledged before it is sent, and what of it is not surely acknowledged is not sent. So nothing is
// given twice, whoever falls silent when: before the acknowledgement a result comes again, after it it has
// been given, or stands at its task.
#include <algorithm>
#include <limits>

#include "api/protocol.h"
#include "manager/forwarder_ask.h"

namespace skep::manager {
namespace {

using api::Endpoint;
using client::Encoding;
namespace v1 = api::v1;

// Between two looks at the siblings of one who waits here.
constexpr Duration kPullSlice = milliseconds(500);

// What one manager gave, and what is done with it.
struct Part {
  v1::PullReply pulled;
  std::vector<bool> is_chosen = {};  // by item
  std::size_t chosen = 0;
  bool is_unsure = false;  // whether they are acknowledged
};

http::ClientRequest pull_request(const queue::Pull& command, std::uint32_t max) {
  http::Query query{{"max", std::to_string(max)}};
  if (!command.queue.empty()) query.emplace_back("queue", command.queue);
  return client::make_request(Endpoint::kPullResults, {"", std::move(query)}, Encoding::kProtobuf);
}

std::uint64_t bytes_of(const v1::PullReply& pulled) {
  std::uint64_t bytes = 0;
  for (const auto& item : pulled.items()) bytes += item.result().size();
  return bytes;
}

}  // namespace

struct Forwarder::Pulling {
  queue::Pull command;
  bool is_once = false;
  Instant wait_until{};
  std::shared_ptr<IsWanted> is_wanted;
  Reply<v1::PullReply> reply;
  // Of one round.
  std::map<std::string, Part> parts;  // by address
  std::set<std::string> silent;
  std::size_t left = 0;
  std::vector<std::pair<Part*, int>> order;  // what was chosen
  std::vector<std::string> later;            // who can not put back what is not used

  void take(const std::string& address, v1::PullReply pulled) {
    Part part{std::move(pulled)};
    part.is_chosen.resize(static_cast<std::size_t>(part.pulled.items_size()));
    parts.emplace(address, std::move(part));
  }

  // A manager that gave as many as it may has more, and none of them is older than the last one that it gave.
  std::int64_t known_until() const {
    std::int64_t until = std::numeric_limits<std::int64_t>::max();
    for (const auto& [address, part] : parts) {
      const auto& items = part.pulled.items();
      const bool is_cut = static_cast<std::uint32_t>(items.size()) >= command.max ||
                          bytes_of(part.pulled) >= command.bytes_max;
      if (is_cut && !items.empty()) until = std::min(until, items.rbegin()->finished_at_ms());
    }
    return until;
  }

  void choose() {
    std::vector<std::pair<Part*, int>> all;
    for (auto& [address, part] : parts) {
      for (int i = 0; i < part.pulled.items_size(); ++i) all.emplace_back(&part, i);
    }
    const auto item = [](const auto& place) -> const v1::ResultItem& {
      return place.first->pulled.items(place.second);
    };
    std::stable_sort(all.begin(), all.end(), [&](const auto& x, const auto& y) {
      return item(x).finished_at_ms() < item(y).finished_at_ms();
    });
    const std::int64_t until = known_until();
    std::uint64_t bytes = 0;
    for (const auto& place : all) {
      const bool is_full = order.size() >= command.max || bytes >= command.bytes_max;
      if (is_full || item(place).finished_at_ms() > until) break;
      bytes += item(place).result().size();
      place.first->is_chosen[static_cast<std::size_t>(place.second)] = true;
      ++place.first->chosen;
      order.push_back(place);
    }
  }

  std::uint32_t room() const {
    std::uint64_t bytes = 0;
    for (const auto& [part, i] : order) bytes += part->pulled.items(i).result().size();
    if (bytes >= command.bytes_max) return 0;
    return command.max - static_cast<std::uint32_t>(std::min<std::size_t>(order.size(), command.max));
  }

  // All of a part, behind what was chosen.
  void add_whole(const std::string& address) {
    Part& part = parts.at(address);
    part.chosen = part.is_chosen.size();
    part.is_chosen.assign(part.chosen, true);
    for (int i = 0; i < part.pulled.items_size(); ++i) order.emplace_back(&part, i);
  }

  // What the manager of a part is told.
  v1::AckRequest settlement(const Part& part) const {
    v1::AckRequest request;
    if (is_once && part.chosen > 0) request.set_receipt(part.pulled.receipt());
    for (int i = 0; i < part.pulled.items_size(); ++i) {
      if (!part.is_chosen[static_cast<std::size_t>(i)]) request.add_put_back(part.pulled.items(i).id());
    }
    if (request.put_back_size() > 0) request.set_put_back_receipt(part.pulled.receipt());
    return request;
  }

  v1::PullReply result() {
    v1::PullReply all;
    for (const auto& [part, i] : order) {
      if (!part->is_unsure) all.add_items()->Swap(part->pulled.mutable_items(i));
    }
    for (const auto& [address, part] : parts) {
      if (is_once || part.chosen == 0) continue;
      all.set_receipt(all.receipt() + (all.receipt().empty() ? "" : ",") + part.pulled.receipt());
      const auto again = part.pulled.redelivered_at_ms();
      if (all.redelivered_at_ms() == 0 || again < all.redelivered_at_ms()) all.set_redelivered_at_ms(again);
    }
    for (const auto& address : silent) all.add_silent(address);
    return all;
  }
};

void Forwarder::pull(queue::Pull command, Service::Delivery delivery, Instant wait_until, IsWanted is_wanted,
                     Reply<v1::PullReply> reply) {
  auto pulling = std::make_shared<Pulling>();
  pulling->command = std::move(command);
  pulling->is_once = delivery == Service::Delivery::kOnce;
  pulling->wait_until = wait_until;
  pulling->is_wanted = std::make_shared<IsWanted>(std::move(is_wanted));
  pulling->reply = std::move(reply);
  pull_here(pulling, false);
}

void Forwarder::pull_here(const std::shared_ptr<Pulling>& pulling, bool may_wait) {
  const Instant now = executor_.now();
  const Instant until = may_wait ? std::min(pulling->wait_until, now + kPullSlice) : kNoInstant;
  const auto is_wanted = [shared = pulling->is_wanted] { return !*shared || (*shared)(); };
  pulling->parts.clear();
  pulling->silent.clear();
  pulling->order.clear();
  pulling->later.clear();
  service_.pull(pulling->command, Service::Delivery::kReceiptInOrder, until, is_wanted,
                [this, alive = alive_, pulling](Result<v1::PullReply> pulled) {
                  if (!*alive) return;
                  if (pulled) {
                    pulling->take(service_.options().address, std::move(pulled.value()));
                  } else if (sibling_addresses().empty()) {
                    return pulling->reply(pulled.error());
                  } else {
                    // Others may have what this one can not give now.
                    pulling->silent.insert(service_.options().address);
                  }
                  pull_there(pulling);
                });
}

void Forwarder::pull_there(const std::shared_ptr<Pulling>& pulling) {
  std::vector<std::string> asked;
  for (const auto& address : sibling_addresses()) {
    if (!book_.may_be_asked(address)) continue;
    if (is_silent(address)) {
      pulling->silent.insert(address);
    } else if (book_.protocol_of(address) < api::kProtocolPutsBack) {
      pulling->later.push_back(address);
    } else {
      asked.push_back(address);
    }
  }
  pulling->left = asked.size();
  if (asked.empty()) {
    pulling->choose();
    return pull_later(pulling);
  }
  const auto request = pull_request(pulling->command, pulling->command.max);
  for (const auto& address : asked) {
    ask<v1::PullReply>(address, request, kGatherPatience,
                       [this, pulling, address](Result<v1::PullReply> answer) {
                         if (answer) {
                           pulling->take(address, std::move(answer.value()));
                         } else {
                           pulling->silent.insert(address);
                         }
                         if (--pulling->left > 0) return;
                         pulling->choose();
                         pull_later(pulling);
                       });
  }
}

// Of a sibling of an older version no more is pulled than there is room for.
void Forwarder::pull_later(const std::shared_ptr<Pulling>& pulling) {
  const std::uint32_t room = pulling->room();
  if (pulling->later.empty() || room == 0) return settle_pulled(pulling);
  const std::string address = pulling->later.back();
  pulling->later.pop_back();
  ask<v1::PullReply>(address, pull_request(pulling->command, room), kGatherPatience,
                     [this, pulling, address](Result<v1::PullReply> answer) {
                       if (answer) {
                         pulling->take(address, std::move(answer.value()));
                         pulling->add_whole(address);
                       } else {
                         pulling->silent.insert(address);
                       }
                       pull_later(pulling);
                     });
}

void Forwarder::settle_pulled(const std::shared_ptr<Pulling>& pulling) {
  std::vector<std::pair<std::string, v1::AckRequest>> requests;
  for (const auto& [address, part] : pulling->parts) {
    auto request = pulling->settlement(part);
    const bool is_needed = !request.receipt().empty() || request.put_back_size() > 0;
    if (is_needed) requests.emplace_back(address, std::move(request));
  }
  pulling->left = requests.size();
  if (requests.empty()) return end_pull(pulling);
  for (auto& [address, request] : requests) {
    const bool is_here = address == service_.options().address;
    ack_at(is_here ? "" : address, std::move(request),
           [this, alive = alive_, pulling, manager = address](Result<v1::AckReply> done) {
             if (!*alive) return;
             Part& part = pulling->parts.at(manager);
             part.is_unsure = pulling->is_once && (!done || done.value().acknowledged() != part.chosen);
             if (part.is_unsure) pulling->silent.insert(manager);
             if (--pulling->left == 0) end_pull(pulling);
           });
  }
}

void Forwarder::end_pull(const std::shared_ptr<Pulling>& pulling) {
  auto pulled = pulling->result();
  const bool is_over = pulled.items_size() > 0 || executor_.now() >= pulling->wait_until ||
                       service_.is_draining() || (*pulling->is_wanted && !(*pulling->is_wanted)());
  if (is_over) return pulling->reply(std::move(pulled));
  // This one can give nothing now, so that it can not wait either.
  const bool can_wait = !pulling->silent.contains(service_.options().address);
  if (!can_wait) return when_changed([this, pulling] { pull_here(pulling, true); });
  pull_here(pulling, true);
}

}  // namespace skep::manager
