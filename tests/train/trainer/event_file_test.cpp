#include "train/trainer/event_file.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/image/image.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

/// CRC-32C bit by bit, from its polynomial.
std::uint32_t crc_of(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((crc ^ static_cast<std::uint32_t>(static_cast<unsigned char>(byte) >> bit)) & 1u) != 0;
      crc = (crc >> 1) ^ (one ? 0x82F63B78u : 0u);
    }
  }
  return ~crc;
}

std::uint64_t number_at(const std::string& bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = size; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return number;
}

/// Unmasks, as the format's description has it.
bool is_checksum(std::uint64_t masked, const std::string& bytes) {
  const std::uint32_t rotated = static_cast<std::uint32_t>(masked) - 0xa282ead8u;
  return ((rotated >> 17) | (rotated << 15)) == crc_of(bytes);
}

/// The records of a TFRecord file.
std::vector<std::string> records_of(const std::string& path) {
  const std::vector<std::uint8_t> raw = slurp(path);
  const std::string bytes(raw.begin(), raw.end());
  std::vector<std::string> records;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::uint64_t size = number_at(bytes, at, 8);
    CHECK(is_checksum(number_at(bytes, at + 8, 4), bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, size));
    REQUIRE(records.back().size() == size);
    CHECK(is_checksum(number_at(bytes, at + 12 + size, 4), records.back()));
    at += 16 + size;
  }
  return records;
}

/// The fields of a protocol buffer message: numbers as their bits, strings and messages as bytes.
struct Field {
  std::uint64_t number = 0;
  std::string bytes;
};
using Fields = std::multimap<std::uint64_t, Field>;

Fields fields_of(const std::string& message) {
  Fields fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const std::uint64_t key = varint();
    Field field;
    if ((key & 7) == 0) {
      field.number = varint();
    } else if ((key & 7) == 2) {
      const std::uint64_t size = varint();
      field.bytes = message.substr(at, size);
      REQUIRE(field.bytes.size() == size);
      at += size;
    } else {
      const std::size_t size = (key & 7) == 1 ? 8 : 4;
      field.number = number_at(message, at, size);
      at += size;
    }
    fields.emplace(key >> 3, field);
  }
  return fields;
}

const Field& one(const Fields& fields, std::uint64_t number) {
  REQUIRE(fields.count(number) == 1);
  return fields.find(number)->second;
}

/// The values of an event's summary by tag.
std::map<std::string, Fields> values_of(const Fields& event) {
  std::map<std::string, Fields> values;
  const Fields summary = fields_of(one(event, 5).bytes);
  for (const auto& [number, value] : summary) {
    CHECK(number == 1);
    const Fields fields = fields_of(value.bytes);
    values[one(fields, 1).bytes] = fields;
  }
  return values;
}

float float_of(const Fields& value) {
  const auto bits = static_cast<std::uint32_t>(one(value, 2).number);
  float number = 0;
  std::memcpy(&number, &bits, 4);
  return number;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path().string());
  return files;
}

ordered_json some_config() {
  return {{"seed", 7},
          {"fit_light", true},
          {"none", nullptr},
          {"stages", {{{"name", "decom"}, {"batch", 4}, {"ratio", "paper"}}}}};
}

/// Writes the file of a run with two lines of metrics and a sheet; returns its events.
std::vector<Fields> write_events(const TempDir& dir) {
  Image sheet(9, 5, 3);
  write_image(dir / "sheet.png", sheet, ImageFormat::kPng);
  {
    EventFile events(dir / "run/tensorboard", 20, some_config());
    events.add_metrics({{"stage", "decom"},
                        {"step", 300},
                        {"epoch", 2},
                        {"lr", 0.5},
                        {"loss", {{"total", 1.5}, {"square", {{"raw", 3}, {"weighted", 0.25}}}}},
                        {"gradient_norm", 8}});
    events.add_metrics(
        {{"stage", "decom"}, {"step", 301}, {"validation", {{"psnr", 20.5}}}, {"sets", {{"lol", {{"psnr", 21}}}}}});
    events.add_sheet(dir / "sheet.png", 301);
  }
  const std::vector<std::string> files = files_in(dir / "run/tensorboard");
  REQUIRE(files.size() == 1);
  CHECK(fs::path(files[0]).filename().string().rfind("events.out.tfevents.", 0) == 0);
  std::vector<Fields> events;
  for (const std::string& record : records_of(files[0])) events.push_back(fields_of(record));
  REQUIRE(events.size() == 6);
  for (const Fields& event : events) CHECK(event.count(1) == 1);  // the time
  return events;
}

TEST_CASE("event files: records with checksums, the run's config") {
  CHECK(crc_of("123456789") == 0xE3069283u);  // the check value of CRC-32C's definition (RFC 3720)
  CHECK(is_checksum(masked_crc32c("123456789"), "123456789"));
  const TempDir dir;
  const std::vector<Fields> events = write_events(dir);
  CHECK(one(events[0], 3).bytes == "brain.Event:2");
  CHECK(one(events[1], 2).number == 21);  // steps from here on are taken back
  CHECK(one(fields_of(one(events[1], 7).bytes), 1).number == 1);

  const auto texts = values_of(events[2]);
  const Fields plugin = fields_of(one(fields_of(one(texts.at("_hparams_/session_start_info"), 9).bytes), 1).bytes);
  CHECK(one(plugin, 1).bytes == "hparams");
  const Fields session = fields_of(one(fields_of(one(plugin, 2).bytes), 3).bytes);
  std::map<std::string, Fields> parameters;
  for (auto [at, end] = session.equal_range(1); at != end; ++at) {
    const Fields entry = fields_of(at->second.bytes);
    parameters[one(entry, 1).bytes] = fields_of(one(entry, 2).bytes);
  }
  CHECK(parameters.size() == 5);
  CHECK(one(parameters.at("stages.decom.ratio"), 3).bytes == "paper");
  CHECK(one(parameters.at("fit_light"), 4).number == 1);
  double batch = 0;
  std::memcpy(&batch, &one(parameters.at("stages.decom.batch"), 2).number, 8);
  CHECK(batch == 4);
  CHECK(one(fields_of(one(texts.at("config"), 8).bytes), 8).bytes.find("\"decom\"") != std::string::npos);

  EventFile again(dir / "run/tensorboard", 0, some_config());  // a run that goes on has a file of its own
  CHECK(files_in(dir / "run/tensorboard").size() == 2);
}

TEST_CASE("event files: metrics and sheets as TensorBoard reads them") {
  const TempDir dir;
  const std::vector<Fields> events = write_events(dir);
  CHECK(one(events[3], 2).number == 300);
  const auto step = values_of(events[3]);
  CHECK(float_of(step.at("decom/loss/total")) == 1.5f);
  CHECK(float_of(step.at("decom/loss/square")) == 0.25f);
  CHECK(float_of(step.at("decom/raw/square")) == 3.0f);
  CHECK(float_of(step.at("decom/learning_rate")) == 0.5f);
  CHECK(float_of(step.at("decom/gradient_norm")) == 8.0f);
  const auto validation = values_of(events[4]);
  CHECK(float_of(validation.at("validation/psnr")) == 20.5f);
  CHECK(float_of(validation.at("validation_lol/psnr")) == 21.0f);
  const Fields picture = fields_of(one(values_of(events[5]).at("sheet"), 4).bytes);
  CHECK((one(picture, 1).number == 5 && one(picture, 2).number == 9));
  const std::vector<std::uint8_t> png = slurp(dir / "sheet.png");
  CHECK(one(picture, 4).bytes == std::string(png.begin(), png.end()));
}

}  // namespace
}  // namespace kind::testing
