// SPDX-License-Identifier: Apache-2.0
// cluster.h - a cluster of skep on AWS as it is wanted, and what everything that belongs to it is called
// there.
//
// Names follow from the cluster's name (where AWS has one space for all regions, from the region too), so
// that each resource is found again by a later run, and two clusters never meet. Whatever can have a tag has
// skep:cluster.
//
// Threads:   values.
// Errors:    check(): kInvalid with one sentence.
// Units:     sizes of volumes are GiB, of packages bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "deploy/readiness.h"

namespace skep::deploy {

inline constexpr int kPort = 8080;  // of every manager
inline constexpr const char* kClusterTag = "skep:cluster";
inline constexpr const char* kRoleTag = "skep:role";      // "manager", "worker"; of volumes with data "store"
inline constexpr const char* kSlotTag = "skep:slot";      // of managers and their volumes: "1", "2", ...
inline constexpr const char* kConfigTag = "skep:config";  // what it was made with, as a hash
inline constexpr const char* kDataDevice = "/dev/sdf";
inline constexpr int kDatabasePort = 5432;
inline constexpr const char* kDatabaseUser = "skep";
inline constexpr const char* kDatabaseName = "skep";
inline constexpr const char* kDatabaseVersion = "15";
inline constexpr int kDatabaseGibMin = 20;
// Where managers have the authorities that RDS's certificates are of.
inline constexpr const char* kAuthorities = "/etc/skep/rds-ca.pem";

// What an instance is for.
enum class Part : std::uint8_t { kManager, kWorker };
inline constexpr Part kParts[] = {Part::kManager, Part::kWorker};
std::string part_name(Part part);  // "manager"

enum class StoreKind : std::uint8_t {
  kVolumes,   // RocksDB, each manager on a volume of its own
  kPostgres,  // a database that is there
  kRds,       // one that is made for them
};

// A Debian package of skep.
struct Package {
  std::string path;          // here; "" for one that is in the bucket already
  std::string architecture;  // "amd64", "arm64"
  std::string sha256;        // hexadecimal
};

struct ClusterWish {
  std::string name;
  FleetWish fleet;  // managers, types, the most workers, VPC
  int workers_min = 0;
  aws::Names subnets;      // ids; none: all of the VPC
  aws::Names allow_cidrs;  // who outside may reach the port
  StoreKind store = StoreKind::kVolumes;
  std::string store_url;                       // of a database that is there; a secret
  std::string database_type = "db.m6g.large";  // of one that is made
  std::vector<Package> packages;
  std::string image;    // of the managers' architecture; "": Debian's newest
  int volume_gib = 20;  // of each volume, or of the database

  // Of managers and workers, each once, the managers' first.
  aws::Names architectures() const;
  // Null: there is none for it.
  const Package* package_for(const std::string& architecture) const;
};

Result<void> check(const ClusterWish& wish);
// What a cluster may be called: up to 24 of a-z, 0-9 and '-', a letter first, no '-' at the end.
Result<void> check_cluster_name(const std::string& name);

// What things of a cluster are called.
class Names {
 public:
  Names(std::string cluster, std::string region, std::string account)
      : cluster_(std::move(cluster)), region_(std::move(region)), account_(std::move(account)) {}

  const std::string& cluster() const { return cluster_; }
  const std::string& region() const { return region_; }
  const std::string& account() const { return account_; }

  std::string group() const { return "skep-" + cluster_; }
  std::string database() const { return "skep-" + cluster_; }
  std::string subnet_group() const { return "skep-" + cluster_; }  // of the database
  std::string database_group() const { return "skep-" + cluster_ + "-database"; }
  std::string role(Part part) const { return "skep-" + cluster_ + "-" + region_ + "-" + part_name(part); }
  std::string profile(Part part) const { return role(part); }
  std::string policy() const { return "skep"; }  // of each role
  std::string bucket() const { return "skep-" + cluster_ + "-" + account_ + "-" + region_; }
  // `machine`: as EC2 names it, "x86_64".
  std::string worker_template(const std::string& machine) const {
    return "skep-" + cluster_ + "-worker-" + machine;
  }
  std::string instance(int slot) const { return "skep-" + cluster_ + "-manager-" + std::to_string(slot); }
  std::string parameters() const { return "/skep/" + cluster_; }
  // A secret that managers alone read: "client-token", ...
  std::string manager_parameter(const std::string& what) const { return parameters() + "/manager/" + what; }
  // One that workers read too.
  std::string worker_parameter(const std::string& what) const { return parameters() + "/worker/" + what; }
  std::string store_parameter() const { return manager_parameter("store"); }
  std::string password_parameter() const { return manager_parameter("database-password"); }
  std::string token_parameter(const std::string& role) const {
    return role == "worker" ? worker_parameter("token") : manager_parameter(role + "-token");
  }
  std::string package_key(const Package& package) const {
    return package.architecture + "/" + package.sha256 + ".deb";
  }

  aws::Tags tags() const { return {{kClusterTag, cluster_}}; }
  aws::Tags instance_tags(Part part) const;

 private:
  std::string cluster_;
  std::string region_;
  std::string account_;
};

// Roles whose tokens `up` makes.
inline constexpr const char* kTokenRoles[] = {"admin", "client", "worker", "sibling"};

// "x86_64" for Debian's "amd64".
std::string machine_of(const std::string& architecture);

// The workers that a manager may start of `total`, so that those of all managers make that.
int share_of(int total, int managers, int slot);

// What a user of the addresses HOST:PORT types.
std::string managers_text(const aws::Names& hosts);
aws::Names hosts_of(const std::string& managers_text);

}  // namespace skep::deploy
