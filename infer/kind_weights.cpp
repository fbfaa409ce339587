// Long because it has seven verbs, each with its options and its work.
// kind-weights: looks into files of weights, makes model files from others, and exports them to other programs.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"
#include "core/files/safetensors.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "nets/model.h"
#include "nets/model_path.h"
#include "nets/onnx/darktable.h"
#include "nets/onnx/onnx_export.h"
#include "nets/tensorflow/tensorflow_checkpoint.h"
#include "nets/tensorflow/tensorflow_import.h"

namespace {

using kind::check;
using kind::fail;
using kind::printable;
using nlohmann::ordered_json;

constexpr const char* kProgram = "kind-weights";
constexpr const char* kDescriptionKey = "kind";

// --- inspect

struct Statistics {
  bool known = false;           // false for integers, whose values nobody asks for
  std::int64_t not_finite = 0;  // NaN and infinities; the others are of the rest
  double min = 0, max = 0, mean = 0;
};

std::int64_t element_count(const kind::SafeTensor& tensor) {
  return static_cast<std::int64_t>(tensor.data.size() / kind::dtype_size(tensor.dtype));
}

Statistics statistics_of(const kind::SafeTensor& tensor) {
  using kind::Dtype;
  Statistics s;
  const std::array floating{Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16};
  if (std::count(floating.begin(), floating.end(), tensor.dtype) == 0) return s;
  kind::SafeTensors flat;  // a tensor may have more axes than ours can
  flat.tensors["values"] = {tensor.dtype, {element_count(tensor)}, tensor.data};
  const kind::Tensor<double> values = flat.get_tensor<double>("values");
  double sum = 0;
  std::int64_t finite = 0;
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    if (!std::isfinite(value)) {
      ++s.not_finite;
      continue;
    }
    s.min = finite == 0 ? value : std::min(s.min, value);
    s.max = finite == 0 ? value : std::max(s.max, value);
    sum += value;
    ++finite;
  }
  s.known = finite > 0;
  s.mean = finite > 0 ? sum / static_cast<double>(finite) : 0;
  return s;
}

ordered_json describe_tensor(const std::string& name, const kind::SafeTensor& tensor) {
  const Statistics s = statistics_of(tensor);
  ordered_json out{{"name", name}, {"dtype", kind::dtype_name(tensor.dtype)}, {"shape", tensor.shape}};
  out["min"] = s.known ? ordered_json(s.min) : ordered_json();
  out["max"] = s.known ? ordered_json(s.max) : ordered_json();
  out["mean"] = s.known ? ordered_json(s.mean) : ordered_json();
  out["not_finite"] = s.not_finite;
  return out;
}

template <class Net>
std::int64_t count_parameters(const Net& net) {
  std::int64_t count = 0;
  for (const kind::Parameter<float>& parameter : net.parameters()) count += parameter.variable.value().size();
  return count;
}

/// Whether a net is as the authors' program has it, as the paper has it, or neither.
const char* form(bool official, bool paper) { return official ? "official" : paper ? "paper" : "other"; }

template <class Config>
bool is_leaky(const Config& c) {
  return c.activation == "leaky_relu" && c.slope == 0.2;
}

template <class Config>
bool is_plain(const Config& c) {
  return c.activation == "relu";
}

const char* form_of(const kind::DecompositionConfig& c) {
  return form(is_leaky(c) && c.output_kernel == 1, is_plain(c) && c.output_kernel == 3);
}
const char* form_of(const kind::RestorationConfig& c) {
  const bool both = c.output == "sigmoid";
  return form(is_leaky(c) && both, is_plain(c) && both);
}
const char* form_of(const kind::AdjustmentConfig& c) {
  return form(is_leaky(c) && c.output_activation, is_plain(c) && !c.output_activation);
}

template <class Net, class Config>
void describe_net(const char* name, const std::optional<Net>& net, const std::optional<Config>& config,
                  ordered_json& nets) {
  if (!net) return;
  nets[name] = {{"form", form_of(*config)}, {"parameters", count_parameters(*net)}, {"config", kind::to_json(*config)}};
}

/// All that is known of a file: the keys are those of --json.
ordered_json inspect(const std::string& path) {
  const bool tensorflow = kind::is_tensorflow_checkpoint(path);
  const kind::SafeTensors content = tensorflow ? kind::read_tensorflow_checkpoint(path) : kind::read_safetensors(path);
  const bool is_model = content.metadata.count(kDescriptionKey) > 0;
  ordered_json out{{"file", path}, {"type", is_model ? "model" : tensorflow ? "tensorflow" : "safetensors"}};
  if (is_model) {
    const kind::Model<float> model = kind::load_model<float>(path, kind::NonFinite::kAllow);  // the table counts them
    ordered_json nets = ordered_json::object();
    describe_net("decomposition", model.decomposition, model.config.decomposition, nets);
    describe_net("restoration", model.restoration, model.config.restoration, nets);
    describe_net("adjustment", model.adjustment, model.config.adjustment, nets);
    out["nets"] = nets;
    out["input"] = kind::to_json(model.config.input);
    out["light"] = model.config.light ? kind::to_json(*model.config.light) : ordered_json();
  }
  ordered_json metadata = ordered_json::object();
  for (const auto& [key, text] : content.metadata) {
    if (!is_model || key != kDescriptionKey) metadata[key] = text;
  }
  out["metadata"] = metadata;
  std::int64_t elements = 0;
  ordered_json tensors = ordered_json::array();
  for (const auto& [name, tensor] : content.tensors) {
    elements += element_count(tensor);
    tensors.push_back(describe_tensor(name, tensor));
  }
  out["parameters"] = elements;
  out["tensors"] = tensors;
  return out;
}

std::string number_text(const ordered_json& number) {
  if (number.is_null()) return "-";
  std::ostringstream out;
  out << std::setprecision(5) << number.get<double>();
  return out.str();
}

/// The same for people to read.
void print_text(const ordered_json& file) {
  constexpr std::size_t kMaxBytes = 1000;
  const std::map<std::string, std::string> types{
      {"model", "model of kind"}, {"tensorflow", "TensorFlow checkpoint"}, {"safetensors", "safetensors"}};
  std::cout << printable(file["file"].get<std::string>(), kMaxBytes) << ": " << types.at(file["type"]) << ", "
            << file["tensors"].size() << " tensors, " << file["parameters"] << " parameters\n";
  if (file.contains("nets")) {
    for (const auto& [name, net] : file["nets"].items()) {
      std::cout << "  " << name << ": " << net["form"].get<std::string>() << " form, " << net["parameters"]
                << " parameters, " << net["config"].dump() << "\n";
    }
    std::cout << "  input: " << file["input"].dump() << "\n";
    if (!file["light"].is_null()) std::cout << "  light: " << file["light"].dump() << "\n";
  }
  for (const auto& [key, text] : file["metadata"].items()) {
    std::cout << "  " << printable(key) << " = " << printable(text.get<std::string>(), kMaxBytes) << "\n";
  }
  std::vector<std::array<std::string, 6>> rows{{"tensor", "type", "shape", "min", "max", "mean"}};
  for (const ordered_json& tensor : file["tensors"]) {
    const std::int64_t bad = tensor["not_finite"];
    rows.push_back({printable(tensor["name"].get<std::string>()), tensor["dtype"], printable(tensor["shape"].dump()),
                    number_text(tensor["min"]), number_text(tensor["max"]),
                    number_text(tensor["mean"]) + (bad > 0 ? kind::join("  ", bad, " not finite") : "")});
  }
  std::array<std::size_t, 6> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += " " + row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 1, ' ');
    }
    std::cout << line << "\n";
  }
}

int run_inspect(const std::vector<std::string>& paths, bool json) {
  ordered_json files = ordered_json::array();
  std::size_t failed = 0;
  for (const std::string& path : paths) {
    try {
      files.push_back(inspect(path));
      if (!json) print_text(files.back());
    } catch (const kind::Error& error) {
      std::cerr << kind::error_line(kProgram, error) << "\n";
      ++failed;
    }
  }
  if (failed == paths.size()) return kind::kExitError;
  // Names in checkpoints can be any bytes.
  if (json) std::cout << files.dump(2, ' ', false, ordered_json::error_handler_t::replace) << "\n";
  return failed > 0 ? kind::kExitSomeFailed : kind::kExitDone;
}

// --- What the other verbs share

struct Output {
  std::string path;
  bool overwrite = false;
};

/// Throws where the output may not be written, before any work is done.
void check_output(const Output& output, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const std::string& input : inputs) {
    check(!std::filesystem::equivalent(input, output.path, ignored), "cannot write ", output.path,
          ": it is an input, which is never overwritten; name another file with -o");
  }
  check(output.overwrite || !std::filesystem::exists(output.path, ignored), "cannot write ", output.path,
        ": it exists; name another file, or give --overwrite to replace it");
}

/// A model and what its file holds beside it.
struct Source {
  std::string path;
  kind::SafeTensors content;
  kind::Model<float> model;
};

Source read_source(const std::string& path) {
  return {path, kind::read_safetensors(path), kind::load_model<float>(path)};
}

std::map<std::string, std::string> notes_of(const kind::SafeTensors& content) {
  auto notes = content.metadata;
  notes.erase(kDescriptionKey);
  return notes;
}

// --- merge

/// The nets of a model as the start of a note's key: "decomposition+adjustment.".
std::string net_prefix(const kind::ModelConfig& config) {
  std::string names;
  if (config.decomposition) names += "+decomposition";
  if (config.restoration) names += "+restoration";
  if (config.adjustment) names += "+adjustment";
  return names.substr(1) + ".";
}

/// Moves a net's config over; throws Error where both files have it.
template <class Config>
void take_net(const char* name, std::optional<Config>& to, const std::optional<Config>& from, std::string& owner,
              const std::string& path) {
  if (!from) return;
  check(!to, path, ": the ", name, " net is in ", owner, " already; name files that hold different nets");
  to = from;
  owner = path;
}

void merge(const std::vector<std::string>& paths, const Output& output) {
  check_output(output, paths);
  std::vector<Source> sources;
  sources.reserve(paths.size());
  for (const std::string& path : paths) sources.push_back(read_source(path));

  kind::ModelConfig config;
  kind::SafeTensors content;
  content.source = output.path;
  config.input = sources.front().model.config.input;
  std::string decomposition, restoration, adjustment, light;  // the files they came from
  for (const Source& source : sources) {
    const kind::ModelConfig& own = source.model.config;
    take_net("decomposition", config.decomposition, own.decomposition, decomposition, source.path);
    take_net("restoration", config.restoration, own.restoration, restoration, source.path);
    take_net("adjustment", config.adjustment, own.adjustment, adjustment, source.path);
    check(own.input.stretch == config.input.stretch, source.path, ": its input.stretch is ",
          own.input.stretch ? "true" : "false", ", that of ", sources.front().path,
          " is not; nets trained on different inputs do not work together");
    if (!config.input.mirror) config.input.mirror = own.input.mirror;
    if (!config.input.outliers) config.input.outliers = own.input.outliers;
    if (own.light) {
      check(!config.light || kind::to_json(*config.light) == kind::to_json(*own.light), source.path,
            ": its rule for the light level differs from that of ", light);
      config.light = own.light;
      light = source.path;
    }
    content.tensors.insert(source.content.tensors.begin(), source.content.tensors.end());
  }
  // A note that not all who have it agree on is kept once for each, told apart by the nets it is about.
  for (const Source& source : sources) {
    for (const auto& [key, text] : notes_of(source.content)) {
      const bool agreed = std::all_of(sources.begin(), sources.end(), [&key = key, &text = text](const Source& other) {
        const auto found = other.content.metadata.find(key);
        return found == other.content.metadata.end() || found->second == text;
      });
      content.metadata[agreed ? key : net_prefix(source.model.config) + key] = text;
    }
  }
  content.metadata[kDescriptionKey] = kind::to_json(config).dump();
  kind::write_safetensors(output.path, content);
}

// --- drop

/// Takes nets out of a model, and the rule for the light level with the decomposition that it belongs to.
void drop(const std::string& path, const std::vector<std::string>& names, const Output& output) {
  check_output(output, {path});
  Source source = read_source(path);
  kind::ModelConfig config = source.model.config;
  const std::set<std::string> dropped(names.begin(), names.end());
  const auto take = [&](const char* name, auto& net) {
    if (!dropped.count(name)) return;
    check(net.has_value(), path, ": there is no ", name, " net in it to drop");
    net.reset();
  };
  take("decomposition", config.decomposition);
  take("restoration", config.restoration);
  take("adjustment", config.adjustment);
  check(config.decomposition || config.restoration || config.adjustment, path, ": nothing would be left of it");
  if (!config.decomposition) config.light.reset();
  std::erase_if(source.content.tensors,
                [&](const auto& tensor) { return dropped.count(tensor.first.substr(0, tensor.first.find('.'))) > 0; });
  source.content.metadata[kDescriptionKey] = kind::to_json(config).dump();
  source.content.source = output.path;
  kind::write_safetensors(output.path, source.content);
}

// --- The other two

void import_tensorflow(const std::vector<std::string>& paths, const Output& output) {
  std::vector<std::string> inputs = paths;
  for (const std::string& prefix : paths) inputs.push_back(prefix + ".index");
  check_output(output, inputs);
  kind::save_model(output.path, kind::import_tensorflow(paths));
}

void convert(const std::string& path, const Output& output, kind::WeightType type) {
  check_output(output, {path});
  const Source source = read_source(path);
  kind::save_model(output.path, source.model, type, notes_of(source.content));
}

// --- The exports

struct ExportOptions {
  std::string weights, nets = "all";
  std::optional<double> ratio;
  std::vector<float> range;  // from, to; or none
  bool float16 = false;
};

std::optional<kind::InputRange> range_of(const ExportOptions& options) {
  if (options.range.empty()) return {};
  const float low = options.range[0], high = options.range[1];
  check(std::isfinite(low) && std::isfinite(high) && low < high,
        "--range: expected two numbers, the first one less, got ", low, " and ", high);
  return kind::InputRange{low, high - low};
}

/// Writes what `bytes_of` makes of the model and its notes.
template <class Make>
void export_model(const ExportOptions& options, const Output& output, const Make& bytes_of) {
  const std::string path = kind::find_model(options.weights);
  check_output(output, {path});
  const Source source = read_source(path);
  kind::write_file_atomic(output.path, bytes_of(source.model, notes_of(source.content)),
                          output.overwrite ? kind::Existing::kReplace : kind::Existing::kKeep);
  if (options.nets == "all" && !source.model.config.restoration) {
    std::cerr << kProgram << ": " << path << " has no restoration net: what was exported leaves noise as it is\n";
  }
}

void export_onnx(const ExportOptions& options, const Output& output) {
  const std::map<std::string, kind::OnnxNets> nets{{"all", kind::OnnxNets::kAll},
                                                   {"decomposition", kind::OnnxNets::kDecomposition},
                                                   {"restoration", kind::OnnxNets::kRestoration},
                                                   {"adjustment", kind::OnnxNets::kAdjustment}};
  check(!options.ratio || options.nets == "all" || options.nets == "adjustment", "--ratio: the ", options.nets,
        " net has none; leave it out");
  const kind::OnnxOptions graph{nets.at(options.nets), options.float16, options.ratio, range_of(options)};
  export_model(options, output,
               [&](const auto& model, const auto& notes) { return kind::export_onnx(model, graph, notes); });
}

void export_darktable(const ExportOptions& options, const Output& output) {
  kind::DarktableOptions package;
  if (options.ratio) package.ratio = *options.ratio;
  if (const auto range = range_of(options)) package.range = *range;
  package.float16 = options.float16;
  export_model(options, output,
               [&](const auto& model, const auto& notes) { return kind::export_darktable(model, package, notes); });
}

// --- The command line

void add_output(CLI::App& verb, Output& output, const std::string& what = "model file",
                const std::string& name = "MODEL") {
  verb.add_option("-o,--output", output.path, "The " + what + " to write.")->required()->type_name(name);
  verb.add_flag("--overwrite", output.overwrite, "Replace " + name + " if it exists.");
}

void add_export(CLI::App& verb, ExportOptions& options, const std::string& ratio, const std::string& range) {
  verb.add_option("-w,--weights", options.weights, "The model; without it the shipped one.")->type_name("MODEL");
  verb.add_option("--ratio", options.ratio, ratio)->type_name("R");
  verb.add_option("--range", options.range, range)->type_name("LOW HIGH")->expected(2);
  verb.add_flag("--float16", options.float16, "Store the weights as float16; the file is half as large.");
}

/// Parses the command line; the exit code where --help or --version ends the program.
std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  // Of a verb that does not exist the parser would only say that there is none.
  const std::string verb = argc > 1 ? argv[1] : "";
  const bool known =
      !app.get_subcommands([&](const CLI::App* known_verb) { return known_verb->get_name() == verb; }).empty();
  check(known || verb.empty() || verb[0] == '-', "there is no verb ", kind::Quoted{verb}, "; see ", kProgram,
        " --help");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help and --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fail(kind::usage_problem(error.what(), kProgram, argc, argv));
  }
  return std::nullopt;
}

/// What the command line asks for.
struct Arguments {
  std::vector<std::string> paths, nets;
  std::string path;
  Output output;
  ExportOptions to_export;
  bool json = false, float16 = false, float32 = false;
};

void add_verbs(CLI::App& app, Arguments& to) {
  CLI::App& inspect_verb = *app.add_subcommand(
      "inspect", "Print nets, forms, tensors and metadata of models, safetensors files and TensorFlow checkpoints.");
  inspect_verb.add_option("files", to.paths, "Files to inspect.")->required()->type_name("FILE");
  inspect_verb.add_flag("--json", to.json, "Print a JSON list with one object per file.");

  CLI::App& import_verb = *app.add_subcommand(
      "import-tensorflow", "Make a model from checkpoints of the authors' program (PREFIX, PREFIX.index or a folder).");
  import_verb.add_option("checkpoints", to.paths, "One or more checkpoints with different nets.")
      ->required()
      ->type_name("CKPT");
  add_output(import_verb, to.output);

  CLI::App& merge_verb = *app.add_subcommand("merge", "Merge the nets of several models into one.");
  merge_verb.add_option("models", to.paths, "Models with different nets.")->required()->type_name("MODEL");
  add_output(merge_verb, to.output);

  CLI::App& convert_verb = *app.add_subcommand("convert", "Convert the weights of a model to another type.");
  convert_verb.add_option("model", to.path, "The model to read.")->required()->type_name("MODEL");
  CLI::Option_group& types = *convert_verb.add_option_group("type", "The type of the weights:");
  types.add_flag("--float16", to.float16, "Half the size; values are rounded to 11 bits.");
  types.add_flag("--float32", to.float32, "The type used in training.");
  types.require_option(1);
  add_output(convert_verb, to.output);

  CLI::App& onnx_verb = *app.add_subcommand("export-onnx", "Write a model as a graph for programs that read ONNX.");
  onnx_verb.add_option("--nets", to.to_export.nets, "What is in the graph: all, from picture to result, or one net.")
      ->type_name("NETS")
      ->check(CLI::IsMember({"all", "decomposition", "restoration", "adjustment"}));
  add_export(onnx_verb, to.to_export, "The ratio, above 0 and at most 100; without it, it is an input of the graph.",
             "The range of values that is stretched to 0..1; without it the graph measures that of the picture, as the "
             "model has it.");
  add_output(onnx_verb, to.output, "file", "FILE");

  CLI::App& darktable_verb = *app.add_subcommand(
      "export-darktable", "Write a model as a package for the denoising of darktable's neural restore.");
  add_export(darktable_verb, to.to_export, "The ratio, above 0 and at most 100 (default 3).",
             "The range of values that is stretched to 0..1 (default 0 1).");
  add_output(darktable_verb, to.output, "package", "FILE");

  CLI::App& drop_verb = *app.add_subcommand("drop", "Make a model without one or more of its nets.");
  drop_verb.add_option("model", to.path, "The model to read.")->required()->type_name("MODEL");
  drop_verb.add_option("nets", to.nets, "The nets to leave out.")
      ->required()
      ->check(CLI::IsMember({"decomposition", "restoration", "adjustment"}))
      ->type_name("NET");
  add_output(drop_verb, to.output);
}

int run(int argc, char** argv) {
  CLI::App app("Inspects, merges, takes apart, converts, imports and exports files of weights.", kProgram);
  app.set_version_flag(
      "--version",
      [] {
        return kind::version_text(kProgram, kind::available_isas(), kind::current_isa(), kind::image_codec_names());
      },
      "Print version, kernel sets and picture types.");
  app.require_subcommand(1);
  Arguments given;
  add_verbs(app, given);
  app.footer(
      "Exit codes: 0 success; 1 some of the files to inspect could not be read; 2 the command line or a file "
      "is\ninvalid, nothing was written.");
  kind::add_documents(app);

  if (const std::optional<int> code = parse(app, argc, argv)) return *code;
  const std::string verb = app.get_subcommands().front()->get_name();
  if (verb == "inspect") return run_inspect(given.paths, given.json);
  if (verb == "import-tensorflow") import_tensorflow(given.paths, given.output);
  if (verb == "merge") merge(given.paths, given.output);
  if (verb == "export-onnx") export_onnx(given.to_export, given.output);
  if (verb == "export-darktable") export_darktable(given.to_export, given.output);
  if (verb == "drop") drop(given.path, given.nets, given.output);
  if (verb == "convert") {
    convert(given.path, given.output, given.float16 ? kind::WeightType::kFloat16 : kind::WeightType::kFloat32);
  }
  std::cout << given.output.path << std::endl;
  return kind::kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  kind::expect_file_limits();
  try {
    const int code = run(argc, argv);
    check(static_cast<bool>(std::cout.flush()), "cannot write to the standard output");
    return code;
  } catch (const std::exception& error) {
    std::cerr << kind::error_line(kProgram, error) << "\n";
    return kind::kExitError;
  }
}
