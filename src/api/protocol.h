// SPDX-License-Identifier: Apache-2.0
// protocol.h - what managers of different versions may ask of each other, as a number that each one says.
//
// A message only ever grows: who does not know a field passes it over. That is enough where nothing is lost
// by it. Where something would be, the one who asks looks at the number of the other first, and does without.
//
//   0, 1   before there was a number: none of what follows
//   2      AckRequest.put_back; AcquireRequest.lease_ms; HeartbeatReply.move_to
//
// Threads:   constants.
#pragma once

#include <cstdint>

namespace skep::api {

inline constexpr std::uint32_t kProtocol = 2;
// Results that were pulled and not used can be put back.
inline constexpr std::uint32_t kProtocolPutsBack = 2;

}  // namespace skep::api
