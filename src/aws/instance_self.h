// SPDX-License-Identifier: Apache-2.0
// instance_self.h - what an instance of EC2 learns of itself from its metadata: who it is, and of its end.
//
// Threads:   as Metadata.
// Errors:    those of Metadata.
#pragma once

#include <string>

#include "aws/metadata.h"

namespace skep::aws {

struct InstanceSelf {
  std::string id;       // "i-0a1b..."
  std::string token;    // its tag skep:token: of the launch that it comes from
  std::string manager;  // its tag skep:manager, a URL: whose worker it is alone; "": any manager's
};

// kNotFound: there is no such tag, or its launch template does not show tags in the metadata; a sentence for
// people.
Result<InstanceSelf> find_self(Metadata& metadata, Instant now);

struct InstanceNotice {
  bool is_interrupted = false;  // at the spot price: it is taken away within 2 min
  bool is_at_risk = false;      // a rebalance recommendation: that is more likely than usual
  std::string text;             // for people; "" without either
};

Result<InstanceNotice> find_notice(Metadata& metadata, Instant now);

}  // namespace skep::aws
