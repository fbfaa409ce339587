#include "infer/options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"

namespace kind {

std::optional<Options> parse_options(int argc, char** argv) {
  CLI::App app("Brightens dark photographs with KinD's nets.", "kind-infer");
  Options options;
  app.set_version_flag(
      "--version", [] { return version_text("kind-infer", available_isas(), current_isa()); },
      "Print version, kernel sets and picture types");
  app.add_option("input", options.inputs, "Photographs, or folders of them")->required()->type_name("INPUT...");
  app.add_option("-o,--output", options.output, "A file, or a folder (ends in '/', exists, or several inputs)")
      ->required()
      ->type_name("OUTPUT");
  app.add_option("-w,--weights", options.weights, "Model file (default: $KIND_MODEL or the shipped one)")
      ->type_name("MODEL");
  app.add_flag("--overwrite", options.overwrite, "Replace results that exist (never an input)");

  std::string format;
  app.add_option("-f,--format", format, join("Type of results in a folder: ", writable_image_types()))
      ->type_name("TYPE")
      ->group("Results");
  CLI::Option* bits = app.add_option("--bits", options.photo.bits, "Bits of a sample, 8 or 16 (default: the input's)")
                          ->type_name("N")
                          ->group("Results");
  CLI::Option* quality =
      app.add_option("--quality", options.write.jpeg_quality, "Of JPEG files, 1 to 100 (default: 95)")
          ->type_name("N")
          ->group("Results");
  std::string chroma = "444", fusion = "none";
  app.add_option("--chroma", chroma, "Colour of JPEG files: 444 (all, default), 422 or 420 (half, a quarter)")
      ->check(CLI::IsMember({"444", "422", "420"}))
      ->type_name("KIND")
      ->group("Results");
  app.add_flag("--strip", options.strip, "Leave out EXIF and XMP data, colour profile and all else but the pixels")
      ->group("Results");
  app.add_option("--dump-maps", options.maps, "Also write reflectance, illumination, restored and adjusted maps")
      ->type_name("DIR")
      ->group("Results");

  double ratio_value = 0, mean_value = 0;
  CLI::Option* ratio = app.add_option("--ratio", ratio_value, "How many times brighter, above 0, at most 100");
  CLI::Option* mean = app.add_option("--target-mean", mean_value, "Mean of the result's RGB, 0 to 1");
  bool automatic_light = false;
  CLI::Option* automatic = app.add_flag("--auto", automatic_light, "Light level from the picture alone (default)");
  ratio->excludes(mean)->excludes(automatic)->group("Light");
  mean->excludes(automatic)->group("Light");
  automatic->group("Light");
  app.add_option("--fusion", fusion, "How the parts are put together: none, or as the authors' program does")
      ->check(CLI::IsMember({"none", "official"}))
      ->group("Light");

  CLI::Option* pixels =
      app.add_option("--max-pixels", options.limits.max_pixels, "Refuse pictures of more pixels (default: 2^28)")
          ->type_name("N")
          ->group("Limits");
  app.add_option("-t,--threads", options.threads, "Threads (default: all)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->group("Limits");
  app.add_flag("--exact", options.exact,
               "Smallest rounding errors: convolutions by plain sums, more than twice the time")
      ->group("Limits");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    app.exit(done);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    fail(error.what(), "; see kind-infer --help");
  }
  // What comes from an unset variable of a script is no wish for the default.
  for (const char* name : {"--output", "--weights", "--format", "--dump-maps"}) {
    const CLI::Option* option = app.get_option(name);
    check(!option->count() || !option->as<std::string>().empty(), name, ": expected a value, got an empty one");
  }
  if (!format.empty()) {
    options.format = image_format_from_extension(format);
    check(options.format.has_value(), "--format: expected one of ", writable_image_types(), ", got ", quote(format));
  }
  check(!bits->count() || options.photo.bits == 8 || options.photo.bits == 16, "--bits: expected 8 or 16, got ",
        options.photo.bits);
  check(!quality->count() || (options.write.jpeg_quality >= 1 && options.write.jpeg_quality <= 100),
        "--quality: expected a number from 1 to 100, got ", options.write.jpeg_quality);
  options.write.chroma = chroma == "420" ? Chroma::k420 : chroma == "422" ? Chroma::k422 : Chroma::k444;
  check(!pixels->count() || options.limits.max_pixels >= 1, "--max-pixels: expected a number of 1 or more, got ",
        options.limits.max_pixels);
  if (ratio->count()) {
    check(ratio_value > 0 && ratio_value <= 100, "--ratio: expected a number above 0 and at most 100, got ",
          ratio_value);
    options.photo.light = {LightLevel::Mode::kRatio, ratio_value};
  }
  if (mean->count()) {
    check(mean_value >= 0 && mean_value <= 1, "--target-mean: expected a number from 0 to 1, got ", mean_value);
    options.photo.light = {LightLevel::Mode::kTargetMean, mean_value};
  }
  if (fusion == "official") options.photo.fusion = Fusion::kOfficial;
  return options;
}

}  // namespace kind
