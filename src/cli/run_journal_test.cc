// SPDX-License-Identifier: Apache-2.0
// What had ended is known again after a kill at any byte. Method: a journal cut at each length of its file.
#include "cli/run_journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace skep::cli {
namespace {

class RunJournalTest : public ::testing::Test {
 protected:
  RunJournalTest() : directory(::testing::TempDir() + "skep_journal_XXXXXX") {
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
  }
  ~RunJournalTest() override { std::filesystem::remove_all(directory); }

  static api::v1::RunReport report(const std::string& output) {
    api::v1::RunReport out;
    out.set_output(output);
    return out;
  }
  std::unique_ptr<RunJournal> open() {
    auto journal = RunJournal::open(directory, "a title");
    EXPECT_TRUE(journal) << journal.error().message;
    return std::move(journal.value());
  }

  std::string directory;
};

TEST_F(RunJournalTest, WhatWasWholeIsThereAtEachLengthOfTheFile) {
  std::vector<std::uint64_t> ends;
  {
    auto journal = open();
    for (std::uint32_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(journal->append(10 + i, report(std::string(i * 7, 'x'))));
      ASSERT_TRUE(journal->sync());
      ends.push_back(std::filesystem::file_size(directory + "/results"));
    }
  }
  for (std::uint64_t size = ends.back() + 1; size-- > 0;) {
    std::filesystem::resize_file(directory + "/results", size);
    const auto journal = open();
    const auto whole = static_cast<std::size_t>(
        std::count_if(ends.begin(), ends.end(), [&](std::uint64_t end) { return end <= size; }));
    ASSERT_EQ(journal->records().size(), whole) << size;
    for (std::size_t i = 0; i < whole; ++i) {
      EXPECT_EQ(journal->records()[i].index, 10 + i);
      EXPECT_EQ(journal->read(journal->records()[i]).value().output().size(), i * 7);
    }
  }
}

TEST_F(RunJournalTest, ItGoesOnBehindWhatIsTorn) {
  std::string id;
  {
    auto journal = open();
    id = journal->id();
    ASSERT_TRUE(journal->append(1, report("first")));
    ASSERT_TRUE(journal->append(2, report("second")));
  }
  std::filesystem::resize_file(directory + "/results",
                               std::filesystem::file_size(directory + "/results") - 1);
  {
    auto journal = open();
    EXPECT_EQ(journal->id(), id);
    ASSERT_TRUE(journal->append(3, report("third")));
  }
  const auto journal = open();
  ASSERT_EQ(journal->records().size(), 2u);
  EXPECT_EQ(journal->read(journal->records()[1]).value().output(), "third");
}

TEST_F(RunJournalTest, OneProcessAtATime) {
  const auto first = open();
  const auto second = RunJournal::open(directory, "a title");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
}

TEST_F(RunJournalTest, AJobsNameIsItsOwn) {
  EXPECT_EQ(job_name({"a", "b"}), job_name({"a", "b"}));
  EXPECT_NE(job_name({"a", "b"}), job_name({"ab"}));
  EXPECT_NE(job_name({"a", "b"}), job_name({"a", "b", ""}));
  EXPECT_NE(open()->id(), "");
}

}  // namespace
}  // namespace skep::cli
