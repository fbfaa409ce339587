#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "nets/data/pair_folder.h"
#include "nets/data/places.h"

/// The data section of kind-train's config (see train/trainer/config.h).
namespace kind {

/// The camera model, which makes dark pictures from bright ones (see train/data/camera.h).
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
    v.field("gamma_low", gamma_low, "Smallest exponent of the tone curve applied to the darkened picture.",
            greater_than(0), at_most(5));
    v.field("gamma_high", gamma_high, "Largest exponent.", greater_than(0), at_most(5));
    v.field("shot_noise", shot_noise, "Variance of the linear light per unit of light (photon noise).", between(0, 1));
    v.field("read_noise", read_noise, "Standard deviation of the light-independent noise, in linear light.",
            between(0, 1));
    v.field("noise_low", noise_low, "Smallest factor of the noise's standard deviation; each picture draws its own.",
            between(0, 100));
    v.field("noise_high", noise_high, "Largest factor of the noise's standard deviation.", between(0, 100));
    v.field("mosaic", mosaic,
            "What passes through a Bayer mosaic and bilinear demosaicing: nothing; only the noise, so that grain "
            "is coloured and correlated between neighbours but edges stay; or the picture with its noise.",
            one_of("none", "noise", "picture"));
    v.field("red_gain_low", red_gain_low,
            "Smallest white balance gain of red: the light stays the same, its noise grows. About 2 in daylight.",
            greater_than(0), at_most(16));
    v.field("red_gain_high", red_gain_high, "Largest gain of red.", greater_than(0), at_most(16));
    v.field("blue_gain_low", blue_gain_low, "Smallest gain of blue. About 1.6 in daylight, more in lamplight.",
            greater_than(0), at_most(16));
    v.field("blue_gain_high", blue_gain_high, "Largest gain of blue.", greater_than(0), at_most(16));
    v.field("white_balance", white_balance,
            "Largest white balance error in stops: red and blue light each get a factor from 1 / 2^this to 2^this.",
            between(0, 3));
    v.field("falloff_low", falloff_low, "Smallest fall-off of the light in stops, from one side to the other.",
            between(0, 10));
    v.field("falloff_high", falloff_high, "Largest fall-off of the light in stops, from one side to the other.",
            between(0, 10));
    v.field("windows", windows, "Share of pictures in which a window, a lamp or a sky has a larger exposure.",
            between(0, 1));
    v.field("window_exposure_low", window_exposure_low, "Smallest factor of the linear light in the window.",
            greater_than(0), at_most(16));
    v.field("window_exposure_high", window_exposure_high,
            "Largest factor of the linear light in the window; factors above 1 clip light that the bright "
            "picture shows.",
            greater_than(0), at_most(16));
    v.field("window_size_low", window_size_low,
            "Smallest height and width of the window, relative to the "
            "picture's.",
            greater_than(0), at_most(1));
    v.field("window_size_high", window_size_high,
            "Largest height and width of the window, relative to the "
            "picture's.",
            greater_than(0), at_most(1));
    v.field("jpeg", jpeg, "Share of dark pictures that are compressed as JPEG.", between(0, 1));
    v.field("jpeg_quality_low", jpeg_quality_low, "Lowest quality of the JPEG.", between(1, 100));
    v.field("jpeg_quality_high", jpeg_quality_high, "Highest quality of the JPEG.", between(1, 100));
    v.field("fresh", fresh,
            "Training pairs get a new dark picture for each use, in stages that use pictures; otherwise each "
            "picture has one dark twin throughout, as validation pairs always have.");
  }
  void validate(const std::string& path) const;
};

/// One of several folders that training draws from.
struct SourceConfig {
  std::string name;
  std::string root;
  std::string low;
  std::string high;
  double weight = 1;
  std::string split = "train";
  std::optional<std::string> split_file;
  std::int64_t validation = 15;
  std::optional<CameraConfig> synthesize;

  template <class V>
  void fields(V& v) {
    v.field("name", name,
            "Name for --data NAME=DIR, --set data.sources.NAME.weight and the metrics of its pairs; empty: the "
            "index in the list, from 0.");
    v.field("root", root, "Folder with low/ and high/, or of bright pictures; --data NAME=DIR overrides it.");
    v.field("low", low, "As data.low.");
    v.field("high", high, "As data.high.");
    v.field("weight", weight,
            "The share of the samples is this divided by the sum of all weights; 0: the pairs "
            "are used for validation only.",
            at_least(0));
    v.field("split", split,
            "Training pairs: those of the split, or all except those that it lists as \"test\" (none is then "
            "held out).",
            one_of("train", "all"));
    v.field("split_file", split_file,
            "A split file that replaces the folder's split.json: a JSON file of the same form, relative to the "
            "working folder.");
    v.field("validation", validation,
            "Number of held-out pairs, as whole runs of the sorted names, if there is neither a split_file nor a "
            "split.json.",
            at_least(0));
    v.field("synthesize", synthesize, "Make the dark pictures from the bright ones, as data.synthesize does.");
  }
  void validate(const std::string& path) const;
  PairPatterns patterns() const { return {low, high}; }
};

struct DataConfig {
  std::string root = "data/lol";
  std::string low;
  std::string high;
  std::int64_t validation = 15;
  std::optional<CameraConfig> synthesize;
  std::vector<SourceConfig> sources;
  bool skip_unusable = false;
  std::int64_t memory_mb = 2048;

  template <class V>
  void fields(V& v) {
    v.field("root", root, "Folder with low/ and high/ (or Low/ and Normal/); --data overrides it.");
    v.field(
        "low", low,
        "Pattern of the dark pictures' paths in root, for other names than those above: \"short/{scene}_*.png\". "
        "{WORD} "
        "stands for one or more characters, * for any number; pictures with the same words as in \"high\" are pairs.");
    v.field(
        "high", high,
        "Pattern of the bright pictures' paths, with words that are in \"low\", too: \"long/{scene}.*\". Several dark "
        "pictures may have the same bright one.");
    v.field(
        "validation", validation,
        "Number of held-out pairs, as whole runs of the sorted names, if the folder has no split.json; pairs of one "
        "bright picture are held out together.",
        at_least(0));
    v.field("synthesize", synthesize,
            "Make the dark pictures from the bright ones: the folder then contains pictures, or only high/.");
    v.field("sources", sources,
            "Folders to draw from by weight, instead of root, low, high, validation and synthesize, which must then be "
            "absent.");
    v.field("skip_unusable", skip_unusable,
            "Train without the pairs that fail the check, and list them in unusable.txt; otherwise they are an error. "
            "--skip-unusable sets it.");
    v.field("memory_mb", memory_mb,
            "Memory for decoded pictures, and the same amount for outputs of frozen nets; pictures that do not "
            "fit are decoded again, outputs are kept in a file in the output folder.",
            at_least(1));
  }
  void validate(const std::string& path) const;

  /// The sources, each with a name; if none are listed, the folder `root` as the only source, without a name.
  std::vector<SourceConfig> all() const;
};

/// Applies the values of --data options to a config before it is parsed: DIR is the folder of a config without
/// sources or with one; NAME=DIR that of a source. Throws Error naming the known sources.
void set_data(nlohmann::json& config, const std::vector<std::string>& values);

}  // namespace kind
