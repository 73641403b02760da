// SPDX-License-Identifier: Apache-2.0
// Whatever CLI11 complains of ends in a sentence that says where and what to do. Method: its own texts, made
// by its own parser.
#include "cli/wrong_usage.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace skep::cli {
namespace {

std::string said_of(std::vector<std::string> words) {
  CLI::App app("a program");
  auto* command = app.add_subcommand("go", "somewhere");
  std::string file, role, name;
  int number = 0;
  command->add_option("FILE", file)->required();
  command->add_option("--role", role)->check(CLI::IsMember({"viewer", "client"}));
  command->add_option("--priority", number)->check(CLI::Range(0, 9));
  command->add_option("--name", name);
  app.set_config("--config");
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    const auto given = app.get_subcommands();
    return wrong_usage(error.get_name(), error.what(), given.empty() ? "" : given.front()->get_name());
  }
  return "nothing is wrong";
}

TEST(WrongUsage, EachSentenceSaysWhereAndWhatToDo) {
  EXPECT_EQ(said_of({"go", "file", "more"}), "'more' is not understood here: skep go --help lists what is");
  EXPECT_EQ(said_of({"go"}), "FILE is missing: skep go --help tells what it is");
  EXPECT_EQ(said_of({"go", "file", "--name"}), "--name wants a value: skep go --help tells which");
  EXPECT_EQ(said_of({"go", "file", "--role", "boss"}), "--role: 'boss' is none of viewer, client");
  EXPECT_EQ(said_of({"go", "file", "--priority", "11"}), "--priority: 11 is not from 0 to 9");
  EXPECT_EQ(said_of({"--config", "/nonexistent/skep.toml", "go", "file"}),
            "--config: '/nonexistent/skep.toml' can not be read: check that it exists and is yours to read");
  EXPECT_EQ(said_of({"go", "file"}), "nothing is wrong");
}

TEST(WrongUsage, WhatIsNotKnownIsPassedOn) {
  EXPECT_EQ(wrong_usage("ConversionError", "Could not convert: --jobs = many", ""),
            "--jobs: 'many' is no such value: skep --help tells which are");
  EXPECT_EQ(wrong_usage("ValidationError", "--name: it is odd", "go"), "--name: it is odd");
  EXPECT_EQ(wrong_usage("NewError", "something else", "go"), "something else");
}

}  // namespace
}  // namespace skep::cli
