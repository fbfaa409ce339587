#include "nets/tensorflow/tensorflow_import.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "nets/tensorflow/tensorflow_checkpoint.h"
#include "tests/nets/bundle_writer.h"
#include "tests/nets/tensorflow_names.h"
#include "tests/support/errors.h"
#include "tests/support/reference.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

std::string import_message(const SafeTensors& content) {
  return error_of([&] { model_from_tensorflow({content}); });
}

TEST_CASE("import: every tensor finds its place and its axes turn") {
  for (const std::int64_t kernel : {1, 3}) {
    const SafeTensors content = pseudo_random_weights(decomposition_tensors(kernel));
    const Model<float> model = model_from_tensorflow({content});
    CHECK(model.config.decomposition->output_kernel == kernel);
    CHECK_FALSE(model.restoration);
    CHECK_FALSE(model.adjustment);
    std::map<std::string, Tensor<float>> ours;
    for (const Parameter<float>& p : model.parameters()) ours[p.name] = p.variable.value();
    const auto compare = [&](const std::string& theirs, const std::string& mine) {
      INFO(mine);
      const Tensor<float> from = content.get_tensor<float>(theirs + "/weights"), to = ours.at(mine + ".weight");
      const std::int64_t kh = from.shape()[0], kw = from.shape()[1], in = from.shape()[2], out = from.shape()[3];
      REQUIRE(to.shape() == Shape{out, in, kh, kw});
      bool same = true;
      for (std::int64_t a = 0; a < kh; ++a) {
        for (std::int64_t b = 0; b < kw; ++b) {
          for (std::int64_t i = 0; i < in; ++i) {
            for (std::int64_t o = 0; o < out; ++o) {
              same = same && to[((o * in + i) * kh + a) * kw + b] == from[((a * kw + b) * in + i) * out + o];
            }
          }
        }
      }
      CHECK(same);
      if (ours.count(mine + ".bias") == 0) return;
      CHECK(ours.at(mine + ".bias").to_vector() == content.get_tensor<float>(theirs + "/biases").to_vector());
    };
    compare("DecomNet/g_conv1_1", "decomposition.conv1");
    compare("DecomNet/g_conv2_1", "decomposition.conv2");
    compare("DecomNet/g_conv3_1", "decomposition.conv3");
    compare("DecomNet/g_up_1", "decomposition.up8");
    compare("DecomNet/g_conv8_1", "decomposition.conv8");
    compare("DecomNet/g_up_2", "decomposition.up9");
    compare("DecomNet/g_conv9_1", "decomposition.conv9");
    compare("DecomNet/g_conv10", "decomposition.reflectance");
    compare("DecomNet/l_conv1_2", "decomposition.illumination_conv");
    compare("DecomNet/l_conv1_4", "decomposition.illumination");
  }
}

TEST_CASE("import: the nets of several checkpoints make one model, KinD++'s names too") {
  const SafeTensors decomposition = pseudo_random_weights(decomposition_tensors()),
                    restoration = pseudo_random_weights(restoration_tensors()),
                    adjustment = pseudo_random_weights(adjustment_tensors("I_enhance_Net/conv_"));
  const Model<float> model = model_from_tensorflow({restoration, adjustment, decomposition});
  CHECK(model.decomposition);
  CHECK(model.restoration);
  CHECK(model.adjustment);
  CHECK(model.config.input.stretch);
  CHECK(model.config.adjustment->output_activation);
  std::int64_t count = 0;
  for (const Parameter<float>& p : model.parameters()) count += p.variable.value().size();
  CHECK(count == 235'876 + 7'760'739 + 19'393);
  // Both names of the adjustment net mean the same.
  SafeTensors renamed;
  for (const auto& [name, tensor] : adjustment.tensors) {
    renamed.tensors["Illumination_adjust_net/en_conv_" + name.substr(std::string("I_enhance_Net/conv_").size())] =
        tensor;
  }
  const Parameters<float> a = model_from_tensorflow({adjustment}).parameters(),
                          b = model_from_tensorflow({renamed}).parameters();
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK(a[i].variable.value().to_vector() == b[i].variable.value().to_vector());
}

TEST_CASE("import: from files, with what an optimiser leaves behind") {
  BundleWriter bundle;
  const SafeTensors content = pseudo_random_weights(adjustment_tensors());
  bundle.add(content);
  const Tensor<float> slot = Tensor<float>::full({3}, 1);
  for (const char* name :
       {"beta1_power", "beta2_power", "beta1_power_1", "Illumination_adjust_net/beta2_power",
        "Illumination_adjust_net/en_conv_1/weights/Adam", "Illumination_adjust_net/en_conv_1/weights/Adam_1",
        "Illumination_adjust_net/en_conv_2/biases/AdamOptimizer",
        "Illumination_adjust_net/en_conv_2/biases/AdamOptimizer_1"}) {
    bundle.add(name, slot);
  }
  bundle.add("global_step", 3, {}, fixed(std::int32_t{999}));
  BundleWriter sorted;  // the data lies in the order of the names
  for (const auto& [name, value] : bundle.values) {
    if (name == "global_step") {
      sorted.add(name, 3, {}, fixed(std::int32_t{999}));
    } else {
      sorted.add(name, content.contains(name) ? content.get_tensor<float>(name) : slot);
    }
  }
  const TempDir dir;
  const Parameters<float> a = import_tensorflow({sorted.write(dir)}).parameters(),
                          b = model_from_tensorflow({content}).parameters();
  REQUIRE(a.size() == 8);
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK(a[i].variable.value().to_vector() == b[i].variable.value().to_vector());
}

TEST_CASE("import: what is unknown, missing, wrong or there twice is named") {
  const SafeTensors good = [] {
    SafeTensors content = pseudo_random_weights(adjustment_tensors());
    content.source = "some/model.ckpt";
    return content;
  }();
  const std::string weights = "Illumination_adjust_net/en_conv_2/weights";
  SafeTensors bad = good;
  SECTION("unknown") {
    bad.put_tensor("Other/weights", Tensor<float>::zeros({1}));
    CHECK_THAT(import_message(bad), Contains("some/model.ckpt") && Contains("found also 'Other/weights'"));
    for (int i = 0; i < 9; ++i) bad.put_tensor("P" + std::to_string(i), Tensor<float>::zeros({1}));
    CHECK_THAT(import_message(bad), Contains("'Other/weights', 'P0', 'P1', 'P2', 'P3' and 5 more"));
  }
  SECTION("names that only look like an optimiser's") {
    bad.put_tensor("Adam", Tensor<float>::zeros({1}));
    CHECK_THAT(import_message(bad), Contains("found also 'Adam'"));
    bad = good;
    bad.put_tensor(weights + "/Adamant", Tensor<float>::zeros({1}));
    CHECK_THAT(import_message(bad), Contains("Adamant"));
  }
  SECTION("missing") {
    bad.tensors.erase(weights);
    CHECK_THAT(import_message(bad),
               Contains("some/model.ckpt") && Contains("missing: " + weights + " or I_enhance_Net/conv_2/weights"));
  }
  SECTION("another shape") {
    bad.put_tensor(weights, Tensor<float>::zeros({3, 3, 32, 16}));
    CHECK_THAT(import_message(bad),
               Contains("some/model.ckpt: tensor " + weights + " has shape [3, 3, 32, 16], expected [3, 3, 32, 32]"));
    bad.put_tensor(weights, Tensor<float>::zeros({9 * 32 * 32}));
    CHECK_THAT(import_message(bad), Contains("has shape [9216], expected [3, 3, 32, 32]"));
  }
  SECTION("not finite") {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      Tensor<float> tensor = good.get_tensor<float>(weights);
      tensor[77] = value;
      bad.put_tensor(weights, tensor);
      CHECK_THAT(import_message(bad), Contains("tensor " + weights + " holds " + join(value)));
    }
  }
  SECTION("not of floating point") {
    bad.put_int64(weights, {1, 2});
    CHECK_THAT(import_message(bad), Contains(weights) && Contains("I64"));
  }
  SECTION("twice") {
    CHECK_THAT(error_of([&] { model_from_tensorflow({good, good}); }), Contains("the adjustment net is there twice"));
    bad.put_tensor("I_enhance_Net/conv_2/weights", good.get_tensor<float>(weights));
    CHECK_THAT(import_message(bad), Contains("the adjustment net is there twice"));
  }
  SECTION("none of the nets") {
    CHECK_THAT(error_of([] { model_from_tensorflow({}); }), Contains("at least one checkpoint"));
    SafeTensors optimizer;
    optimizer.source = "some/model.ckpt";
    optimizer.put_tensor("beta1_power", Tensor<float>::zeros({}));
    CHECK_THAT(import_message(optimizer), Contains("some/model.ckpt: it holds no tensor of KinD's nets"));
  }
}

TEST_CASE("import: decomposition's last convolutions must have one size, up-convolutions no bias") {
  SafeTensors content = pseudo_random_weights(decomposition_tensors(3));
  content.put_tensor("DecomNet/l_conv1_4/weights", Tensor<float>::zeros({1, 1, 64, 1}));
  CHECK_THAT(import_message(content),
             Contains("tensor DecomNet/l_conv1_4/weights has shape [1, 1, 64, 1], expected [3, 3, 64, 1]"));
  content = pseudo_random_weights(decomposition_tensors());
  content.put_tensor("DecomNet/g_up_1/biases", Tensor<float>::zeros({64}));
  CHECK_THAT(import_message(content), Contains("tensor DecomNet/g_up_1/biases is none of KinD's nets'"));
  content = pseudo_random_weights(decomposition_tensors());
  content.put_tensor("DecomNet/g_conv10/weights", Tensor<float>::zeros({32}));
  CHECK_THAT(import_message(content),
             Contains("tensor DecomNet/g_conv10/weights has shape [32], expected [1, 1, 32, 3]"));
  content.put_tensor("DecomNet/g_conv10/weights", Tensor<float>::zeros({1'000'000, 0, 32, 3}));
  CHECK_THAT(import_message(content), Contains("DecomNet/g_conv10/weights has shape"));
}

TEST_CASE("import: the published checkpoints", "[golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  // Lines of the form: NAME float32 [SHAPE] off N size N crc HEX min X max X
  std::ifstream list(*folder + "/checkpoints/tensors.txt");
  REQUIRE(list);
  SafeTensors content;
  int tensors = 0;
  for (std::string line; std::getline(list, line);) {
    if (line.find("/model.ckpt {") != std::string::npos) {
      content = read_tensorflow_checkpoint(*folder + "/checkpoints/" + line.substr(0, line.find(' ')));
      continue;
    }
    std::istringstream words(line);
    std::string name, type, word;
    words >> name >> type;
    if (type != "float32") continue;
    ++tensors;
    const Tensor<float> tensor = content.get_tensor<float>(name);
    const std::size_t open = line.find('['), close = line.find(']');
    CHECK(tensor.shape().text() == line.substr(open, close - open + 1));
    float low = tensor[0], high = tensor[0];
    for (std::int64_t i = 0; i < tensor.size(); ++i) low = std::min(low, tensor[i]), high = std::max(high, tensor[i]);
    std::istringstream rest(line.substr(line.find(" min ") + 5));
    double min = 0, max = 0;
    rest >> min >> word >> max;
    CHECK(std::abs(min - static_cast<double>(low)) < 1e-4);
    CHECK(std::abs(max - static_cast<double>(high)) < 1e-4);
  }
  CHECK(tensors == 26);
  const Model<float> model = import_tensorflow({*folder + "/checkpoints/decom_net_train/model.ckpt.index",
                                                *folder + "/checkpoints/illumination_adjust_net_train/model.ckpt"});
  CHECK(model.parameters().size() == 26);
  CHECK(model.config.decomposition->output_kernel == 1);
}

}  // namespace
}  // namespace kind::testing
