#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace kind {

/// Gives a program the hidden options that the build makes its manual page and its completions with, so that these
/// cannot say anything else than --help: `--completion bash|zsh` and `--man TEMPLATE` print, and the program is done.
/// To be called once all other options and verbs are there.
void add_documents(CLI::App& app);

/// The option -t, --threads of every program that computes, 1 to 1024; `threads` stays as it is where it is not given.
void add_threads_option(CLI::App& app, int& threads);

/// Values that an option takes, for --help, the manual page and completion. Others are not refused here.
void suggest(CLI::Option& option, const std::vector<std::string>& values);

/// A script for bash, or for zsh, that completes the program's verbs, options and their values: names of files and
/// folders where the option's type says so (FILE, DIR, ...), and one of the values, or several with commas, where they
/// are known. `app.get_name()` is the program's.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

/// The manual page (man(7) macros) that the template becomes with all verbs and options in the place of its line
/// "@OPTIONS@" and `version` in the place of each "@VERSION@". Throws Error where there is not one such line.
std::string man_page(const CLI::App& app, const std::string& page_template, const std::string& version);

}  // namespace kind
