// Runs the program itself: its figures, and its errors. Long because its cases share the pairs and the model.

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <tuple>

#include "core/config/config.h"
#include "core/image/color.h"
#include "losses/metrics/color.h"
#include "losses/metrics/metrics.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"
#include "nets/photograph.h"
#include "tests/support/faults.h"
#include "tests/support/mat.h"
#include "tests/support/pictures.h"
#include "tests/support/reference.h"

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
  std::pair<int, std::string> run(const std::string& arguments, const std::string& before = "") const {
    const std::string command = before + "timeout 120 '" KIND_EVAL_PROGRAM "' --model '" + model_path + "' --data '" +
                                data + "' " + arguments + " >'" + (dir / "out") + "' 2>&1 </dev/null";
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
  CHECK(figure(fixture.run("--split test --protocol gt-light --metrics psnr").second, "gt-light", "psnr") ==
        figure(text, "restored*L_high", "psnr"));
  // Threads change nothing.
  CHECK(fixture.run("--split test --stages --metrics psnr -t 1").second == text);
}

TEST_CASE("kind-eval: a model without some nets gets the rows that are left") {
  Fixture fixture;
  fixture.model.config.restoration.emplace();
  fixture.model.build(3);
  save_model(fixture.model_path, fixture.model);
  const std::string text = fixture.run("--split test --stages --metrics psnr").second;
  Model<float> decomposition;
  decomposition.config.decomposition.emplace();
  decomposition.build(3);
  save_model(fixture.model_path, decomposition);
  const auto [few_code, few] = fixture.run("--split test --stages --metrics psnr");
  CHECK(few_code == 0);
  CHECK(figure(few, "R_low*L_high", "psnr") == figure(text, "R_low*L_high", "psnr"));
  CHECK(few.find("restored") == std::string::npos);
  CHECK(few.find("L_hat") == std::string::npos);
  const auto [light_code, light] = fixture.run("--split test --protocol gt-light,input --metrics psnr");
  CHECK(light_code == 0);
  CHECK(figure(light, "gt-light", "psnr") == figure(few, "R_low*L_high", "psnr"));
  const auto [refused, why] = fixture.run("--split test --protocol gt-light,none --metrics psnr");
  CHECK(refused == 2);
  CHECK_THAT(why, Contains("needs an adjustment net") && Contains("--protocol gt-light"));
}

TEST_CASE("kind-eval: results of another program, by the same code") {
  const Fixture fixture;
  const std::string results = fixture.dir / "results";
  fs::create_directories(results);
  for (const int i : {2, 3}) {
    write_image(results + "/" + std::to_string(i) + ".png",
                to_image(enhance(fixture.model, to_tensor(scene(i, 0.2))).output), ImageFormat::kPng);
  }
  const auto score = [&](const std::string& arguments) {
    const std::string command = "timeout 120 '" KIND_EVAL_PROGRAM "' --results '" + results + "' --data '" +
                                fixture.data + "' " + arguments + " >'" + (fixture.dir / "out") + "' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    const std::vector<std::uint8_t> text = slurp(fixture.dir / "out");
    return std::pair{WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::string(text.begin(), text.end())};
  };
  const std::string model = fixture.run("--split test --metrics psnr,ssim,mae,chroma").second;
  const auto [code, text] = score("--split test --metrics psnr,ssim,mae,chroma");
  INFO(text);
  CHECK(code == 0);
  for (const char* metric : {"psnr", "ssim", "mae", "chroma"}) {
    CHECK(figure(text, "none", metric) == figure(model, "none", metric));
    // Scaled after rounding here.
    CHECK(figure(text, "gt-mean", metric) == Approx(figure(model, "gt-mean", metric)).epsilon(0.02));
  }
  CHECK(text.find("gt-ratio") == std::string::npos);
  CHECK_THAT(score("--split test --protocol gt-ratio").second, Contains("gt-ratio is not for --results"));
  CHECK_THAT(score("--split test --stages").second, Contains("--stages"));
  CHECK_THAT(score("").second, Contains("1: there is no result for it in " + results));
  // Identical pictures; low/ is needed for loe alone.
  fs::remove_all(results);
  fs::rename(fixture.data + "/low", fixture.dir / "away");
  fs::copy(fixture.data + "/high", results);
  const auto [same_code, same] = score("--metrics psnr,ssim,delta-e");
  CHECK(same_code == 0);
  CHECK_THAT(same, Contains("none psnr=inf ssim=1.0000 delta-e=0.00 pairs=3"));
  const auto [loe_code, loe] = score("--metrics psnr,loe");
  CHECK(loe_code == 2);
  CHECK_THAT(loe, Contains("found no dark one"));
  // Names as LOL v2 has them.
  fs::rename(results + "/1.png", results + "/low1.png");
  CHECK_THAT(score("--metrics psnr").second, Contains("none psnr=inf pairs=3"));
  fs::rename(fixture.data + "/high/2.png", fixture.data + "/high/low_2.png");
  fs::rename(results + "/2.png", results + "/low_2.png");
  CHECK_THAT(score("--metrics psnr").second, Contains("\nlow_2  ") && Contains("none psnr=inf pairs=3"));
  fs::rename(fixture.data + "/high/low_2.png", fixture.data + "/high/2.png");
  fs::rename(results + "/low_2.png", results + "/2.png");
  write_image(results + "/normal1.png", Image(5, 6, 3), ImageFormat::kPng);
  CHECK_THAT(score("").second, Contains("low1.png and ") && Contains("normal1.png have this name"));
  write_image(results + "/2.png", Image(5, 6, 3), ImageFormat::kPng);
  write_image(results + "/9.png", Image(5, 6, 3), ImageFormat::kPng);
  CHECK_THAT(score("").second,
             Contains("2: 5x6 result and 26x19 bright") && Contains("results/9.png has no bright picture"));
}

TEST_CASE("kind-eval: several inputs in one table, on a split of its own") {
  const Fixture fixture;
  const std::string results = fixture.dir / "results";
  fs::create_directories(results);
  for (const int i : {1, 2, 3}) {
    write_image(results + "/" + std::to_string(i) + ".png", to_image(to_tensor(scene(i, 0.2))), ImageFormat::kPng);
  }
  fs::create_directories(fixture.dir / "run");
  fs::copy(fixture.model_path, fixture.dir / "run/model.safetensors");
  fixture.dir.put("run/config.json", std::string(R"({"seed": 5})"));
  fixture.dir.put("mine.json", std::string(R"({"test": ["1", "3"]})"));
  const auto compare = [&](const std::string& arguments) {
    const std::string command = "cd '" + fixture.dir.path() + "' && timeout 120 '" KIND_EVAL_PROGRAM "' " + arguments +
                                " --data '" + fixture.data + "' >out 2>err </dev/null";
    const int status = std::system(command.c_str());
    const std::vector<std::uint8_t> out = slurp(fixture.dir / "out"), err = slurp(fixture.dir / "err");
    return std::tuple{WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::string(out.begin(), out.end()),
                      std::string(err.begin(), err.end())};
  };
  const std::string split = " --split test --split-file mine.json --metrics psnr";
  const auto [code, text, said] = compare("run results" + split);
  INFO(text << said);
  CHECK(code == 0);
  CHECK_THAT(text, Contains("protocol none, 2 pairs of ") && Contains("split test") && Contains("protocol gt-mean") &&
                       Contains("difference from run, paired") && Contains("\nresults  "));
  // Every figure is the one that the input alone has.
  const std::string alone =
      fixture.run("--split test --split-file '" + (fixture.dir / "mine.json") + "' --metrics psnr --protocol none")
          .second;
  const auto [csv_code, csv, csv_said] = compare("run results --csv" + split);
  CHECK(csv_code == 0);
  const std::size_t row = csv.find("row,run,,,none,psnr,");
  REQUIRE(row != std::string::npos);
  CHECK(std::stod(csv.substr(row + 20)) == Approx(figure(alone, "none", "psnr")).margin(0.006));
  CHECK_THAT(csv, Contains("picture,run,5,3,none,psnr,") && Contains("seed,results,0,,gt-mean,psnr,"));
  CHECK(std::get<0>(compare("run --latex --protocol input" + split)) == 0);
  for (const char* wrong : {"run none", "run results --protocol gt-ratio", "run --out x", "run --csv --latex",
                            "run --reference nobody", "--csv", "run run"}) {
    const auto [wrong_code, out, err] = compare(wrong + split);
    INFO(wrong << ": " << err);
    CHECK(wrong_code == 2);
    CHECK(out.empty());
  }
}

TEST_CASE("kind-eval: reference metrics", "[golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const TempDir dir;
  const nlohmann::json expected = read_json_file(*folder + "/metrics/metrics.json");
  for (const char* name : {"data/high", "results"}) fs::create_directories(dir / name);
  for (const auto& entry : expected.items()) {
    fs::copy(*folder + "/metrics/" + entry.key() + "_a.png", dir / ("data/high/" + entry.key() + ".png"));
    fs::copy(*folder + "/metrics/" + entry.key() + "_b.png", dir / ("results/" + entry.key() + ".png"));
  }
  const std::string command = "'" KIND_EVAL_PROGRAM "' --results '" + (dir / "results") + "' --data '" +
                              (dir / "data") + "' --protocol none --metrics psnr,ssim,psnr-gray,ssim-gray --out '" +
                              (dir / "out") + "' >/dev/null 2>&1 </dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  const nlohmann::json report = read_json_file(dir / "out/eval.json");
  REQUIRE(report.at("pictures").size() == 4);
  for (const nlohmann::json& picture : report["pictures"]) {
    const nlohmann::json& figures = expected.at(picture.at("pair").get<std::string>());
    INFO(picture.dump());
    const auto check = [&](const char* ours, const char* theirs, double tolerance) {
      CHECK(picture.at(ours).is_null() == figures.at(theirs).is_null());
      if (picture.at(ours).is_null()) return;
      CHECK(std::abs(picture.at(ours).get<double>() - figures.at(theirs).get<double>()) < tolerance);
    };
    check("psnr", "psnr_rgb", 1e-4);
    check("ssim", "ssim_rgb", 1e-5);
    check("psnr-gray", "psnr_gray_bt601_float", 1e-4);
    check("ssim-gray", "ssim_gray_bt601_float", 1e-5);
  }
}

TEST_CASE("kind-eval: colour, by default and where it is asked for") {
  Fixture fixture;
  const Tensor<float> low = to_tensor(scene(1, 0.2)), high = to_tensor(scene(1, 0.9));
  const LabPair lab = to_lab_pair(values(low), values(high));
  const std::string text = fixture.run("--split train --protocol input").second;
  INFO(text);
  char line[160];
  std::snprintf(line, sizeof line, "input psnr=%.2f ssim=%.4f delta-e=%.2f color-slope=%.3f pairs=1\n",
                psnr_rgb(values(low), values(high)), *ssim_rgb(values(low), values(high)), mean_delta_e(lab),
                *color_slope(lab));
  CHECK_THAT(text, Contains(line));
  std::snprintf(line, sizeof line, "input hue=%.1f chroma-error=%.2f chroma=%.3f pairs=1\n", *hue_error(lab),
                chroma_error(lab), *chroma_ratio(lab));
  CHECK_THAT(fixture.run("--split train --protocol input --metrics hue,chroma-error,chroma").second, Contains(line));
  // What each net costs in colour as well, of the same pairs.
  const std::string out = fixture.dir / "scores";
  const std::string stages = fixture.run("--split test --stages --metrics psnr,color-slope --out '" + out + "'").second;
  CHECK_THAT(stages, Contains("lost, dB of PSNR") && Contains("lost, color-slope\n"));
  const nlohmann::json cost = read_json_file(out + "/eval.json").at("costs").at(0);
  CHECK(cost.at("color-slope").at("mean").get<double>() ==
        Approx(figure(stages, cost.at("from"), "color-slope") - figure(stages, cost.at("to"), "color-slope"))
            .margin(0.0011));
  // Of gray targets there is no colour to be kept; pairs that have it make the mean.
  write_image(fixture.data + "/high/2.png", Image(kWidth, kHeight, 3), ImageFormat::kPng);
  const std::string some = fixture.run("--split test --protocol input --metrics color-slope,hue").second;
  CHECK(figure(some, "input", "color-slope") > 0);
  CHECK_THAT(some, Contains("\n2     input") && Contains("           -        -\n"));
}

TEST_CASE("kind-eval: a gray picture comes out gray, as of kind-infer") {
  const Fixture fixture;
  Image gray = scene(1, 0.2);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 1; c < 3; ++c) gray.set_sample(x, y, c, gray.sample(x, y, 0));
    }
  }
  write_image(fixture.data + "/low/1.png", gray, ImageFormat::kPng);
  const std::string text = fixture.run("--split train --metrics mae,chroma").second;
  INFO(text);
  for (const char* way : {"none", "gt-ratio", "gt-mean"}) CHECK(figure(text, way, "chroma") == 0);
  const Tensor<float> result = to_tensor(enhance_photo(fixture.model, gray).image);
  CHECK(figure(text, "none", "mae") ==
        Approx(mean_absolute_error(values(result), values(to_tensor(scene(1, 0.9))))).margin(1e-4));
}

TEST_CASE("kind-eval: where results cannot be had") {
  const Fixture fixture;
  const auto failure = [&](const std::string& results) {
    const std::string command = "timeout 120 '" KIND_EVAL_PROGRAM "' --results '" + results + "' --data '" +
                                fixture.data + "' >'" + (fixture.dir / "out") + "' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 2));
    const std::vector<std::uint8_t> text = slurp(fixture.dir / "out");
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    return std::string(text.begin(), text.end());
  };
  CHECK_THAT(failure(fixture.dir / "nowhere"), Contains("there is no folder " + (fixture.dir / "nowhere")));
  fs::create_directories(fixture.dir / "empty");
  CHECK_THAT(failure(fixture.dir / "empty"), Contains("there are no pictures in " + (fixture.dir / "empty")));
  CHECK_THAT(failure(""), Contains("--results: expected a value, got an empty one"));
}

TEST_CASE("kind-eval: files of --out") {
  const Fixture fixture;
  const std::string out = fixture.dir / "out-folder";
  const std::string arguments = "--split test --metrics psnr,loe,chroma --protocol none,gt-ratio --out '" + out + "'";
  const auto [code, text] = fixture.run(arguments);
  INFO(text);
  CHECK(code == 0);
  const nlohmann::json report = read_json_file(out + "/eval.json");
  CHECK(report.at("split") == "test");
  CHECK(report.at("pictures").size() == 4);
  REQUIRE(report.at("protocols").size() == 2);
  const nlohmann::json& means = report["protocols"][1].at("means");
  CHECK(report["protocols"][1].at("name") == "gt-ratio");
  CHECK(means.at("psnr").at("mean").get<double>() == Approx(figure(text, "gt-ratio", "psnr")).margin(0.0051));
  CHECK(means["psnr"].at("low") <= means["psnr"]["mean"]);
  CHECK(means["psnr"].at("high") >= means["psnr"]["mean"]);
  CHECK(means["psnr"].at("pairs") == 2);
  // 26 x 19 pixels are too few for loe.
  CHECK(means.at("loe").at("mean").is_null());
  CHECK(means["loe"].at("pairs") == 0);
  CHECK_THAT(text, Contains("none psnr=") && Contains("loe=- chroma="));
  const auto content = [&](const std::string& name) {
    const std::vector<std::uint8_t> bytes = slurp(out + "/" + name);
    return std::string(bytes.begin(), bytes.end());
  };
  const std::string csv = content("eval-pictures.csv"), page = content("eval.html");
  CHECK(csv.rfind("pair,protocol,ratio,psnr,loe,chroma\n2,none,", 0) == 0);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
  CHECK_THAT(csv, Contains(",,"));
  CHECK_THAT(content("eval-means.csv"),
             Contains("protocol,metric,mean,low,high,pairs\n") && Contains("\nnone,loe,,,,0\n"));
  // Two pictures and two outputs for each of two pairs, all within the page.
  std::size_t pictures = 0;
  for (std::size_t at = 0; (at = page.find("src=\"data:image/jpeg;base64,/9j/", at)) != std::string::npos; ++at)
    ++pictures;
  CHECK(pictures == 8);
  CHECK(page.find("src=\"http") == std::string::npos);
  CHECK(page.find("href=") == std::string::npos);
  // Another number of threads writes the same bytes.
  const std::string json = content("eval.json");
  CHECK(fixture.run(arguments + " -t 1").first == 0);
  CHECK(content("eval.json") == json);
  CHECK(content("eval.html") == page);
  CHECK(content("eval-pictures.csv") == csv);
  // Identical pictures: infinite in text, null in JSON.
  fs::remove_all(fixture.data + "/low");
  fs::copy(fixture.data + "/high", fixture.data + "/low");
  CHECK_THAT(fixture.run("--split test --metrics psnr,mae --protocol input --out '" + out + "'").second,
             Contains("input psnr=inf mae=0.0000"));
  const nlohmann::json same = read_json_file(out + "/eval.json");
  CHECK(same.at("pictures").at(0).at("psnr").is_null());
  CHECK(same["pictures"][0].at("mae") == 0);
  CHECK_THAT(content("eval-pictures.csv"), Contains("2,input,,inf,0\n"));
}

TEST_CASE("kind-eval: of the files of --out either all are written or none") {
  const Fixture f;
  const std::string out = f.dir / "scores";
  const std::string arguments = "--metrics psnr --out '" + out + "'";
  const auto contents = [&] {
    std::map<std::string, std::vector<std::uint8_t>> files;
    for (const auto& entry : fs::directory_iterator(out)) files[entry.path().filename()] = slurp(entry.path().string());
    return files;
  };
  // In a new folder, then over the files of an earlier run.
  for (const bool earlier : {false, true}) {
    if (earlier) {
      REQUIRE(f.run(arguments + " --protocol gt-mean").first == 0);
      CHECK(contents().size() == 4);
    }
    const auto before = earlier ? contents() : std::map<std::string, std::vector<std::uint8_t>>();
    const std::tuple<const char*, int, long> failures[] = {{"write", ENOSPC, 0},    {"write", ENOSPC, 300},
                                                           {"write", ENOSPC, 2500}, {"fsync", EIO, 0},
                                                           {"fsync", EIO, 3},       {"open", EROFS, 7}};
    for (const auto& [call, error, skip] : failures) {
      const auto [code, text] = f.run(arguments, with_fault(call, error, skip, out));
      INFO(call << " after " << skip << ": " << text);
      CHECK(code == 2);
      CHECK_THAT(text, Contains("kind-eval: cannot write " + out + "/eval"));
      // What was computed is not lost.
      CHECK_THAT(text, Contains("\nnone psnr="));
      CHECK(contents() == before);
    }
  }
  // What can be known beforehand is.
  fs::remove(out + "/eval.html");
  fs::create_directory(out + "/eval.html");
  const auto [code, text] = f.run(arguments);
  CHECK(code == 2);
  CHECK(text == "kind-eval: cannot write " + out + "/eval.html: it is a folder, expected the name of a file\n");
}

TEST_CASE("kind-eval: names of pictures may be any bytes") {
  const Fixture f;
  const std::string name = "a,\x1b[31m\xff\n1", out = f.dir / "scores";
  for (const char* side : {"/low/", "/high/"}) fs::rename(f.data + side + "1.png", f.data + side + name + ".png");
  fs::remove(f.data + "/split.json");
  const auto [code, text] = f.run("--metrics psnr --protocol input --out '" + out + "'");
  INFO(text);
  CHECK(code == 0);
  // A terminal gets no control characters, and one line for each picture.
  CHECK_THAT(text, Contains("\na,\\x1b[31m\xff\\x0a1  input "));
  const nlohmann::json report = read_json_file(out + "/eval.json");
  CHECK(report.at("pictures").at(2).at("pair") == "a,\x1b[31m\xef\xbf\xbd\n1");
  const std::vector<std::uint8_t> csv = slurp(out + "/eval-pictures.csv");
  CHECK_THAT(std::string(csv.begin(), csv.end()), Contains("\n\"" + name + "\",input,"));
}

TEST_CASE("kind-eval: a model for niqe from a folder of photographs") {
  const Fixture fixture;
  const std::string photographs = fixture.dir / "photographs", file = fixture.dir / "niqe.json";
  fs::create_directories(photographs);
  const auto fit = [&](const std::string& arguments) {
    const std::string command =
        "timeout 120 '" KIND_EVAL_PROGRAM "' " + arguments + " >'" + (fixture.dir / "out") + "' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    const std::vector<std::uint8_t> text = slurp(fixture.dir / "out");
    return std::pair{WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::string(text.begin(), text.end())};
  };
  const std::string arguments = "--fit-niqe '" + photographs + "' -o '" + file + "'";
  write_image(photographs + "/a.png", test_picture(300, 200, 3), ImageFormat::kPng);
  write_image(photographs + "/small.png", test_picture(95, 200, 3), ImageFormat::kPng);
  CHECK_THAT(fit(arguments).second, Contains("a.png: 6 sharp patches") && Contains("small.png: 0 sharp patches") &&
                                        Contains("at least 37 sharp patches"));
  write_image(photographs + "/b\xe9.png", test_picture(800, 500, 3), ImageFormat::kPng);
  const auto [code, text] = fit(arguments);
  INFO(text);
  CHECK(code == 0);
  const nlohmann::json model = read_json_file(file);
  CHECK(model.at("pictures") == nlohmann::json{"a.png", "b\xef\xbf\xbd.png"});
  CHECK(model.at("patch") == 96);
  CHECK(model.at("patches") == 46);
  // Never over a file that is there.
  CHECK_THAT(fit(arguments).second, Contains("niqe.json: exists already"));
  CHECK_THAT(fit("--fit-niqe '" + photographs + "'").second, Contains("expected -o FILE"));
  CHECK_THAT(fixture.run("-o '" + file + "2'").second, Contains("-o is for --fit-niqe"));
  CHECK_THAT(fixture.run("--metrics niqe").second, Contains("--niqe-model FILE"));
  const auto [small_code, small] = fixture.run("--metrics niqe --protocol input --niqe-model '" + file + "'");
  CHECK(small_code == 0);
  CHECK_THAT(small, Contains("input niqe=- pairs=3"));
  for (const char* side : {"/low/1.png", "/high/1.png"}) {
    write_image(fixture.data + side, test_picture(300, 200, 3), ImageFormat::kPng);
  }
  CHECK(figure(fixture.run("--split train --metrics niqe --protocol input --niqe-model '" + file + "'").second, "input",
               "niqe") < 20);
}

TEST_CASE("kind-eval: the authors' model for niqe, a MAT-file") {
  const Fixture fixture;
  for (const char* side : {"/low/1.png", "/high/1.png"}) {
    write_image(fixture.data + side, test_picture(300, 200, 3), ImageFormat::kPng);
  }
  // What is in the JSON of another model as the authors' two variables: the figure is the same.
  const std::vector<NiqeFeatures> features = niqe_features(file_values(to_tensor(test_picture(900, 700, 3)), 8), 96);
  const NiqeModel model = fit_niqe(features, 96, {"a"});
  fixture.dir.put("niqe.json", to_json(model).dump());
  std::vector<double> columns;
  for (std::size_t k = 0; k < kNiqeFeatures; ++k) {
    for (std::size_t i = 0; i < kNiqeFeatures; ++i) columns.push_back(model.covariance[i][k]);
  }
  const auto put = [&](const std::string& name, const std::vector<double>& mean, std::size_t side) {
    fixture.dir.put(name,
                    mat_header() + mat_packed(mat_variable("mu_prisparam", 1, mean.size(), mat_doubles(mean))) +
                        mat_packed(mat_variable("cov_prisparam", side, columns.size() / side, mat_doubles(columns))));
  };
  put("niqe.mat", model.mean, 36);
  const auto run = [&](const std::string& name) {
    return fixture.run("--split train --metrics niqe --protocol input --niqe-model '" + (fixture.dir / name) + "'");
  };
  CHECK(figure(run("niqe.mat").second, "input", "niqe") == figure(run("niqe.json").second, "input", "niqe"));
  const auto failure = [&](const std::string& name) {
    const auto [code, text] = run(name);
    CHECK(code == 2);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    return text;
  };
  put("wide.mat", model.mean, 18);
  CHECK_THAT(failure("wide.mat"), Contains("cov_prisparam: expected 36 x 36 numbers, got 18 x 72"));
  put("short.mat", {1, 2}, 36);
  CHECK_THAT(failure("short.mat"), Contains("mu_prisparam: expected 1 x 36 numbers, got 1 x 2"));
  std::vector<double> nan = model.mean;
  nan[5] = std::numeric_limits<double>::quiet_NaN();
  put("nan.mat", nan, 36);
  CHECK_THAT(failure("nan.mat"), Contains("mu_prisparam: a number is not finite"));
  columns[1] += 1;
  put("skew.mat", model.mean, 36);
  CHECK_THAT(failure("skew.mat"), Contains("cov_prisparam: it is not symmetric"));
  fixture.dir.put("none.mat", mat_header());
  CHECK_THAT(failure("none.mat"), Contains("it has no matrix mu_prisparam"));
  fixture.dir.put("text.mat", "no model");
  CHECK_THAT(failure("text.mat"), Contains("text.mat as a MAT-file"));
}

TEST_CASE("kind-eval: results with a suffix, pairs by pattern") {
  const Fixture f;
  const std::string results = f.dir / "results";
  fs::create_directories(results);
  for (const char* name : {"1", "2", "3"}) {
    fs::copy_file(f.data + "/low/" + name + ".png", results + "/" + name + "_kindle.png");
    fs::copy_file(f.data + "/low/" + name + ".png", f.dir / (name + std::string("_dark.png")));
    fs::copy_file(f.data + "/high/" + name + ".png", f.dir / (name + std::string("_bright.png")));
  }
  const auto run = [&](const std::string& arguments) {
    const std::string command = "timeout 120 '" KIND_EVAL_PROGRAM "' --metrics psnr " + arguments + " >'" +
                                (f.dir / "out") + "' 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    const std::vector<std::uint8_t> text = slurp(f.dir / "out");
    return std::pair{WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::string(text.begin(), text.end())};
  };
  const double expected = figure(f.run("--metrics psnr --protocol input").second, "input", "psnr");
  const std::string pairs = " --data '" + f.data + "' ";
  const std::string patterns = " --data '" + f.dir.path() + "' --low '{name}_dark.png' --high '{name}_bright.png' ";
  for (const std::string& data : {pairs, patterns}) {
    CHECK(figure(run("--results '" + results + "' --strip-suffix _kindle" + data).second, "none", "psnr") == expected);
  }
  CHECK(figure(run("--model '" + f.model_path + "' --protocol input" + patterns).second, "input", "psnr") == expected);
  CHECK_THAT(run("--results '" + results + "'" + pairs).second, Contains("6 pairs are unusable"));
  CHECK_THAT(run("--results '" + results + "' --strip-suffix _out" + pairs).second,
             Contains("--strip-suffix: no picture in " + results + " has a name that ends with \"_out\""));
  CHECK_THAT(run("--strip-suffix _kindle" + pairs).second, Contains("--strip-suffix: is for results"));
  CHECK_THAT(run("--low '{name}_dark.png'" + pairs).second, Contains("--high: missing"));
  // Named twice: with the suffix and without.
  fs::copy_file(f.data + "/low/1.png", results + "/1.png");
  CHECK_THAT(run("--results '" + results + "' --strip-suffix _kindle" + pairs).second, Contains("1: both "));
}

TEST_CASE("kind-eval: pictures of 16 bits are compared by all of them") {
  const Fixture f;
  // By a third of an 8-bit step off, everywhere.
  const auto deep = [](int more) {
    Image image(kWidth, kHeight, 3, 16);
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, 257 * (20 + x + y + c) + more);
      }
    }
    return image;
  };
  const std::string low = f.data + "/low/1.png", high = f.data + "/high/1.png";
  write_image(low, deep(86), ImageFormat::kPng);
  write_image(high, deep(0), ImageFormat::kPng);
  const double psnr = 20 * std::log10(65535.0 / 86);
  CHECK(figure(f.run("--split train --metrics psnr --protocol input").second, "input", "psnr") ==
        Approx(psnr).margin(0.005));
  // Against a bright file of 8 bits the dark one keeps its own.
  write_image(high, to_image(to_tensor(deep(0))), ImageFormat::kPng);
  CHECK(figure(f.run("--split train --metrics psnr --protocol input").second, "input", "psnr") ==
        Approx(psnr).margin(0.005));
  write_image(low, to_image(to_tensor(deep(86))), ImageFormat::kPng);
  CHECK_THAT(f.run("--split train --metrics psnr --protocol input").second, Contains("psnr=inf"));
}

TEST_CASE("kind-eval: pictures are compared in sRGB") {
  if (!has_color_management()) {
    WARN("skipped: this build is without lcms2");
    return;
  }
  const Fixture f;
  // The same colours: light 0.25 is 0.5371 in sRGB.
  const auto even = [](int value) {
    Image image(kWidth, kHeight, 3, 16);
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, value);
      }
    }
    return image;
  };
  Metadata linear;
  linear.color = {{"gAMA", {0, 1, 0x86, 0xa0}}};  // 100000: light itself
  WriteOptions options;
  options.metadata = &linear;
  write_image(f.data + "/low/1.png", even(16384), ImageFormat::kPng, options);
  write_image(f.data + "/high/1.png", even(35199), ImageFormat::kPng);
  CHECK(figure(f.run("--split train --metrics psnr --protocol input").second, "input", "psnr") > 60);
  // An encoding that says nothing.
  linear.color = {{"gAMA", {0, 0, 0, 0}}};
  write_image(f.data + "/low/1.png", even(16384), ImageFormat::kPng, options);
  CHECK_THAT(f.run("--split train --metrics psnr --protocol input").second,
             Contains("low/1.png: colours: taken for sRGB"));
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
