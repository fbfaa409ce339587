// safetensors files, and the descriptions of models in them.

#include "core/files/safetensors.h"

#include "nets/model.h"
#include "tests/fuzz/fuzz.h"

using namespace kind;
using namespace kind::testing;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SafeTensors content;
  if (!accepts([&] { content = parse_safetensors(std::vector<std::uint8_t>(data, data + size), "input"); })) return 0;
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : content.tensors) {
    bytes += tensor.data.size();
    accepts([&, &key = name] { content.get_tensor<float>(key); });
    accepts([&, &key = name] { content.get_tensor<double>(key); });
    accepts([&, &key = name] { content.get_int64(key); });
    accepts([&, &key = name] { content.get_bytes(key); });
  }
  promise(bytes <= size, "tensors lie in the file");
  // What a model says of itself; its nets have more weights than an input has bytes.
  const auto description = content.metadata.find("kind");
  if (description == content.metadata.end()) return 0;
  accepts([&] { parse_config<ModelConfig>(parse_json(description->second, "input"), "input"); });
  return 0;
}
