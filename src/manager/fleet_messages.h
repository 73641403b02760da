// SPDX-License-Identifier: Apache-2.0
// fleet_messages.h - what managers tell each other of their parts of the fleet, as messages.
//
// Threads:   pure functions.
// Units:     instants go as spans from `now`, the sender's and the receiver's: clocks differ.
#pragma once

#include "api/skep.pb.h"
#include "manager/service.h"
#include "scaler/fleet_share.h"

namespace skep::manager {

void to_message(const scaler::FleetPart& part, Instant now, api::v1::FleetPart& out);
scaler::FleetPart from_message(const api::v1::FleetPart& message, Instant now);
void to_messages(const std::vector<scaler::TypeBoots>& boots,
                 google::protobuf::RepeatedPtrField<api::v1::TypeBoots>& out);
// One for each load, with its objective; that of the rest is the target wait of all.
void to_messages(const scaler::Bounds& bounds, const std::vector<scaler::QueueLoad>& loads,
                 google::protobuf::RepeatedPtrField<api::v1::QueueObjective>& out);

void to_message(const scaler::WorkerSeen& worker, Instant now, api::v1::FleetWorker& out);
scaler::WorkerSeen from_message(const api::v1::FleetWorker& message, Instant now);

}  // namespace skep::manager
