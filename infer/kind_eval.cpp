// Long because one input and several are scored by the same steps, and the options of both are listed here.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/files/file.h"
#include "core/image/color.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "infer/eval/eval_inputs.h"
#include "infer/eval/eval_page.h"
#include "infer/eval/eval_report.h"
#include "infer/eval/eval_table.h"
#include "infer/eval/niqe_file.h"
#include "nets/data/pair_folder.h"
#include "nets/model_path.h"

namespace {

using namespace kind;
namespace fs = std::filesystem;

struct Options {
  std::string model, results, strip_suffix, data, low, high, split, split_file, out, niqe_model, fit_niqe, output,
      reference;
  std::vector<std::string> inputs;
  bool csv = false, markdown = false, latex = false;
  std::vector<std::string> protocols, metrics = default_metrics();
  bool stages = false;
  int threads = 0;
  bool exact = false;
};

/// The files of one pair; `low` and `result` are empty where they are not wanted.
struct Files {
  std::string stem, low, high, result;
};

std::string protocol_help() {
  std::string text = "What is scored (default: none,gt-ratio,gt-mean)";
  for (const Way& way : protocols()) text += (way.name == "none" ? ": " : ", ") + way.name + " (" + way.what + ")";
  return text;
}

std::string metric_help() {
  std::string text = "Figures (default: ";
  for (const std::string& name : default_metrics()) text += (text.back() == ' ' ? "" : ",") + name;
  text += "):";
  for (const Metric& metric : all_metrics()) text += (text.back() == ':' ? " " : ", ") + metric.name;
  return text + "; docs/metrics.md defines them";
}

std::vector<std::string> protocol_names() {
  std::vector<std::string> names;
  for (const Way& way : protocols()) names.push_back(way.name);
  return names;
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const Metric& metric : all_metrics()) names.push_back(metric.name);
  return names;
}

void check_no_repeats(const char* option, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  check(twice == names.end(), option, ": ", twice == names.end() ? "" : *twice, " is named twice");
}

bool wants(const Options& options, const char* metric) {
  return std::find(options.metrics.begin(), options.metrics.end(), metric) != options.metrics.end();
}

std::vector<std::size_t> chosen_pairs(const PairFolder& folder, const std::string& name, const std::string& file) {
  std::vector<std::size_t> all(folder.pairs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  if (name.empty()) return all;
  const std::optional<Split> split = file.empty() ? read_split(folder) : read_split_file(folder, file);
  check(split.has_value(), "--split: there is no split.json in ", folder.root);
  const std::vector<std::size_t>& pairs = name == "train"        ? split->train
                                          : name == "validation" ? split->validation
                                                                 : split->test;
  check(!pairs.empty(), "--split: ", file.empty() ? "split.json in " + folder.root : file, " has no pairs for ", name);
  return pairs;
}

/// A text for the pair where one of its pictures cannot be read or has not the bright one's size.
void check_sizes(const Files& files, std::vector<std::string>& problems) {
  try {
    const ImageInfo high = image_info(files.high);
    for (const auto& [path, what] : {std::pair{files.low, "dark"}, std::pair{files.result, "result"}}) {
      if (path.empty()) continue;
      const ImageInfo other = image_info(path);
      if (other.width != high.width || other.height != high.height) {
        problems.push_back(join(files.stem, ": ", other.width, "x", other.height, " ", what, " and ", high.width, "x",
                                high.height, " bright"));
      }
    }
  } catch (const Error& error) {
    problems.push_back(files.stem + ": " + error.what());
  }
}

/// The pairs to score. Every problem that their headers show is in one error.
std::vector<Files> find_files(const Options& options) {
  const bool needs_low = options.results.empty() || wants(options, "loe");
  const PairPatterns patterns{options.low, options.high};
  // Where only bright pictures are needed, the pattern of the dark ones still says what pairs are called.
  const bool pairs = needs_low || !patterns.low.empty();
  const PairFolder folder = pairs ? find_pairs(options.data, patterns) : find_bright(options.data, patterns);
  check_no_problems(folder.root, folder.problems);
  std::vector<Files> chosen;
  for (const std::size_t i : chosen_pairs(folder, options.split, options.split_file)) {
    chosen.push_back({folder.pairs[i].stem, needs_low ? folder.pairs[i].low : "", folder.pairs[i].high, ""});
  }
  std::vector<std::string> problems;
  if (!options.results.empty()) {
    std::set<std::string> names;
    for (const PairFolder::Pair& pair : folder.pairs) names.insert(pair.stem);
    std::map<std::string, std::string> results =
        pictures_by_stem(options.results, names, problems, options.strip_suffix);
    for (Files& files : chosen) {
      files.result = results[files.stem];
      if (files.result.empty()) problems.push_back(files.stem + ": there is no result for it in " + options.results);
    }
    for (const PairFolder::Pair& pair : folder.pairs) results.erase(pair.stem);
    for (const auto& [stem, path] : results) {
      if (!path.empty()) problems.push_back(stem + ": " + path + " has no bright picture in " + options.data);
    }
  }
  for (const Files& files : chosen) check_sizes(files, problems);
  check_no_problems(folder.root, problems);
  return chosen;
}

/// What the report says of what is scored, and how. Loads the model where one is needed.
EvalReport plan(const Options& options, std::optional<Model<float>>& model, std::optional<NiqeModel>& niqe) {
  std::vector<std::string> names = options.protocols;
  if (names.empty() && options.results.empty()) names = {"none", "gt-ratio", "gt-mean"};
  if (names.empty()) names = {"none", "gt-mean"};
  check_no_repeats("--protocol", names);
  check_no_repeats("--metrics", options.metrics);
  EvalReport report;
  report.data = options.data;
  report.split = options.split;
  for (const std::string& name : options.metrics) report.metrics.push_back(find_metric(name));
  check(!wants(options, "niqe") || !options.niqe_model.empty(),
        "--metrics: niqe compares with a model of good photographs, expected --niqe-model FILE: the authors' "
        "modelparameters.mat, or what kind-eval --fit-niqe DIR -o FILE makes from a folder of them");
  if (!options.niqe_model.empty()) {
    niqe = read_niqe_model(options.niqe_model);
    for (Metric& metric : report.metrics) {
      if (metric.name != "niqe") continue;
      metric.what += "; model " + options.niqe_model;
      if (!niqe->pictures.empty()) metric.what += " of " + counted(niqe->pictures.size(), "photograph");
    }
  }
  for (const std::string& name : names) {
    check(options.results.empty() || name == "none" || name == "gt-mean", "--protocol: ", name,
          " is not for --results, which takes none and gt-mean");
    for (const Way& way : protocols()) {
      if (way.name == name) report.ways.push_back(way);
    }
  }
  if (!options.results.empty()) {
    report.scored = options.results;
    for (Way& way : report.ways) {
      way.what =
          way.name == "none" ? "the results as they are" : "the results, scaled to the bright picture's mean gray";
    }
    return report;
  }
  report.scored = find_model(options.model);
  model = load_model<float>(report.scored);
  model->set_options({.exact = options.exact});
  check(model->decomposition.has_value(), report.scored, ": scoring needs a decomposition net, this model has none");
  const bool adjusts = std::any_of(names.begin(), names.end(), needs_adjustment);
  check(model->adjustment || options.stages || !adjusts, report.scored,
        ": scoring needs an adjustment net, this model has none; --protocol gt-light scores its reflectance, --stages "
        "what "
        "nets there are");
  if (options.stages) {
    report.ways = stages(*model);
    report.costs = stage_costs(*model);
  }
  return report;
}

/// What --out writes.
const char* const kFiles[] = {"eval-pictures.csv", "eval-means.csv", "eval.json", "eval.html"};

/// Names of files may be any bytes; what of them is not UTF-8 becomes U+FFFD.
template <class Json>
std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Where --out writes to. Found out before anything is computed whether that can be done.
void prepare_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, "--out: ", folder, " cannot be made: ", [&] { return error.message(); });
  for (const char* name : kFiles) const AtomicFile writable((fs::path(folder) / name).string());
}

void write_files(const std::string& folder, const EvalReport& report, const EvalPage& page) {
  const std::string contents[] = {pictures_csv(report), means_csv(report), json_text(report_json(report), 1),
                                  page.html(report)};
  // None of them appears, or takes the place of an older one, before all are on the disk: they belong together.
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (std::size_t i = 0; i < std::size(kFiles); ++i) {
    files.push_back(std::make_unique<AtomicFile>((fs::path(folder) / kFiles[i]).string()));
    files.back()->write(contents[i]);
    files.back()->flush();
  }
  for (const auto& file : files) file->commit();
  for (const char* name : kFiles) std::cerr << (fs::path(folder) / name).string() << "\n";
}

/// Scores every pair, with a call of done(row) for each line; `page`, if there is one, gets the pictures.
template <class Done>
void score(const std::optional<Model<float>>& model, const std::optional<NiqeModel>& niqe,
           const std::vector<Files>& pairs, EvalReport& report, EvalPage* page, const Done& done) {
  for (const Files& files : pairs) report.pairs.push_back(files.stem);
  const auto read = [&](const std::string& path) {
    SrgbPicture picture = read_srgb(path);
    if (!picture.note.empty()) {
      EvalReport::ColorNote& note = report.color_notes[picture.note];
      if (note.count++ == 0) note.first = path;
    }
    return picture;
  };
  for (const Files& files : pairs) {
    const SrgbPicture high_file = read(files.high);
    const Tensor<float> high = to_tensor(high_file.image), target = file_values(high, high_file.image.bits);
    Tensor<float> low, low_values;
    int bits = 8;  // of what is scored, as kind-infer writes it
    if (!files.low.empty()) {
      const SrgbPicture low_file = read(files.low);
      bits = low_file.bits;
      low = to_tensor(low_file.image);
      low_values = file_values(low, low_file.image.bits);
      if (page) page->add(files.stem, "dark picture", "", low_values);
    }
    std::optional<Image> result;
    if (!model) result = read(files.result).image;
    if (result) bits = result->bits;
    Outputs outputs = model ? Outputs(*model, low, high, bits) : Outputs(to_tensor(*result), high);
    for (const Way& way : report.ways) {
      const Tensor<float> output = file_values(outputs.of(way.name), bits);
      EvalRow row{files.stem, way.name, outputs.ratio(way.name), {}};
      Scored scored{output, target, low_values.defined() ? &low_values : nullptr, niqe ? &*niqe : nullptr};
      for (const Metric& metric : report.metrics) row.values.push_back(metric.measure(scored));
      report.rows.push_back(row);
      if (page) page->add(files.stem, way.name, way.name, output);
      done(report.rows.back());
    }
    if (page) page->add(files.stem, "bright picture", "", target);
  }
}

/// Names pictures whose colours may be others than they look.
void print_color_notes(const EvalReport& report) {
  constexpr std::size_t kMaxPath = 4096;
  for (const auto& [note, pictures] : report.color_notes) {
    const std::string more = pictures.count > 1 ? join(" and ", pictures.count - 1, " more") : "";
    std::cerr << "kind-eval: " << printable(pictures.first, kMaxPath) << more << ": colours: " << note << std::endl;
  }
}

int evaluate(const Options& options) {
  check(!options.data.empty(), "expected --data DIR, a folder of low/ and high/; see kind-eval --help");
  std::optional<Model<float>> model;
  std::optional<NiqeModel> niqe;
  EvalReport report = plan(options, model, niqe);
  const std::vector<Files> pairs = find_files(options);
  for (const Files& files : pairs) report.pairs.push_back(files.stem);  // as wide as its column has to be
  if (!options.out.empty()) prepare_folder(options.out);
  EvalPage page;
  std::fputs(heading_line(report).c_str(), stdout);
  report.pairs.clear();
  score(model, niqe, pairs, report, options.out.empty() ? nullptr : &page, [&report](const EvalRow& row) {
    std::fputs(row_line(report, row).c_str(), stdout);
    std::fflush(stdout);
  });
  // First of all to where nothing but a closed pipe is in the way: a full disk must not cost hours of work.
  std::fputs(means_text(report).c_str(), stdout);
  const bool printed = std::fflush(stdout) == 0 && !std::ferror(stdout);
  if (!options.out.empty()) write_files(options.out, report, page);
  print_color_notes(report);
  check(printed, "cannot write to the standard output");
  return kExitDone;
}

/// Scores several inputs on the same pairs, and prints one table of them.
int compare(const Options& options) {
  check(!options.data.empty(), "expected --data DIR, a folder of low/ and high/; see kind-eval --help");
  std::vector<std::string> left_out;
  const std::vector<EvalInput> inputs = eval_inputs(options.inputs, left_out);
  for (const std::string& line : left_out) std::cerr << "kind-eval: " << line << std::endl;
  const bool results = std::any_of(inputs.begin(), inputs.end(), [](const EvalInput& input) { return input.results; });
  const auto own_options = [&](const EvalInput& input) {
    Options own = options;
    (input.results ? own.results : own.model) = input.path;
    // What folders of results have, too, where nothing else is asked for.
    if (own.protocols.empty() && results) own.protocols = {"none", "gt-mean"};
    return own;
  };
  // All that the files' headers show to be wrong is found before the first picture is scored.
  std::vector<std::vector<Files>> files;
  files.reserve(inputs.size());
  for (const EvalInput& input : inputs) files.push_back(find_files(own_options(input)));
  std::vector<EvalEntry> entries;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::optional<Model<float>> model;
    std::optional<NiqeModel> niqe;
    EvalEntry entry{inputs[i].name, inputs[i].seed, plan(own_options(inputs[i]), model, niqe)};
    score(model, niqe, files[i], entry.report, nullptr, [](const EvalRow&) {});
    std::cerr << join(i + 1, " of ", inputs.size(), ": ", inputs[i].path) << std::endl;
    if (i == 0) print_color_notes(entry.report);
    entries.push_back(std::move(entry));
  }
  const EvalTable table = make_eval_table(std::move(entries), options.reference);
  const EvalTableFormat format = options.markdown ? EvalTableFormat::kMarkdown
                                 : options.latex  ? EvalTableFormat::kLatex
                                                  : EvalTableFormat::kText;
  std::fputs((options.csv ? eval_table_csv(table) : eval_table_text(table, format)).c_str(), stdout);
  check(std::fflush(stdout) == 0 && !std::ferror(stdout), "cannot write to the standard output");
  return kExitDone;
}

/// --fit-niqe DIR -o FILE.
int fit_niqe_model(const Options& options) {
  check(!options.output.empty(), "--fit-niqe: expected -o FILE, where the model is written to");
  std::error_code ignored;
  check(!fs::exists(options.output, ignored), options.output, ": exists already; remove it or name another");
  const NiqeModel form;
  std::vector<NiqeFeatures> features;
  std::vector<std::string> names;
  for (const std::string& path : list_folder(options.fit_niqe)) {
    if (!has_picture_name(path) || !fs::is_regular_file(path, ignored)) continue;
    const std::vector<NiqeFeatures> own =
        niqe_features(file_values(to_tensor(read_srgb(path).image), 8), form.patch, kNiqeSharpness);
    const std::string name = fs::path(path).filename().string();
    std::cerr << name << ": " << own.size() << (own.size() == 1 ? " sharp patch\n" : " sharp patches\n");
    if (own.empty()) continue;
    features.insert(features.end(), own.begin(), own.end());
    names.push_back(name);
  }
  const NiqeModel niqe_model = fit_niqe(features, form.patch, names);
  write_file_atomic(options.output, json_text(to_json(niqe_model), -1));
  std::printf("%s\n", options.output.c_str());
  check(std::fflush(stdout) == 0, "cannot write to the standard output");
  return kExitDone;
}

void add_options(CLI::App& app, Options& options) {
  app.set_version_flag(
      "--version", [] { return version_text("kind-eval", available_isas(), current_isa(), image_codec_names()); },
      "Print version, kernel sets and picture types");
  CLI::Option* model = app.add_option("--model", options.model, "Model file (default: $KIND_MODEL or the shipped one)")
                           ->type_name("MODEL");
  CLI::Option* results = app.add_option("--results", options.results,
                                        "Instead of a model: a folder with the results of any program, matched "
                                        "with high/ by name without extension; protocols none and gt-mean")
                             ->excludes(model)
                             ->type_name("DIR");
  app.add_option("--strip-suffix", options.strip_suffix,
                 "End of the results' names to leave out: _kindle matches 1_kindle.png with 1.png")
      ->type_name("TEXT");
  CLI::Option* inputs = app.add_option("inputs", options.inputs,
                                       "Several models, run folders, sweep folders and folders of results, to be "
                                       "compared in one table")
                            ->excludes(model)
                            ->excludes(results)
                            ->type_name("SCORED");
  CLI::Option* csv = app.add_flag("--csv", options.csv, "Print the comparison as CSV, with every seed and picture");
  CLI::Option* markdown =
      app.add_flag("--markdown", options.markdown, "Print the comparison as Markdown")->excludes(csv);
  CLI::Option* latex =
      app.add_flag("--latex", options.latex, "Print the comparison as LaTeX tables")->excludes(csv)->excludes(markdown);
  CLI::Option* reference =
      app.add_option("--reference", options.reference,
                     "Row of the comparison that the others are compared with (default: the first)")
          ->type_name("NAME");
  for (CLI::Option* option : {csv, markdown, latex, reference}) option->needs(inputs);
  app.add_option("--data", options.data, "Folder with low/ and high/ (with --results only high/ is needed)")
      ->type_name("DIR");
  app.add_option("--low", options.low,
                 "Pattern of the dark pictures in --data, as the config's data.low: \"{name}_dark.*\"")
      ->type_name("PATTERN");
  app.add_option("--high", options.high,
                 "Pattern of the bright pictures, as the config's data.high: \"{name}_bright.*\"")
      ->type_name("PATTERN");
  app.add_option("--split", options.split, "Only the pairs that split.json lists under this name")
      ->check(CLI::IsMember({"train", "validation", "test"}));
  app.add_option("--split-file", options.split_file, "Split file to use instead of the folder's split.json")
      ->needs("--split")
      ->type_name("FILE");
  CLI::Option* protocol = app.add_option("--protocol", options.protocols, protocol_help())
                              ->delimiter(',')
                              ->check(CLI::IsMember(protocol_names()));
  suggest(*app.add_option("--metrics", options.metrics, metric_help())->delimiter(','), metric_names());
  app.add_flag("--stages", options.stages,
               "Instead of protocols: the loss caused by each net and by the choice "
               "of the ratio")
      ->excludes(protocol)
      ->excludes(results);
  app.add_option("--out", options.out,
                 "Also write eval.html, eval.json, eval-pictures.csv and eval-means.csv there, replacing existing ones")
      ->type_name("DIR");
  app.add_option("--niqe-model", options.niqe_model,
                 "Reference model of niqe: the authors' modelparameters.mat, or a file made by --fit-niqe")
      ->type_name("FILE");
  app.add_option("--fit-niqe", options.fit_niqe,
                 "Do not score; make a model for niqe from a folder of good photographs")
      ->type_name("DIR");
  app.add_option("-o,--output", options.output, "Output file of --fit-niqe")->type_name("FILE");
  add_threads_option(app, options.threads);
  app.add_flag("--exact", options.exact, "Smallest rounding errors: direct convolutions, in more than twice the time");
  app.footer("Exit codes: 0 success; 2 the command line, the model or the data is invalid.");
  add_documents(app);
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Scores a model, or any program's results, on pairs of dark and bright pictures.", "kind-eval");
  Options options;
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    fail(usage_problem(error.what(), "kind-eval", argc, argv));
  }
  // What comes from an unset variable of a script is no wish for the default.
  for (const char* name : {"--model", "--results", "--strip-suffix", "--data", "--low", "--high", "--split",
                           "--split-file", "--reference", "--out", "--niqe-model", "--fit-niqe", "--output"}) {
    const CLI::Option* option = app.get_option(name);
    check(!option->count() || !option->as<std::string>().empty(), name, ": expected a value, got an empty one");
  }
  if (options.threads > 0) set_num_threads(options.threads);
  if (!options.fit_niqe.empty()) {
    check(options.data.empty() && options.results.empty() && options.model.empty() && options.out.empty(),
          "--fit-niqe: takes -o FILE alone, it scores nothing");
    return fit_niqe_model(options);
  }
  check_patterns({options.low, options.high}, !options.results.empty() && options.low.empty(), "--low", "--high");
  check(options.strip_suffix.empty() || !options.results.empty() || !options.inputs.empty(),
        "--strip-suffix: is for results, named with --results");
  check(options.output.empty(), "-o is for --fit-niqe; results are written with --out DIR");
  check(options.inputs.empty() || (options.out.empty() && !options.stages),
        "--out and --stages are for one input, named with --model or --results");
  return options.inputs.empty() ? evaluate(options) : compare(options);
}

}  // namespace

int main(int argc, char** argv) {
  expect_file_limits();
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-eval", error) << std::endl;
    return kExitError;
  }
}
