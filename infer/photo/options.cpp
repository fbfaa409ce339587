#include "infer/photo/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "core/base/error.h"
#include "core/base/machine.h"
#include "core/base/quote.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "infer/photo/streams.h"

namespace kind {
namespace {

/// Bytes of "1048576", "800M", "1.5G".
std::uint64_t parse_size(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  if (unit.size() == 2 && unit[1] == 'B') unit.pop_back();
  const std::string units = "KMGT";
  const std::size_t at = unit.size() == 1 ? units.find(unit) : std::string::npos;
  check(error == std::errc() && value > 0 && value < 1e15 && (unit.empty() || at != std::string::npos),
        "--max-mem: expected a size such as 800M or 4G, got ", Quoted{text});
  const double bytes = value * (unit.empty() ? 1 : std::pow(1024.0, static_cast<double>(at + 1)));
  check(bytes >= 1 && bytes < 9e18, "--max-mem: expected a size such as 800M or 4G, got ", Quoted{text});
  return static_cast<std::uint64_t>(bytes);
}

std::vector<double> parse_ladder(const std::string& text) {
  std::vector<double> ratios;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    check(error == std::errc() && end == part.data() + part.size() && value > 0 && value <= 100,
          "--ladder: expected numbers above 0 and at most 100 with commas between them, got ", Quoted{part});
    check(std::find(ratios.begin(), ratios.end(), value) == ratios.end(), "--ladder: ", part, " is there twice");
    ratios.push_back(value);
  }
  check(ratios.size() <= 32, "--ladder: expected at most 32 ratios, got ", ratios.size());
  return ratios;
}

std::string quality_help() {
  const std::string lossless = image_types_with(&ImageFormatRow::lossless_at_100);
  return join("Of ", image_types_with(&ImageFormatRow::quality), " files, 1 to 100 (default: 95)",
              lossless.empty() ? "" : "; 100 loses nothing in " + lossless);
}

/// What options are given as that stand otherwise in Options.
struct Given {
  std::string name, suffix, format, memory, ladder, fusion = "auto", chroma = "444", color = "manage";
  double ratio = 0, mean = 0, brighter = 0, darker = 0;  // the last two are stops
  double rate = 0;                                       // frames per second
  bool automatic = false;
};

bool is_given(const CLI::App& app, const char* option) { return app.get_option(option)->count() > 0; }

void add_name_options(CLI::App& app, Options& options, Given& given) {
  CLI::Option* name =
      app.add_option("--name", given.name,
                     "Names of results in a folder, of {stem}, {ext}, {dir}, {ratio}, {n} and {n:DIGITS}: "
                     "{stem}-bright.{ext}")
          ->type_name("PATTERN");
  app.add_option("--suffix", given.suffix, "Text behind the names of results in a folder: as --name '{stem}TEXT'")
      ->type_name("TEXT")
      ->excludes(name);
  CLI::Option* in_place =
      app.add_flag("--in-place", options.in_place, "Replace the inputs, of which backups are kept; there is no -o");
  app.add_option("--backup", options.backup, "With --in-place: what backups have behind their names (default: ~)")
      ->type_name("SUFFIX")
      ->needs(in_place);
  app.add_flag("--keep-time", options.keep_time, "Results have the modification time of their inputs");
  for (const char* option : {"--output", "--name", "--suffix", "--format", "--ladder", "--sheet", "--compare"}) {
    in_place->excludes(app.get_option(option));
  }
  for (const char* option : {"--name", "--suffix", "--in-place", "--backup", "--keep-time"}) {
    app.get_option(option)->group("Names");
  }
}

/// What comes from an unset variable of a script is no wish for the default.
void check_not_empty(const CLI::App& app, const Options& options) {
  for (const std::string& input : options.inputs)
    check(!input.empty(), "input: expected a file or folder, got an empty name");
  for (const char* name :
       {"--output", "--weights", "--format", "--dump-maps", "--compare", "--report", "--max-mem", "--ladder"}) {
    const CLI::Option* option = app.get_option(name);
    check(!option->count() || !option->as<std::string>().empty(), name, ": expected a value, got an empty one");
  }
}

void check_video(const CLI::App& app, Options& options, const Given& given) {
  const bool has_rate = is_given(app, "--frames-per-second");
  check(!has_rate || (given.rate > 0 && given.rate <= 1000),
        "--frames-per-second: expected a number above 0 and at most 1000, got ", given.rate);
  if (has_rate) options.frames_per_second = given.rate;
  check(!options.sequence || options.jobs == 1, "--jobs: the frames of a --sequence are computed one after the other");
}

/// The type of results and how they are encoded.
void check_encoding(const CLI::App& app, Options& options, const Given& given) {
  if (!given.format.empty()) {
    options.format = image_format_from_extension(given.format);
    // A name may say pgm of a picture that is gray; a type cannot, since some of the pictures may have colours.
    check(options.format.has_value() && can_write_image(*options.format) && !is_gray_name("a." + given.format),
          "--format: expected one of ", writable_image_types(), ", got ", Quoted{given.format});
  }
  check(!is_given(app, "--bits") || options.photo.bits == 8 || options.photo.bits == 16,
        "--bits: expected 8 or 16, got ", options.photo.bits);
  options.quality_given = is_given(app, "--quality");
  check(!options.quality_given || (options.write.jpeg_quality >= 1 && options.write.jpeg_quality <= 100),
        "--quality: expected a number from 1 to 100, got ", options.write.jpeg_quality);
  options.ignore_color = given.color == "ignore";
  options.chroma_given = is_given(app, "--chroma");
  options.write.chroma = given.chroma == "420" ? Chroma::k420 : given.chroma == "422" ? Chroma::k422 : Chroma::k444;
}

void check_output_and_limits(const CLI::App& app, Options& options, const Given& given) {
  check(!is_given(app, "--max-pixels") || options.limits.max_pixels >= 1,
        "--max-pixels: expected a number of 1 or more, got ", options.limits.max_pixels);
  if (is_stdout_name(options.output)) options.output = "-";
  check(is_given(app, "--output") || options.in_place || !options.compare.empty(),
        "--output is required; see kind-infer --help");
  options.max_memory = given.memory.empty() ? available_memory() / 5 * 4 : parse_size(given.memory);
}

void check_ladder(const CLI::App& app, Options& options, const Given& given) {
  options.ladder = parse_ladder(given.ladder);
  const bool ladder = is_given(app, "--ladder");
  check(!options.sheet || ladder, "--sheet: expected --ladder with it");
  check(options.maps.empty() || (!options.sheet && !ladder), "--dump-maps: there are no maps of a --ladder");
}

void check_strengths(const Options& options) {
  for (const auto& [name, value] :
       {std::pair{"--strength", options.photo.strength}, {"--denoise", options.photo.denoise}}) {
    check(value >= 0 && value <= 1, name, ": expected a number from 0 to 1, got ", value);
  }
}

void check_streams(const Options& options) {
  const auto streams = std::count(options.inputs.begin(), options.inputs.end(), "-");
  check(streams <= 1, "-: the standard input is one picture, it can be given once");
  if (!options.to_stdout()) return;
  check(options.inputs.size() == 1, "-o -: expected one input, got ", options.inputs.size());
  check(options.ladder.empty() || options.sheet, "-o -: expected --sheet with --ladder, since there is one output");
}

void check_page(const Options& options) {
  if (options.compare.empty()) return;
  check(options.inputs.size() == 1, "--compare: expected one input, got ", options.inputs.size());
  const std::string page = lower_extension(options.compare);
  check(page == ".html" || page == ".htm", "--compare: expected a name that ends in .html, got ",
        Quoted{options.compare});
}

void check_level(const CLI::App& app, Options& options, const Given& given) {
  if (is_given(app, "--ratio")) {
    check(given.ratio > 0 && given.ratio <= 100, "--ratio: expected a number above 0 and at most 100, got ",
          given.ratio);
    options.photo.light = {LightLevel::Mode::kRatio, given.ratio};
  }
  if (is_given(app, "--target-mean")) {
    check(given.mean >= 0 && given.mean <= 1, "--target-mean: expected a number from 0 to 1, got ", given.mean);
    options.photo.light = {LightLevel::Mode::kTargetMean, given.mean};
  }
  for (const auto& [name, stops] : {std::pair{"--brighter", given.brighter}, {"--darker", given.darker}}) {
    check(!is_given(app, name) || (stops >= 0 && stops <= 10), name, ": expected stops from 0 to 10, got ", stops);
  }
  options.photo.light.stops = given.brighter - given.darker;
  options.photo.fusion = given.fusion == "official" ? Fusion::kOfficial
                         : given.fusion == "none"   ? Fusion::kNone
                                                    : Fusion::kAuto;
}

void check_names(const CLI::App& app, Options& options, const Given& given) {
  if (is_given(app, "--name")) options.names.emplace("--name", given.name);
  if (is_given(app, "--suffix")) options.names = NamePattern::of_suffix(given.suffix);
  check(!options.names || !options.names->has_ratio() || options.photo.light.mode == LightLevel::Mode::kRatio ||
            (!options.ladder.empty() && !options.sheet),
        "--name: {ratio} is known before the work with --ratio or --ladder alone");
  check(!options.names || !options.names->has_number() || !options.skip_existing,
        "--name: {n} counts anew in each run, so that --skip-existing would not find its results");
  check(!options.backup.empty() && options.backup.find('/') == std::string::npos &&
            options.backup.find('\0') == std::string::npos,
        "--backup: expected a text without '/', got ", Quoted{options.backup});
  // Backups that are pictures by their names would be the next run's inputs.
  check(!has_picture_name("a" + options.backup), "--backup: expected a text that ends in no picture's extension, got ",
        Quoted{options.backup});
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
  CLI::App app("Brightens dark photographs with KinD's nets.", "kind-infer");
  Options options;
  Given given;
  app.set_version_flag(
      "--version", [] { return version_text("kind-infer", available_isas(), current_isa(), image_codec_names()); },
      "Print version, kernel sets and picture types");
  app.add_option("input", options.inputs, "Photographs, or folders of them, or one video (y4m); -: the standard input")
      ->required()
      ->type_name("INPUT...");
  app.add_option("-o,--output", options.output,
                 "A file, a folder (ends in '/', exists, or there are several inputs), or - for the standard "
                 "output")
      ->type_name("OUTPUT");
  app.add_option("-w,--weights", options.weights, "Model file (default: $KIND_MODEL or the shipped one)")
      ->type_name("MODEL");

  CLI::Option* ratio = app.add_option("--ratio", given.ratio,
                                      "Brighten by about this factor, relative to the picture stretched to full "
                                      "range; above 0, at most 100");
  CLI::Option* mean =
      app.add_option("--target-mean", given.mean, "Mean of the result's RGB, 0 to 1, or the nearest possible");
  CLI::Option* automatic = app.add_flag("--auto", given.automatic, "Choose the light level from the picture (default)");
  CLI::Option* brighter =
      app.add_option("--brighter", given.brighter, "Stops brighter than --auto, 0 to 10")->type_name("STOPS");
  CLI::Option* darker =
      app.add_option("--darker", given.darker, "Stops darker than --auto, 0 to 10")->type_name("STOPS");
  CLI::Option* ladder =
      app.add_option("--ladder", given.ladder, "Several results per picture, one for each of these ratios: 1,2,4,8")
          ->type_name("R,R...");
  app.add_flag("--sheet", options.sheet, "With --ladder: one picture of all results side by side");
  app.add_option("--strength", options.photo.strength, "Strength of the enhancement, 0 to 1");
  app.add_option("--denoise", options.photo.denoise, "Strength of the restoration, 0 to 1");
  app.add_option("--fusion", given.fusion,
                 "Treatment of bright parts: auto keeps them (default), none enhances everything, official "
                 "follows the authors' program")
      ->check(CLI::IsMember({"auto", "none", "official"}));
  ratio->excludes(mean)->excludes(automatic);
  mean->excludes(automatic);
  ladder->excludes(ratio)->excludes(mean)->excludes(automatic);
  brighter->excludes(ratio)->excludes(mean)->excludes(ladder)->excludes(darker);
  darker->excludes(ratio)->excludes(mean)->excludes(ladder);
  for (const char* name : {"--auto", "--brighter", "--darker", "--ratio", "--target-mean", "--ladder", "--sheet",
                           "--strength", "--denoise", "--fusion"}) {
    app.get_option(name)->group("Light");
  }

  suggest(*app.add_option("-f,--format", given.format, join("Type of results in a folder: ", writable_image_types()))
               ->type_name("TYPE"),
          writable_image_extensions());
  app.add_option("--bits", options.photo.bits, "Bits per sample, 8 or 16 (default: the input's)")->type_name("N");
  app.add_option("--quality", options.write.jpeg_quality, quality_help())->type_name("N");
  app.add_option("--chroma", given.chroma,
                 join("Colour of ", image_types_with(&ImageFormatRow::chroma),
                      " files: 444 (all, default), 422 or 420 (half, a quarter)"))
      ->check(CLI::IsMember({"444", "422", "420"}))
      ->type_name("KIND");
  app.add_option("--colour,--color", given.color,
                 "Other encodings than sRGB: manage converts to sRGB for the nets and back (default), ignore takes all "
                 "values for sRGB")
      ->check(CLI::IsMember({"manage", "ignore"}))
      ->type_name("KIND");
  app.add_flag("--half-size", options.limits.half_size,
               "Develop camera RAW files to half their width and height, in a fraction of the time");
  app.add_flag("--strip", options.strip, "Write pixels only: no EXIF, XMP or colour profile");
  app.add_option("--compare", options.compare,
                 "Also write a page that compares the picture with its results; -o is then optional")
      ->type_name("PAGE.html");
  app.add_option("--dump-maps", options.maps, "Also write reflectance, illumination, restored and adjusted maps")
      ->type_name("DIR");
  for (const char* name : {"--format", "--bits", "--quality", "--chroma", "--colour", "--half-size", "--strip",
                           "--compare", "--dump-maps"}) {
    app.get_option(name)->group("Results");
  }
  add_name_options(app, options, given);

  app.add_flag("-r,--recursive", options.recursive, "Include subfolders; the output has the same tree");
  CLI::Option* overwrite = app.add_flag("--overwrite", options.overwrite, "Replace existing results (never an input)");
  app.add_flag("--skip-existing", options.skip_existing, "Skip pictures whose results exist")->excludes(overwrite);
  app.add_flag("--dry-run", options.dry_run, "Only print what would be written");
  app.add_option("-j,--jobs", options.jobs, "Pictures processed at once (default: 1)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  app.add_flag("--tolerant", options.tolerant,
               "Enhance what can be decoded of damaged JPEG, PNG and RAW files; the exit code is then 1");
  app.add_option("--report", options.report, "Write the outcome of every picture as JSON")->type_name("FILE");
  for (const char* name :
       {"--recursive", "--overwrite", "--skip-existing", "--dry-run", "--jobs", "--tolerant", "--report"}) {
    app.get_option(name)->group("Batches");
  }

  CLI::Option* sequence =
      app.add_flag("--sequence", options.sequence,
                   "The pictures, sorted by name, or the frames of a video are one scene: their light "
                   "changes slowly, so that nothing flickers");
  CLI::Option* frames_per_second =
      app.add_option("--frames-per-second", given.rate,
                     "Of a sequence of pictures (default: 25), or a video that does not say")
          ->needs(sequence)
          ->type_name("N");
  for (const char* name :
       {"--target-mean", "--ladder", "--sheet", "--compare", "--dump-maps", "--in-place", "--tolerant"}) {
    sequence->excludes(app.get_option(name));
  }
  for (CLI::Option* option : {sequence, frames_per_second}) option->group("Video");

  app.add_option("--max-pixels", options.limits.max_pixels, "Refuse pictures with more pixels (default: 2^28)")
      ->type_name("N");
  app.add_option("--max-mem", given.memory, "Memory limit: 800M, 4G (default: four fifths of the available memory)")
      ->type_name("SIZE");
  add_threads_option(app, options.threads);
  app.add_flag("--exact", options.exact, "Smallest rounding errors: direct convolutions, in more than twice the time");
  for (const char* name : {"--max-pixels", "--max-mem", "--threads", "--exact"}) app.get_option(name)->group("Limits");
  app.footer(
      "Exit codes: 0 success; 1 some inputs failed; 2 all inputs failed, or the command line, the model or "
      "the\ndata is invalid and nothing was done; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM.");
  add_documents(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    app.exit(done);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    fail(usage_problem(error.what(), "kind-infer", argc, argv));
  }
  check_not_empty(app, options);
  check_video(app, options, given);
  check_encoding(app, options, given);
  check_output_and_limits(app, options, given);
  check_ladder(app, options, given);
  check_strengths(options);
  check_streams(options);
  check_page(options);
  check_level(app, options, given);
  check_names(app, options, given);
  return options;
}

}  // namespace kind
