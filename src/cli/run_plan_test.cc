// SPDX-License-Identifier: Apache-2.0
// Placeholders mean what GNU parallel's do, and no item becomes anything but one argument. Method: the words
// of a command line through the plan, the worker's programs and back to arguments.
#include "cli/run_plan.h"

#include <gtest/gtest.h>

#include "cli/programs.h"

namespace skep::cli {
namespace {

using Words = std::vector<std::string>;

// What the program is called with.
Words arguments(const Words& command, const std::string& item, std::uint64_t number = 1) {
  const auto own = make_own_program(command, true);
  const auto programs = read_programs({own.command}, own.options);
  EXPECT_TRUE(programs) << programs.error().message;
  if (!programs) return {};
  const auto parameters = own_parameters(command, item, number, true);
  EXPECT_TRUE(parameters) << parameters.error().message;
  return worker::fill_in(programs.value().at(kOwnProgram), parameters.value(), "").value();
}

TEST(RunPlan, PlaceholdersAreParallels) {
  EXPECT_EQ(arguments({"p", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}"}, "/a.d/b.tar.gz", 7),
            (Words{"p", "/a.d/b.tar.gz", "/a.d/b.tar", "b.tar.gz", "/a.d", "b.tar", "7"}));
  EXPECT_EQ(arguments({"p", "{.}|{//}|{/}"}, "a.d/b"), (Words{"p", "a.d/b|a.d|b"}));
  EXPECT_EQ(arguments({"p", "{//}"}, "file"), (Words{"p", "."}));
  EXPECT_EQ(arguments({"p", "-o{/.}.txt", "{}{}"}, "x.c"), (Words{"p", "-ox.txt", "x.cx.c"}));
  EXPECT_EQ(arguments({"p", "-a"}, "x"), (Words{"p", "-a", "x"})) << "without one it stands at the end";
}

TEST(RunPlan, AnItemIsOneArgumentWhateverIsInIt) {
  for (const std::string item : {"-rf", "a b", "$(reboot)", "'\"`", "{}", "{skep:item}", "a\nb", ";", "\\"})
    EXPECT_EQ(arguments({"/bin/echo", "it's \"{}\"", "{}"}, item),
              (Words{"/bin/echo", "it's \"" + item + "\"", item}));
}

TEST(RunPlan, AScriptDoesNotGetItemsInIt) {
  const auto own = make_own_program({"sh", "-c", "cat {} | wc"}, true);
  const auto programs = read_programs({own.command}, own.options);
  ASSERT_FALSE(programs);
  EXPECT_NE(programs.error().message.find("give it as an argument of its own"), std::string::npos);
}

TEST(RunPlan, WordsAreCommandAndItems) {
  const auto words = parse_run_words({"p", "-a", ":::", "x", "", "--", "y"});
  ASSERT_TRUE(words);
  EXPECT_EQ(words.value().plan.command, (Words{"p", "-a"}));
  EXPECT_EQ(words.value().plan.items, (Words{"x", "", "--", "y"}));
  EXPECT_FALSE(parse_run_words({"p"}).value().has_items);
  EXPECT_FALSE(parse_run_words({}));
  EXPECT_FALSE(parse_run_words({":::", "x"}));
  EXPECT_FALSE(parse_run_words({"{}", ":::", "x"}));
  EXPECT_FALSE(parse_run_words({"p", ":::", "x", ":::", "y"}));
  EXPECT_EQ(split_items("a\n\n b \nc", '\n'), (Words{"a", " b ", "c"}));
}

TEST(RunPlan, WhatNoTaskCanCarryIsSaid) {
  EXPECT_FALSE(own_parameters({"p"}, std::string(5'000, 'x'), 3, true));
  const auto bad = own_parameters({"p"}, "caf\xe9", 3, true);
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("item 3 ('caf")) << bad.error().message;
}

TEST(RunPlan, AFleetTakesAProgramsNameAndValues) {
  const auto file = parse_fleet_program({"thumb", "width=200", "{}"});
  ASSERT_TRUE(file);
  EXPECT_TRUE(file.value().has_body);
  EXPECT_EQ(fleet_parameters(file.value(), "a.jpg", 1).value(), (Words{"width=200"}));
  const auto text = parse_fleet_program({"factor", "n={}"});
  ASSERT_TRUE(text);
  EXPECT_FALSE(text.value().has_body);
  EXPECT_EQ(fleet_parameters(text.value(), "12", 1).value(), (Words{"n=12"}));
  EXPECT_TRUE(parse_fleet_program({"thumb"}).value().has_body);
  EXPECT_FALSE(parse_fleet_program({"/bin/rm"})) << "a path is no name";
  EXPECT_FALSE(parse_fleet_program({"thumb", "-rf"}));
}

}  // namespace
}  // namespace skep::cli
