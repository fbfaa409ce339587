#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/image.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
#include "infer/eval_report.h"
#include "nets/model_path.h"
#include "nets/pair_folder.h"

namespace {

using namespace kind;

struct Options {
  std::string model, data, split;
  std::vector<std::string> protocols{"none", "gt-ratio", "gt-mean"};
  std::vector<std::string> metrics{"psnr", "ssim", "delta-e", "chroma"};
  bool stages = false;
  int threads = 0;
  bool exact = false;
};

std::string protocol_help() {
  std::string text = "What is scored";
  for (const Way& way : protocols()) text += (text.back() == 'd' ? ": " : ", ") + way.name + " (" + way.what + ")";
  return text;
}

std::string metric_help() {
  std::string text = "Figures";
  for (const Metric& metric : all_metrics()) text += (text.back() == 's' ? ": " : ", ") + metric.name;
  return text + "; docs/metrics.md defines them";
}

std::vector<std::string> protocol_names() {
  std::vector<std::string> names;
  for (const Way& way : protocols()) names.push_back(way.name);
  return names;
}

std::vector<std::size_t> chosen_pairs(const PairFolder& folder, const std::string& name) {
  std::vector<std::size_t> all(folder.pairs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  if (name.empty()) return all;
  const std::optional<Split> split = read_split(folder);
  check(split.has_value(), "--split: there is no split.json in ", folder.root);
  const std::vector<std::size_t>& pairs = name == "train"        ? split->train
                                          : name == "validation" ? split->validation
                                                                 : split->test;
  check(!pairs.empty(), "--split: split.json in ", folder.root, " has no pairs for ", name);
  return pairs;
}

void check_no_repeats(const char* option, std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  check(twice == names.end(), option, ": ", twice == names.end() ? "" : *twice, " is named twice");
}

int run(const Options& options) {
  check_no_repeats("--protocol", options.protocols);
  check_no_repeats("--metrics", options.metrics);
  std::vector<Metric> metrics;
  for (const std::string& name : options.metrics) metrics.push_back(find_metric(name));
  if (options.threads > 0) set_num_threads(options.threads);
  set_exact_kernels(options.exact);
  const PairFolder folder = find_pairs(options.data);
  check_no_problems(folder.root, folder.problems);
  const std::vector<std::size_t> pairs = chosen_pairs(folder, options.split);
  std::vector<std::string> problems;
  for (const std::size_t i : pairs) {
    const PairFolder::Pair& pair = folder.pairs[i];
    try {
      const ImageInfo low = image_info(pair.low), high = image_info(pair.high);
      if (low.width != high.width || low.height != high.height) {
        problems.push_back(
            join(pair.stem, ": ", low.width, "x", low.height, " dark and ", high.width, "x", high.height, " bright"));
      }
    } catch (const Error& error) {
      problems.push_back(pair.stem + ": " + error.what());
    }
  }
  check_no_problems(folder.root, problems);
  const std::string model_path = find_model(options.model);
  const Model<float> model = load_model<float>(model_path);
  EvalReport report{model_path, options.data, options.split, {}, {}, {}, {}, {}};
  report.metrics = metrics;
  if (options.stages) {
    check(model.decomposition.has_value(), model_path, ": --stages needs a decomposition net, this model has none");
    report.ways = stages(model);
    report.costs = stage_costs(model);
  } else {
    for (const std::string& name : options.protocols) {
      for (const Way& way : protocols()) {
        if (way.name == name) report.ways.push_back(way);
      }
    }
  }
  for (const std::size_t i : pairs) report.pairs.push_back(folder.pairs[i].stem);
  std::fputs(heading_line(report).c_str(), stdout);
  for (const std::size_t i : pairs) {
    const PairFolder::Pair& pair = folder.pairs[i];
    const Tensor<float> low = to_tensor(read_image(pair.low)), high = to_tensor(read_image(pair.high));
    const Tensor<float> target = rounded(high);
    Outputs outputs(model, low, high);
    for (const Way& way : report.ways) {
      const Tensor<float> output = rounded(outputs.of(way.name));
      EvalRow row{pair.stem, way.name, outputs.ratio(way.name), {}};
      for (const Metric& metric : report.metrics) row.values.push_back(measure(metric, {output, target}));
      report.rows.push_back(row);
      std::fputs(row_line(report, row).c_str(), stdout);
      std::fflush(stdout);
    }
  }
  std::fputs(means_text(report).c_str(), stdout);
  check(std::fflush(stdout) == 0 && !std::ferror(stdout), "cannot write to the standard output");
  return kExitDone;
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Scores a model on pairs of dark and bright pictures.", "kind-eval");
  Options options;
  app.set_version_flag(
      "--version", [] { return version_text("kind-eval", available_isas(), current_isa()); },
      "Print version, kernel sets and picture types");
  app.add_option("--model", options.model, "Model file (default: $KIND_MODEL or the shipped one)")->type_name("MODEL");
  app.add_option("--data", options.data, "Folder of low/ and high/")->required()->type_name("DIR");
  app.add_option("--split", options.split, "Only the pairs that split.json lists under this name")
      ->check(CLI::IsMember({"train", "validation", "test"}));
  CLI::Option* protocol = app.add_option("--protocol", options.protocols, protocol_help())
                              ->delimiter(',')
                              ->check(CLI::IsMember(protocol_names()));
  app.add_option("--metrics", options.metrics, metric_help())->delimiter(',');
  app.add_flag("--stages", options.stages, "Instead of protocols: what each net, and the choice of the ratio, costs")
      ->excludes(protocol);
  app.add_option("-t,--threads", options.threads, "Threads (default: all)")->check(CLI::Range(1, 1024))->type_name("N");
  app.add_flag("--exact", options.exact,
               "Smallest rounding errors: convolutions by plain sums, more than twice the time");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    fail(error.what(), "; see kind-eval --help");
  }
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-eval", error) << std::endl;
    return kExitError;
  }
}
