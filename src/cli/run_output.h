// SPDX-License-Identifier: Apache-2.0
// run_output.h - what `skep run` shows: each item's output whole, its bar, and at the end what failed.
//
// Threads:   one thread.
// Errors:    kUnavailable: nobody takes the output any more.
// Ownership: borrows plan and journal.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "cli/progress_bar.h"
#include "cli/run_journal.h"
#include "cli/run_plan.h"

namespace skep::cli {

enum class RunOrder : std::uint8_t { kAsTheyEnd, kAsTheyCame };

class RunOutput {
 public:
  RunOutput(const Clock& clock, const RunPlan& plan, const RunJournal& journal, RunOrder order);

  // An item has ended: shown now, or when all before it are.
  Result<void> add(const RunJournal::Record& record);
  std::uint64_t ended() const { return ended_; }
  std::uint64_t failed() const { return failures_.size(); }

  void show_bar(const std::string& detail);
  void note(const std::string& line) { bar_.note(line); }
  // The bar goes, and what failed is listed; of one alone, why it ended if not by itself.
  void finish(bool has_many);
  // The only item's, as `skep run` without --parallel gives it.
  int exit_code_of_one() const { return last_exit_code_; }

 private:
  Result<void> show(const RunJournal::Record& record);

  const RunPlan& plan_;
  const RunJournal& journal_;
  const RunOrder order_;
  ProgressBar bar_;
  std::uint64_t ended_ = 0;
  std::uint32_t next_ = 0;  // whose turn it is
  std::map<std::uint32_t, RunJournal::Record> waiting_;
  std::map<std::uint32_t, std::string> failures_;  // why, by index
  int last_exit_code_ = 0;
};

}  // namespace skep::cli
