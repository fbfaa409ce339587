#include "nets/onnx/darktable.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/files/zip.h"
#include "nets/onnx/onnx_export.h"

namespace kind {
namespace {

/// Reflection padding around tiles: at their edges, zeros deep in the nets would reach further than the overlap. A multiple
/// of 16, which keeps the pooling where it is in a whole picture.
constexpr std::int64_t kPadding = 32;

bool is_whole(const InputRange& range) { return range.low == 0 && range.span == 1; }

/// The options in words, with `space` between them: "ratio 3", "ratio 3 range 0 0.5".
std::string words_of(const DarktableOptions& options, const char* space) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "ratio" << space << options.ratio;
  if (!is_whole(options.range)) {
    text << space << "range" << space << options.range.low << space << options.range.low + options.range.span;
  }
  return text.str();
}

}  // namespace

std::string darktable_id(const DarktableOptions& options) { return "denoise-kind-" + words_of(options, "-"); }

std::vector<std::uint8_t> export_darktable(const Model<float>& model, const DarktableOptions& options,
                                           const std::map<std::string, std::string>& notes) {
  const std::string id = darktable_id(options);
  const nlohmann::ordered_json config{
      {"id", id},
      {"name", "kind " + words_of(options, " ")},
      {"description", "Brightens dark pictures and removes their noise (KinD), " + words_of(options, " ")},
      {"task", "denoise"},
      {"arch", "kind"},
      {"backend", "onnx"},
      {"version", "1.0"},
      {"tiling", true},
      {"num_inputs", 1},
      {"spatial_dims", {"height", "width"}}};
  const std::string text = config.dump(4) + "\n";
  const OnnxOptions graph{OnnxNets::kAll, options.float16, options.ratio, options.range, kPadding};
  return stored_zip(
      {{id + "/config.json", {text.begin(), text.end()}}, {id + "/model.onnx", export_onnx(model, graph, notes)}});
}

}  // namespace kind
