// SPDX-License-Identifier: Apache-2.0
// plan.h - what has to be done so that a cluster is as it is wanted, or is gone: steps with their reasons.
// Pure.
//
// The same facts give the same steps; from facts of a finished cluster there are none. A step's result is put
// into the facts by who carries it out (apply.h), and the steps stand in an order in which each finds what it
// needs. Nothing is planned for what is not the cluster's own.
//
// Threads:   any thread; values in, values out.
// Errors:    kConflict: something else has this cluster's names, or its database can not be used. kInvalid: a
//            package, or a zone for the database, is missing.
#pragma once

#include "deploy/found.h"

namespace skep::deploy {

enum class StepKind : std::uint8_t {
  kMark,               // the parameter that says since when the cluster is there
  kCreateGroup,        // security group
  kAllow,              // a rule
  kRevoke,             // the same
  kCreateRole,         //
  kPutPolicy,          // of the role
  kCreateProfile,      // instance profile
  kAddRole,            // to the profile
  kCreateBucket,       //
  kTagBucket,          //
  kUpload,             // a package
  kMakeToken,          // into its parameter
  kCreateSubnetGroup,  // of the database
  kMakePassword,       // of the database, into its parameter
  kCreateDatabase,
  kAwaitDatabase,
  kPutStore,  // the database's address into its parameter
  kCreateTemplate,
  kRenewTemplate,
  kEndInstance,
  kLaunchManager,
  kCreateVolume,
  kAttachVolume,
  kTellManagers,  // the parameter with their addresses
  // Of an end alone:
  kDeleteTemplate,
  kDeleteVolume,
  kDeleteDatabase,
  kDeleteSubnetGroup,
  kDeleteParameter,
  kEmptyBucket,
  kDeleteBucket,
  kDeleteProfile,
  kDeleteRole,
  kDeleteGroup,
};

struct Step {
  StepKind kind{};
  std::string what;    // "create security group skep-prod": unique in a plan
  std::string reason;  // "there is none"
  std::string name;    // of the resource, or its id where it has none that we choose
  Part part = Part::kManager;
  int slot = 0;
  std::string architecture;
  std::string token_role;
  std::string address;    // that the slot had before; of a database that ends: the name of its snapshot
  aws::IngressRule rule;  // with the group "self": the cluster's own
  std::string config;     // hash of what it is made with
};

struct Plan {
  std::vector<Step> steps;
  aws::Names notes;  // what is left as it is, and why
};

// Hashes of what an instance or a launch template is made with: their tags skep:config.
std::string manager_config(const ClusterWish& wish, const Names& names, const Ground& ground, int slot);
std::string template_config(const ClusterWish& wish, const Names& names, const Found& found,
                            const Ground& ground, const std::string& architecture);

// A package that is not named is the one that the bucket has. kInvalid: it has several.
Result<void> take_known_packages(ClusterWish& wish, const Found& found);

Result<Plan> plan_up(const ClusterWish& wish, const Names& names, const Found& found, const Ground& ground);

// The address of the store that managers share, a secret; "": it is not known yet, or they share none.
std::string store_url(const ClusterWish& wish, const Found& found);
// It answers, or soon does, as its status has it.
bool is_usable(const aws::Database& database);
// What the database is kept as when it is deleted: another name for each that there ever was.
std::string snapshot_of(const Names& names, const aws::Database& database);

// The live manager of a slot: that which has the slot's volume, else the oldest. Null: none.
const aws::Instance* manager_of(const Found& found, int slot);
// The volume of a slot: one that is attached before one that is not. Null: none.
const aws::Volume* volume_of(const Found& found, int slot);
// Where a manager of the slot is launched: in the zone of its volume, else first in the zone that is the
// slot's turn; with each subnet the address that the slot is to keep, if it lies in there.
struct Place {
  std::string subnet;
  std::string zone;
  std::string address;
};
std::vector<Place> places_for(const Found& found, const Ground& ground, int slot, const std::string& address);

enum class Data { kKept, kDeleted };

// Managers end first, so that nobody launches workers any more.
Plan plan_down(const Names& names, const Found& found, Data data);

}  // namespace skep::deploy
