// SPDX-License-Identifier: Apache-2.0
#include "simulate/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace skep::simulate {
namespace {

constexpr double kWidth = 960;
constexpr double kMargin = 16;
constexpr double kLeft = 64;
constexpr double kPanel = 128;
constexpr double kTitle = 26;
constexpr double kHead = 56;
constexpr const char* kInk = "#6b7280";
constexpr const char* kColours[] = {"#d97706", "#3b82f6", "#10b981", "#ef4444",
                                    "#8b5cf6", "#14b8a6", "#f472b6", "#84cc16"};

// A number with at most one digit behind the point: pictures need no more, and every digit costs a byte.
std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string out(text);
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string label(double x, double y, const std::string& text, const std::string& more = "") {
  return "<text x=\"" + short_number(x) + "\" y=\"" + short_number(y) + "\" fill=\"" + kInk + "\"" + more +
         ">" + escaped(text) + "</text>\n";
}

std::string rule(double y, const std::string& more) {
  return "<line x1=\"" + short_number(kLeft) + "\" x2=\"" + short_number(kWidth - kMargin) + "\" y1=\"" +
         short_number(y) + "\" y2=\"" + short_number(y) + "\" stroke=\"" + kInk + "\"" + more + "/>\n";
}

// The least of 1, 2, 5 times a power of ten that is not below `value`.
double round_up(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power * 1.000001) return step * power;
  }
  return 10 * power;
}

struct Panel {
  const char* title;
  double (*value)(const Sample& sample);
  bool is_shared;   // the same for all lines: drawn once
  bool has_target;  // the target wait is drawn in it
};

constexpr Panel kPanels[] = {
    {"work that arrives, slots", [](const Sample& s) { return s.load; }, true, false},
    {"fleet, machines (pale: with those that boot)", [](const Sample& s) { return s.running; }, false, false},
    {"backlog, seconds of one slot", [](const Sample& s) { return s.backlog_s; }, false, false},
    {"wait, seconds (95 % of the tasks that started)", [](const Sample& s) { return s.wait_p95_s; }, false,
     true},
};

struct Frame {
  double top = 0;
  double most = 1;
  double span_s = 1;
  double x(double at_s) const { return kLeft + at_s / span_s * (kWidth - kLeft - kMargin); }
  double y(double value) const { return top + kPanel - std::min(value / most, 1.0) * kPanel; }
};

std::string curve(const Frame& frame, const std::vector<Sample>& series, double (*value)(const Sample&),
                  const std::string& style) {
  if (series.empty()) return {};
  std::string points;
  for (const Sample& sample : series) {
    points += (points.empty() ? "" : " ") + short_number(frame.x(sample.at_s)) + "," +
              short_number(frame.y(value(sample)));
  }
  return "<polyline fill=\"none\" points=\"" + points + "\" " + style + "/>\n";
}

std::string draw(const Panel& panel, Frame frame, const std::vector<Line>& lines, double target_wait_s) {
  double most = panel.has_target ? target_wait_s * 1.2 : 0;
  for (const Line& line : lines) {
    for (const Sample& sample : line.series) most = std::max(most, panel.value(sample));
  }
  // A policy that fails by far must not press the others flat.
  if (panel.has_target) most = std::min(most, 10 * target_wait_s);
  frame.most = round_up(most);
  std::string out = label(kLeft, frame.top - 6, panel.title, " font-weight=\"bold\"");
  out += rule(frame.top + kPanel, "") + rule(frame.top, " opacity=\"0.3\"");
  out += label(kLeft - 6, frame.top + 10, short_number(frame.most), " text-anchor=\"end\"");
  out += label(kLeft - 6, frame.top + kPanel, "0", " text-anchor=\"end\"");
  if (panel.has_target) out += rule(frame.y(target_wait_s), " stroke-dasharray=\"4 4\"");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string colour = panel.is_shared ? kInk : kColours[i % std::size(kColours)];
    const std::string style = "stroke=\"" + colour + "\" stroke-width=\"1.3\"";
    if (panel.value == kPanels[1].value) {
      out += curve(
          frame, lines[i].series, [](const Sample& s) { return s.running + s.booting; },
          style + " opacity=\"0.4\"");
    }
    out += curve(frame, lines[i].series, panel.value, style);
    if (panel.is_shared) break;
  }
  return out;
}

}  // namespace

std::string picture(const std::string& title, const std::vector<Line>& lines, double target_wait_s) {
  const double height = kHead + std::size(kPanels) * (kPanel + kTitle + kMargin) + kMargin;
  Frame frame;
  for (const Line& line : lines) {
    if (!line.series.empty()) frame.span_s = std::max(frame.span_s, line.series.back().at_s);
  }
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + short_number(kWidth) + " " +
                    short_number(height) + "\" font-family=\"sans-serif\" font-size=\"12\">\n";
  out += label(kMargin, 22, title, " font-size=\"14\"");
  double x = kMargin;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += "<rect x=\"" + short_number(x) + "\" y=\"34\" width=\"12\" height=\"4\" fill=\"" +
           kColours[i % std::size(kColours)] + "\"/>\n" + label(x + 16, 40, lines[i].label);
    x += 32 + 7 * static_cast<double>(lines[i].label.size());
  }
  double top = kHead + kTitle;
  for (const Panel& panel : kPanels) {
    frame.top = top;
    out += draw(panel, frame, lines, target_wait_s);
    top += kPanel + kTitle + kMargin;
  }
  out += label(kLeft, height - 8, "0 h");
  out +=
      label(kWidth - kMargin, height - 8, short_number(frame.span_s / 3600) + " h", " text-anchor=\"end\"");
  return out + "</svg>\n";
}

}  // namespace skep::simulate
