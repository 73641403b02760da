// SPDX-License-Identifier: Apache-2.0
// picture.h - a trace and what sizings made of it, as SVG: arrivals, fleet, backlog and wait over time.
//
// Plain SVG of about 50 KB, readable on light and dark grounds; one colour for each line.
//
// Threads:   any thread.
// Units:     seconds, slots, machines.
#pragma once

#include <string>
#include <vector>

#include "simulate/simulation.h"

namespace skep::simulate {

struct Line {
  std::string label;
  std::vector<Sample> series;
};

// Of the first line the arrivals are drawn, which are the same for all. No line, or one without samples,
// gives a picture without curves.
std::string picture(const std::string& title, const std::vector<Line>& lines, double target_wait_s);

}  // namespace skep::simulate
