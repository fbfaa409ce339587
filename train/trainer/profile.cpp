#include "train/trainer/profile.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "core/base/error.h"
#include "core/base/sum.h"
#include "core/kernels/kernels.h"
#include "train/stages/batch.h"
#include "train/trainer/trainer.h"

namespace kind {
namespace {

using Gradients = std::vector<Tensor<float>>;  // one for each parameter, undefined where none arrived

/// Lists the terms of a loss with their weights.
struct TermLister {
  std::vector<std::pair<std::string, double>> terms;

  template <class Term, class... Limits>
  void field(const std::string& name, const std::optional<Term>& term, const std::string&, const Limits&...) {
    if constexpr (requires { term->weight; }) {
      if (term) terms.emplace_back(name, term->weight);
    }
  }
};

/// Leaves one term in a loss, with weight 1; what is no term stays.
struct TermChooser {
  const std::string& name;

  template <class Term, class... Limits>
  void field(const std::string& field_name, std::optional<Term>& term, const std::string&, const Limits&...) {
    if constexpr (requires { term->weight; }) {
      if (field_name == name) {
        term->weight = 1;
      } else {
        term.reset();
      }
    }
  }
};

double dot(const Tensor<float>& a, const Tensor<float>& b) {
  if (!a.defined() || !b.defined()) return 0;
  const float *x = a.data(), *y = b.data();
  return parallel_sum(a.size(), [=](std::int64_t i) { return static_cast<double>(x[i]) * static_cast<double>(y[i]); });
}

std::optional<double> cosine(double product, double square_a, double square_b) {
  if (square_a <= 0 || square_b <= 0) return std::nullopt;
  return std::clamp(product / std::sqrt(square_a) / std::sqrt(square_b), -1.0, 1.0);
}

/// From the products of all pairs of terms' own gradients.
GradientProfile gradient_profile(const std::string& layer, std::int64_t parameters,
                                 const std::vector<std::vector<double>>& products,
                                 const std::vector<StageProfile::Term>& terms) {
  const std::size_t n = terms.size();
  GradientProfile result{layer, parameters, 0, std::vector<GradientProfile::Term>(n)};
  std::vector<double> on_total(n);  // g_i G
  double square = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) on_total[i] += terms[i].weight * terms[j].weight * products[i][j];
    square += on_total[i];
  }
  square = std::max(square, 0.0);
  result.norm = std::sqrt(square);
  for (std::size_t i = 0; i < n; ++i) {
    GradientProfile::Term& term = result.terms[i];
    const double own = terms[i].weight * terms[i].weight * products[i][i];
    term.norm = std::sqrt(own);
    term.raw_norm = std::sqrt(std::max(products[i][i], 0.0));
    if (square > 0) term.share = on_total[i] / square;
    term.cosine_total = cosine(on_total[i], own, square);
    for (std::size_t j = 0; j < n; ++j) {
      term.cosines.push_back(cosine(products[i][j], products[i][i], products[j][j]));
    }
  }
  return result;
}

std::string layer_of(const std::string& parameter) { return parameter.substr(0, parameter.rfind('.')); }

void check_finite(const std::string& stage, const std::string& what, double value) {
  if (!std::isfinite(value)) throw NotFinite(join("stage ", stage, ": ", what, " is ", value));
}

StageProfile profile_stage(const StageConfig& stage, const Model<float>& model, const Pairs& pairs,
                           FrozenDecomposition& frozen, std::uint64_t seed, std::uint64_t index, std::int64_t batches) {
  StageProfile profile{stage.name, "", batches, stage.batch, stage.patch, {}, {}};
  TermLister lister;
  StageLosses(stage.losses).fields(lister);
  for (const auto& [name, weight] : lister.terms) profile.terms.push_back({name, weight, 0, 0});
  const Parameters<float> parameters = stage_parameters(stage, model);
  const std::unique_ptr<StageSampler> sampler = make_sampler(stage, model, pairs, frozen);

  std::vector<Gradients> gradients(profile.terms.size());
  for (std::size_t t = 0; t < profile.terms.size(); ++t) {
    StageProfile::Term& term = profile.terms[t];
    StageConfig alone = stage;
    TermChooser chooser{term.name};
    alone.losses.fields(chooser);
    for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();
    for (std::int64_t b = 0; b < batches; ++b) {
      prepare_batch(stage, pairs, *sampler, seed, index, b);
      Loss<float> loss = stage_loss(alone, model, make_batch(stage, pairs, *sampler, seed, index, b));
      term.raw += static_cast<double>(loss.total.value().item()) / static_cast<double>(batches);
      loss.total.backward();
    }
    check_finite(stage.name, "loss term " + term.name, term.raw);
    term.weighted = term.weight * term.raw;
    for (const Parameter<float>& parameter : parameters) gradients[t].push_back(parameter.variable.grad());
  }
  for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();

  // Products of all pairs of terms, layer by layer; gradients were summed over the batches.
  const std::size_t n = profile.terms.size();
  const double scale = 1 / static_cast<double>(batches * batches);
  const std::vector<std::vector<double>> zeros(n, std::vector<double>(n));
  std::vector<std::vector<double>> all = zeros;
  std::int64_t all_count = 0;
  std::vector<GradientProfile> layers;
  for (std::size_t first = 0; first < parameters.size();) {
    const std::string layer = layer_of(parameters[first].name);
    std::vector<std::vector<double>> products = zeros;
    std::int64_t count = 0;
    for (; first < parameters.size() && layer_of(parameters[first].name) == layer; ++first) {
      count += parameters[first].variable.shape().size();
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i; j < n; ++j) products[i][j] += scale * dot(gradients[i][first], gradients[j][first]);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (j < i) products[i][j] = products[j][i];
        all[i][j] += products[i][j];
        check_finite(stage.name, "the gradient of " + profile.terms[i].name + " to " + layer, products[i][j]);
      }
    }
    all_count += count;
    layers.push_back(gradient_profile(layer, count, products, profile.terms));
  }
  profile.gradients.push_back(gradient_profile("all", all_count, all, profile.terms));
  profile.gradients.insert(profile.gradients.end(), layers.begin(), layers.end());
  return profile;
}

nlohmann::ordered_json number(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

/// A table with columns as wide as their widest cell; all but the first two to the right.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += (i ? "  " : "") + (i < 2 ? row[i] + space : space + row[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string format(const char* how, std::optional<double> value) {
  if (!value) return "-";
  char text[48];
  std::snprintf(text, sizeof text, how, *value);
  return text;
}

}  // namespace

std::vector<StageProfile> profile_losses(const TrainConfig& config, std::int64_t batches,
                                         const std::function<void(const std::string&)>& progress,
                                         const PairsOptions& options) {
  check(batches >= 1, "the losses need at least one batch to be looked at, got ", batches);
  const std::uint64_t seed = static_cast<std::uint64_t>(config.seed);
  std::int64_t largest = 1;
  for (const StageConfig& stage : config.stages) largest = std::max(largest, stage.patch);
  const Pairs pairs(config.data, largest, seed, options);
  Model<float> model;
  model.config.input = config.input;
  model.options = config.fused_options();
  std::vector<StageProfile> profiles;
  std::string weights = join("drawn from seed ", config.seed);
  for (std::size_t i = 0; i < config.stages.size(); ++i) {
    const StageConfig& stage = config.stages[i];
    begin_stage(stage, seed, model);
    if (stage.init) weights = "from " + *stage.init;
    progress(join("stage ", stage.name, ": ", batches, batches == 1 ? " batch of " : " batches of ", stage.batch, " x ",
                  stage.patch, "x", stage.patch, ", weights ", weights));
    FrozenDecomposition frozen(model, pairs, static_cast<std::size_t>(config.data.memory_mb) << 20,
                               std::filesystem::temp_directory_path().string());
    profiles.push_back(profile_stage(stage, model, pairs, frozen, seed, i, batches));
    profiles.back().weights = weights;
  }
  return profiles;
}

nlohmann::ordered_json to_json(const std::vector<StageProfile>& profile) {
  using nlohmann::ordered_json;
  ordered_json stages = ordered_json::array();
  for (const StageProfile& stage : profile) {
    ordered_json out{{"stage", stage.stage},
                     {"weights", stage.weights},
                     {"batches", stage.batches},
                     {"batch", stage.batch},
                     {"patch", stage.patch},
                     {"terms", ordered_json::object()},
                     {"gradients", ordered_json::array()}};
    for (const StageProfile::Term& term : stage.terms) {
      out["terms"][term.name] = {{"weight", term.weight}, {"raw", term.raw}, {"weighted", term.weighted}};
    }
    for (const GradientProfile& gradient : stage.gradients) {
      ordered_json layer{{"layer", gradient.layer}, {"parameters", gradient.parameters}, {"norm", gradient.norm}};
      for (std::size_t i = 0; i < stage.terms.size(); ++i) {
        const GradientProfile::Term& term = gradient.terms[i];
        ordered_json& to = layer["terms"][stage.terms[i].name];
        to = {{"norm", term.norm},
              {"raw_norm", term.raw_norm},
              {"share", number(term.share)},
              {"cosine_total", number(term.cosine_total)}};
        for (std::size_t j = 0; j < stage.terms.size(); ++j) {
          if (j != i) to["cosine"][stage.terms[j].name] = number(term.cosines[j]);
        }
      }
      out["gradients"].push_back(std::move(layer));
    }
    stages.push_back(std::move(out));
  }
  return {{"stages", std::move(stages)}};
}

std::string profile_text(const std::vector<StageProfile>& profile) {
  std::string text;
  for (const StageProfile& stage : profile) {
    text += join(text.empty() ? "" : "\n", "stage ", stage.stage, ": ", stage.batches,
                 stage.batches == 1 ? " batch of " : " batches of ", stage.batch, " x ", stage.patch, "x", stage.patch,
                 ", weights ", stage.weights, "\n\n");
    std::vector<std::vector<std::string>> rows{{"term", "", "weight", "value", "weighted"}};
    for (const StageProfile::Term& term : stage.terms) {
      rows.push_back(
          {term.name, "", format("%g", term.weight), format("%.5g", term.raw), format("%.5g", term.weighted)});
    }
    text += table(rows) + "\n";
    rows = {{"layer", "term", "|gradient|", "at weight 1", "share", "cos total"}};
    for (const StageProfile::Term& term : stage.terms) rows[0].push_back("cos " + term.name);
    for (const GradientProfile& gradient : stage.gradients) {
      rows.push_back({gradient.layer, "total", format("%.3e", gradient.norm)});
      for (std::size_t i = 0; i < stage.terms.size(); ++i) {
        const GradientProfile::Term& term = gradient.terms[i];
        rows.push_back({"", stage.terms[i].name, format("%.3e", term.norm), format("%.3e", term.raw_norm),
                        term.share ? format("%.1f%%", 100 * *term.share) : "-", format("%.3f", term.cosine_total)});
        for (std::size_t j = 0; j < stage.terms.size(); ++j) {
          rows.back().push_back(j == i ? "" : format("%.3f", term.cosines[j]));
        }
      }
    }
    text += table(rows);
  }
  return text;
}

}  // namespace kind
