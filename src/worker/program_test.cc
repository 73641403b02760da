// SPDX-License-Identifier: Apache-2.0
// What a client may say in a program's arguments, and what its operator may declare. Method: values that are
// meant to do harm, each against each kind; programs that would let them.
#include "worker/program.h"

#include <gtest/gtest.h>

#include <fstream>

#include "worker/testing/processes.h"

namespace skep::worker {
namespace {

using Words = std::vector<std::string>;

Program program_with(Words arguments, const Words& parameters) {
  Program program(std::move(arguments));
  for (const auto& text : parameters) {
    auto parameter = parse_parameter(text);
    EXPECT_TRUE(parameter) << parameter.error().message;
    if (parameter) program.parameters.push_back(parameter.value());
  }
  return program;
}

std::string refusal(const Program& program, const Words& given) {
  const auto filled = fill_in(program, given, "/body");
  return filled ? "" : filled.error().message;
}

TEST(Parameters, AValueIsOneArgumentOrPartOfOneWhateverIsInIt) {
  const auto program = program_with({"/bin/p", "-w", "{width}", "--name={name}", "{other}", "{name}{name}"},
                                    {"width=1..4000", "name=text"});
  const std::string hostile = "a b;$(reboot)`reboot`'\"\\{width}{name}*~";
  const auto filled = fill_in(program, {"width=200", "name=" + hostile}, "");
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_EQ(filled.value(),
            (Words{"/bin/p", "-w", "200", "--name=" + hostile, "{other}", hostile + hostile}));
}

TEST(Parameters, WhatTheProgramWouldTakeForAnOptionIsRefused) {
  for (const std::string kind : {"word", "text"}) {
    const auto program = program_with({"/bin/p", "{x}"}, {"x=" + kind});
    EXPECT_EQ(refusal(program, {"x=-rf"}),
              "parameter 'x' begins with a dash, which the program would take for an option");
    // Behind something else it is none.
    EXPECT_EQ(refusal(program_with({"/bin/p", "--x={x}"}, {"x=" + kind}), {"x=-rf"}), "");
  }
  const auto two = program_with({"/bin/p", "{x}{y}"}, {"x=text", "y=text"});
  EXPECT_NE(refusal(two, {"x=", "y=-rf"}), "") << "an empty value before it hides nothing";
  // Said by the operator.
  EXPECT_EQ(refusal(program_with({"/bin/p", "{x}"}, {"x=-5..5"}), {"x=-3"}), "");
  EXPECT_EQ(refusal(program_with({"/bin/p", "{x}"}, {"x=-a|-b"}), {"x=-a"}), "");
  EXPECT_EQ(refusal(program_with({"/bin/p", "{x}"}, {"x=any"}), {"x=-rf"}), "");
}

TEST(Parameters, EachKindLetsThroughWhatItSays) {
  const auto of = [](const std::string& kind) { return program_with({"/bin/p", "{x}"}, {"x=" + kind}); };
  for (const std::string value : {"0", "5", "", "3.5", "3 ", " 3", "+3", "0x3", "99999999999999999999"})
    EXPECT_EQ(refusal(of("1..4"), {"x=" + value}), "parameter 'x' must be a whole number from 1 to 4")
        << value;
  EXPECT_EQ(refusal(of("1..4"), {"x=4"}), "");
  for (const std::string value : {"gif", "", "jpeg|png", "JPEG"})
    EXPECT_EQ(refusal(of("jpeg|png"), {"x=" + value}), "parameter 'x' must be one of jpeg, png") << value;
  for (const std::string value : {"", ".", "..", "a/b", "a b", "../x", "x\n"})
    EXPECT_NE(refusal(of("word"), {"x=" + value}), "") << value;
  EXPECT_EQ(refusal(of("word"), {"x=a.b_c-1:2"}), "");
  for (const std::string value : {"a\nb", "\x1b[2J", "\x7f"})
    EXPECT_EQ(refusal(of("text"), {"x=" + value}), "parameter 'x' has a control character");
  EXPECT_EQ(refusal(of("text"), {"x=\xc3\xa4 = /etc"}), "");
  EXPECT_EQ(refusal(of("any"), {"x=a\nb"}), "");
  const std::string zero("x=a\0b", 5);
  for (const std::string kind : {"any", "text", "word", "1..4", "a|b"})
    EXPECT_NE(refusal(of(kind), {zero}), "") << kind;
  EXPECT_EQ(refusal(of("any"), {"x=" + std::string(limits::kParameterBytesMax, 'x')}), "");
  EXPECT_EQ(refusal(of("any"), {"x=" + std::string(limits::kParameterBytesMax + 1, 'x')}),
            "parameter 'x' is too long");
}

TEST(Parameters, AllThatAreDeclaredAndNoOthersAreGiven) {
  const auto program = program_with({"/bin/p", "{x}"}, {"x=text"});
  EXPECT_EQ(refusal(program, {}), "parameter 'x' is missing");
  EXPECT_EQ(refusal(program, {"x=1", "y=2"}), "the program has no parameter 'y'");
  EXPECT_EQ(refusal(program, {"x=1", "body=/etc/passwd"}), "the program has no parameter 'body'");
}

TEST(Parameters, TheBodysFileHasAPlaceOfItsOwn) {
  Program program({"/bin/p", "{body}"});
  EXPECT_EQ(fill_in(program, {}, "/b").value(), (Words{"/bin/p", "{body}"}));
  program.is_body_file = true;
  EXPECT_EQ(fill_in(program, {}, "/b").value(), (Words{"/bin/p", "/b"}));
}

TEST(Parameters, DeclarationsThatSayNothingAreRefused) {
  for (const std::string text :
       {"x", "x=", "x=4..1", "x=a..b", "x=1..", "x=nothing", "a b=text", "=text", "body=text"})
    EXPECT_FALSE(parse_parameter(text)) << text;
}

TEST(Programs, WhatWouldLetAClientSayWhatRunsIsRefused) {
  const auto problem = [](const Program& program) {
    const auto valid = validate("p", program);
    return valid ? "" : valid.error().message;
  };
  EXPECT_EQ(problem(program_with({"{x}"}, {"x=text"})),
            "program p: a client may not say what runs: its path has a parameter");
  for (const auto& script :
       {Words{"/bin/sh", "-c", "echo {x}"}, Words{"bash", "-ec", "echo {x}"},
        Words{"/usr/bin/perl", "-ne", "print {x}"}, Words{"python3", "-c", "print('{x}')"}})
    EXPECT_NE(problem(program_with(script, {"x=text"})).find("would be run"), std::string::npos) << script[1];
  EXPECT_EQ(problem(program_with({"sh", "-c", "echo \"$1\"", "x", "{x}"}, {"x=text"})), "");
  EXPECT_EQ(problem(program_with({"p"}, {"x=text"})), "program p: no argument has {x}, which is declared");
  EXPECT_EQ(problem(program_with({"p", "{x}"}, {"x=text", "x=word"})),
            "program p: parameter x is declared twice");
}

TEST(Programs, ExitCodesStandInOneList) {
  EXPECT_TRUE(parse_exit_codes("0,2-4,255").value()[3]);
  EXPECT_EQ(parse_exit_codes("0,2-4,255").value().count(), 5u);
  for (const std::string text : {"", "x", "256", "-1", "4-2", "1,", "1..3"})
    EXPECT_FALSE(parse_exit_codes(text)) << text;
  ExitCodes codes;
  EXPECT_TRUE(codes.is_permanent(65));
  EXPECT_FALSE(codes.is_permanent(1));
  codes.retried = parse_exit_codes("75").value();
  EXPECT_TRUE(codes.is_permanent(1)) << "who says what is retried says what is not";
  EXPECT_FALSE(codes.is_permanent(75));
  Program program({"p"});
  program.exit_codes.permanent.set(0);
  EXPECT_EQ(validate("p", program).error().message, "program p: an exit code stands in two lists");
}

TEST(ResolvePrograms, NamesAreLookedUpInThePathAndPathsAreTakenAsTheyAre) {
  const auto programs = resolve({{"shell", Program({"sh", "-c", "true"})}, {"path", Program({"/bin/sh"})}});
  ASSERT_TRUE(programs.has_value()) << programs.error().message;
  EXPECT_TRUE(programs.value().at("shell").arguments[0].ends_with("/sh"));
  EXPECT_TRUE(programs.value().at("shell").arguments[0].starts_with("/"));
  EXPECT_EQ(programs.value().at("shell").arguments[2], "true");
  EXPECT_EQ(programs.value().at("path").arguments[0], "/bin/sh");
}

TEST(ResolvePrograms, WhatCanNotRunIsRefusedBeforeAnyTaskComes) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "plain").close();
  for (const std::string& path :
       {std::string("no-such-program-here"), directory / "plain", directory.path()}) {
    const auto programs = resolve({{"p", Program({path})}});
    ASSERT_TRUE(programs.has_error()) << path;
    EXPECT_EQ(programs.error().code, Code::kInvalid);
    EXPECT_EQ(programs.error().message, "program p: there is no executable file \"" + path + "\"");
  }
  EXPECT_EQ(resolve({{"p", Program()}}).error().code, Code::kInvalid);
  EXPECT_EQ(resolve({{"two words", Program({"sh"})}}).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace skep::worker
