#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/image/image.h"
#include "tests/support/temp_dir.h"

/// A sweep's folder as kind-train would leave it, with figures that are easy to work with.
namespace kind::testing {

/// A finished run of one stage: ten logged steps, two validations of three pictures with a PSNR of `psnr` (and 1 less,
/// 2 more) and `figures`, a sheet of two rows in which everything has one gray.
inline void put_record(const std::string& folder, std::int64_t seed, double psnr, int gray, double loss = 0.5,
                       const nlohmann::json& figures = nlohmann::json::object()) {
  using nlohmann::json;
  std::filesystem::create_directories(folder + "/sheets");
  const auto put = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name) << text;
  };
  put("config.json", json{{"seed", seed}, {"gray", gray}, {"data", {{"root", folder}}}}.dump());
  put("model.safetensors", "x");
  std::string metrics, pictures;
  for (int step = 1; step <= 10; ++step) {
    const double rec = loss * 10 / step, smooth = 0.1 * step;
    metrics += json{{"stage", "decom"},
                    {"step", step},
                    {"epoch", 0},
                    {"lr", 0.1},
                    {"images_per_s", 3},
                    {"loss",
                     {{"total", rec + smooth},
                      {"reconstruction", {{"raw", rec}, {"weighted", rec}}},
                      {"smooth", {{"raw", 10 * smooth}, {"weighted", smooth}}}}}}
                   .dump() +
               "\n";
    if (step % 5 != 0) continue;
    const double at = psnr - (step == 5 ? 3 : 0);
    json by_picture;
    for (const auto& [stem, off] : {std::pair<const char*, double>{"1", 0}, {"2", -1}, {"3", 2}}) {
      by_picture[stem] = {{"psnr", at + off}, {"ssim", 0.5}, {"illumination_std", 0.1}};
      by_picture[stem].update(figures);
    }
    json means = {{"psnr", at + 1.0 / 3}, {"ssim", 0.5}, {"illumination_std", 0.1}};
    means.update(figures);
    metrics += json{{"stage", "decom"}, {"step", step}, {"validation", means}}.dump() + "\n";
    pictures += json{{"stage", "decom"},
                     {"step", step},
                     {"pictures", by_picture},
                     {"sheet",
                      {{{"picture", "1"}, {"top", 0}, {"height", 4}, {"width", 6}},
                       {{"picture", "2"}, {"top", 8}, {"height", 4}, {"width", 6}}}}}
                    .dump() +
                "\n";
  }
  put("metrics.jsonl", metrics);
  put("pictures.jsonl", pictures);
  Image sheet(7 * 10 - 4, 12, 3);
  for (std::uint8_t& sample : sheet.data) sample = static_cast<std::uint8_t>(gray);
  write_image(folder + "/sheets/decom-step-10.png", sheet, ImageFormat::kPng);
}

/// sweep.json of three points on an axis "w" with the seeds 1 and 2; no runs.
inline void put_plan(const std::string& folder) {
  using nlohmann::json;
  std::filesystem::create_directories(folder);
  json sweep{{"format", 1},
             {"name", "weights"},
             {"combine", "cross"},
             {"seeds", {1, 2}},
             {"axes", {{{"name", "w"}, {"values", {0.1, 1, 10}}}}}};
  const char* const labels[] = {"w=0.1", "w=1 <b>, \"x\"", "w=10"};
  const double values[] = {0.1, 1, 10};
  for (int p = 0; p < 3; ++p) {
    const std::string name = "p" + std::to_string(p);
    sweep["points"].push_back({{"name", name}, {"label", labels[p]}, {"values", {{"w", values[p]}}}});
  }
  for (int seed = 1; seed <= 2; ++seed) {
    for (int p = 0; p < 3; ++p) {
      const std::string name = "p" + std::to_string(p);
      sweep["runs"].push_back(
          {{"name", name + "-s" + std::to_string(seed)}, {"point", name}, {"seed", seed}, {"config", "0"}});
    }
  }
  std::ofstream(folder + "/sweep.json") << sweep.dump(2);
}

/// All runs of it: w=1 is a little better than w=0.1 everywhere, w=10 fails with the second seed.
inline void put_sweep_records(const std::string& folder) {
  put_plan(folder);
  for (int seed = 1; seed <= 2; ++seed) {
    put_record(folder + "/p0-s" + std::to_string(seed), seed, 10 + seed, 40);
    put_record(folder + "/p1-s" + std::to_string(seed), seed, 11 + seed + 0.001 * seed, 200, 0.25);
  }
  put_record(folder + "/p2-s1", 1, 11.2, 40);
  std::filesystem::create_directories(folder + "/p2-s2");
  std::ofstream(folder + "/p2-s2/failed.json") << R"({"reason": "stage decom, step 3: the loss is nan & <more>"})";
}

}  // namespace kind::testing
