#include "train/trainer/event_file.h"

#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/image.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// ---- Protocol buffers: a message is a string of fields.

template <class Word>
std::string little_endian(Word word) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof word; ++i) bytes += static_cast<char>((word >> (8 * i)) & 0xFF);
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}

std::string int_field(std::uint32_t number, std::int64_t value) {
  return varint(number << 3 | 0u) + varint(static_cast<std::uint64_t>(value));
}

std::string double_field(std::uint32_t number, double value) {
  return varint(number << 3 | 1u) + little_endian(std::bit_cast<std::uint64_t>(value));
}

std::string float_field(std::uint32_t number, float value) {
  return varint(number << 3 | 5u) + little_endian(std::bit_cast<std::uint32_t>(value));
}

/// A string, bytes or message.
std::string bytes_field(std::uint32_t number, const std::string& bytes) {
  return varint(number << 3 | 2u) + varint(bytes.size()) + bytes;
}

// ---- Summaries

std::string scalar(const std::string& tag, double value) {
  return bytes_field(1, bytes_field(1, tag) + float_field(2, static_cast<float>(value)));
}

/// A value without a number, for a plugin.
std::string plugin_value(const std::string& tag, const std::string& plugin, const std::string& content,
                         const std::string& tensor) {
  const std::string metadata = bytes_field(1, bytes_field(1, plugin) + bytes_field(2, content));
  return bytes_field(1, bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata));
}

/// TensorProto of one string.
std::string string_tensor(const std::string& text) {
  constexpr std::int64_t kString = 7;
  const std::string one = bytes_field(2, bytes_field(2, int_field(1, 1)));  // shape [1]
  return int_field(1, kString) + one + bytes_field(8, text);
}

/// google.protobuf.Value of a JSON number, boolean or string.
std::string value_message(const ordered_json& value) {
  if (value.is_boolean()) return int_field(4, value.get<bool>() ? 1 : 0);
  if (value.is_number()) return double_field(2, value.get<double>());
  return bytes_field(3, value.is_string() ? value.get<std::string>() : value.dump());
}

/// Entries of the map of hyperparameters, by path: "stages.decom.batch". What is null says nothing.
void put_hyperparameters(const ordered_json& value, const std::string& path, std::string& map) {
  if (value.is_null()) return;
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items())
      put_hyperparameters(inner, path.empty() ? key : path + "." + key, map);
  } else if (value.is_array() && !value.empty() && value[0].is_object()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string name = value[i].value("name", std::to_string(i));
      put_hyperparameters(value[i], path + "." + (name.empty() ? std::to_string(i) : name), map);
    }
  } else {
    map += bytes_field(1, bytes_field(1, path) + bytes_field(2, value_message(value)));
  }
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::uint32_t masked_crc32c(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  static const auto table = [] {
    std::array<std::uint32_t, 256> all{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      all[i] = i;
      for (int bit = 0; bit < 8; ++bit) all[i] = (all[i] >> 1) ^ ((all[i] & 1u) * 0x82F63B78u);
    }
    return all;
  }();
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFu] ^ (crc >> 8);
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

EventFile::EventFile(const std::string& folder, std::int64_t step, const ordered_json& config) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, folder, ": cannot be made: ", [&] { return error.message(); });
  // TensorBoard takes the files of a folder in the order of their names.
  const std::string stem = join(folder, "/events.out.tfevents.", static_cast<std::int64_t>(unix_seconds()), ".kind");
  path_ = stem;
  for (int i = 1; fs::exists(path_, error); ++i) path_ = join(stem, ".", i);
  out_.open(path_, std::ios::binary);
  add_event(bytes_field(3, "brain.Event:2"));
  constexpr std::int64_t kStart = 1;
  add_event(int_field(2, step + 1) + bytes_field(7, int_field(1, kStart)));
  std::string map;
  put_hyperparameters(config, "", map);
  const std::string session = bytes_field(3, map + double_field(5, unix_seconds()));  // HParamsPluginData
  const std::string text = "```\n" + config.dump(2) + "\n```";
  add_summary(0, plugin_value("_hparams_/session_start_info", "hparams", session, string_tensor("")) +
                     plugin_value("config", "text", "", string_tensor(text)));
}

void EventFile::add_metrics(const ordered_json& entry) {
  const std::string stage = entry.at("stage").get<std::string>() + "/";
  std::string summary;
  const auto add_all = [&summary](const std::string& group, const ordered_json& figures) {
    for (const auto& [name, value] : figures.items()) summary += scalar(group + "/" + name, value.get<double>());
  };
  if (entry.contains("loss")) {
    for (const auto& [name, value] : entry["loss"].items()) {
      if (value.is_number()) {
        summary += scalar(stage + "loss/" + name, value.get<double>());
      } else {
        summary += scalar(stage + "loss/" + name, value.at("weighted").get<double>());
        summary += scalar(stage + "raw/" + name, value.at("raw").get<double>());
      }
    }
    for (const auto& [key, tag] : {std::pair("lr", "learning_rate"), std::pair("gradient_norm", "gradient_norm"),
                                   std::pair("images_per_s", "images_per_s"), std::pair("epoch", "epoch")}) {
      if (entry.contains(key)) summary += scalar(stage + tag, entry[key].get<double>());
    }
  }
  if (entry.contains("validation")) add_all("validation", entry["validation"]);
  if (entry.contains("sets")) {
    for (const auto& [set, figures] : entry["sets"].items()) add_all("validation_" + set, figures);
  }
  add_summary(entry.at("step").get<std::int64_t>(), summary);
}

void EventFile::add_sheet(const std::string& path, std::int64_t step) {
  const std::vector<std::uint8_t> png = read_file(path);
  const ImageInfo info = image_info(path);
  constexpr std::int64_t kRgb = 3;
  const std::string image = int_field(1, info.height) + int_field(2, info.width) + int_field(3, kRgb) +
                            bytes_field(4, std::string(png.begin(), png.end()));
  add_summary(step, bytes_field(1, bytes_field(1, "sheet") + bytes_field(4, image)));
}

void EventFile::add_summary(std::int64_t step, const std::string& summary) {
  add_event(int_field(2, step) + bytes_field(5, summary));
}

void EventFile::add_event(const std::string& fields) {
  const std::string event = double_field(1, unix_seconds()) + fields;
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  out_ << length << little_endian(masked_crc32c(length)) << event << little_endian(masked_crc32c(event)) << std::flush;
  check(out_.good(), "cannot write ", path_, ": is the disk full?");
}

}  // namespace kind
