#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace kind {

/// The metrics of a run as an event file for TensorBoard: a TFRecord file of Event messages (protocol buffers), each on
/// disk before the next. The format: https://www.tensorflow.org/tutorials/load_data/tfrecord for records,
/// tensorboard/compat/proto/{event,summary}.proto and tensorboard/plugins/hparams/plugin_data.proto for messages.
class EventFile {
 public:
  /// Begins a new file in `folder`, which it creates; events of steps after `step` in older files there are taken back
  /// (SessionLog START). `config`, the resolved config, becomes hyperparameters and a text. Throws Error naming the file
  /// if it cannot be written.
  EventFile(const std::string& folder, std::int64_t step, const nlohmann::ordered_json& config);

  /// The numbers of a line of metrics.jsonl: "STAGE/loss/TERM" (weighted), "STAGE/raw/TERM", "STAGE/learning_rate" and
  /// so on; "validation/FIGURE", and "validation_SET/FIGURE" of one of several sources.
  void add_metrics(const nlohmann::ordered_json& entry);

  /// The picture sheet in a PNG file, as "sheet".
  void add_sheet(const std::string& path, std::int64_t step);

 private:
  void add_summary(std::int64_t step, const std::string& summary);
  void add_event(const std::string& fields);

  std::string path_;
  std::ofstream out_;
};

/// CRC-32C of some bytes, masked as TFRecord files have it: rotated right by 15 bits, plus 0xa282ead8.
std::uint32_t masked_crc32c(const std::string& bytes);

}  // namespace kind
