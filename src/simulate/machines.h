// SPDX-License-Identifier: Apache-2.0
// machines.h - the imagined workers of a simulation: boots, slots, speeds, bills.
//
// Slots of one machine share its speed, so all of its tasks progress alike: a machine has a progress clock,
// and a task ends when that has advanced by its service time.
//
// Threads:   one executor at a time.
// Units:     seconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace skep::simulate {

enum class MachineState : std::uint8_t { kBooting, kUp, kGone };

struct Running {
  std::uint32_t task = 0;
  double ends_at = 0;  // on the progress clock
};

struct Machine {
  std::string id;
  std::string worker;
  std::string token;
  MachineState state = MachineState::kBooting;
  bool is_draining = false;
  bool was_told_to_go = false;
  double launched_s = 0;
  double gone_s = 0;
  double idle_since_s = 0;
  double speed = 1;
  std::vector<Running> running;
  double progress = 0;  // of the clock, at progress_at_s
  double progress_at_s = 0;
  std::uint32_t version = 0;  // of the end that is foreseen: an older one is out of date

  bool takes_tasks(std::uint32_t slots) const {
    return state == MachineState::kUp && !is_draining && running.size() < slots;
  }

  // Progress in a second with the tasks that it has. The first slot gives 1, each further `gain` more in all.
  double rate(double gain) const {
    const auto busy = static_cast<double>(running.size());
    return busy <= 1 ? speed : speed * (1 + gain * (busy - 1)) / busy;
  }

  void advance(double now_s, double gain) {
    progress += (now_s - progress_at_s) * rate(gain);
    progress_at_s = now_s;
  }

  // Which of its tasks ends next; it has one.
  std::size_t next_to_end() const {
    std::size_t next = 0;
    for (std::size_t i = 1; i < running.size(); ++i) {
      if (running[i].ends_at < running[next].ends_at) next = i;
    }
    return next;
  }
};

}  // namespace skep::simulate
