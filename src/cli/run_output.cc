// SPDX-License-Identifier: Apache-2.0
#include "cli/run_output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/figures.h"

namespace skep::cli {
namespace {

constexpr std::size_t kListedMax = 20;

// Why it counts as failed; "" if it does not.
std::string failure_of(const api::v1::RunReport& report) {
  if (!report.problem().empty()) return report.problem();
  if (report.signal() != 0)
    return "killed by signal " + std::to_string(report.signal()) + " (" + strsignal(report.signal()) + ")";
  if (report.exit_code() != 0) return "exit code " + std::to_string(report.exit_code());
  return {};
}

Result<void> write_all(std::FILE* file, const std::string& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size()) return ok();
  return fail(Code::kUnavailable, std::string("the output can not be written: ") + std::strerror(errno));
}

}  // namespace

RunOutput::RunOutput(const Clock& clock, const RunPlan& plan, const RunJournal& journal, RunOrder order)
    : plan_(plan), journal_(journal), order_(order), bar_(clock, "done", plan.items.size()) {}

Result<void> RunOutput::add(const RunJournal::Record& record) {
  ++ended_;
  if (order_ == RunOrder::kAsTheyEnd) return show(record);
  waiting_.emplace(record.index, record);
  while (!waiting_.empty() && waiting_.begin()->first == next_) {
    SKEP_TRY(show(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
    ++next_;
  }
  return ok();
}

Result<void> RunOutput::show(const RunJournal::Record& record) {
  SKEP_TRY(const auto report, journal_.read(record));
  if (std::string failure = failure_of(report); !failure.empty())
    failures_.emplace(record.index, std::move(failure));
  last_exit_code_ = report.signal() != 0 ? 128 + report.signal() : report.exit_code();
  if (last_exit_code_ == 0 && !report.problem().empty()) last_exit_code_ = 1;
  if (report.output().empty() && report.errors().empty()) return ok();
  bar_.clear();
  SKEP_TRY(write_all(stdout, report.output()));
  if (!report.errors().empty()) {
    std::fflush(stdout);
    SKEP_TRY(write_all(stderr, report.errors()));
  }
  return ok();
}

void RunOutput::show_bar(const std::string& detail) {
  std::fflush(stdout);
  std::string all = failures_.empty() ? "" : with_thousands(failures_.size()) + " failed";
  if (!detail.empty()) all += (all.empty() ? "" : ", ") + detail;
  bar_.show_if_terminal(ended_, all);
}

void RunOutput::finish(bool has_many) {
  std::fflush(stdout);
  bar_.clear();
  if (failures_.empty()) return;
  if (!has_many) {
    const std::string& why = failures_.begin()->second;
    if (!why.starts_with("exit code")) std::fprintf(stderr, "skep: %s\n", why.c_str());
    return;
  }
  std::fprintf(stderr, "skep: %s of %s failed:\n", with_thousands(failures_.size()).c_str(),
               with_thousands(plan_.items.size()).c_str());
  std::size_t listed = 0;
  for (const auto& [index, failure] : failures_) {
    if (listed++ == kListedMax) break;
    std::fprintf(stderr, "  %s: %s\n", plan_.items[index].c_str(), failure.c_str());
  }
  if (failures_.size() > kListedMax)
    std::fprintf(stderr, "  and %s more\n", with_thousands(failures_.size() - kListedMax).c_str());
}

}  // namespace skep::cli
