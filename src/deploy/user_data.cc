// SPDX-License-Identifier: Apache-2.0
#include "deploy/user_data.h"

#include "base/check.h"

namespace skep::deploy {
namespace {

std::string quoted_list(const aws::Names& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return "[" + text + "]";
}

std::string head(const Names& names, const std::string& again) {
  return "#!/bin/bash\n"
         "export AWS_DEFAULT_REGION=" +
         names.region() +
         "\n"
         "again() { " +
         again +
         " }\n"
         "parameter() {\n"
         "  aws ssm get-parameter --name \"" +
         names.parameters() +
         "/$1\" --with-decryption --query Parameter.Value --output text\n"
         "}\n";
}

std::string fetch_package(const Names& names, const Package& package) {
  return "package() {\n"
         "  aws s3 cp --quiet s3://" +
         names.bucket() + "/" + names.package_key(package) +
         " /tmp/skep.deb &&\n"
         "    echo '" +
         package.sha256 +
         "  /tmp/skep.deb' | sha256sum -c --quiet\n"
         "}\n"
         "again package\n"
         "again apt-get install -y /tmp/skep.deb\n"
         "umask 027\n"
         "mkdir -p /etc/skep/tokens\n"
         "token() { parameter \"$2\" >\"/etc/skep/tokens/$1\"; }\n"
         "again token worker worker/token\n";
}

// The volume is the one on the device, whatever its first attachment was to.
constexpr const char* kMountVolume =
    R"(device() { for d in /dev/sdf /dev/xvdf; do [ -b $d ] && return; done; return 1; }
again device
blkid -p $d
[ $? = 2 ] && mkfs.ext4 -q $d
mkdir -p /var/lib/skep
echo "UUID=$(blkid -p -s UUID -o value $d) /var/lib/skep ext4 defaults,nofail 0 2" >>/etc/fstab
systemctl daemon-reload
again mount /var/lib/skep
)";

constexpr const char* kFindManagers = R"(imds=http://169.254.169.254/latest
me() {
  t=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token) &&
    me=$(curl -sf -H "X-aws-ec2-metadata-token: $t" $imds/meta-data/local-ipv4)
}
again me
all() { all=$(parameter worker/managers) && [[ ,$all, == *"//$me:8080,"* ]]; }
again all
others=$(echo "$all" | tr , '\n' | sed 's,^http://,,' | grep -vx "$me:8080")
)";

constexpr const char* kStartManager = R"(chgrp -R skep /etc/skep
unit=/etc/systemd/system/skep-manager.service.d
mkdir -p $unit
{
  echo '[Unit]'
  echo 'RequiresMountsFor=/var/lib/skep'
  echo '[Service]'
  for r in admin client worker sibling; do
    f=/etc/skep/tokens/$r
    echo "ExecStartPre=/usr/bin/skep token import --config /etc/skep/skep.toml --role $r --token-file $f"
  done
} >$unit/aws.conf
systemctl daemon-reload
systemctl enable --now skep-manager.service
)";

// By which managers know that it is the database, and nobody else, that they tell the password.
std::string fetch_authorities(const Names& names) {
  const std::string& region = names.region();
  return std::string("again curl -sf -o ") + kAuthorities + " https://truststore.pki.rds.amazonaws.com/" +
         region + "/" + region + "-bundle.pem\n";
}

// Those that run already learn of this one, also if its address is new.
constexpr const char* kTellSiblings =
    R"(sed 's/^/Authorization: Bearer /' /etc/skep/tokens/sibling >/etc/skep/tokens/header
for s in $others; do
  for i in {1..60}; do
    curl -sf -m 5 -X POST -H @/etc/skep/tokens/header "http://$s/register_sibling?sibling=$me:8080" && break
    sleep 5
  done
done
rm /etc/skep/tokens/header
)";

std::string manager_settings(const ClusterWish& wish, const Names& names, const aws::Names& subnets,
                             int slot) {
  const int managers = wish.fleet.managers;
  const bool has_volume = wish.store == StoreKind::kVolumes;
  const std::string store = has_volume ? "rocksdb:/var/lib/skep/store" : "$store";
  std::string text = has_volume ? "" : "s() { store=$(parameter manager/store); }\nagain s\n";
  text += "cat >/etc/skep/skep.toml <<E\n[token]\nstore = \"" + store + "\"\n[manager]\nstore = \"" + store +
          "\"\n";
  text += "listen = \"0.0.0.0:8080\"\nadvertise = \"$me:8080\"\n";
  text += "sibling-token-file = \"/etc/skep/tokens/sibling\"\n";
  // Managers of one database know each other by it.
  if (has_volume) text += "sibling = [$(echo \"$others\" | sed '/./s/.*/\"&\"/' | paste -sd,)]\n";
  // Of one database the leader's bounds are the whole fleet's; with stores of their own each has workers of
  // its own.
  const auto bound = [&](int total) {
    return std::to_string(has_volume ? share_of(total, managers, slot) : total);
  };
  text += "min-workers = " + bound(wish.workers_min) + "\n";
  text += "max-workers = " + bound(wish.fleet.workers_max) + "\n";
  text += "provisioner = \"ec2\"\nec2-cluster = \"" + names.cluster() + "\"\n";
  text += "ec2-worker-types = " + quoted_list(wish.fleet.worker_types) + "\n";
  text += "ec2-subnets = " + quoted_list(subnets) + "\n";
  if (wish.fleet.is_spot) text += "ec2-spot = true\n";
  return text + "E\n";
}

}  // namespace

std::string manager_user_data(const ClusterWish& wish, const Names& names, const aws::Names& subnets,
                              int slot) {
  const Package* package = wish.package_for(architecture_of(wish.fleet.manager_type));
  SKEP_CHECK(package != nullptr, "the managers' package is known before they are launched");
  std::string text = head(names, "until \"$@\"; do sleep 5; done;");
  text += fetch_package(names, *package);
  if (wish.store == StoreKind::kVolumes) text += kMountVolume;
  if (wish.store == StoreKind::kRds) text += fetch_authorities(names);
  text += "for r in admin client sibling; do again token $r manager/$r-token; done\n";
  text += kFindManagers;
  text += manager_settings(wish, names, subnets, slot);
  text += kStartManager;
  if (wish.store == StoreKind::kVolumes) text += kTellSiblings;
  return text;
}

std::string worker_user_data(const ClusterWish& wish, const Names& names, const std::string& architecture) {
  const Package* package = wish.package_for(architecture);
  SKEP_CHECK(package != nullptr, "the workers' package is known before there is a template");
  std::string text = head(names, "for i in {1..60}; do \"$@\" && return; sleep 5; done; poweroff; exit 1;");
  text += fetch_package(names, *package);
  text += R"(all() { all=$(parameter worker/managers) && [ -n "$all" ]; }
again all
cat >/etc/skep/skep.toml <<E
[worker]
manager = "$all"
token-file = "/etc/skep/tokens/worker"
orphan-timeout = "10m"
ec2 = true
E
chgrp -R skep /etc/skep
unit=/etc/systemd/system/skep-worker.service.d
mkdir -p $unit
cat >$unit/aws.conf <<E
[Unit]
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Restart=no
E
systemctl daemon-reload
systemctl enable --now skep-worker.service
)";
  return text;
}

}  // namespace skep::deploy
