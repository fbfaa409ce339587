// Long because its cases share the writer of checkpoints, whose bytes they bend.

#include "nets/tensorflow/tensorflow_checkpoint.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/nets/bundle_writer.h"
#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

template <class T>
std::string raw(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// Three small tensors; the second is of another type.
BundleWriter small_bundle() {
  BundleWriter bundle;
  bundle.add("a/biases", 1, {3}, raw<float>({1, 2.5f, -3}));
  bundle.add("a/steps", 9, {}, raw<std::int64_t>({7}));
  bundle.add("a/weights", 1, {1, 2, 2}, raw<float>({4, 5, 6, 7}));
  return bundle;
}

/// What reading a bundle says; it must name the file and be one line.
std::string message(const BundleWriter& bundle) {
  const TempDir dir;
  const std::string prefix = bundle.write(dir);
  const std::string text = error_of([&] { read_tensorflow_checkpoint(prefix); });
  CHECK_THAT(text, Contains("cannot read " + prefix + "."));
  CHECK(text.find('\n') == std::string::npos);
  return text;
}

/// The same for a whole index file, beside good data.
std::string message(const std::string& index) {
  const TempDir dir;
  const std::string prefix = small_bundle().write(dir);
  dir.put("model.ckpt.index", index);
  const std::string text = error_of([&] { read_tensorflow_checkpoint(prefix); });
  CHECK_THAT(text, Contains("cannot read " + prefix + "."));
  return text;
}

/// The small bundle with one entry's value replaced.
std::string message_with(const std::string& value, const std::string& name = "a/weights") {
  BundleWriter bundle = small_bundle();
  bundle.values[name] = value;
  return message(bundle);
}

void check_small(const SafeTensors& content) {
  REQUIRE(content.tensors.size() == 3);
  CHECK(content.get_tensor<float>("a/biases").to_vector() == std::vector<float>{1, 2.5f, -3});
  CHECK(content.get_tensor<float>("a/weights").shape() == Shape{1, 2, 2});
  CHECK(content.get_tensor<float>("a/weights").to_vector() == std::vector<float>{4, 5, 6, 7});
  CHECK(content.get_int64("a/steps") == std::vector<std::int64_t>{7});
  CHECK(content.get("a/steps").shape.empty());
}

TEST_CASE("checkpoint: prefix, index file and folder lead to it") {
  const TempDir dir;
  const std::string prefix = small_bundle().write(dir);
  check_small(read_tensorflow_checkpoint(prefix));
  check_small(read_tensorflow_checkpoint(prefix + ".index"));
  CHECK(read_tensorflow_checkpoint(prefix + ".index").source == prefix);
  for (const std::string& text :
       {std::string("model_checkpoint_path: \"model.ckpt\"\nall_model_checkpoint_paths: \"model.ckpt\"\n"),
        std::string("model_checkpoint_path: \"model.ckpt\""),
        std::string("x: \"y\"\r\nmodel_checkpoint_path:\"model.ckpt\"\r\n"),
        "model_checkpoint_path: \"" + prefix + "\"\n"}) {
    dir.put("checkpoint", text);
    check_small(read_tensorflow_checkpoint(dir.path()));
    check_small(read_tensorflow_checkpoint(dir.path() + "/"));
  }
  CHECK(is_tensorflow_checkpoint(prefix));
  CHECK(is_tensorflow_checkpoint(prefix + ".index"));
  CHECK(is_tensorflow_checkpoint(dir.path()));
  CHECK_FALSE(is_tensorflow_checkpoint(dir / "checkpoint"));
  CHECK_FALSE(is_tensorflow_checkpoint(dir / "missing"));
  // A file wins over a checkpoint of its name.
  dir.put("model.ckpt", std::string("x"));
  CHECK_FALSE(is_tensorflow_checkpoint(prefix));
}

TEST_CASE("checkpoint: what leads nowhere is named") {
  const TempDir dir;
  small_bundle().write(dir);
  CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(dir.path()); }),
             Contains("cannot read " + dir.path()) && Contains("folder without a file named checkpoint"));
  for (const char* text :
       {"", "all_model_checkpoint_paths: \"model.ckpt\"", "model_checkpoint_path: model.ckpt",
        "model_checkpoint_path: \"\"", "model_checkpoint_path: \"a\\\\b\"", "model_checkpoint_path: \""}) {
    INFO(text);
    dir.put("checkpoint", std::string(text));
    CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(dir.path()); }),
               Contains("cannot read " + dir / "checkpoint"));
  }
  dir.put("checkpoint", std::string("model_checkpoint_path: \"other.ckpt\""));
  CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(dir.path()); }),
             Contains("cannot read " + dir / "other.ckpt.index: No such file"));
  CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(dir / "none.index"); }), Contains("none.index: No such file"));
  std::filesystem::remove(dir / "model.ckpt.data-00000-of-00001");
  CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(dir / "model.ckpt"); }),
             Contains("model.ckpt.data-00000-of-00001: No such file"));
}

TEST_CASE("checkpoint: all element types, scalars and empty tensors") {
  BundleWriter bundle;
  bundle.add("bool", 10, {2}, raw<std::uint8_t>({0, 1}));
  bundle.add("double", 2, {2}, raw<double>({0.1, -1e300}));
  bundle.add("empty", 1, {2, 0, 3}, "");
  bundle.add("empty last", 1, {0}, "");
  bundle.add("half", 19, {2}, raw<std::uint16_t>({0x3c00, 0xc000}));
  bundle.add("int16", 5, {1}, raw<std::int16_t>({-2}));
  bundle.add("int32", 3, {}, raw<std::int32_t>({49}));
  bundle.add("int8", 6, {1}, raw<std::int8_t>({-3}));
  bundle.add("uint8", 4, {3}, raw<std::uint8_t>({1, 2, 3}));
  const TempDir dir;
  const SafeTensors content = read_tensorflow_checkpoint(bundle.write(dir));
  CHECK(content.tensors.size() == 9);
  CHECK(content.get_tensor<double>("double").to_vector() == std::vector<double>{0.1, -1e300});
  CHECK(content.get_tensor<float>("half").to_vector() == std::vector<float>{1, -2});
  CHECK(content.get_tensor<float>("empty").shape() == Shape{2, 0, 3});
  CHECK(content.get_bytes("uint8") == std::vector<std::uint8_t>{1, 2, 3});
  CHECK(content.get("int32").dtype == Dtype::kI32);
  CHECK(content.get("int16").dtype == Dtype::kI16);
  CHECK(content.get("int8").dtype == Dtype::kI8);
  CHECK(content.get("bool").dtype == Dtype::kBool);
}

TEST_CASE("checkpoint: many names, blocks and data files") {
  for (const std::size_t block_entries : {1u, 7u, 40u, 1000u}) {
    for (const std::size_t restart_interval : {1u, 2u, 16u}) {
      for (const int shards : {1, 3}) {
        BundleWriter bundle;
        bundle.block_entries = block_entries;
        bundle.restart_interval = restart_interval;
        bundle.shards = shards;
        bundle.header = number_field(1, static_cast<std::uint64_t>(shards)) + bytes_field(3, number_field(1, 1));
        for (int i = 0; i < 100; ++i) {
          bundle.add("net/conv_" + std::to_string(i) + "/weights", 1, {1}, raw<float>({static_cast<float>(i)}),
                     static_cast<std::size_t>(i % shards));
        }
        const TempDir dir;
        const SafeTensors content = read_tensorflow_checkpoint(bundle.write(dir));
        REQUIRE(content.tensors.size() == 100);
        for (int i = 0; i < 100; ++i) {
          CHECK(content.get_tensor<float>("net/conv_" + std::to_string(i) + "/weights").item() ==
                static_cast<float>(i));
        }
      }
    }
  }
}

TEST_CASE("checkpoint: fields that are unknown, explicit zeros and other orders are fine") {
  BundleWriter bundle = small_bundle();
  // unknown fields of every type, before and after
  bundle.header = number_field(9, 1) + number_field(2, 0) + number_field(1, 1) + bytes_field(17, "xyz") +
                  bytes_field(3, number_field(1, 1) + number_field(2, 1) + number_field(3, 7) +
                                     bytes_field(3, varint(8) + varint(9)));
  const std::string bytes = raw<float>({1, 2.5f, -3});
  bundle.values["a/biases"] =
      fixed32_field(6, bundle_checksum(bytes)) + number_field(5, 12) + number_field(4, 0) + number_field(3, 0) +
      varint(100 << 3 | 1) + std::string(8, 'x') + fixed32_field(101, 5) +
      bytes_field(2, bytes_field(2, number_field(1, 3) + bytes_field(2, "name")) + number_field(3, 0)) +
      number_field(1, 1);
  const TempDir dir;
  check_small(read_tensorflow_checkpoint(bundle.write(dir)));
}

TEST_CASE("checkpoint: names that repeat each other are counted whole") {
  BundleWriter bundle;
  bundle.block_entries = 100'000;
  bundle.restart_interval = 100'000;
  for (int i = 10'000; i < 28'000; ++i) bundle.add(std::string(1000, 'n') + std::to_string(i), 1, {0}, "");
  const std::string index = bundle.index();
  CHECK(index.size() < 400'000);
  const auto read = [&](const std::string&, std::uint64_t) {
    return std::vector<std::uint8_t>(index.begin(), index.end());
  };
  CHECK(error_of([&] { read_tensorflow_bundle("x", read); }) ==
        "cannot read x.index: its names have more than 16777216 bytes in all");
}

TEST_CASE("checkpoint: any byte changed is noticed") {
  const TempDir dir;
  BundleWriter bundle = small_bundle();
  bundle.block_entries = 2;
  const std::string prefix = bundle.write(dir);
  for (const char* name : {"model.ckpt.index", "model.ckpt.data-00000-of-00001"}) {
    const std::vector<std::uint8_t> good = slurp(dir / name);
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (const int change : {0x01, 0x80, 0xff}) {
        std::vector<std::uint8_t> bad = good;
        bad[i] = static_cast<std::uint8_t>(bad[i] ^ change);
        dir.put(name, bad);
        INFO(name << " byte " << i << " ^ " << change);
        const std::string text = error_of([&] { check_small(read_tensorflow_checkpoint(prefix)); });
        // The footer has no checksum, and its numbers can be spelled longer, into the zeros behind them.
        if (text == "no error" && change == 0x80 && good.size() - i > 8 && good.size() - i <= 48) continue;
        CHECK_THAT(text, Contains("cannot read " + dir.path()));
      }
    }
    dir.put(name, good);
  }
  check_small(read_tensorflow_checkpoint(prefix));
}

TEST_CASE("checkpoint: files cut short or too long anywhere are noticed") {
  const TempDir dir;
  const std::string prefix = small_bundle().write(dir);
  for (const char* name : {"model.ckpt.index", "model.ckpt.data-00000-of-00001"}) {
    const std::vector<std::uint8_t> good = slurp(dir / name);
    for (std::size_t size = 0; size < good.size(); ++size) {
      dir.put(name, std::vector<std::uint8_t>(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
      INFO(name << " of " << size << " bytes");
      CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(prefix); }), Contains("cannot read " + dir / name));
    }
    std::vector<std::uint8_t> longer = good;
    longer.push_back(0);
    dir.put(name, longer);
    CHECK_THAT(error_of([&] { read_tensorflow_checkpoint(prefix); }), Contains("cannot read " + dir / name));
    dir.put(name, good);
  }
}

// In what follows the checksums are right, so that it is the rule itself that is broken.

TEST_CASE("checkpoint: footer and blocks that break a rule") {
  BundleWriter bundle = small_bundle();
  SECTION("magic") {
    bundle.magic ^= 1;
    CHECK_THAT(message(bundle), Contains("model.ckpt.index as the index of a TensorFlow checkpoint"));
  }
  SECTION("padding") {
    bundle.footer_padding = std::string(1, '\1');
    CHECK_THAT(message(bundle), Contains("its footer: expected zeros"));
  }
  SECTION("compression") {
    bundle.compression = 1;
    CHECK_THAT(message(bundle), Contains("compressed (type 1)"));
  }
  SECTION("checksum") {
    bundle.spoil_checksum = 1;
    CHECK_THAT(message(bundle), Contains("its checksum is wrong"));
  }
  SECTION("metaindex") {
    bundle.metaindex = bundle.block({{"filter", "x"}});
    CHECK_THAT(message(bundle), Contains("its metaindex block should be empty, but has 'filter'"));
  }
  SECTION("another kind of file") {
    CHECK_THAT(message(std::string(500, 'x')), Contains("its last bytes are not those of one"));
    CHECK_THAT(message("x"), Contains("the file has 1 bytes, expected at least 48"));
    CHECK_THAT(message(""), Contains("empty"));
  }
  SECTION("handles that point anywhere") {
    const std::string good = bundle.index(), magic = fixed(bundle.magic);
    const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t end = good.size() - 48;
    for (const auto& [offset, size] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, huge},
                                                                                           {huge, 0},
                                                                                           {huge, huge},
                                                                                           {huge, 2},
                                                                                           {0, end},
                                                                                           {0, end - 4},
                                                                                           {end, 0},
                                                                                           {end - 4, 0},
                                                                                           {end + 1, 0},
                                                                                           {1, end - 5}}) {
      std::string footer = varint(offset) + varint(size) + varint(offset) + varint(size);
      footer.resize(40, '\0');
      CHECK_THAT(message(good.substr(0, end) + footer + magic), Contains("it would lie outside of the file"));
    }
    std::string footer(40, '\xff');
    CHECK_THAT(message(good.substr(0, end) + footer + magic), Contains("its footer: a number has more than 64 bits"));
  }
}

TEST_CASE("checkpoint: restart points and shared keys that break a rule") {
  const BundleWriter bundle = small_bundle();
  const std::string header = varint(0) + varint(0) + varint(bundle.header.size()) + bundle.header;
  const auto with = [&](const std::string& entries, const std::vector<std::uint32_t>& restarts, std::uint32_t count) {
    return message(bundle.index({{"z", header + entries + raw(restarts) + fixed(count)}}));
  };
  CHECK_THAT(with("", {0}, 1), Contains("it names no tensors"));
  CHECK_THAT(with("", {}, 0), Contains("it cannot have 0 restart points"));
  CHECK_THAT(with("", {0}, 50), Contains("it cannot have 50 restart points"));
  CHECK_THAT(with("", {0}, 0xffffffff), Contains("it cannot have 4294967295 restart points"));
  CHECK_THAT(with("", {1}, 1), Contains("a restart point is not the start of an entry"));
  CHECK_THAT(with("", {0, 0}, 2), Contains("a restart point is not the start of an entry"));
  CHECK_THAT(with("", {0, 9999}, 2), Contains("a restart point is not the start of an entry"));
  // keys: shared, unshared, value's length
  CHECK_THAT(with(varint(1) + varint(1) + varint(0) + "a", {0}, 1),
             Contains("repeats more of the one before than there is"));
  const std::string first =
      varint(0) + varint(2) + varint(bundle.values.at("a/biases").size()) + "ab" + bundle.values.at("a/biases");
  CHECK_THAT(with(first + varint(3) + varint(1) + varint(0) + "a", {0}, 1), Contains("repeats more of the one before"));
  const auto at_second = static_cast<std::uint32_t>(header.size() + first.size());
  CHECK_THAT(with(first + varint(2) + varint(1) + varint(0) + "c", {0, at_second}, 2),
             Contains("repeats more of the one before"));
  CHECK_THAT(with(first + varint(2) + varint(0) + varint(0), {0}, 1),
             Contains("the name 'ab' does not come after 'ab'"));
  CHECK_THAT(with(first + varint(1) + varint(1) + varint(0) + "a", {0}, 1),
             Contains("the name 'aa' does not come after 'ab'"));
  CHECK_THAT(with(varint(0) + varint(9) + varint(0) + "a", {0}, 1), Contains("it ends early"));
  CHECK_THAT(with(varint(0) + varint(1) + varint(9) + "a", {0}, 1), Contains("it ends early"));
  CHECK_THAT(with(varint(0) + varint(0xffffffff) + varint(0), {0}, 1), Contains("a name has more than 1024 bytes"));
  CHECK_THAT(with(varint(0) + varint(0x100000000) + varint(0), {0}, 1), Contains("a length has more than 32 bits"));
  CHECK_THAT(with(varint(0) + "\x80", {0}, 1), Contains("it ends early"));
  CHECK_THAT(with(varint(0) + varint(1025) + varint(0) + std::string(1025, 'a'), {0}, 1),
             Contains("more than 1024 bytes"));
  // contents too short for the number of restart points
  CHECK_THAT(message(bundle.index({{"z", "abc"}})), Contains("it ends early"));
}

TEST_CASE("checkpoint: the order over several blocks") {
  const BundleWriter bundle = small_bundle();
  const auto all = bundle.entries();
  const auto block = [&](const std::vector<std::size_t>& which) {
    BundleWriter::Entries some;
    for (const std::size_t i : which) some.push_back(all[i]);
    return bundle.block(some);
  };
  CHECK_THAT(message(bundle.index({{"a/biases", block({0, 1})}, {"a/x", block({1, 2, 3})}})),
             Contains("the name 'a/biases' does not come after 'a/biases'"));
  CHECK_THAT(message(bundle.index({{"a/v", block({0, 1})}, {"a/x", block({2, 3})}})),
             Contains("the name 'a/steps' does not come after 'a/v'"));
  CHECK_THAT(message(bundle.index({{"a/a", block({0, 1, 2, 3})}})),
             Contains("the name 'a/biases' lies behind the end of its block, 'a/a'"));
  CHECK_THAT(message(bundle.index({{"z", block({1, 2, 3})}})),
             Contains("expected the header as its first entry, got 'a/biases'"));
  CHECK_THAT(message(bundle.index(std::vector<std::pair<std::string, std::string>>{})),
             Contains("it names no tensors"));
  // an entry of the index block with more than a handle
  BundleWriter::Entries handles;
  std::string file;
  handles.emplace_back("z", bundle.append_block(file, block({0, 1, 2, 3})) + "x");
  const std::string metaindex = bundle.append_block(file, bundle.metaindex);
  std::string footer = metaindex + bundle.append_block(file, bundle.block(handles));
  footer.resize(40, '\0');
  CHECK_THAT(message(file + footer + fixed(bundle.magic)), Contains("an entry is longer than the place of a block"));
}

TEST_CASE("checkpoint: headers that break a rule") {
  const auto with = [](const std::string& header) {
    BundleWriter bundle = small_bundle();
    bundle.header = header;
    return message(bundle);
  };
  CHECK_THAT(with(""), Contains("its header: expected 1 to 99999 data files, got 0"));
  CHECK_THAT(with(number_field(1, 100'000)), Contains("got 100000"));
  CHECK_THAT(with(number_field(1, static_cast<std::uint64_t>(-1))), Contains("got -1"));
  CHECK_THAT(with(number_field(1, 1) + number_field(2, 1)), Contains("big-endian"));
  CHECK_THAT(with(number_field(1, 1) + bytes_field(3, number_field(2, 2))),
             Contains("asks for a reader of version 2, this one knows version 1"));
  CHECK_THAT(with(number_field(1, 1) + bytes_field(3, number_field(3, 1))), Contains("refuses readers of version 1"));
  CHECK_THAT(with(number_field(1, 1) + bytes_field(3, bytes_field(3, varint(5) + varint(1)))),
             Contains("refuses readers of version 1"));
  CHECK_THAT(with(bytes_field(1, "x")), Contains("field 1 is of the type 2, expected 0"));
  CHECK_THAT(with(number_field(1, 2)), Contains("model.ckpt.data-00000-of-00002: No such file"));
  CHECK_THAT(with(std::string(1, '\0')), Contains("a field has the number 0"));
  CHECK_THAT(with(varint(9 << 3 | 3)), Contains("field 9 is of the unknown type 3"));
  CHECK_THAT(with(varint(9 << 3 | 1) + "1234567"), Contains("it ends early"));
  CHECK_THAT(with(varint(9 << 3 | 2) + varint(5) + "1234"), Contains("it ends early"));
  CHECK_THAT(with(varint(9 << 3 | 2) + varint(std::numeric_limits<std::uint64_t>::max())), Contains("it ends early"));
  CHECK_THAT(with(std::string(11, '\xff')), Contains("a number has more than 64 bits"));
}

TEST_CASE("checkpoint: entries that break a rule") {
  const std::string bytes = raw<float>({4, 5, 6, 7});
  const std::uint32_t sum = bundle_checksum(bytes);
  const auto entry = &BundleWriter::entry;
  const auto max = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(message_with(entry(0, {4}, 0, 20, 16, sum)),
             Contains("tensor 'a/weights': its element type 0 is unknown"));
  CHECK_THAT(message_with(entry(8, {4}, 0, 20, 16, sum)), Contains("its element type 8 is unknown"));
  CHECK_THAT(message_with(entry(7, {4}, 0, 20, 16, sum)), Contains("it holds strings"));
  CHECK_THAT(message_with(entry(1, {5}, 0, 20, 16, sum)), Contains("its 16 bytes do not fit its shape and type"));
  CHECK_THAT(message_with(entry(2, {4}, 0, 20, 16, sum)), Contains("its 16 bytes do not fit its shape and type"));
  CHECK_THAT(message_with(entry(1, {max, 2}, 0, 20, 16, sum)), Contains("do not fit its shape and type"));
  CHECK_THAT(message_with(entry(1, {std::int64_t{1} << 62, 4, 1}, 0, 20, 0, sum)),
             Contains("do not fit its shape and type"));
  CHECK_THAT(message_with(entry(1, {std::int64_t{1} << 32, std::int64_t{1} << 32}, 0, 20, 0, sum)),
             Contains("do not fit its shape"));
  CHECK_THAT(message_with(entry(1, {-4}, 0, 20, 16, sum)), Contains("its shape has the negative size -4"));
  CHECK_THAT(message_with(entry(1, {4}, 1, 20, 16, sum)), Contains("it would be in data file 1 of 1"));
  CHECK_THAT(message_with(entry(1, {4}, static_cast<std::uint64_t>(-1), 20, 16, sum)),
             Contains("it would be in data file -1 of 1"));
  CHECK_THAT(message_with(entry(1, {4}, 0, 19, 16, sum)),
             Contains("tensor 'a/weights' would start at byte 19, expected 20"));
  CHECK_THAT(message_with(entry(1, {4}, 0, 21, 16, sum)), Contains("would start at byte 21, expected 20"));
  CHECK_THAT(message_with(entry(1, {4}, 0, std::numeric_limits<std::uint64_t>::max() - 7, 16, sum)),
             Contains("would start at byte"));
  CHECK_THAT(message_with(entry(1, {1000}, 0, 20, 4000, sum)),
             Contains("the file ends early, it has 36 bytes, tensor 'a/weights' ends at 4020"));
  CHECK_THAT(message_with(entry(1, {3}, 0, 20, 12, bundle_checksum(bytes.substr(0, 12)))),
             Contains("it has 36 bytes, its tensors end at 32"));
  CHECK_THAT(message_with(entry(1, {4}, 0, 20, 16, sum + 1)), Contains("the checksum of tensor 'a/weights' is wrong"));
  CHECK_THAT(message_with(entry(1, {4}, 0, 20, 16, sum) + bytes_field(7, "")),
             Contains("a slice of a partitioned variable"));
  CHECK_THAT(message_with(number_field(1, 1) + bytes_field(2, number_field(3, 1))), Contains("its shape is unknown"));
  CHECK_THAT(message_with(number_field(6, 1)), Contains("field 6 is of the type 0, expected 5"));
  CHECK_THAT(message_with(number_field(2, 1)), Contains("field 2 is of the type 0, expected 2"));
  CHECK_THAT(message_with("\x08"), Contains("it ends early"));
  // two tensors in one place
  CHECK_THAT(message_with(entry(1, {3}, 0, 0, 12, bundle_checksum(raw<float>({1, 2.5f, -3})))),
             Contains("would start at byte 0, expected 12"));
  // a name fit for one line
  CHECK_THAT(message_with(entry(0, {4}, 0, 20, 16, sum), "bad\nname"), Contains("'bad\\x0aname'"));
}

}  // namespace
}  // namespace kind::testing
