// SPDX-License-Identifier: Apache-2.0
// What --command and --command-option say is what a worker gets. Method: words of every kind, there and back.
#include "cli/programs.h"

#include <gtest/gtest.h>

namespace skep::cli {
namespace {

TEST(QuoteProgram, IsReadBackWhateverIsInIt) {
  const std::vector<std::string> words{
      "/bin/sh", "-c", "", "it's \"both\" ''\"\"", "a b;c\td\ne", "{skep:item}", "'", "\"", "x=y", "\\"};
  const auto read = parse_programs(quote_program({"run", words}) + ";other=/bin/true");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read.value().size(), 2u);
  EXPECT_EQ(read.value()[0].name, "run");
  EXPECT_EQ(read.value()[0].arguments, words);
}

TEST(ProgramOptions, EachSettingIsSet) {
  const auto programs = read_programs(
      {"a.b=/bin/cat {w}"},
      {"a.b.time=2s;a.b.grace=1s;a.b.cpu=3s;a.b.memory=1MiB;a.b.output=2KiB;a.b.processes=4",
       "a.b.parameter=w=1..9", "a.b.body=file", "a.b.network=off", "a.b.environment=inherit", "a.b.report=on",
       "a.b.directory=/tmp", "a.b.success=0,1", "a.b.permanent=2", "a.b.retry=3"});
  ASSERT_TRUE(programs) << programs.error().message;
  const auto& program = programs.value().at("a.b");
  EXPECT_EQ(program.limits.time, seconds(2));
  EXPECT_EQ(program.limits.grace, seconds(1));
  EXPECT_EQ(program.limits.cpu, seconds(3));
  EXPECT_EQ(program.limits.memory_bytes, 1u << 20);
  EXPECT_EQ(program.limits.output_bytes, 2'048u);
  EXPECT_EQ(program.limits.processes, 4u);
  EXPECT_EQ(program.parameters.size(), 1u);
  EXPECT_TRUE(program.is_body_file && !program.has_network && program.inherits_environment &&
              program.is_reported);
  EXPECT_EQ(program.directory, "/tmp");
  EXPECT_TRUE(program.exit_codes.success[1] && program.exit_codes.permanent[2] &&
              program.exit_codes.retried[3]);
  EXPECT_FALSE(program.exit_codes.permanent[65]);
}

TEST(ProgramOptions, WhatIsWrongIsNamed) {
  const auto problem = [](const std::string& option) {
    const auto programs = read_programs({"p=/bin/cat"}, {option});
    return programs ? "" : programs.error().message;
  };
  EXPECT_EQ(problem("memory=1"), "'memory=1' is not NAME.KEY=VALUE, such as thumb.memory=256MiB");
  EXPECT_TRUE(
      problem("p.memry=1").starts_with("p.memry: there is no such setting of a program: use body, cpu"));
  EXPECT_EQ(problem("q.memory=1"), "q.memory: no program 'q' is listed: name it with --command q=PROGRAM");
  EXPECT_EQ(problem("p.processes=0"), "p.processes: '0' is no number of processes, from 1");
  EXPECT_EQ(problem("p.output=2MiB"), "p.output: '2MiB' is no limit of a result: at most 1.0 MiB");
  EXPECT_EQ(problem("p.network=maybe"), "p.network: 'maybe' is neither on nor off");
  EXPECT_EQ(problem("p.directory=tmp"), "p.directory: 'tmp' is neither . nor begins with /");
  EXPECT_EQ(problem("p.parameter=x=text"), "program p: no argument has {x}, which is declared");
}

}  // namespace
}  // namespace skep::cli
