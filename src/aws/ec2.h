// SPDX-License-Identifier: Apache-2.0
// ec2.h - the calls of EC2 that skep needs: networks, groups, volumes, templates, instances.
//
// A describe gives every page. Each call may be repeated: what makes something takes a client token, or is
// refused as kConflict when it is there. What was just made may be kNotFound for some minutes, also for a
// describe.
//
// Threads:   as Client.
// Errors:    those of Client; a refusal's Code as client.h says. kUnavailable of run_instances and
// create_fleet also:
//            EC2 does not know the instance profile, or the role in it, yet.
// Ownership: borrows its client.
// Units:     sizes of volumes are GiB.
#pragma once

#include <cstdint>

#include "aws/client.h"
#include "aws/form.h"

namespace skep::aws {

struct Vpc {
  std::string id;
  std::string cidr;
  bool is_default = false;
};

struct Subnet {
  std::string id;
  std::string vpc;
  std::string zone;
  int free_addresses = 0;
  bool is_default = false;
  std::string cidr{};
};

// Who may come in: from addresses, or from members of a group.
struct IngressRule {
  std::string protocol = "tcp";  // "-1": all, without ports
  int first_port = 0;
  int last_port = 0;
  std::string cidr;   // "" where a group is named
  std::string group;  // id
  bool operator==(const IngressRule&) const = default;
};

struct SecurityGroup {
  std::string id;
  std::string name;
  std::string vpc;
  std::vector<IngressRule> ingress;  // one for each address range and group
  Tags tags;
};

struct Volume {
  std::string id;
  std::string zone;
  std::string state;     // "available", "in-use", ...
  std::string instance;  // that it is attached to, "" if none
  Tags tags{};
  int size_gib = 0;
};

struct VolumeSpec {
  std::string zone;
  int size_gib = 20;
  std::string client_token;
  Tags tags;
};

struct Instance {
  std::string id;
  std::string type;
  std::string zone;
  std::string state;  // "pending", "running", "shutting-down", "terminated", "stopping", "stopped"
  std::string private_address;
  std::string public_address;
  std::string image;
  std::string reason;  // why it changed state, as EC2 says it
  bool is_spot = false;
  std::optional<Instant> launched;
  Tags tags;
};

// A launch of `count` instances. With a template, what is "" here is taken from it.
struct LaunchSpec {
  std::string client_token;  // at most 64 ASCII characters; the same one launches no second time in the zone
  int count_min = 1;
  int count_max = 1;
  std::string template_id;
  std::string template_name;  // in place of its id; the newest version
  std::string image;
  std::string type;
  std::string subnet;
  Names groups;
  std::string profile;    // instance profile's name
  std::string user_data;  // as it is, not encoded
  int disk_gib = 0;       // of the root volume; 0: the image's
  bool is_spot = false;
  std::string address;            // private, of the subnet; "": any that is free
  bool ends_on_shutdown = false;  // terminated, not stopped
  bool shows_tags = false;        // in the instance's own metadata
  Tags tags;                      // of the instances and their volumes
};

struct TemplateSpec {
  std::string name;
  std::string client_token;
  LaunchSpec launch;  // counts, tokens, subnet and template are not part of a template
  Tags tags;          // of the template itself
};

struct Template {
  std::string id;
  std::string name;
  Tags tags;
};

struct FleetChoice {
  std::string type;
  std::string subnet;
  std::string template_name;  // "": the template of the whole
  int priority = 0;           // on demand the lowest is tried first
};

// One call for one size of fleet over several types and zones; of kind instant: nothing is kept up
// afterwards.
struct FleetSpec {
  std::string client_token;
  std::string template_id;
  std::vector<FleetChoice> choices;
  int on_demand = 0;
  int spot = 0;
  Tags tags;  // of the instances
};

struct FleetError {
  std::string code;  // "InsufficientInstanceCapacity", ...
  std::string message;
  std::string type;
  std::string subnet;
  bool is_spot = false;
};

struct Fleet {
  Names instances;
  std::vector<FleetError> errors;  // of choices that gave nothing
  Names spot;                      // of the instances, those at the spot price
};

// The tags of an element that describes a resource.
Tags tags_of(const Element& element);

class Ec2 {
 public:
  explicit Ec2(Client& client) : client_(client) {}

  Result<std::vector<Vpc>> vpcs(const Filters& filters, const CallOptions& options);
  Result<std::vector<Subnet>> subnets(const Filters& filters, const CallOptions& options);
  Result<Names> zones(const CallOptions& options);  // that are available and need no opt-in, in order
  // Zones that offer an instance type.
  Result<Names> zones_with(const std::string& type, const CallOptions& options);
  // kNotFound: the region has no such type.
  Result<int> vcpus_of(const std::string& type, const CallOptions& options);

  Result<std::vector<SecurityGroup>> groups(const Filters& filters, const CallOptions& options);
  Result<std::string> create_group(const std::string& name, const std::string& description,
                                   const std::string& vpc, const Tags& tags, const CallOptions& options);
  // kConflict: one of the rules is there.
  Result<void> allow_ingress(const std::string& group, const std::vector<IngressRule>& rules,
                             const CallOptions& options);
  Result<void> revoke_ingress(const std::string& group, const std::vector<IngressRule>& rules,
                              const CallOptions& options);
  Result<void> delete_group(const std::string& group, const CallOptions& options);

  Result<std::vector<Volume>> volumes(const Filters& filters, const CallOptions& options);
  Result<std::string> create_volume(const VolumeSpec& spec, const CallOptions& options);
  Result<void> attach_volume(const std::string& volume, const std::string& instance,
                             const std::string& device, const CallOptions& options);
  Result<void> delete_volume(const std::string& volume, const CallOptions& options);

  Result<std::vector<Template>> templates(const Filters& filters, const CallOptions& options);
  Result<std::string> create_template(const TemplateSpec& spec, const CallOptions& options);
  // From now on the template is as `spec` says, its tags too: a new version, and the default one.
  Result<void> renew_template(const std::string& id, const TemplateSpec& spec, const CallOptions& options);
  Result<void> delete_template(const std::string& id, const CallOptions& options);

  Result<std::vector<Instance>> instances(const Filters& filters, const CallOptions& options);
  Result<std::vector<Instance>> run_instances(const LaunchSpec& spec, const CallOptions& options);
  Result<Fleet> create_fleet(const FleetSpec& spec, const CallOptions& options);
  // RunInstances, told as a fleet of one choice: no capacity, or a quota, is one of its errors.
  Result<Fleet> run_choice(const LaunchSpec& spec, const CallOptions& options);
  Result<void> terminate(const Names& ids, const CallOptions& options);
  Result<void> tag(const Names& ids, const Tags& tags, const CallOptions& options);

  // Whether the caller may do that, without doing it. kForbidden: no. Other errors: it is not known.
  Result<void> may(const std::string& operation, Form form, const CallOptions& options);

 private:
  Result<Element> call(const std::string& operation, Form form, const CallOptions& options);
  // Every page of a describe; `set` names the list in the answer.
  Result<std::vector<Element>> describe(const std::string& operation, const std::string& set,
                                        const Form& form, const CallOptions& options);

  Client& client_;
};

}  // namespace skep::aws
