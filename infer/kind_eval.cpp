#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/image.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
#include "losses/metrics/color.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"
#include "nets/model_path.h"
#include "nets/pair_folder.h"
#include "nets/pipeline.h"

namespace {

using namespace kind;

struct Options {
  std::string model, data, split;
  std::vector<std::string> protocols{"none", "gt-ratio", "gt-mean"};
  int threads = 0;
  bool exact = false;
};

/// What each protocol compares with the bright picture.
const char* const kProtocolHelp =
    "What is scored: none (--auto), gt-ratio (ratio from the bright picture), gt-mean (the --auto output scaled to the "
    "bright "
    "picture's mean gray), input (the dark picture as it is), gamma (the dark picture to the power 1/2.2)";

/// The values of the rounded 8-bit picture, 0..255.
Tensor<float> rounded(const Tensor<float>& picture) {
  Tensor<float> values(picture.shape());
  for (std::int64_t i = 0; i < values.size(); ++i) {
    values[i] = std::floor(255.0f * std::clamp(picture[i], 0.0f, 1.0f) + 0.5f);
  }
  return values;
}

double mean_gray(const Tensor<float>& picture) {
  const Tensor<double> gray = gray_bt601(picture);
  double sum = 0;
  for (std::int64_t i = 0; i < gray.size(); ++i) sum += gray[i];
  return sum / static_cast<double>(gray.size());
}

template <class F>
Tensor<float> mapped(const Tensor<float>& x, const F& f) {
  Tensor<float> y(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
  return y;
}

/// The pictures that the asked protocols score, computed once each.
class Scored {
 public:
  Scored(const Model<float>& model, const Tensor<float>& low, const Tensor<float>& high)
      : model_(model), low_(low), high_(high) {}

  Tensor<float> of(const std::string& protocol) {
    if (protocol == "input") return low_;
    if (protocol == "gamma") return mapped(low_, [](float v) { return std::pow(v, 1 / 2.2f); });
    if (protocol == "gt-ratio") {
      const NoGrad no_grad;
      const auto light = [&](const Tensor<float>& picture) {
        const Variable<float> input(net_input(picture, model_.config.input));
        return (*model_.decomposition)(input).illumination.value();
      };
      return enhance(model_, low_,
                     {{LightLevel::Mode::kRatio, std::min(100.0, ratio_between(light(low_), light(high_)))}, {}})
          .output;
    }
    if (!automatic_.defined()) automatic_ = enhance(model_, low_).output;
    if (protocol == "none") return automatic_;
    const float factor = static_cast<float>(mean_gray(high_) / std::max(mean_gray(automatic_), 1e-6));
    return mapped(automatic_, [factor](float v) { return v * factor; });
  }

 private:
  const Model<float>& model_;
  const Tensor<float>&low_, &high_;
  Tensor<float> automatic_;
};

/// Means of the figures that are there; a PSNR of identical pictures is infinite and makes its mean so.
struct Figures {
  double psnr = 0, ssim = 0, chroma = 0;
  int count = 0, ssim_count = 0;
};

std::string ssim_text(double ssim, bool there) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", ssim);
  return there ? text : "-";
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

int run(const Options& options) {
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
  const Model<float> model = load_model<float>(find_model(options.model));
  std::map<std::string, Figures> figures;
  std::printf("%-12s %-9s %8s %7s %7s\n", "pair", "protocol", "psnr", "ssim", "chroma");
  for (const std::size_t i : pairs) {
    const PairFolder::Pair& pair = folder.pairs[i];
    const Tensor<float> low = to_tensor(read_image(pair.low)), high = to_tensor(read_image(pair.high));
    const Tensor<float> target = rounded(high);
    const double target_chroma = mean_chroma(target);
    Scored scored(model, low, high);
    for (const std::string& protocol : options.protocols) {
      const Tensor<float> output = rounded(scored.of(protocol));
      const double psnr = psnr_rgb(output, target), chroma = mean_chroma(output) / std::max(target_chroma, 1e-6);
      const std::optional<double> ssim = ssim_rgb(output, target);
      Figures& sums = figures[protocol];
      sums.psnr += psnr;
      sums.chroma += chroma;
      sums.ssim += ssim.value_or(0);
      sums.ssim_count += ssim.has_value();
      ++sums.count;
      std::printf("%-12s %-9s %8.3f %7s %7.3f\n", pair.stem.c_str(), protocol.c_str(), psnr,
                  ssim_text(ssim.value_or(0), ssim.has_value()).c_str(), chroma);
      std::fflush(stdout);
    }
  }
  for (const std::string& protocol : options.protocols) {
    const Figures& sums = figures[protocol];
    std::printf("%s psnr=%.2f ssim=%s chroma=%.3f pairs=%d\n", protocol.c_str(), sums.psnr / sums.count,
                ssim_text(sums.ssim / std::max(1, sums.ssim_count), sums.ssim_count > 0).c_str(),
                sums.chroma / sums.count, sums.count);
  }
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
  app.add_option("--protocol", options.protocols, kProtocolHelp)
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "gt-ratio", "gt-mean", "input", "gamma"}));
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
