// SPDX-License-Identifier: Apache-2.0
// cluster_fleet.h - the fleet of managers that share a store: who leads it, and what they tell each other.
//
// Stands between the scaler of this manager and its service. The owner of shard 0 leads: twice a second it
// tells each sibling how many workers of its provisioner are wanted there, and hears how things are in its
// part. An order carries the epoch of shard 0; one of an older epoch than is known is refused. One that leads
// stops by itself when it stops serving the shard. A worker that is registered with another manager than the
// one whose provisioner started it is seen and reached where it is.
//
// Why so: docs/decisions/fleet_leader.md.
//
// Threads:   everything on the service's executor.
// Errors:    of calls are logged when a sibling falls silent; take_share: kFenced: another leads by now.
// Ownership: borrows executor, service, forwarder and calls, which must outlive it, and the scaler until it
// is
//            detached. Answers that come after its end are dropped.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/decisions.pb.h"
#include "api/skep.pb.h"
#include "base/executor.h"
#include "base/log.h"
#include "manager/forwarder.h"
#include "manager/service.h"
#include "manager/siblings.h"
#include "scaler/leadership.h"
#include "scaler/scaler.h"

namespace skep::manager {

// How long a leader may be unheard of before a manager sizes its part by itself: longer than a failover.
inline constexpr Duration kLeaderSilence = seconds(10);
// A sibling unheard of for longer counts as it last was, and is given nothing more.
inline constexpr Duration kPartSilence = seconds(3);

class ClusterFleet final : public scaler::Fleet, public scaler::Leadership {
 public:
  ClusterFleet(Executor& executor, Service& service, Forwarder& forwarder, SiblingCalls& calls, Logger log);
  ~ClusterFleet() override;
  ClusterFleet(const ClusterFleet&) = delete;
  ClusterFleet& operator=(const ClusterFleet&) = delete;

  // The scaler over this fleet, and its provisioner's kind. Null detaches.
  void attach(scaler::Scaler* scaler, bool is_cluster_wide = false);
  void start();
  // Shards came or went, here or elsewhere.
  void on_shards_changed();
  // The leader says.
  void take_share(const api::v1::ShareRequest& request, Reply<api::v1::ShareReply> reply);
  // As the leader answers, if it can be asked; else of this part.
  void scaling(std::uint32_t limit, Instant until, Reply<api::v1::ScalingReply> reply);

  // ---- scaler::Fleet ----
  scaler::Observation observe() override;
  std::vector<scaler::WorkerSeen> workers() override;
  void drain_worker(const std::string& worker) override;
  void forget_worker(const std::string& worker, const std::string& reason) override;

  // ---- scaler::Leadership ----
  scaler::FleetRole role() override;
  std::string reason() override;
  bool has_siblings() override;
  std::vector<scaler::FleetPart> siblings() override;
  void give(const std::vector<std::uint32_t>& shares, const scaler::Decision& decision) override;
  scaler::LeaderOrder order() override;

 private:
  struct Sibling {
    std::string address;
    std::optional<scaler::FleetPart> part;
    std::optional<std::uint32_t> share;
    std::vector<scaler::WorkerSeen> workers;
    Service::WaitingKinds waiting;
    Instant heard_at = kNoInstant;
    bool was_asked = false;  // and has answered, or was silent, since this manager leads
    bool is_under_way = false;
    bool is_behind = false;  // its share changed while a call was under way
    bool is_silent = false;
  };
  using Siblings = std::map<store::MemberId, Sibling>;

  bool leads();
  Epoch own_epoch() const;  // of shard 0, where it is served; 0 else
  Epoch known_epoch() const;
  void tick();
  void begin_lead();
  void end_lead();
  void update_siblings();
  void send(store::MemberId id, Sibling& sibling);
  void on_answer(store::MemberId id, Result<http::Response> answer);
  void note_waiting();
  std::optional<store::MemberId> starter_of(const std::string& instance) const;
  api::v1::ShareRequest request_for(store::MemberId id, const Sibling& sibling);
  void relay(const std::string& worker, http::ClientRequest request);

  Executor& executor_;
  Service& service_;
  Forwarder& forwarder_;
  SiblingCalls& calls_;
  Logger log_;
  scaler::Scaler* scaler_ = nullptr;
  bool is_cluster_wide_ = false;
  Instant started_at_ = kNoInstant;
  TimerId timer_ = 0;

  // Where this one leads.
  bool is_leading_ = false;
  bool is_taking_over_ = false;  // not all were asked yet
  Siblings siblings_;
  std::vector<store::MemberId> given_order_;
  scaler::Decision decision_;
  std::uint64_t started_before_ = 0;  // tasks, by siblings that are gone

  // Where another one does.
  Epoch order_epoch_ = 0;
  Instant order_at_ = kNoInstant;
  std::optional<scaler::LeaderOrder> order_;
  std::vector<scaler::WorkerSeen> elsewhere_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace skep::manager
