// Long because a run's state, checkpoints and stages are one class that stops and goes on anywhere.

#include "train/trainer/trainer.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <memory>
#include <system_error>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/files/file.h"
#include "core/kernels/kernels.h"
#include "nets/model_path.h"
#include "train/parallel/batch_share.h"
#include "train/stages/loader.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/estimate.h"
#include "train/trainer/event_file.h"
#include "train/trainer/optimizer.h"
#include "train/trainer/provenance.h"
#include "train/trainer/validation.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string hexadecimal(std::uint64_t value) {
  std::ostringstream out;
  out << std::hex << value;
  return out.str();
}

/// Where the model is that is used when none is named, the shipped one or $KIND_MODEL, for a message.
std::string default_model() {
  try {
    return " (kind-infer uses " + find_model() + ")";
  } catch (const Error&) {
    return "";
  }
}

/// Takes one net of a file. `wanted` is the form that the stage trains (null where the net is not the stage's own); a
/// net that is there already is replaced by its own stage only.
template <class Net, class Config>
void take_net(const std::string& where, const std::optional<Net>& from, const std::optional<Config>& from_config,
              const std::optional<Config>& wanted, std::optional<Net>& to, std::optional<Config>& to_config) {
  if (!from || (to && !wanted)) return;
  if (wanted) {
    Config form = *from_config;
    form.initializer = wanted->initializer;
    check(
        to_json(form) == to_json(*wanted), where, ": the net in it has another form (",
        [&] { return to_json(form).dump(); }, ") than the config asks for (", [&] { return to_json(*wanted).dump(); },
        ")");
  }
  to = from;
  to_config = from_config;
}

const char* name_of(const std::optional<DecompositionConfig>&) { return "decomposition"; }
const char* name_of(const std::optional<RestorationConfig>&) { return "restoration"; }
const char* name_of(const std::optional<AdjustmentConfig>&) { return "adjustment"; }

/// Where each net of a stage comes from, as begin_stage returns it; throws where `init` lacks one that it may not lack.
/// `model` has the nets before the stage, `other` is that of its init.
std::string origins(const StageConfig& stage, const Model<float>& model, const Model<float>* other) {
  std::string text;
  each_net(model, [&](const auto& config, const auto& net) {
    const bool own = of_net(stage.net, config).has_value(), there = net.has_value();
    const bool loaded = other && of_net(*other, config) && (own || !there);
    if (!own && !loaded && !there) return;
    check(!own || loaded || there || !other || stage.init_missing == "random", "stages.", stage.name,
          ".init: ", stage.init.value_or(""), " has no ", name_of(config),
          " net, which this stage trains; to start that net at "
          "random, set \"init_missing\": \"random\" in the stage");
    text += join(text.empty() ? "" : "; ", name_of(config),
                 loaded  ? " from " + *stage.init
                 : there ? " as the stages before left it"
                         : " at random",
                 own ? "" : ", frozen");
  });
  return text;
}

}  // namespace

std::string begin_stage(const StageConfig& stage, std::uint64_t seed, Model<float>& model) {
  const std::string where = "stages." + stage.name;
  std::string text;
  if (stage.init) {
    std::error_code error;  // other than "not there" is for reading to complain of
    if (!fs::exists(*stage.init, error) && !error) {
      fail(where, ".init: there is no file ", *stage.init, "; train it first, or name another model with --set stages.",
           stage.name, ".init='\"MODEL\"'", default_model());
    }
    const Model<float> other = load_model<float>(*stage.init);
    const std::string source = where + ".init: " + *stage.init;
    check(other.config.input.stretch == model.config.input.stretch, source, ": its input.stretch is ",
          other.config.input.stretch ? "true" : "false", ", the config's is not");
    text = origins(stage, model, &other);
    if (!model.config.input.mirror) model.config.input.mirror = other.config.input.mirror;
    if (!model.config.input.outliers) model.config.input.outliers = other.config.input.outliers;
    each_net(model, [&](auto& config, auto& net) {
      take_net(source, of_net(other, config), of_net(other.config, config), of_net(stage.net, config), net, config);
    });
    if (!model.config.light) model.config.light = other.config.light;
  } else {
    text = origins(stage, model, nullptr);
  }
  each_net(model, [&](auto& config, auto& net) {
    if (of_net(stage.net, config) && !net) config = of_net(stage.net, config);
  });
  model.build(seed);
  check(model.decomposition.has_value(), where,
        ": this stage needs a trained decomposition net; name a model that has one as its \"init\" (kind-train "
        "configs/decom.json makes one)");
  return text;
}

namespace {

/// Whether all bytes of a file arrive.
bool can_be_read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  file.ignore(std::numeric_limits<std::streamsize>::max());
  return file.eof();
}

/// A config without what may differ on resuming: what does not change the weights, and the folders of `init` files.
ordered_json comparable(const TrainConfig& config) {
  ordered_json json = to_json(config);
  erase_incidental(json);
  // The same file may be spelled in many ways.
  for (ordered_json& stage : json["stages"]) {
    const auto init = stage.find("init");
    if (init != stage.end() && init->is_string()) *init = fs::path(init->get<std::string>()).filename().string();
  }
  return json;
}

/// Whether two configs of the same run differ in the length of the last stage alone.
bool differ_in_length(ordered_json a, ordered_json b) {
  for (ordered_json* json : {&a, &b}) {
    ordered_json& stages = (*json)["stages"];
    if (stages.empty()) return false;
    stages.back().erase("steps");
    stages.back().erase("epochs");
  }
  return a == b;
}

/// The JSON path of the first difference.
std::string first_difference(const ordered_json& a, const ordered_json& b, const std::string& path) {
  if (a.type() != b.type() || !a.is_structured() || a.size() != b.size()) return path;
  for (auto it = a.begin(); it != a.end(); ++it) {
    if (a.is_array()) {
      const std::size_t i = static_cast<std::size_t>(it - a.begin());
      if (a[i] != b[i]) return first_difference(a[i], b[i], join(path, "[", i, "]"));
    } else if (!b.contains(it.key()) || *it != b[it.key()]) {
      return b.contains(it.key()) ? first_difference(*it, b[it.key()], key_path(path, it.key()))
                                  : key_path(path, it.key());
    }
  }
  return path;
}

/// metrics.jsonl or pictures.jsonl, a line at a time, each on disk before the next.
class Metrics {
 public:
  /// Lines of steps after `step` (and validations of it, where one is still due) are left over from a killed run; they
  /// will be written again.
  Metrics(const std::string& path, std::int64_t step, bool validation_due) : path_(path) {
    std::string kept;
    std::ifstream old(path);
    for (std::string line; std::getline(old, line);) {
      const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
      if (entry.is_discarded() || !entry.is_object()) continue;
      const std::int64_t at = entry.value("step", std::int64_t{0});
      if (at > step || (at == step && validation_due && !entry.contains("loss"))) continue;
      kept += line + "\n";
      before_ = entry.value("seconds", before_);
    }
    check(!old.bad(), "cannot read ", path, ": the disk failed");
    write_file_atomic(path, kept);
    size_ = kept.size();
    out_.open(path, std::ios::app);
    check(out_.is_open(), path, ": cannot be written");
  }

  /// Seconds that the run has trained up to now; those before a stop count, up to the checkpoint it goes on from.
  double seconds() const {
    const double now = before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
    return std::round(now * 100) / 100;
  }

  void add(const ordered_json& entry) {
    const std::string line = entry.dump() + "\n";
    errno = 0;
    out_ << line << std::flush;
    if (!out_.good()) {
      const std::string reason = errno == 0 ? "is the disk full?" : std::system_category().message(errno);
      std::error_code ignored;
      fs::resize_file(path_, size_, ignored);  // no half of a line
      fail("cannot write ", path_, ": ", reason);
    }
    size_ += line.size();
  }

 private:
  std::string path_;
  std::uintmax_t size_ = 0;
  std::ofstream out_;
  double before_ = 0;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

/// What a run on several ranks does on all of them: on rank 0 `callbacks` are as given, on others they say nothing.
TrainCallbacks callbacks_of(const Communicator& ranks, const TrainCallbacks& callbacks) {
  if (ranks.rank() == 0) return callbacks;
  return {[](const TrainProgress&) {}, [](const std::string&) {}, callbacks.stop, false, callbacks.until,
          {{}, callbacks.pairs.cache}};
}

/// Runs `work` on rank 0, and returns its result on all.
bool result_of_first(Communicator& ranks, const std::function<bool()>& work) {
  char result = 0;
  on_first(ranks, [&] { result = work() ? 1 : 0; });
  ranks.broadcast(&result, 1);
  return result != 0;
}

/// A hash of all bits of the parameters.
std::string hash_of(const Parameters<float>& parameters) {
  std::uint64_t hash = 0;
  for (const Parameter<float>& parameter : parameters) {
    const Tensor<float>& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.size(); ++i) hash = mix64(hash ^ std::bit_cast<std::uint32_t>(value[i]));
  }
  return hexadecimal(hash);
}

/// A hash of the running program's file, which identifies its version and build.
std::string hash_of_program() {
  std::uint64_t hash = 0;
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::vector<char> piece(1 << 20);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    const auto read = static_cast<std::size_t>(file.gcount());
    std::fill(piece.begin() + static_cast<std::ptrdiff_t>(read), piece.end(), '\0');
    for (std::size_t i = 0; i < read; i += sizeof hash) {
      std::uint64_t word;
      std::memcpy(&word, piece.data() + i, sizeof word);
      hash = mix64(hash ^ word);
    }
  }
  check(file.eof(), "/proc/self/exe: cannot be read");
  return hexadecimal(hash);
}

/// Throws Error unless all ranks run the same program.
void check_same_program(Communicator& ranks, const TrainConfig& config) {
  if (ranks.size() == 1) return;
  std::string program;
  together(ranks, [&] {
    static const std::string once = hash_of_program();
    program = once;
  });
  check_same(ranks, "the program's hash", program, "install the same build on all machines");
  check_same(ranks, "the kernel set", current_isa(),
             "name one that all have, with KIND_ISA in the environment (mpirun -x KIND_ISA=avx2)");
  check_same(ranks, "the config", comparable(config).dump(), "start all ranks with the same config and options");
}

/// Exchanges averaged and trained weights for a scope.
class UseAverages {
 public:
  explicit UseAverages(WeightAverage* averages) : averages_(averages) {
    if (averages_) averages_->swap();
  }
  ~UseAverages() {
    if (averages_) averages_->swap();
  }
  UseAverages(const UseAverages&) = delete;
  UseAverages& operator=(const UseAverages&) = delete;

 private:
  WeightAverage* averages_;
};

class Run {
 public:
  Run(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
      const std::string& shared_maps, Communicator& ranks)
      : config_(config),
        out_(out),
        shared_maps_(shared_maps),
        ranks_(ranks),
        callbacks_(callbacks_of(ranks, callbacks)),
        checkpoints_(out),
        seed_(static_cast<std::uint64_t>(config.seed)),
        pairs_(config.data, largest_patch(config), seed_, callbacks_.pairs) {
    model_.config.input = config.input;
    model_.options = config.fused_options();
    state_.data = hexadecimal(pairs_.fingerprint());
    if (!out.empty()) provenance_ = make_provenance(config, pairs_);
    for (const std::string& note : notes()) callbacks_.message(note);
    if (resume) load_newest();
    if (resume) join_provenance();
    if (!finished_) check_inits();
  }

  /// All ranks together.
  bool run() {
    check_same(ranks_, "the hash of the pictures", state_.data, "give all ranks the same --data");
    check_same(ranks_, "the step to go on from", std::to_string(state_.step),
               "--out must be on a file system that all machines share");
    if (finished_) {
      callbacks_.message(out_ + ": the run in it is finished, there is nothing to go on with");
      return true;
    }
    on_first(ranks_, [&] { open_folder(); });
    for (; state_.stage < static_cast<std::int64_t>(config_.stages.size()); ++state_.stage) {
      if (!run_stage(config_.stages[static_cast<std::size_t>(state_.stage)])) return false;
      state_.stage_step = 0;
      state_.best.reset();
    }
    return result_of_first(ranks_, [&] { return finish(); });
  }

  std::string plan() const {
    std::string text =
        join(counted(pairs_.train().size(), "pair"), " to train on, ", pairs_.validation().size(), " held back");
    if (!pairs_.left_out().empty()) text += "\n" + left_out_text();
    for (const std::string& note : notes()) text += "\n" + note;
    Model<float> model = model_;
    for (const StageConfig& stage : config_.stages) {
      text += join("\nstage ", stage.name, ": ", counted(total_steps(stage, pairs_.train().size()), "step"), " of ",
                   stage.batch, " x ", stage.patch, "x", stage.patch, ", ", epoch_steps(stage, pairs_.train().size()),
                   " an epoch; ", begin_stage(stage, seed_, model));
    }
    return text;
  }

  /// Of pairs that are not used since they cannot be.
  std::string left_out_text() const {
    const std::vector<std::string>& texts = pairs_.left_out();
    return join(counted(texts.size(), "unusable pair"), texts.size() == 1 ? " is" : " are",
                " left out: ", problems_text(texts));
  }

  /// How long the rest of the run takes; nothing if it is short, or `stop` says so first. `begun`: the nets of the stage
  /// are there.
  std::string estimate(std::int64_t fewest_steps, bool begun) const {
    const auto first = static_cast<std::size_t>(state_.stage);
    Model<float> model = model_;
    const std::vector<StageEstimate> stages =
        estimate_stages(config_, pairs_, model, first, state_.stage_step, begun, fewest_steps, callbacks_.stop);
    return stages.empty() ? "" : estimate_text(stages);
  }

  /// Throws if the data are not those of the run in a folder.
  void check_data_of(const std::string& folder) const { check_data(folder, make_provenance(config_, pairs_)); }

 private:
  bool finish() {
    // A run that was killed right after its last checkpoint still has the ones before.
    if (!config_.stages.empty()) checkpoints_.keep_last(config_.stages.back().checkpoints.keep_last);
    if (config_.fit_light && !fit_light_rule()) return false;
    // Only what equal runs have in common, whichever programs and machines they were made with.
    const std::map<std::string, std::string> notes{{"seed", std::to_string(config_.seed)},
                                                   {"trained_on", provenance_["data"]["hash"].get<std::string>()}};
    save_model(out_ + "/model.safetensors", model_, WeightType::kFloat32, notes);
    thin_run(out_, config_.keep);
    callbacks_.message("finished: " + out_ + "/model.safetensors");
    return true;
  }

  static std::int64_t largest_patch(const TrainConfig& config) {
    std::int64_t largest = 1;
    for (const StageConfig& stage : config.stages) largest = std::max(largest, stage.patch);
    return largest;
  }

  /// Walks through the stages that are still to begin without training, so that a missing model is found before the
  /// first step.
  void check_inits() const {
    Model<float> model = model_;  // shares the weights, which beginning a stage replaces but never changes
    const std::size_t first = loaded_ ? static_cast<std::size_t>(state_.stage) + 1 : 0;
    for (std::size_t i = first; i < config_.stages.size(); ++i) begin_stage(config_.stages[i], seed_, model);
  }

  void load_newest() {
    const bool any = checkpoints_.newest().has_value();
    const fs::path config_file = fs::path(out_) / "config.json";
    std::error_code error;  // other than "not there" is for reading to complain of
    if (fs::exists(config_file, error) || error) {
      const TrainConfig before = parse_config<TrainConfig>(read_json_file(config_file.string()), config_file.string());
      const ordered_json a = comparable(before), b = comparable(config_);
      if (a != b && differ_in_length(a, b)) steps_before_ = total_steps(before.stages.back(), pairs_.train().size());
      const bool grows = steps_before_ && *steps_before_ < total_steps(config_.stages.back(), pairs_.train().size());
      check(
          a == b || grows, out_, ": the run in it was started with another config (",
          [&] { return first_difference(a, b, ""); }, " differs); resume it with the same one, which ",
          config_file.native(), " holds, or start another with --out");
    }
    check_data(out_, provenance_);
    if (!any) {
      const bool model = fs::exists(out_ + "/model.safetensors", error), config = fs::exists(config_file, error);
      check(!model || !steps_before_, out_, ": the run in it is finished after ", steps_before_.value_or(0),
            " steps of stage ", config_.stages.back().name,
            " and its checkpoints were not kept (\"keep\"), so it cannot go on to more; begin a longer one with --out");
      check(!model || config, out_,
            ": there is a finished model in it, model.safetensors, but no checkpoint to go on from; move it away to "
            "train "
            "again, or name another folder with --out");
      finished_ = model;
      if (finished_) return;
      callbacks_.message(out_ + ": there is no checkpoint to go on from; the run begins at its start");
      return;
    }
    check(fs::exists(config_file), out_,
          ": there are checkpoints in it but no config.json to compare this config with; put it back, or start another "
          "run with --out (a checkpoint's model serves as \"init\")");
    read_checkpoint();
    callbacks_.message(join("resuming at step ", state_.step));
    check_growth();
  }

  /// A schedule that changes the learning rate spreads over all steps of a stage: the steps taken so far are not the
  /// first ones of a longer run.
  void check_growth() const {
    if (!steps_before_) return;
    const StageConfig& stage = config_.stages.back();
    const bool begun = state_.stage + 1 == static_cast<std::int64_t>(config_.stages.size()) && state_.stage_step > 0;
    check(!begun || stage.schedule.type == "constant", out_, ": the run in it has begun stage ", stage.name, " for ",
          *steps_before_, " steps with a schedule of type \"", stage.schedule.type,
          "\", whose learning rates depend on the number of steps, so it cannot go on to more (only \"constant\" can); "
          "begin a longer one with --out");
    callbacks_.message(join("stage ", stage.name, " grows from ", *steps_before_, " to ",
                            counted(total_steps(stage, pairs_.train().size()), "step")));
  }

  /// The newest checkpoint that is whole. Those that are not are removed when the run goes on, since it would keep them
  /// in place of good ones.
  void read_checkpoint() {
    std::string damage;
    for (const std::int64_t step : checkpoints_.newest_first()) {
      SafeTensors content;
      try {
        content = read_safetensors(checkpoints_.state_path(step));
        check_seal(content);
      } catch (const Error& error) {
        if (!can_be_read(checkpoints_.state_path(step))) throw;  // the disk is to blame, not the file
        if (damage.empty()) damage = error.what();
        damaged_.push_back(step);
        continue;
      }
      // A whole one that does not fit is no reason to go on from another.
      Model<float> model = model_;
      state_ = get_state(content, model.config);
      model.build(seed_);
      assign_parameters(content, model.parameters());
      loaded_ = std::move(content);
      model_ = std::move(model);
      break;
    }
    check(loaded_.has_value(), damage, "; no older checkpoint can be gone on from: remove ", checkpoints_.folder(),
          " to begin at the start, or name another folder with --out");
    if (!damage.empty()) callbacks_.message(damage + "; an older checkpoint is gone on from");
    check(state_.data == hexadecimal(pairs_.fingerprint()), out_,
          ": the run in it was trained on other pictures than those in ", [&] { return roots(); });
    check(state_.stage < static_cast<std::int64_t>(config_.stages.size()), loaded_->source, ": there is no stage ",
          state_.stage);
  }

  /// Throws if the data of `now` are not those that the run in a folder began with.
  void check_data(const std::string& folder, const ordered_json& now) const {
    std::string difference;
    try {
      difference = data_difference(read_provenance(folder), now);
    } catch (const nlohmann::json::exception&) {
      fail(folder, "/provenance.json: it is not what kind-train writes; remove it to go on without");
    }
    check(
        difference.empty(), folder, ": the run in it was trained on other pictures than those in ",
        [&] { return roots(); }, ": ", difference,
        "; resume it with the pictures and the split that it began with, or start another with --out");
  }

  void join_provenance() {
    if (!loaded_) return;  // the run begins at its start
    const ordered_json before = read_provenance(out_);
    if (before.is_null()) return;
    const ordered_json ours = provenance_["programs"].back();
    if (ours != before["programs"].back()) {
      callbacks_.message(
          "this is another program than the run was made with so far, results may differ from those of "
          "one program: " +
          program_text(before["programs"].back()) + "; now " + program_text(ours));
    }
    provenance_ = joined_provenance(before, provenance_);
  }

  /// What a user should know of where the pictures come from.
  std::vector<std::string> notes() const {
    std::vector<std::string> all;
    for (const SourceConfig& source : config_.data.all()) {
      if (!source.high.empty()) continue;
      const std::string note = source.synthesize ? dark_folder_note(source.root) : list_note(source.root);
      if (!note.empty()) all.push_back(note);
    }
    return all;
  }

  std::string roots() const {
    std::string text;
    for (const SourceConfig& source : config_.data.all()) text += (text.empty() ? "" : ", ") + source.root;
    return text;
  }

  void open_folder() {
    std::error_code error;
    for (const char* name : {"/checkpoints", "/sheets"}) {
      fs::create_directories(out_ + name, error);
      check(!error, out_, name, ": cannot be made: ", [&] { return error.message(); });
    }
    // Temporary files of a run that was killed while it wrote.
    for (const std::string& folder : {out_, checkpoints_.folder(), out_ + "/sheets"}) {
      for (const fs::path path : list_folder(folder)) {
        if (path.filename().string().rfind(".kind-", 0) == 0 && path.extension() == ".tmp") fs::remove(path, error);
      }
    }
    for (const std::int64_t step : damaged_) {
      for (const std::string& path : {checkpoints_.state_path(step), checkpoints_.model_path(step)}) {
        fs::remove(path, error);
        check(!error, path, ": it is damaged and cannot be removed: ", [&] { return error.message(); });
      }
    }
    if (steps_before_) {  // its model is that of fewer steps than the config will say
      fs::remove(out_ + "/model.safetensors", error);
      check(!error, out_, "/model.safetensors: cannot be removed: ", [&] { return error.message(); });
    }
    write_file_atomic(out_ + "/config.json", to_json(config_).dump(2) + "\n");
    write_file_atomic(out_ + "/provenance.json", provenance_.dump(2) + "\n");
    if (!pairs_.left_out().empty()) {
      std::string lines;
      for (const std::string& text : pairs_.left_out()) lines += text + "\n";
      write_file_atomic(out_ + "/unusable.txt", lines);
      callbacks_.message(left_out_text() + "; all are in " + out_ + "/unusable.txt");
    }
    metrics_ = std::make_unique<Metrics>(out_ + "/metrics.jsonl", state_.step, state_.validation_due);
    pictures_ = std::make_unique<Metrics>(out_ + "/pictures.jsonl", state_.step, state_.validation_due);
    if (config_.tensorboard)
      events_ = std::make_unique<EventFile>(out_ + "/tensorboard", state_.step, to_json(config_));
  }

  FrozenDecomposition& frozen() {
    if (!frozen_) {
      // Rank 0 alone writes to the output folder.
      std::error_code error;
      const std::string folder = ranks_.rank() == 0 ? out_ : fs::temp_directory_path(error).string();
      check(!error, "TMPDIR: ", ranks_.name(), " needs a folder for its maps: ", [&] { return error.message(); });
      frozen_ = std::make_unique<FrozenDecomposition>(
          model_, pairs_, static_cast<std::size_t>(config_.data.memory_mb) << 20, folder, shared_maps_);
    }
    return *frozen_;
  }

  /// Says what a stage does, and of a run's first one how long the rest takes.
  void announce(const StageConfig& stage, std::int64_t steps, const std::string& nets) {
    callbacks_.message(join("stage ", stage.name, ": ", counted(steps, "step"), " of ", stage.batch, " x ", stage.patch,
                            "x", stage.patch, ", ", counted(pairs_.train().size(), "pair"), nets));
    if (callbacks_.estimate && !estimated_ && ranks_.size() == 1) {
      constexpr std::int64_t kFewestSteps = 200;  // a shorter run shows by itself how long it takes
      try {
        const std::string text = estimate(kFewestSteps, true);
        if (!text.empty()) callbacks_.message(text);
      } catch (const std::exception& error) {
        callbacks_.message(join("how long the run takes cannot be estimated: ", error.what()));
      }
    }
    estimated_ = true;
  }

  /// Fills in the speed, tells of the step, and whether a validation is due.
  void after_step(const StageConfig& stage, TrainProgress& progress, double per_step, std::int64_t total,
                  std::int64_t until) {
    progress.images_per_s = static_cast<double>(stage.batch) / std::max(per_step, 1e-9);
    progress.seconds_left = per_step * static_cast<double>(total - state_.stage_step);
    if (state_.stage_step % stage.log_every == 0 || state_.stage_step == total) {
      on_first(ranks_, [&] { log_step(progress); });
    }
    callbacks_.progress(progress);
    const std::int64_t every = stage.validation.every;
    const bool look = every > 0 && (state_.stage_step % every == 0 || state_.stage_step == total);
    state_.validation_due = !pairs_.validation().empty() && (look || state_.stage_step == until);
  }

  /// Loads the optimizer and the averages of a checkpoint that has just been read, if one was.
  void resume_state(Optimizer& optimizer, WeightAverage* average) {
    if (!loaded_) return;
    optimizer.load(*loaded_, state_.stage_step);
    if (average) average->load(*loaded_);
    loaded_.reset();
  }

  bool run_stage(const StageConfig& stage) {
    std::string nets;
    if (!loaded_) together(ranks_, [&] { nets = "; " + begin_stage(stage, seed_, model_); });
    check_same(ranks_, "the hash of the weights", hash_of(model_.parameters()),
               "the files of \"init\" and of the checkpoint must be the same on all machines");
    const bool trains_decomposition = stage.net.decomposition.has_value();
    if (trains_decomposition) frozen_.reset();
    const std::unique_ptr<StageSampler> sampler = make_sampler(stage, model_, pairs_, frozen());
    const Parameters<float> parameters = stage_parameters(stage, model_);
    BatchShare share(ranks_, stage.batch, parameters);
    BatchLoader loader(stage, pairs_, *sampler, seed_, static_cast<std::uint64_t>(state_.stage),
                       total_steps(stage, pairs_.train().size()),
                       SampleRange{share.range().first, share.range().count});
    Optimizer optimizer(stage.optimizer, parameters);
    std::unique_ptr<WeightAverage> average;
    if (stage.ema) average = std::make_unique<WeightAverage>(*stage.ema, parameters);
    resume_state(optimizer, average.get());
    const std::int64_t total = total_steps(stage, pairs_.train().size());
    announce(stage, total, nets);
    const auto started = std::chrono::steady_clock::now();
    const std::int64_t first = state_.stage_step;
    double paused = 0;                                                                   // seconds spent on validation
    bool changed = false;                                                                // since the newest checkpoint
    const std::int64_t until = &stage == &config_.stages.back() ? callbacks_.until : 0;  // 0: to the end
    while (true) {
      const bool last = state_.stage_step == total;
      if (state_.validation_due) {
        loader.wait();
        const auto before = std::chrono::steady_clock::now();
        const bool done = result_of_first(
            ranks_, [&] { return validate_step(stage, trains_decomposition ? nullptr : &frozen(), average.get()); });
        if (!done) {
          if (changed) save_checkpoint(stage, optimizer, average.get());
          return false;
        }
        state_.validation_due = false;
        changed = true;
        paused += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
      }
      if (changed && (last || state_.stage_step % stage.checkpoints.every == 0)) {
        save_checkpoint(stage, optimizer, average.get());
        changed = false;
      }
      if (last) break;
      const bool enough = until > 0 && state_.stage_step >= until;
      if (enough || any_rank(ranks_, callbacks_.stop())) {
        if (changed) save_checkpoint(stage, optimizer, average.get());
        return false;
      }
      TrainProgress progress = train_step(stage, share, loader, parameters, optimizer, average.get(), total);
      changed = true;
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
      const double per_step = (elapsed.count() - paused) / static_cast<double>(state_.stage_step - first);
      after_step(stage, progress, per_step, total, until);
    }
    if (average) average->swap();  // the averages are the stage's result
    return true;
  }

  TrainProgress train_step(const StageConfig& stage, BatchShare& share, BatchLoader& loader,
                           const Parameters<float>& parameters, Optimizer& optimizer, WeightAverage* average,
                           std::int64_t total) {
    TrainProgress progress;
    const double factor = schedule_factor(stage.schedule, state_.stage_step, total);
    for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();
    add_gradients(stage, share, loader, progress);
    const double norm = gradient_norm(parameters);
    if (!std::isfinite(norm)) {  // it is the same on all ranks
      together(ranks_, [&] { check_finite(stage, state_.step + 1, "the gradient's norm", norm); });
    }
    progress.gradient_norm = norm;
    if (stage.clip_norm && norm > *stage.clip_norm) {
      scale_gradients(parameters, static_cast<float>(*stage.clip_norm / norm));
    }
    optimizer.step(factor);
    if (average) average->update(state_.stage_step);
    progress.stage = stage.name;
    progress.epoch = state_.stage_step / epoch_steps(stage, pairs_.train().size());
    progress.stage_step = ++state_.stage_step;
    progress.stage_steps = total;
    progress.step = ++state_.step;
    progress.learning_rate = stage.optimizer.learning_rate * factor;
    return progress;
  }

  /// The loss of the batch and its gradients.
  void add_gradients(const StageConfig& stage, BatchShare& share, BatchLoader& loader, TrainProgress& progress) {
    Tensor<float> batch;
    together(ranks_, [&] {
      if (share.part()) batch = loader.take(state_.stage_step);
    });
    // Ranks exchange sums while they compute, so they cannot tell one another of errors meanwhile, other than of losses
    // that are not finite, which are the same on all that have pairs.
    std::optional<NotFinite> failure;
    Loss<float> loss;
    if (share.part()) {
      const BatchScope scope(share.part());
      try {
        loss = stage_loss(stage, model_, batch);
        progress.total_loss = static_cast<double>(loss.total.value().item());
        for (const LossTerm& term : loss.terms) {
          check_finite(stage, state_.step + 1, "loss term " + term.name, term.raw);
        }
        check_finite(stage, state_.step + 1, "the loss", progress.total_loss);
        progress.terms = std::move(loss.terms);
      } catch (const NotFinite& error) {
        failure = error;
      }
    }
    together(ranks_, [&] {
      if (failure) throw *failure;
    });
    share.add_up([&](const GradientReady<float>& ready) {
      if (!share.part()) return;
      const BatchScope scope(share.part());
      loss.total.backward(Tensor<float>::full(loss.total.shape(), 1), ready);
    });
  }

  void check_finite(const StageConfig& stage, std::int64_t step, std::string_view what, double value) const {
    if (std::isfinite(value)) return;
    const std::optional<std::int64_t> newest = checkpoints_.newest();
    throw NotFinite(join("stage ", stage.name, ", step ", step, ": ", what, " is ", value, "; the run has stopped, ",
                         newest ? join("its last good checkpoint is ", checkpoints_.model_path(*newest))
                                : std::string("before its first checkpoint"),
                         ". A lower learning rate, or clip_norm, may help"));
  }

  void log_step(const TrainProgress& progress) {
    ordered_json entry{
        {"stage", progress.stage}, {"step", progress.step}, {"epoch", progress.epoch}, {"lr", progress.learning_rate}};
    entry["loss"]["total"] = progress.total_loss;
    for (const LossTerm& term : progress.terms) {
      entry["loss"][term.name] = {{"raw", term.raw}, {"weighted", term.weighted}};
    }
    entry["gradient_norm"] = progress.gradient_norm;
    entry["images_per_s"] = progress.images_per_s;
    entry["seconds"] = metrics_->seconds();
    add_metrics(entry);
  }

  void add_metrics(const ordered_json& entry) {
    metrics_->add(entry);
    if (events_) events_->add_metrics(entry);
  }

  /// What the best model is chosen by: the PSNR, with several sources the mean over their sets, each counting the same.
  static std::optional<double> psnr_of(const ValidationResult& result) {
    double sum = 0, count = 0;
    for (const auto& [set, figures] : result.sets) {
      const auto psnr = figures.find("psnr");
      if (psnr != figures.end()) sum += psnr->second, count += 1;
    }
    if (count > 0) return sum / count;
    const auto psnr = result.means.find("psnr");
    return psnr == result.means.end() ? std::nullopt : std::optional<double>(psnr->second);
  }

  bool validate_step(const StageConfig& stage, FrozenDecomposition* frozen, WeightAverage* average) {
    const UseAverages use(average);
    const std::optional<ValidationResult> result = validate(model_, pairs_, frozen, stage.validation, callbacks_.stop);
    if (!result) return false;
    for (const auto& [name, value] : result->means) check_finite(stage, state_.step, "the validation's " + name, value);
    if (stage.validation.sheet_rows > 0) {
      finish_sheet();
      const std::string path = join(out_, "/sheets/", stage.name, "-step-", state_.step, ".png");
      sheet_ = std::async(std::launch::async, [path, step = state_.step, sheet = result->sheet] {
        const SerialScope serial;
        write_image(path, sheet, ImageFormat::kPng);
        return std::pair(path, step);
      });
    }
    const std::optional<double> psnr = psnr_of(*result);
    if (psnr && (!state_.best || *psnr > *state_.best)) {
      state_.best = psnr;
      save_model(out_ + "/best.safetensors", model_);
    }
    ordered_json entry{{"stage", stage.name}, {"step", state_.step}};
    std::string text = join("stage ", stage.name, ", step ", state_.stage_step, ": validation");
    entry["validation"] = ordered_json::object();
    for (const auto& [name, value] : result->means) {
      entry["validation"][name] = value;
      text += join(" ", name, "=", std::round(value * 1e4) / 1e4);
    }
    for (const auto& [set, figures] : result->sets) {
      entry["sets"][set] = figures;
      text += join("\n  ", set, ":");
      for (const auto& [name, value] : figures) text += join(" ", name, "=", std::round(value * 1e4) / 1e4);
    }
    ordered_json pictures{{"stage", stage.name}, {"step", state_.step}};
    for (const auto& [stem, figures] : result->pictures) pictures["pictures"][stem] = figures;
    for (const ValidationResult::SheetRow& row : result->rows) {
      pictures["sheet"].push_back(
          {{"picture", row.stem}, {"top", row.top}, {"height", row.height}, {"width", row.width}});
    }
    pictures_->add(pictures);
    add_metrics(entry);
    callbacks_.message(text);
    state_.validation_due = false;
    return true;
  }

  /// Waits for the sheet that is being written beside the steps; throws what kept it from being written.
  void finish_sheet() {
    if (!sheet_.valid()) return;
    const auto [path, step] = sheet_.get();
    if (events_) events_->add_sheet(path, step);
  }

  void save_checkpoint(const StageConfig& stage, const Optimizer& optimizer, WeightAverage* average) {
    if (ranks_.size() > 1) {
      check_same(ranks_, "the hash of the weights", hash_of(model_.parameters()),
                 "the machines compute differently: the C library must be the same on all of them");
    }
    on_first(ranks_, [&] { write_checkpoint(stage, optimizer, average); });
  }

  void write_checkpoint(const StageConfig& stage, const Optimizer& optimizer, WeightAverage* average) {
    // A last step may have spoilt them, and no loss has seen them since.
    for (const Parameter<float>& parameter : model_.parameters()) {
      const Tensor<float>& value = parameter.variable.value();
      for (std::int64_t i = 0; i < value.size(); ++i) {
        check_finite(stage, state_.step, parameter.name, static_cast<double>(value[i]));
      }
    }
    {
      const UseAverages use(average);
      save_model(checkpoints_.model_path(state_.step), model_);
    }
    SafeTensors content;
    put_state(state_, model_.config, content);
    for (const Parameter<float>& parameter : model_.parameters()) {
      content.put_tensor(parameter.name, parameter.variable.value());
    }
    optimizer.save(content);
    if (average) average->save(content);
    try {
      finish_sheet();  // the state says that the validation is done, which is the sheet too
      seal_state(content);
      write_safetensors(checkpoints_.state_path(state_.step), content);
    } catch (...) {
      // Half of a checkpoint goes, but never the model of a state that is there.
      std::error_code ignored;
      if (!fs::exists(checkpoints_.state_path(state_.step), ignored)) {
        fs::remove(checkpoints_.model_path(state_.step), ignored);
      }
      throw;
    }
    checkpoints_.keep_last(stage.checkpoints.keep_last);
  }

  /// The level of a bright picture is its mean. Exposures between the two of a pair and the bright picture itself have
  /// the same; so the rule learns to leave bright pictures as they are.
  bool fit_light_rule() {
    constexpr double kShares[] = {0, 0.5, 1}, kOtherWeight = 0.25;
    std::vector<LightSample> samples;
    double highest_ratio = 1;
    for (const std::size_t index : pairs_.train()) {
      if (callbacks_.stop()) return false;
      const Tensor<float> dark = to_tensor(pairs_.pictures(index).low), target = to_tensor(pairs_.pictures(index).high);
      double level = 0;
      for (std::int64_t i = 0; i < target.size(); ++i) level += static_cast<double>(target[i]);
      level = std::max(level / static_cast<double>(target.size()), 1e-3);
      const MeteredPicture dark_meter = meter(dark, model_.config.input),
                           bright_meter = meter(target, model_.config.input);
      const InputRange low_range = dark_meter.range, high_range = bright_meter.range;
      const auto seen = [](const MeteredPicture& metered) {
        Tensor<float> picture = metered.reduced.clone();
        for (std::int64_t i = 0; i < picture.size(); ++i) picture[i] = metered.range.stretched(picture[i]);
        return picture;
      };
      const Tensor<float> low = seen(dark_meter), high = seen(bright_meter);
      // Each source counts by its weight in data.sources; 1 where there is one.
      const Pairs::Source& source = pairs_.sources()[pairs_.all()[index].source];
      const double weight = static_cast<double>(source.turns) / static_cast<double>(Pairs::kTurns) *
                            (static_cast<double>(pairs_.train().size()) / static_cast<double>(source.train.size()));
      for (const double share : kShares) {
        const auto between = [share](float a, float b) { return exposure_between(a, b, static_cast<float>(share)); };
        Tensor<float> picture(low.shape());
        for (std::int64_t i = 0; i < low.size(); ++i) picture[i] = between(low[i], high[i]);
        const InputRange range{between(low_range.low, high_range.low), between(low_range.span, high_range.span)};
        samples.push_back({light_statistics(picture, range), level, share > 0 ? kOtherWeight * weight : weight});
      }
      highest_ratio = std::max(highest_ratio, frozen().ratio(index).up);
    }
    model_.config.light = fit_light(samples);
    model_.config.light->highest_ratio = std::min(highest_ratio, 100.0);
    return true;
  }

  const TrainConfig& config_;
  std::string out_, shared_maps_;
  Communicator& ranks_;
  const TrainCallbacks callbacks_;
  Checkpoints checkpoints_;
  std::uint64_t seed_;
  Pairs pairs_;
  Model<float> model_;
  RunState state_;
  std::optional<SafeTensors> loaded_;  // the checkpoint, until its stage has taken what it needs
  std::unique_ptr<FrozenDecomposition> frozen_;
  std::unique_ptr<Metrics> metrics_, pictures_;
  bool estimated_ = false;
  ordered_json provenance_;
  bool finished_ = false;                     // before this program began
  std::optional<std::int64_t> steps_before_;  // of the last stage, where the config now says more
  std::vector<std::int64_t> damaged_;         // checkpoints that could not be read
  std::unique_ptr<EventFile> events_;
  std::future<std::pair<std::string, std::int64_t>> sheet_;  // its path and step, when it is written
};

}  // namespace

bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
           const std::string& shared_maps) {
  const std::unique_ptr<Communicator> alone = one_process();
  return train(config, out, resume, callbacks, shared_maps, *alone);
}

bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
           const std::string& shared_maps, Communicator& ranks) {
  check_same_program(ranks, config);
  on_first(ranks, [&] {
    std::error_code ignored;
    for (const char* name : {"config.json", "metrics.jsonl", "checkpoints"}) {
      check(resume || !fs::exists(fs::path(out) / name, ignored), out,
            ": there is a run in it; go on with it with --resume, or name another folder with --out");
    }
  });
  std::optional<Run> run;
  together(ranks, [&] { run.emplace(config, out, resume, callbacks, shared_maps, ranks); });
  return run->run();
}

std::string plan_training(const TrainConfig& config, bool timed, const PairsOptions& pairs,
                          const std::string& data_of) {
  const TrainCallbacks silent{
      [](const TrainProgress&) {}, [](const std::string&) {}, [] { return false; }, false, 0, pairs};
  const std::unique_ptr<Communicator> alone = one_process();
  const Run run(config, "", false, silent, "", *alone);
  if (!data_of.empty()) run.check_data_of(data_of);
  return run.plan() + (timed ? "\n" + run.estimate(0, false) : "");
}

}  // namespace kind
