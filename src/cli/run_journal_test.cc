// SPDX-License-Identifier: Apache-2.0
// What had ended is known again after a kill at any byte. Method: a journal cut at each length of its file.
#include "cli/run_journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/clock.h"

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

// ---- jobs that nobody goes on with ----

class SweepJobsTest : public RunJournalTest {
 protected:
  // A job that was interrupted so long ago.
  std::string interrupted(std::size_t number, Duration ago) {
    char name[25];
    std::snprintf(name, sizeof name, "%024zx", number);
    const std::string job = directory + "/" + name;
    { EXPECT_TRUE(RunJournal::open(job, "a title")); }
    std::filesystem::create_directory(job + "/store");
    age(job, ago);
    return job;
  }
  void age(const std::string& job, Duration ago) {
    const auto when = std::filesystem::file_time_type::clock::now() - ago;
    for (const char* file : {"/command", "/results", "/lock"})
      std::filesystem::last_write_time(job + file, when);
  }
  std::size_t sweep() { return sweep_jobs(directory, SystemClock().now()); }
};

TEST_F(SweepJobsTest, OldOnesGoAndThoseOfLatelyStay) {
  const auto old = interrupted(1, kJobKeptFor + hours(1));
  const auto recent = interrupted(2, kJobKeptFor - hours(1));
  EXPECT_EQ(sweep(), 1u);
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_TRUE(std::filesystem::exists(recent + "/store"));
  EXPECT_EQ(sweep(), 0u);
}

TEST_F(SweepJobsTest, OfManyTheLastStay) {
  for (std::size_t i = 0; i < kJobsKept + 5; ++i) interrupted(i, minutes(static_cast<int>(10 + i)));
  EXPECT_EQ(sweep(), 5u);
  EXPECT_TRUE(std::filesystem::exists(directory + "/000000000000000000000000"));
  EXPECT_FALSE(std::filesystem::exists(directory + "/000000000000000000000018")) << "the oldest: 24";
}

TEST_F(SweepJobsTest, OneThatRunsStaysHoweverOldItIs) {
  const auto job = interrupted(1, minutes(1));
  const auto running = RunJournal::open(job, "a title");
  ASSERT_TRUE(running);
  age(job, 2 * kJobKeptFor);
  EXPECT_EQ(sweep(), 0u);
  EXPECT_TRUE(running.value()->append(1, report("result")));
  EXPECT_TRUE(std::filesystem::exists(job + "/results"));
}

TEST_F(SweepJobsTest, WhatIsNoJobStaysAndWhatAKillLeftOfASweepGoes) {
  const auto job = interrupted(1, 2 * kJobKeptFor);
  std::filesystem::rename(job, directory + "/mine");
  std::filesystem::create_directory(directory + "/.swept-000000000000000000000002-1");
  std::filesystem::create_directory_symlink("/", directory + "/000000000000000000000003");
  EXPECT_EQ(sweep(), 0u);
  EXPECT_TRUE(std::filesystem::exists(directory + "/mine/store"));
  EXPECT_FALSE(std::filesystem::exists(directory + "/.swept-000000000000000000000002-1"));
  EXPECT_TRUE(std::filesystem::exists(directory + "/000000000000000000000003"));
  EXPECT_EQ(sweep_jobs(directory + "/not-there", SystemClock().now()), 0u);
}

}  // namespace
}  // namespace skep::cli
