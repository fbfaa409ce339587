#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace kind {

/// Adds the hidden options with which the build generates a program's manual page and completions, so that these always
/// match --help: `--completion bash|zsh` and `--man TEMPLATE` print and exit. Call it after all other options and verbs
/// have been added.
void add_documents(CLI::App& app);

/// Adds the option -t, --threads, 1 to 1024; `threads` is unchanged if it is not given.
void add_threads_option(CLI::App& app, int& threads);

/// What is wrong with a command line that cannot be parsed: `problem`, a file among the arguments whose name is taken for
/// options, if there is one, and where the options are described.
std::string usage_problem(const std::string& problem, const std::string& program, int argc, const char* const* argv);

/// Suggests values of an option in --help, the manual page and completion. Other values are not refused here.
void suggest(CLI::Option& option, const std::vector<std::string>& values);

/// A script for bash, or for zsh, that completes the program's verbs, options and their values: names of files and
/// folders if the option's type says so (FILE, DIR, ...), and one of the values, or several separated by commas, if
/// they are known. `app.get_name()` is the program's name.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

/// The manual page (man(7) macros): the template with all verbs and options instead of its line "@OPTIONS@" and
/// `version` instead of each "@VERSION@". Throws Error unless there is exactly one such line.
std::string man_page(const CLI::App& app, const std::string& page_template, const std::string& version);

}  // namespace kind
