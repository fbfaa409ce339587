// Runs the program itself: its figures, and its errors.

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"
#include "nets/pipeline.h"
#include "tests/support/pictures.h"

namespace kind::testing {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

constexpr int kWidth = 26, kHeight = 19;

/// A picture of smooth colours times `light`.
Image scene(int seed, double light) {
  Image image(kWidth, kHeight, 3);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double v = 0.5 + 0.4 * std::sin(0.3 * x + 0.2 * y * (c + 1) + seed);
        image.set_sample(x, y, c, static_cast<int>(255 * light * v));
      }
    }
  }
  return image;
}

/// Three pairs, of which split.json lists two, and a model of random weights.
struct Fixture {
  TempDir dir;
  std::string data = dir / "data", model_path = dir / "model.st";
  Model<float> model;

  Fixture() {
    for (const char* name : {"/low", "/high"}) fs::create_directories(data + name);
    for (int i = 1; i <= 3; ++i) {
      write_image(data + "/low/" + std::to_string(i) + ".png", scene(i, 0.2), ImageFormat::kPng);
      write_image(data + "/high/" + std::to_string(i) + ".png", scene(i, 0.9), ImageFormat::kPng);
    }
    dir.put("data/split.json", R"({"train": [1], "test": ["2", 3]})");
    model.config.decomposition.emplace();
    model.config.adjustment.emplace();
    model.build(3);
    save_model(model_path, model);
  }

  /// Exit code, and both streams together.
  std::pair<int, std::string> run(const std::string& arguments) const {
    const std::string command = "timeout 120 '" KIND_EVAL_PROGRAM "' --model '" + model_path + "' --data '" + data +
                                "' " + arguments + " >'" + (dir / "out") + "' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    const std::vector<std::uint8_t> text = slurp(dir / "out");
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::string(text.begin(), text.end())};
  }
};

Tensor<float> values(const Tensor<float>& picture) {
  Tensor<float> rounded = to_tensor(to_image(picture));
  for (std::int64_t i = 0; i < rounded.size(); ++i) rounded[i] = std::round(rounded[i] * 255);
  return rounded;
}

std::string summary(const std::string& protocol, double psnr, double ssim) {
  char text[96];
  std::snprintf(text, sizeof text, "%s psnr=%.2f ssim=%.4f", protocol.c_str(), psnr, ssim);
  return text;
}

}  // namespace

TEST_CASE("kind-eval: means over the split's pairs, by each protocol's definition") {
  const Fixture fixture;
  double input_psnr = 0, input_ssim = 0, auto_psnr = 0, auto_ssim = 0, ratio_psnr = 0, ratio_ssim = 0;
  for (const int i : {2, 3}) {
    const Tensor<float> low = to_tensor(scene(i, 0.2)), high = to_tensor(scene(i, 0.9)), target = values(high);
    const auto add = [&](const Tensor<float>& output, double& psnr, double& ssim) {
      psnr += psnr_rgb(values(output), target) / 2;
      ssim += *ssim_rgb(values(output), target) / 2;
    };
    add(low, input_psnr, input_ssim);
    add(enhance(fixture.model, low).output, auto_psnr, auto_ssim);
    const NoGrad no_grad;
    const auto light = [&](const Tensor<float>& picture) {
      return (*fixture.model.decomposition)(Variable<float>(net_input(picture, {}))).illumination.value();
    };
    EnhanceOptions options;
    options.light = {LightLevel::Mode::kRatio, ratio_between(light(low), light(high))};
    add(enhance(fixture.model, low, options).output, ratio_psnr, ratio_ssim);
  }
  const auto [code, text] = fixture.run("--split test --protocol input,none,gt-ratio,gamma,gt-mean");
  INFO(text);
  CHECK(code == 0);
  CHECK_THAT(text, Contains(summary("input", input_psnr, input_ssim)));
  CHECK_THAT(text, Contains(summary("none", auto_psnr, auto_ssim)));
  CHECK_THAT(text, Contains(summary("gt-ratio", ratio_psnr, ratio_ssim)));
  CHECK_THAT(text, Contains("gt-mean psnr=") && Contains("gamma psnr=") && Contains("pairs=2"));
  // One, two and three threads print the same.
  for (const char* threads : {"-t 1", "-t 3"}) {
    CHECK(fixture.run(std::string("--split test --protocol input,none,gt-ratio,gamma,gt-mean ") + threads).second ==
          text);
  }
}

namespace {

/// The figure NAME=value in the last line that begins with `way`.
double figure(const std::string& text, const std::string& way, const std::string& name) {
  const std::size_t line = text.rfind("\n" + way + " ");
  REQUIRE(line != std::string::npos);
  const std::size_t at = text.find(" " + name + "=", line);
  REQUIRE(at < text.find('\n', line + 1));
  return std::stod(text.substr(at + name.size() + 2));
}

}  // namespace

TEST_CASE("kind-eval: stages are products of the maps they name") {
  Fixture fixture;
  fixture.model.config.restoration.emplace();
  fixture.model.build(3);
  save_model(fixture.model_path, fixture.model);
  const auto [code, text] = fixture.run("--split test --stages --metrics psnr");
  INFO(text);
  CHECK(code == 0);
  double upper = 0, unstretched = 0, restored = 0, unrestored = 0, adjusted = 0;
  const NoGrad no_grad;
  for (const int i : {2, 3}) {
    const Tensor<float> low = to_tensor(scene(i, 0.2)), high = to_tensor(scene(i, 0.9)), target = values(high);
    const auto low_maps = (*fixture.model.decomposition)(Variable<float>(net_input(low, {}))),
               high_maps = (*fixture.model.decomposition)(Variable<float>(net_input(high, {})));
    const auto score = [&](const Tensor<float>& color, const Tensor<float>& light, float first = 0, float last = 1) {
      Tensor<float> product(color.shape());
      for (std::int64_t p = 0; p < product.size(); ++p) {
        product[p] = first + (last - first) * color[p] * light[p % light.size()];
      }
      return psnr_rgb(values(product), target) / 2;
    };
    const Tensor<float>& light = high_maps.illumination.value();
    const auto [first, last] = std::minmax_element(high.data(), high.data() + high.size());
    upper += score(high_maps.reflectance.value(), light);
    unstretched += score(high_maps.reflectance.value(), light, *first, *last);
    unrestored += score(low_maps.reflectance.value(), light);
    restored += score((*fixture.model.restoration)(low_maps.reflectance, low_maps.illumination).value(), light);
    const double ratio = ratio_between(low_maps.illumination.value(), light);
    adjusted += score(high_maps.reflectance.value(),
                      (*fixture.model.adjustment)(low_maps.illumination, ratio_map(light.shape(), ratio)).value());
  }
  CHECK(figure(text, "R_high*L_high", "psnr") == Approx(upper).margin(0.0051));
  CHECK(figure(text, "unstretched(R_high*L_high)", "psnr") == Approx(unstretched).margin(0.0051));
  CHECK(figure(text, "R_low*L_high", "psnr") == Approx(unrestored).margin(0.0051));
  CHECK(figure(text, "restored*L_high", "psnr") == Approx(restored).margin(0.0051));
  CHECK(figure(text, "R_high*L_hat(gt-ratio)", "psnr") == Approx(adjusted).margin(0.0051));
  // The best ratio is the best, and the same pictures under two names have the same figures.
  CHECK(figure(text, "restored*L_hat(best)", "psnr") >= figure(text, "restored*L_hat(gt-ratio)", "psnr"));
  CHECK(figure(text, "restored*L_hat(best)", "psnr") >= figure(text, "restored*L_hat(auto)", "psnr"));
  CHECK(figure(text, "R_high*L_hat(best)", "psnr") >= figure(text, "R_high*L_hat(gt-ratio)", "psnr"));
  const std::string protocols = fixture.run("--split test --metrics psnr").second;
  CHECK(figure(protocols, "gt-ratio", "psnr") == figure(text, "restored*L_hat(gt-ratio)", "psnr"));
  CHECK(figure(protocols, "none", "psnr") == figure(text, "restored*L_hat(auto)", "psnr"));
  CHECK(figure(protocols, "gt-mean", "psnr") == figure(text, "gt-mean", "psnr"));
  CHECK_THAT(text, Contains("lost, dB of PSNR") && Contains("R_high*L_high -> restored*L_high"));
  // Threads change nothing; a model without nets gets the rows that are left.
  CHECK(fixture.run("--split test --stages --metrics psnr -t 1").second == text);
  Model<float> decomposition;
  decomposition.config.decomposition.emplace();
  decomposition.build(3);
  save_model(fixture.model_path, decomposition);
  const auto [few_code, few] = fixture.run("--split test --stages --metrics psnr");
  CHECK(few_code == 0);
  CHECK(figure(few, "R_low*L_high", "psnr") == figure(text, "R_low*L_high", "psnr"));
  CHECK(few.find("restored") == std::string::npos);
  CHECK(few.find("L_hat") == std::string::npos);
}

TEST_CASE("kind-eval: bad data and usage get one line and exit code 2") {
  const Fixture fixture;
  const auto failure = [&](const std::string& arguments) {
    const auto [code, text] = fixture.run(arguments);
    CHECK(code == 2);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    return text;
  };
  CHECK_THAT(failure("--protocol best"), Contains("best"));
  CHECK_THAT(failure("--metrics psnr,simm"), Contains("no metric 'simm'; did you mean ssim?") && Contains("delta-e"));
  CHECK_THAT(failure("--metrics psnr,psnr"), Contains("--metrics: psnr is named twice"));
  CHECK_THAT(failure("--protocol none,none"), Contains("--protocol: none is named twice"));
  CHECK_THAT(failure("--stages --protocol none"), Contains("--protocol"));
  CHECK_THAT(failure("--split validation"), Contains("has no pairs for validation"));
  CHECK_THAT(failure("--data '" + (fixture.dir / "nowhere") + "'"), Contains("--data"));
  write_image(fixture.data + "/low/4.png", scene(4, 0.2), ImageFormat::kPng);
  CHECK_THAT(failure(""), Contains("1 pair is unusable") && Contains("low/4.png has no twin"));
  write_image(fixture.data + "/high/4.png", Image(kWidth, kHeight + 1, 3), ImageFormat::kPng);
  CHECK_THAT(failure(""), Contains("26x19 dark and 26x20 bright"));
}

}  // namespace kind::testing
