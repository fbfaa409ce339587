#include "train/stages/stage_config.h"

#include <utility>

#include "core/base/error.h"

namespace kind {

void NetConfig::validate(const std::string& path) const {
  const int count = decomposition.has_value() + restoration.has_value() + adjustment.has_value();
  check(count == 1 || joint(), path,
        ": expected one of \"decomposition\", \"restoration\", \"adjustment\", or the last two together, with or "
        "without the first; got ",
        count);
}

namespace {

/// "a, b and c"
std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    list += (i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
  }
  return list;
}

}  // namespace

void StageConfig::validate(const std::string& path) const {
  check(!name.empty() && name.find_first_of("./ \t\n") == std::string::npos, key_path(path, "name"),
        ": expected a word without dots, slashes or spaces, got \"", name, "\"");
  const std::string here = key_path(path, "losses");
  const DecompositionLossConfig& d = losses.decomposition;
  const ImageLossConfig& i = losses.image;
  if (net.decomposition) {
    // Together with the others it may be led by their output alone.
    if (!net.joint() || !d.empty()) d.validate(here);
  } else {
    check(d.empty(), here, ": ", listed(d.names()), " are terms of the decomposition net only");
  }
  if (net.restoration || net.adjustment) {
    i.validate(here);
    i.each([&](const auto& term) {
      if constexpr (requires { term.smallest_side(); }) {
        check(term.smallest_side() <= patch, key_path(path, "patch"), ": patches of ", patch,
              " pixels are smaller than the window of ", term.kName, ", ", term.smallest_side());
      }
    });
  } else {
    check(i.empty(), here, ": ", listed(i.names()), " compare an output with a target; the decomposition net has none");
  }
  check(net.joint() || losses.parts.empty(), here, ": ", listed(losses.parts.names()), " are terms of joint training");
  check(net.joint() || !i.gt_mean, here, ": gt_mean is for joint training of restoration and adjustment");
  for (const auto& [key, value] : {std::pair("brighter_inputs", augment.brighter_inputs),
                                   {"darker_targets", augment.darker_targets},
                                   {"mixup", augment.mixup}}) {
    check(net.joint() || value == 0, key_path(key_path(path, "augment"), key),
          ": is for joint training of restoration and adjustment");
  }
  for (const auto& [key, value] : {std::pair("color_shuffle", augment.color_shuffle),
                                   {"color_jitter", augment.color_jitter},
                                   {"gray_inputs", augment.gray_inputs},
                                   {"lamps", augment.lamps},
                                   {"noisy_inputs", augment.noisy_inputs}}) {
    check(net.joint() || net.decomposition || value == 0, key_path(key_path(path, "augment"), key),
          ": is for stages that are given pictures, not maps: decomposition, or joint training");
  }
  check(!ratio_gradient || (net.joint() && net.decomposition), key_path(path, "ratio_gradient"),
        ": is for joint training of all three nets; elsewhere the ratio has no gradient");
  if (net.adjustment && !net.restoration) {
    i.each([&](const auto& term) {
      if constexpr (requires { term.needs_rgb(); }) {
        check(!term.needs_rgb(), here, ": ", term.kName,
              ", as it is set, compares RGB pictures; an illumination has one channel");
      }
    });
  }
  check(!net.decomposition || ratio != "picture", key_path(path, "ratio"),
        ": \"picture\" is the ratio of illuminations that stay the same; this stage trains the decomposition net");
}

}  // namespace kind
