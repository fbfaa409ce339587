#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"

/// The part of kind-train's config that says which pictures there are (see train/trainer/config.h).
namespace kind {

/// Dark pictures made from bright ones, where there are no pairs (see train/data/camera.h).
struct CameraConfig {
  double exposure_low = 0.05;
  double exposure_high = 0.25;
  double gamma_low = 0.9;
  double gamma_high = 1.3;
  double shot_noise = 0.002;
  double read_noise = 0.002;
  double noise_low = 1;
  double noise_high = 1;
  std::string mosaic = "none";
  double red_gain_low = 1;
  double red_gain_high = 1;
  double blue_gain_low = 1;
  double blue_gain_high = 1;
  double white_balance = 0;
  double falloff_low = 0;
  double falloff_high = 0;
  double windows = 0;
  double window_exposure_low = 0.3;
  double window_exposure_high = 1;
  double window_size_low = 0.1;
  double window_size_high = 0.6;
  double jpeg = 0;
  std::int64_t jpeg_quality_low = 60;
  std::int64_t jpeg_quality_high = 95;
  bool fresh = false;

  template <class V>
  void fields(V& v) {
    v.field("exposure_low", exposure_low, "Smallest factor of the linear light; each picture draws its own.",
            greater_than(0), at_most(1));
    v.field("exposure_high", exposure_high, "Largest factor of the linear light.", greater_than(0), at_most(1));
    v.field("gamma_low", gamma_low, "Smallest exponent applied to the darkened picture, as cameras' tone curves do.",
            greater_than(0), at_most(5));
    v.field("gamma_high", gamma_high, "Largest exponent.", greater_than(0), at_most(5));
    v.field("shot_noise", shot_noise, "Variance of the linear light per unit of light: photons.", between(0, 1));
    v.field("read_noise", read_noise, "Standard deviation of the linear light that does not depend on it.",
            between(0, 1));
    v.field("noise_low", noise_low, "Smallest factor of the noise's standard deviation; each picture draws its own.",
            between(0, 100));
    v.field("noise_high", noise_high, "Largest factor of the noise's standard deviation.", between(0, 100));
    v.field("mosaic", mosaic,
            "What passes through a Bayer mosaic and bilinear demosaicing: nothing; the noise alone, so that grain is "
            "coloured and spreads over neighbours but edges stay; or the picture with its noise.",
            one_of("none", "noise", "picture"));
    v.field("red_gain_low", red_gain_low,
            "Smallest gain by which the camera balances red, which its sensor sees less of: the light stays, its noise "
            "grows. About 2 in daylight.",
            greater_than(0), at_most(16));
    v.field("red_gain_high", red_gain_high, "Largest gain of red.", greater_than(0), at_most(16));
    v.field("blue_gain_low", blue_gain_low, "Smallest gain of blue. About 1.6 in daylight, more in lamplight.",
            greater_than(0), at_most(16));
    v.field("blue_gain_high", blue_gain_high, "Largest gain of blue.", greater_than(0), at_most(16));
    v.field("white_balance", white_balance,
            "Largest error of the white balance in stops: red and blue light each get a factor from 1 / 2^this to "
            "2^this.",
            between(0, 3));
    v.field("falloff_low", falloff_low, "Least stops by which the light falls from one side to the other.",
            between(0, 10));
    v.field("falloff_high", falloff_high, "Most stops by which the light falls from one side to the other.",
            between(0, 10));
    v.field("windows", windows, "Share of pictures in which a window, a lamp or a sky keeps a larger exposure.",
            between(0, 1));
    v.field("window_exposure_low", window_exposure_low, "Smallest factor of the linear light there.", greater_than(0),
            at_most(16));
    v.field("window_exposure_high", window_exposure_high,
            "Largest factor of the linear light there; above 1 light is clipped that the bright picture shows.",
            greater_than(0), at_most(16));
    v.field("window_size_low", window_size_low, "Smallest sides of it, as a share of the picture's.", greater_than(0),
            at_most(1));
    v.field("window_size_high", window_size_high, "Largest sides of it, as a share of the picture's.", greater_than(0),
            at_most(1));
    v.field("jpeg", jpeg, "Share of dark pictures that are compressed as JPEG.", between(0, 1));
    v.field("jpeg_quality_low", jpeg_quality_low, "Lowest quality of the JPEG.", between(1, 100));
    v.field("jpeg_quality_high", jpeg_quality_high, "Highest quality of the JPEG.", between(1, 100));
    v.field("fresh", fresh,
            "Training pairs get a new dark picture each time they come up, where a stage is given pictures; else each "
            "picture has one dark twin throughout, as validation pairs always have.");
  }
  void validate(const std::string& path) const;
};

/// One of several folders that training draws from.
struct SourceConfig {
  std::string name;
  std::string root;
  double weight = 1;
  std::string split = "train";
  std::optional<std::string> split_file;
  std::int64_t validation = 15;
  std::optional<CameraConfig> synthesize;

  template <class V>
  void fields(V& v) {
    v.field("name", name,
            "For --data NAME=DIR, --set data.sources.NAME.weight and the figures of its pairs; empty: its place in the "
            "list, from 0.");
    v.field("root", root, "Folder with low/ and high/, or of bright pictures; --data NAME=DIR overrides it.");
    v.field("weight", weight, "Its share of the samples is this over the sum of all; 0: its pairs only validate.",
            at_least(0));
    v.field("split", split,
            "Which of its pairs are trained on: those that the split says, or all but those that it lists as \"test\" "
            "(none is held back then).",
            one_of("train", "all"));
    v.field("split_file", split_file,
            "The split in place of the folder's split.json: a JSON file of the same form, as seen from the working "
            "folder.");
    v.field("validation", validation,
            "Pairs held back, as whole runs of the sorted names, where there is neither a split_file nor a "
            "split.json.",
            at_least(0));
    v.field("synthesize", synthesize, "Make the dark pictures from the bright ones, as data.synthesize does.");
  }
  void validate(const std::string& path) const;
};

struct DataConfig {
  std::string root = "data/lol";
  std::int64_t validation = 15;
  std::optional<CameraConfig> synthesize;
  std::vector<SourceConfig> sources;
  std::int64_t memory_mb = 2048;

  template <class V>
  void fields(V& v) {
    v.field("root", root, "Folder with low/ and high/ (or Low/ and Normal/); --data overrides it.");
    v.field("validation", validation,
            "Pairs held back, as whole runs of the sorted names, where the folder has no split.json.", at_least(0));
    v.field("synthesize", synthesize,
            "Make the dark pictures from the bright ones: the folder then holds pictures, or high/ alone.");
    v.field("sources", sources,
            "Folders to draw from by weight, in place of root, validation and synthesize, which are then left out.");
    v.field("memory_mb", memory_mb,
            "Memory for decoded pictures, and as much for outputs of frozen nets; what does not fit is decoded again, "
            "or kept in a file in the output folder.",
            at_least(1));
  }
  void validate(const std::string& path) const;

  /// The sources, each with a name; the folder of `root` as the one source, without a name, where none are listed.
  std::vector<SourceConfig> all() const;
};

/// Puts the values of --data options into a config that is not parsed yet: DIR is the folder of a config without
/// sources or with one; NAME=DIR that of a source. Throws Error naming the known sources.
void set_data(nlohmann::json& config, const std::vector<std::string>& values);

/// Takes from a config's "data" what may differ between runs that are the same: where pictures lie, and memory.
template <class Json>
void erase_places(Json& data) {
  data.erase("root");
  data.erase("memory_mb");
  if (!data.contains("sources") || !data["sources"].is_array()) return;
  for (Json& source : data["sources"]) {
    if (!source.is_object()) continue;
    source.erase("root");
    source.erase("split_file");
  }
}

}  // namespace kind
