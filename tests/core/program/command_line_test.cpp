#include "core/program/command_line.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>

#include "tests/support/errors.h"

// Whether shells do with the scripts what they should: tests/docs/documents_test.sh, on the programs' own.

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("a manual page has every option that --help has, in the template's place for them") {
  CLI::App app("Does something.", "some-program");
  std::string text;
  int number = 0;
  std::vector<std::string> names;
  bool flag = false;
  app.add_option("input", text, "What is read")->type_name("INPUT...");
  app.add_option("-n,--number", number, "How many -- 1\\2")->check(CLI::Range(1, 9))->type_name("N");
  app.add_flag("--flag", flag, ".a point first.");
  suggest(*app.add_option("--names", names, "Some")->delimiter(',')->type_name("NAME"), {"one", "two"});
  app.add_option("--kind", text, "Which")->check(CLI::IsMember({"a", "b-c"}))->type_name("KIND");
  const std::string words = "a-word that comes again and again, fifteen times: ";
  app.add_flag("--long", flag, words + words + ".end")->group("Others");
  app.add_option("--secret", text, "Nobody's business")->group("");
  add_documents(app);

  CHECK(man_page(app, ".TH @VERSION@\n.SH OPTIONS\n@OPTIONS@\n.SH END @VERSION@\n", "1.2.3") ==
        ".TH 1.2.3\n.SH OPTIONS\n"
        ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint this help message and exit.\n"
        ".TP\n\\fIINPUT...\\fR\nWhat is read.\n"
        ".TP\n\\fB\\-n\\fR, \\fB\\-\\-number\\fR \\fIN\\fR\nHow many \\-\\- 1\\e2.\n"
        ".TP\n\\fB\\-\\-flag\\fR\n\\&.a point first.\n"
        ".TP\n\\fB\\-\\-names\\fR \\fBone\\fR|\\fBtwo\\fR[,...]\nSome.\n"
        ".TP\n\\fB\\-\\-kind\\fR \\fBa\\fR|\\fBb\\-c\\fR\nWhich.\n"
        ".SS Others\n.TP\n\\fB\\-\\-long\\fR\n"
        "a\\-word that comes again and again, fifteen times: a\\-word that comes again\n"
        "and again, fifteen times: .end.\n"
        ".SH END 1.2.3\n");
  for (const char* bad : {"", ".SH OPTIONS\n", "x @OPTIONS@ y\n", "a\n@OPTIONS@\n@OPTIONS@\n"}) {
    INFO(bad);
    CHECK_THAT(error_of([&] { man_page(app, bad, ""); }), Contains("expected one line @OPTIONS@"));
  }

  const std::string bash = bash_completion(app), zsh = zsh_completion(app);
  for (const std::string& script : {bash, zsh}) {
    CHECK_THAT(script, Contains("--number") && Contains("--flag") && !Contains("--secret") && !Contains("--man"));
  }
  CHECK_THAT(bash, Contains(":--names) words='one two' list=yes ;;") && Contains(":--kind) words='a b-c' ;;") &&
                       Contains(":*) files=-f ;;") && Contains("complete -F _some_program some-program\n"));
  CHECK_THAT(zsh, Contains("'(-n --number)--number=[How many -- 1\\\\2]:N: '") &&
                      Contains("'*--names=[Some]:NAME:_values -s , value one two'") &&
                      Contains("'(--kind)--kind=[Which]:KIND:(a b-c)'") && Contains("'1:INPUT...:_files'"));
  // What is suggested refuses nothing.
  app.parse("in --names three,one");
  CHECK(names == std::vector<std::string>{"three", "one"});
}

}  // namespace
}  // namespace kind::testing
