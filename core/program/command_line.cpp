#include "core/program/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {
namespace {

enum class Takes { kNothing, kAnything, kFile, kFolder, kChoice };

/// What of an option the documents are made of.
struct Entry {
  std::vector<std::string> names;  // with their dashes; none for what has its place instead
  std::string type;                // "MODEL"
  std::vector<std::string> choices;
  std::string help, group;
  Takes takes = Takes::kNothing;
  bool list = false;      // several values with commas between them
  bool repeated = false;  // may be there more than once
};

/// A verb with its options, or with an empty name the program with its own.
struct Command {
  std::string name, help;
  std::vector<Entry> entries;
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string join_with(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? between : "") + parts[i];
  return text;
}

Entry entry_of(const CLI::Option& option) {
  static const std::map<std::string, Takes> kPaths{
      {"FILE", Takes::kFile},      {"MODEL", Takes::kFile}, {"CONFIG", Takes::kFile}, {"SWEEP", Takes::kFile},
      {"CKPT", Takes::kFile},      {"INPUT", Takes::kFile}, {"OUTPUT", Takes::kFile}, {"PAGE", Takes::kFile},
      {"PAGE.html", Takes::kFile}, {"DIR", Takes::kFolder}, {"RUN", Takes::kFolder},  {"RUN_OR_SWEEP", Takes::kFolder}};
  Entry entry;
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  entry.help = option.get_description();
  entry.group = option.get_group();
  if (option.get_items_expected_max() == 0) return entry;  // a flag
  // The name of the type, then what values are checked by: "KIND:{444,422,420}", "N:INT in [1 - 64]".
  const std::string type = option.get_type_name();
  entry.type = type.substr(0, type.find(':'));
  const std::size_t open = type.find('{'), close = type.find('}');
  if (open != std::string::npos && close != std::string::npos) {
    entry.choices = split(type.substr(open + 1, close - open - 1), ',');
  } else if (entry.type.find('|') != std::string::npos) {
    entry.choices = split(entry.type, '|');
  }
  const auto path = kPaths.find(entry.type.substr(0, entry.type.find("...")));
  entry.takes = !entry.choices.empty() ? Takes::kChoice : path != kPaths.end() ? path->second : Takes::kAnything;
  entry.list = option.get_delimiter() == ',';
  entry.repeated =
      option.get_items_expected_max() > 1 || option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  return entry;
}

void add_entries(const CLI::App& app, std::vector<Entry>& entries) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) entries.push_back(entry_of(*option));
  }
  // Groups of options are apps without a name, with a --help of their own.
  for (const CLI::App* group : app.get_subcommands([](const CLI::App* each) { return each->get_name().empty(); })) {
    for (const CLI::Option* option : group->get_options()) {
      if (option != group->get_help_ptr() && !option->get_group().empty()) entries.push_back(entry_of(*option));
    }
  }
}

/// The program first, then its verbs.
std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands{{"", app.get_description(), {}}};
  add_entries(app, commands[0].entries);
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* each) { return !each->get_name().empty(); })) {
    commands.push_back({verb->get_name(), verb->get_description(), {}});
    add_entries(*verb, commands.back().entries);
  }
  return commands;
}

std::vector<std::string> verbs_of(const std::vector<Command>& commands) {
  std::vector<std::string> verbs;
  for (std::size_t i = 1; i < commands.size(); ++i) verbs.push_back(commands[i].name);
  return verbs;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// ---- bash

/// What the script sets to offer an option's values, or what has its place.
std::string bash_offer(const Entry& entry) {
  const std::string list = entry.list ? " list=yes" : "";
  switch (entry.takes) {
    case Takes::kFile:
      return "files=-f";
    case Takes::kFolder:
      return "files=-d";
    case Takes::kChoice:
      return "words='" + join_with(entry.choices, " ") + "'" + list;
    case Takes::kNothing:
    case Takes::kAnything:
      break;
  }
  return ":";
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  const std::vector<Command> commands = commands_of(app);
  const std::string function = "_" + replaced(app.get_name(), "-", "_");
  std::string text =
      "# Completes " + app.get_name() + " in bash; made from its options.\n\n" + function + "() {\n" +
      R"(  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= words= files= list= before= word
  COMPREPLY=()
  # bash takes --option=value apart.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
)";
  const std::vector<std::string> verbs = verbs_of(commands);
  if (!verbs.empty()) {
    text += "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case $word in\n      " +
            join_with(verbs, " | ") + ")\n        verb=$word\n        break\n        ;;\n    esac\n  done\n";
  }
  text += "  case $verb:$prev in\n";
  for (const Command& command : commands) {
    for (const Entry& entry : command.entries) {
      if (entry.names.empty() || entry.takes == Takes::kNothing) continue;
      text += "    " + command.name + ":" + join_with(entry.names, " | " + command.name + ":") + ") " +
              bash_offer(entry) + " ;;\n";
    }
  }
  text += "    *)\n      case $verb:$cur in\n";
  for (const Command& command : commands) {
    std::vector<std::string> names;
    std::string offer = command.name.empty() && !verbs.empty() ? "words='" + join_with(verbs, " ") + "'" : ":";
    for (const Entry& entry : command.entries) {
      names.insert(names.end(), entry.names.begin(), entry.names.end());
      if (entry.names.empty()) offer = bash_offer(entry);
    }
    text += "        " + command.name + ":-*) words='" + join_with(names, " ") + "' ;;\n        " + command.name +
            ":*) " + offer + " ;;\n";
  }
  text += R"(      esac
      ;;
  esac
  if [[ $list ]]; then
    compopt -o nospace 2>/dev/null
    [[ $cur != *,* ]] || before=${cur%,*},
    cur=${cur##*,}
  fi
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$files" -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$words" -- "$cur")
  fi
}

)";
  return text + "complete -F " + function + " " + app.get_name() + "\n";
}

namespace {

// ---- zsh

/// For use within single quotes, in the brackets or behind the colons of a specification.
std::string zsh_text(std::string text) {
  for (const char* c : {"\\", "[", "]", ":"}) text = replaced(text, c, std::string("\\") + c);
  return replaced(text, "'", "'\\''");
}

/// ":MODEL:_files", what follows an option's name and help.
std::string zsh_value(const Entry& entry) {
  const std::string name = ":" + zsh_text(entry.type) + ":";
  switch (entry.takes) {
    case Takes::kNothing:
      return "";
    case Takes::kAnything:
      return name + " ";
    case Takes::kFile:
      return name + "_files";
    case Takes::kFolder:
      return name + "_files -/";
    case Takes::kChoice:
      break;
  }
  const std::string values = join_with(entry.choices, " ");
  return entry.list ? name + "_values -s , value " + values : name + "(" + values + ")";
}

std::vector<std::string> zsh_specifications(const Command& command) {
  std::vector<std::string> all;
  for (const Entry& entry : command.entries) {
    if (entry.names.empty()) {
      all.push_back((entry.repeated ? "'*" : "'1") + zsh_value(entry) + "'");
      continue;
    }
    for (const std::string& name : entry.names) {
      // Those that have been given are not offered again.
      const std::string apart = entry.repeated ? "*" : "(" + join_with(entry.names, " ") + ")";
      const std::string value = zsh_value(entry), joined = value.empty() ? "" : name.size() == 2 ? "+" : "=";
      all.push_back("'" + apart + name + joined + "[" + zsh_text(entry.help) + "]" + value + "'");
    }
  }
  return all;
}

}  // namespace

std::string zsh_completion(const CLI::App& app) {
  const std::vector<Command> commands = commands_of(app);
  const std::string between = " \\\n    ";
  std::string text = "#compdef " + app.get_name() + "\n# Made from its options.\n\n";
  if (commands.size() == 1)
    return text + "_arguments -s -S" + between + join_with(zsh_specifications(commands[0]), between) + "\n";
  std::vector<std::string> own = zsh_specifications(commands[0]);
  own.emplace_back("'1:verb:->verb'");
  own.emplace_back("'*::argument:->rest'");
  text += "local state line context\ntypeset -A opt_args\nlocal -a verbs=(";
  for (std::size_t i = 1; i < commands.size(); ++i) {
    text += "\n    '" + commands[i].name + ":" + replaced(commands[i].help, "'", "'\\''") + "'";
  }
  text += ")\n_arguments -C -s -S" + between + join_with(own, between) +
          " && return\n[[ $state != verb ]] || { _describe verb verbs; return }\ncase $words[1] in\n";
  for (std::size_t i = 1; i < commands.size(); ++i) {
    text += "  " + commands[i].name + ") _arguments -s -S" + between +
            join_with(zsh_specifications(commands[i]), between) + " ;;\n";
  }
  return text + "esac\n";
}

namespace {

// ---- manual page

/// Plain text within a line of man(7).
std::string roff(const std::string& text) { return replaced(replaced(text, "\\", "\\e"), "-", "\\-"); }

/// A sentence as lines of at most 80 bytes, which checkers of manual pages want.
std::string sentence(const std::string& text) {
  std::string lines, line;
  const auto end_line = [&] {
    const bool command = line[0] == '.' || line[0] == '\'';  // unless there is nothing in front of it
    lines += (command ? "\\&" : "") + std::exchange(line, "") + "\n";
  };
  for (const std::string& word : split(roff(text), ' ')) {
    if (!line.empty() && line.size() + 1 + word.size() > 76) end_line();
    line += (line.empty() ? "" : " ") + word;
  }
  if (line.empty() || line.back() != '.') line += '.';
  end_line();
  return lines;
}

std::string man_value(const Entry& entry) {
  if (entry.takes == Takes::kNothing) return "";
  if (entry.choices.empty()) return "\\fI" + roff(entry.type) + "\\fR";
  std::string choices;
  for (const std::string& choice : entry.choices) choices += (choices.empty() ? "\\fB" : "\\fR|\\fB") + roff(choice);
  return choices + "\\fR" + (entry.list ? "[,...]" : "");
}

std::string man_entry(const Entry& entry) {
  std::string head;
  for (const std::string& name : entry.names) head += (head.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  const std::string value = man_value(entry);
  if (!value.empty()) head += (head.empty() ? "" : " ") + value;
  return ".TP\n" + head + "\n" + sentence(entry.help);
}

}  // namespace

std::string man_page(const CLI::App& app, const std::string& page_template, const std::string& version) {
  const std::string mark = "\n@OPTIONS@\n";
  const std::size_t at = page_template.find(mark);
  check(at != std::string::npos && page_template.find(mark, at + 1) == std::string::npos,
        "manual page: expected one line @OPTIONS@ in the template");
  std::string options;
  for (const Command& command : commands_of(app)) {
    if (!command.name.empty()) options += ".SS " + roff(command.name) + "\n" + sentence(command.help);
    std::string group = "Options";
    for (const Entry& entry : command.entries) {
      if (!entry.names.empty() && entry.group != group) {
        options += ".SS " + roff(entry.group) + "\n";
        group = entry.group;
      }
      options += man_entry(entry);
    }
  }
  return replaced(page_template.substr(0, at + 1) + options + page_template.substr(at + mark.size()), "@VERSION@",
                  version);
}

void add_threads_option(CLI::App& app, int& threads) {
  app.add_option("-t,--threads", threads,
                 "Number of threads (default and maximum: all processors that the "
                 "process may use)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
}

std::string usage_problem(const std::string& problem, const std::string& program, int argc, const char* const* argv) {
  std::string text = problem;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    std::error_code ignored;
    if (argument == "--") break;
    if (argument.size() < 2 || argument[0] != '-' || !std::filesystem::exists(argument, ignored)) continue;
    text += "; " + quote(argument) + " is taken for options, write " + quote("./" + argument) + " for the file";
    break;
  }
  return text + "; see " + program + " --help";
}

void suggest(CLI::Option& option, const std::vector<std::string>& values) {
  option.check(CLI::Validator([](std::string&) { return std::string(); }, "{" + join_with(values, ",") + "}"));
}

void add_documents(CLI::App& app) {
  // The way of --version; the parser adds a line's end.
  const auto print = [](const std::string& text) { throw CLI::CallForVersion(text.substr(0, text.rfind('\n')), 0); };
  app.add_option_function<std::string>("--completion",
                                       [&app, print](const std::string& shell) {
                                         check(shell == "bash" || shell == "zsh",
                                               "--completion: expected bash or zsh, got ", shell);
                                         print(shell == "bash" ? bash_completion(app) : zsh_completion(app));
                                       })
      ->group("");
  app.add_option_function<std::string>("--man",
                                       [&app, print](const std::string& path) {
                                         const std::vector<std::uint8_t> bytes = read_file(path);
                                         print(man_page(app, {bytes.begin(), bytes.end()}, KIND_VERSION));
                                       })
      ->group("");
}

}  // namespace kind
