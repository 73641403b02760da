// SPDX-License-Identifier: Apache-2.0
// What ec2.h says of instances: launch templates, launches one by one and by fleet, and their ends.
#include <algorithm>

#include "aws/ec2.h"
#include "aws/encoding.h"

namespace skep::aws {
namespace {

Instance instance_of(const Element& item) {
  Instance instance;
  instance.id = item.text_of("instanceId");
  instance.type = item.text_of("instanceType");
  instance.zone = item.at("placement").text_of("availabilityZone");
  instance.state = item.at("instanceState").text_of("name");
  instance.private_address = item.text_of("privateIpAddress");
  instance.public_address = item.text_of("ipAddress");
  instance.image = item.text_of("imageId");
  instance.reason = item.at("stateReason").text_of("message");
  instance.is_spot = item.text_of("instanceLifecycle") == "spot";
  instance.launched = parse_iso_date(item.text_of("launchTime"));
  instance.tags = tags_of(item);
  return instance;
}

// What a launch and a template have in common; `prefix` is "" or "LaunchTemplateData.".
void add_launch(Form& form, const std::string& prefix, const LaunchSpec& spec) {
  form.set_if(prefix + "ImageId", spec.image).set_if(prefix + "InstanceType", spec.type);
  form.list(prefix + "SecurityGroupId", spec.groups);
  form.set_if(prefix + "IamInstanceProfile.Name", spec.profile);
  form.set_if(prefix + "UserData", base64_of(spec.user_data));
  form.set_if(prefix + "PrivateIpAddress", spec.address);  // of a launch alone
  if (spec.ends_on_shutdown) form.set(prefix + "InstanceInitiatedShutdownBehavior", "terminate");
  if (spec.disk_gib > 0) {
    const std::string disk = prefix + "BlockDeviceMapping.1.";
    form.set(disk + "DeviceName", "/dev/xvda").set(disk + "Ebs.VolumeSize", std::to_string(spec.disk_gib));
    form.set(disk + "Ebs.VolumeType", "gp3").flag(disk + "Ebs.DeleteOnTermination", true);
  }
  if (spec.template_id.empty() && spec.template_name.empty()) {
    // Version 2 of the metadata service alone, and not for what runs in containers behind another hop.
    form.set(prefix + "MetadataOptions.HttpTokens", "required");
    form.set(prefix + "MetadataOptions.HttpPutResponseHopLimit", "1");
    if (spec.shows_tags) form.set(prefix + "MetadataOptions.InstanceMetadataTags", "enabled");
  }
  form.tag_specification(prefix, 1, "instance", spec.tags).tag_specification(prefix, 2, "volume", spec.tags);
}

// IAM tells EC2 of a new profile, and of the role in it, some seconds to minutes late.
bool is_profile_unknown(const std::string& code, const std::string& message) {
  return code == "InvalidParameterValue" &&
         (message.find("Invalid IAM Instance Profile") != std::string::npos ||
          message.find("has no associated IAM Roles") != std::string::npos);
}

Error launch_error(const Reply& reply) {
  Error error = to_error(reply);
  if (is_profile_unknown(reply.error_code, reply.error_message)) error.code = Code::kUnavailable;
  return error;
}

Call launch_call(const std::string& operation, Form form) {
  Call call;
  call.service = Service::kEc2;
  call.operation = operation;
  call.form = form.take();
  return call;
}

Result<Element> launch(Client& client, const std::string& operation, Form form, const CallOptions& options) {
  SKEP_TRY(const Reply reply, client.send(launch_call(operation, std::move(form)), options));
  if (!reply.is_ok()) return launch_error(reply);
  return parse_xml(reply.http.body);
}

Form run_form(const LaunchSpec& spec) {
  Form form;
  form.set("MinCount", std::to_string(spec.count_min)).set("MaxCount", std::to_string(spec.count_max));
  form.set_if("ClientToken", spec.client_token).set_if("LaunchTemplate.LaunchTemplateId", spec.template_id);
  if (!spec.template_name.empty()) {
    form.set("LaunchTemplate.LaunchTemplateName", spec.template_name);
    form.set("LaunchTemplate.Version", "$Latest");
  }
  form.set_if("SubnetId", spec.subnet);
  add_launch(form, "", spec);
  if (spec.is_spot) form.set("InstanceMarketOptions.MarketType", "spot");
  return form;
}

std::vector<Instance> started_of(const Element& answer) {
  std::vector<Instance> started;
  for (const Element& item : answer.list("instancesSet")) started.push_back(instance_of(item));
  return started;
}

// One configuration for each template that the choices name, in the order in which they do.
void add_choices(Form& form, const FleetSpec& spec) {
  Names templates;
  for (const FleetChoice& choice : spec.choices) {
    if (std::find(templates.begin(), templates.end(), choice.template_name) == templates.end())
      templates.push_back(choice.template_name);
  }
  for (std::size_t i = 0; i < templates.size(); ++i) {
    const std::string config = "LaunchTemplateConfigs." + std::to_string(i + 1) + ".";
    const std::string from = config + "LaunchTemplateSpecification.";
    if (templates[i].empty()) {
      form.set(from + "LaunchTemplateId", spec.template_id);
    } else {
      form.set(from + "LaunchTemplateName", templates[i]);
    }
    form.set(from + "Version", "$Latest");
    int number = 0;
    for (const FleetChoice& choice : spec.choices) {
      if (choice.template_name != templates[i]) continue;
      const std::string name = config + "Overrides." + std::to_string(++number);
      form.set(name + ".InstanceType", choice.type).set(name + ".SubnetId", choice.subnet);
      form.set(name + ".Priority", std::to_string(choice.priority) + ".0");
    }
  }
}

}  // namespace

Result<std::vector<Template>> Ec2::templates(const Filters& filters, const CallOptions& options) {
  SKEP_TRY(const auto items,
           describe("DescribeLaunchTemplates", "launchTemplates", Form().filters(filters), options));
  std::vector<Template> found;
  for (const Element& item : items)
    found.push_back({item.text_of("launchTemplateId"), item.text_of("launchTemplateName"), tags_of(item)});
  return found;
}

Result<std::string> Ec2::create_template(const TemplateSpec& spec, const CallOptions& options) {
  Form form;
  form.set("LaunchTemplateName", spec.name).set_if("ClientToken", spec.client_token);
  add_launch(form, "LaunchTemplateData.", spec.launch);
  form.tag_specification("", 1, "launch-template", spec.tags);
  SKEP_TRY(const Element answer, call("CreateLaunchTemplate", std::move(form), options));
  return answer.at("launchTemplate").text_of("launchTemplateId");
}

Result<void> Ec2::renew_template(const std::string& id, const TemplateSpec& spec,
                                 const CallOptions& options) {
  Form form;
  form.set("LaunchTemplateId", id);
  add_launch(form, "LaunchTemplateData.", spec.launch);
  SKEP_TRY(const Element answer, call("CreateLaunchTemplateVersion", std::move(form), options));
  Form chosen;
  chosen.set("LaunchTemplateId", id);
  chosen.set("SetDefaultVersion", answer.at("launchTemplateVersion").text_of("versionNumber"));
  SKEP_TRY(call("ModifyLaunchTemplate", std::move(chosen), options));
  return tag({id}, spec.tags, options);
}

Result<void> Ec2::delete_template(const std::string& id, const CallOptions& options) {
  SKEP_TRY(call("DeleteLaunchTemplate", Form().set("LaunchTemplateId", id), options));
  return ok();
}

Result<std::vector<Instance>> Ec2::instances(const Filters& filters, const CallOptions& options) {
  Form form;
  form.filters(filters).set("MaxResults", "1000");
  SKEP_TRY(const auto reservations, describe("DescribeInstances", "reservationSet", form, options));
  std::vector<Instance> found;
  for (const Element& reservation : reservations) {
    for (const Element& item : reservation.list("instancesSet")) found.push_back(instance_of(item));
  }
  return found;
}

Result<std::vector<Instance>> Ec2::run_instances(const LaunchSpec& spec, const CallOptions& options) {
  SKEP_TRY(const Element answer, launch(client_, "RunInstances", run_form(spec), options));
  return started_of(answer);
}

Result<Fleet> Ec2::run_choice(const LaunchSpec& spec, const CallOptions& options) {
  SKEP_TRY(const Reply reply, client_.send(launch_call("RunInstances", run_form(spec)), options));
  Fleet fleet;
  if (!reply.is_ok()) {
    Error error = launch_error(reply);
    if (error.code != Code::kExhausted) return error;
    fleet.errors.push_back({reply.error_code, reply.error_message, spec.type, spec.subnet, spec.is_spot});
    return fleet;
  }
  SKEP_TRY(const Element answer, parse_xml(reply.http.body));
  for (Instance& instance : started_of(answer)) {
    if (instance.is_spot) fleet.spot.push_back(instance.id);
    fleet.instances.push_back(std::move(instance.id));
  }
  return fleet;
}

Result<Fleet> Ec2::create_fleet(const FleetSpec& spec, const CallOptions& options) {
  Form form;
  form.set("Type", "instant").set_if("ClientToken", spec.client_token);
  add_choices(form, spec);
  const std::string size = "TargetCapacitySpecification.";
  form.set(size + "TotalTargetCapacity", std::to_string(spec.on_demand + spec.spot));
  form.set(size + "OnDemandTargetCapacity", std::to_string(spec.on_demand));
  form.set(size + "SpotTargetCapacity", std::to_string(spec.spot));
  form.set(size + "DefaultTargetCapacityType", spec.spot > 0 ? "spot" : "on-demand");
  if (spec.spot > 0) form.set("SpotOptions.AllocationStrategy", "capacity-optimized");
  if (spec.on_demand > 0) form.set("OnDemandOptions.AllocationStrategy", "prioritized");
  form.tag_specification("", 1, "instance", spec.tags);
  SKEP_TRY(const Element answer, launch(client_, "CreateFleet", std::move(form), options));
  Fleet fleet;
  for (const Element& set : answer.list("fleetInstanceSet")) {
    const bool is_spot = set.text_of("lifecycle") == "spot";
    for (const Element& id : set.list("instanceIds")) {
      fleet.instances.push_back(id.text);
      if (is_spot) fleet.spot.push_back(id.text);
    }
  }
  for (const Element& error : answer.list("errorSet")) {
    const Element& overrides = error.at("launchTemplateAndOverrides").at("overrides");
    fleet.errors.push_back({error.text_of("errorCode"), error.text_of("errorMessage"),
                            overrides.text_of("instanceType"), overrides.text_of("subnetId"),
                            error.text_of("lifecycle") == "spot"});
  }
  return fleet;
}

Result<void> Ec2::terminate(const Names& ids, const CallOptions& options) {
  SKEP_TRY(call("TerminateInstances", Form().list("InstanceId", ids), options));
  return ok();
}

}  // namespace skep::aws
