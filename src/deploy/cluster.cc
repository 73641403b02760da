// SPDX-License-Identifier: Apache-2.0
#include "deploy/cluster.h"

#include <algorithm>

#include "base/network.h"

namespace skep::deploy {
namespace {

constexpr std::size_t kNameMax = 24;
constexpr int kManagersMax = 9;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Result<void> check_database(const ClusterWish& wish) {
  if (wish.name.find("--") != std::string::npos)
    return fail(Code::kInvalid, "--name '" + wish.name + "' has \"--\" in it, which no database of RDS may");
  if (!wish.database_type.starts_with("db."))
    return fail(Code::kInvalid, "--database-type '" + wish.database_type + "' is none, as db.m6g.large is");
  if (wish.volume_gib < kDatabaseGibMin) {
    return fail(Code::kInvalid, "--volume-gib is at least " + std::to_string(kDatabaseGibMin) +
                                    " with --store rds: RDS makes no smaller ones");
  }
  return ok();
}

Result<void> check_store(const ClusterWish& wish) {
  if (wish.store == StoreKind::kRds) return check_database(wish);
  if (wish.store != StoreKind::kPostgres) return ok();
  const bool is_plain = std::all_of(wish.store_url.begin(), wish.store_url.end(), [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '\'' && c != '`' && c != '$';
  });
  if (is_plain) return ok();
  return fail(
      Code::kInvalid,
      "--store has a blank, a quote, a backslash or a dollar sign in it: write it as %XX, as in any URL");
}

}  // namespace

std::string part_name(Part part) {
  return part == Part::kManager ? "manager" : "worker";
}

aws::Names ClusterWish::architectures() const {
  aws::Names found{architecture_of(fleet.manager_type)};
  for (const std::string& type : fleet.worker_types) {
    const std::string architecture = architecture_of(type);
    if (std::find(found.begin(), found.end(), architecture) == found.end()) found.push_back(architecture);
  }
  return found;
}

const Package* ClusterWish::package_for(const std::string& architecture) const {
  for (const Package& package : packages) {
    if (package.architecture == architecture) return &package;
  }
  return nullptr;
}

Result<void> check_cluster_name(const std::string& name) {
  const bool is_good =
      !name.empty() && name.size() <= kNameMax && is_lower(name.front()) && name.back() != '-' &&
      std::all_of(name.begin(), name.end(), [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
  if (is_good) return ok();
  return fail(Code::kInvalid,
              "--name '" + name.substr(0, 64) +
                  "' can not be a cluster's: up to 24 of a-z, 0-9 and '-', a letter first and "
                  "no '-' last");
}

Result<void> check(const ClusterWish& wish) {
  SKEP_TRY(check_cluster_name(wish.name));
  if (wish.fleet.managers < 1 || wish.fleet.managers > kManagersMax)
    return fail(Code::kInvalid, "--managers is 1 to " + std::to_string(kManagersMax));
  if (wish.workers_min > wish.fleet.workers_max)
    return fail(Code::kInvalid, "--min-workers is more than --max-workers");
  if (wish.fleet.worker_types.empty()) return fail(Code::kInvalid, "--worker-types names no type");
  for (const std::string& cidr : wish.allow_cidrs) {
    if (cidr.find('/') == std::string::npos || !Network::parse(cidr)) {
      return fail(Code::kInvalid, "--allow-cidr '" + cidr +
                                      "' is no range of addresses: write ADDRESS/BITS, as 198.51.100.7/32");
    }
  }
  return check_store(wish);
}

aws::Tags Names::instance_tags(Part part) const {
  aws::Tags tags = this->tags();
  tags[kRoleTag] = part_name(part);
  return tags;
}

std::string machine_of(const std::string& architecture) {
  return architecture == "amd64" ? "x86_64" : architecture;
}

int share_of(int total, int managers, int slot) {
  return total / managers + (slot <= total % managers ? 1 : 0);
}

std::string managers_text(const aws::Names& hosts) {
  std::string text;
  for (const std::string& host : hosts) {
    text += (text.empty() ? "http://" : ",http://") + host + ":" + std::to_string(kPort);
  }
  return text;
}

aws::Names hosts_of(const std::string& managers_text) {
  aws::Names hosts;
  std::size_t at = 0;
  while ((at = managers_text.find("http://", at)) != std::string::npos) {
    at += std::string_view("http://").size();
    hosts.push_back(managers_text.substr(at, managers_text.find_first_of(":,", at) - at));
  }
  return hosts;
}

}  // namespace skep::deploy
