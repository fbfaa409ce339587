#pragma once

namespace kind {

/// Removes the keys of a run config's "data" that may differ between equal runs: locations of pictures, and memory.
template <class Json>
void erase_places(Json& data) {
  data.erase("root");
  data.erase("memory_mb");
  if (!data.contains("sources") || !data["sources"].is_array()) return;
  for (Json& source : data["sources"]) {
    if (!source.is_object()) continue;
    source.erase("root");
    source.erase("split_file");
  }
}

/// Removes from a run's config all that may differ between equal runs: those places, and what is written beside the model.
template <class Json>
void erase_incidental(Json& config) {
  config.erase("tensorboard");
  config.erase("keep");
  if (config.contains("data") && config["data"].is_object()) erase_places(config["data"]);
}

}  // namespace kind
