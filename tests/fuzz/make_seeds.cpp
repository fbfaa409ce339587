// fuzz-seeds DIR: writes a folder of small inputs for each fuzz target, DIR/TARGET, to start from.

#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/files/npy.h"
#include "core/files/safetensors.h"
#include "core/image/animation.h"
#include "core/image/image.h"
#include "core/image/xmp.h"
#include "core/image/y4m.h"
#include "tests/nets/bundle_writer.h"
#include "tests/support/dng.h"
#include "tests/support/jpeg.h"
#include "tests/support/mat.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"

namespace kind::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using Bytes = std::vector<std::uint8_t>;

class Seeds {
 public:
  Seeds(const fs::path& folder, const std::string& target) : folder_(folder / target) {
    fs::create_directories(folder_);
  }
  void put(const std::string& name, const std::string& content) const {
    write_file_atomic((folder_ / name).string(), content);
  }
  void put(const std::string& name, const Bytes& content) const { put(name, text_of(content)); }

 private:
  fs::path folder_;
};

/// Bytes of a row with its filter's number, which is 0.
std::size_t row_bytes(std::size_t width, std::size_t bits) { return 1 + (width * bits + 7) / 8; }

/// A PNG of 9 x 9 pixels, all samples 0 (filters too).
std::string png_file(int depth, int color_type, bool interlaced, const std::string& more = "") {
  constexpr std::size_t kSide = 9;
  const auto bits = static_cast<std::size_t>(depth * (color_type == 2   ? 3
                                                      : color_type == 4 ? 2
                                                      : color_type == 6 ? 4
                                                                        : 1));
  std::size_t size = 0;
  // The seven passes: first column and row, steps.
  constexpr std::array<std::array<std::size_t, 4>, 7> kPasses = {
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  for (const auto& [x, y, dx, dy] : kPasses) {
    if (interlaced) size += (kSide - y + dy - 1) / dy * row_bytes((kSide - x + dx - 1) / dx, bits);
  }
  if (!interlaced) size = kSide * row_bytes(kSide, bits);
  const std::string header = number(kSide, 4, false) + number(kSide, 4, false) + static_cast<char>(depth) +
                             static_cast<char>(color_type) + "\0\0"s + (interlaced ? '\1' : '\0');
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) +
         (color_type == 3 ? chunk("PLTE", std::string("\x10\x20\x30\xf0\xe0\xd0", 6)) : "") + more +
         chunk("IDAT", packed(std::string(size, '\0'))) + chunk("IEND", "");
}

std::string bmp_file(unsigned bits, std::uint32_t header_size, std::uint32_t compression, const std::string& between,
                     std::size_t pixel_bytes) {
  const std::string sides =
      header_size == 12 ? number(5, 2, true) + number(3, 2, true) : number(5, 4, true) + number(3, 4, true);
  std::string header = number(header_size, 4, true) + sides + number(1, 2, true) + number(bits, 2, true);
  if (header_size > 12) header += number(compression, 4, true);
  header.resize(header_size, '\0');
  const std::size_t start = 14 + header_size + between.size();
  return "BM" + number(start + pixel_bytes, 4, true) + std::string(4, '\0') + number(start, 4, true) + header +
         between + std::string(pixel_bytes, '\x05');
}

std::string xmp_packet(const std::string& attributes, const std::string& elements = "") {
  return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
         "<rdf:Description rdf:about=\"\" " +
         attributes + ">" + elements + "</rdf:Description></rdf:RDF></x:xmpmeta>";
}

const std::string kPacket = xmp_packet(
    "tiff:Orientation=\"6\" exif:PixelXDimension='40' xmpNote:HasExtendedXMP=\"" + std::string(32, 'A') + "\"",
    "<tiff:ImageLength>40</tiff:ImageLength><xmp:Thumbnails>old</xmp:Thumbnails>");
const std::string kExtension = xmp_packet("dc:title=\"more\"");

/// What a JPEG can hold beside its pixels.
std::string jpeg_segments_of(const std::string& exif) {
  const std::string icc = profile("RGB ", 200), extension_name(32, 'A');
  return segment(0xe0, "JFIF\0\1\2\1\0\x48\0\x48\0\0"s) + segment(0xe1, "Exif\0\0"s + exif) +
         segment(0xe1, "http://ns.adobe.com/xap/1.0/\0"s + kPacket) +
         segment(0xe1, "http://ns.adobe.com/xmp/extension/\0"s + extension_name + number(kExtension.size(), 4, false) +
                           number(0, 4, false) + kExtension) +
         segment(0xe2, "ICC_PROFILE\0\1\2"s + icc.substr(0, 150)) +
         segment(0xe2, "ICC_PROFILE\0\2\2"s + icc.substr(150)) +
         segment(0xed, "Photoshop 3.0\0"s + "8BIM\4\4\0\0\0\0\0\4abcd8BIM\4\14\0\0\0\0\0\2xy"s) +
         segment(0xfe, "a comment");
}

std::string png_chunks_of(const std::string& exif) {
  return chunk("iCCP", "p\0\0"s + packed(profile("RGB ", 200))) + chunk("eXIf", exif) +
         chunk("pHYs", number(2835, 4, false) + number(2835, 4, false) + "\1") +
         chunk("gAMA", number(45455, 4, false)) + chunk("sRGB", "\0"s) +
         chunk("iTXt", "XML:com.adobe.xmp\0\0\0\0\0"s + kPacket) + chunk("tEXt", "Title\0dark"s) +
         chunk("iTXt", "XML:com.adobe.xmp\0\1\0\0\0"s + packed(kPacket)) +
         chunk("zTXt", "Raw profile type exif\0\0"s + packed("\nexif\n8\n49492a0008000000\n")) +
         chunk("tEXt", "Raw profile type iptc\0\niptc\n12\n3842494d040400000000\n0000\n"s);
}

/// Pictures in every format that is written, with and without metadata.
void put_written(const Seeds& seeds, const std::string& exif) {
  const std::string icc = whole_profile(false);
  Metadata metadata;
  metadata.exif.assign(exif.begin(), exif.end());
  metadata.icc.assign(icc.begin(), icc.end());
  metadata.xmp = kPacket;
  for (const ImageFormatRow& row : kImageFormats) {
    if (!can_write_image(row.format) || row.metadata.exif == 0) continue;
    for (const int channels : {1, 3, 4}) {
      if (channels == 4 && !row.alpha) continue;
      const std::string name = join(row.id, "-", channels);
      const Image image = test_picture(9, 5, channels, row.bits > 8 && channels == 4 ? 16 : 8);
      seeds.put(name + "-lossless", encode_image("seed", image, row.format, {.jpeg_quality = 100}));
      WriteOptions lossy{.jpeg_quality = 60};
      if (channels == 3) lossy.metadata = &metadata;
      seeds.put(name + "-lossy", encode_image("seed", smooth_picture(17, 11, channels), row.format, lossy));
    }
  }
}

void put_matrices(const Seeds& seeds) {
  const std::string plain = mat_variable("mu_prisparam", 2, 3, mat_doubles({1, 2, 3, 4, 5, -0.1}));
  seeds.put("plain", mat_header() + plain);
  seeds.put("packed", mat_header() + mat_packed(plain) + mat_variable("t", 1, 1, mat_element(4, "a\0"s), 4));
  seeds.put("small", mat_header() + mat_variable("m", 3, 1, number(2 | 3u << 16, 4, true) + "\1\2\3\0"s));
  seeds.put("big", mat_header(false) + mat_variable("m", 1, 2, mat_doubles({0.5, -7}, false), 6, false));
}

/// Three frames, with and without alpha.
void put_animations(const Seeds& seeds) {
  for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kWebp}) {
    if (!can_animate(format)) continue;
    for (const int channels : {3, 4}) {
      Animation animation;
      for (int i = 0; i < 3; ++i) animation.frames.push_back({smooth_picture(9 + channels, 7, channels), 1, 10});
      animation.frames[1].image.set_sample(2, 3, 0, 0);
      animation.frames[2].image.set_sample(5, 1, channels - 1, 0);
      seeds.put(join("animation-", image_format(format).id, "-", channels),
                encode_animation("seed", animation, format, {.jpeg_quality = 100}));
    }
  }
}

/// RAW files of the smallest sensors that LibRaw takes.
void put_raws(const Seeds& seeds) {
  const Image image = smooth_picture(26, 24, 3);
  Dng dng;
  seeds.put("dng", dng_file(image, dng));
  dng.preview = true;
  dng.orientation = 6;
  dng.crop = {2, 1, 20, 19};
  dng.xmp = kPacket;
  dng.lens = "A lens";
  seeds.put("dng-preview", dng_file(image, dng));
  dng.little = false;
  dng.as_shot.reset();
  dng.filter = {2, 1, 1, 0};
  seeds.put("dng-big", dng_file(image, dng));
  dng.exif = false;
  dng.xmp.clear();
  dng.linear = true;
  seeds.put("dng-linear", dng_file(smooth_picture(22, 22, 3), dng));
  for (const auto& [name, start] : {std::pair{"cr2", "II*\0\x10\0\0\0CR\x02\0"s},
                                    {"orf", "IIRO\x08\0\0\0"s},
                                    {"rw2", "IIU\0\x18\0\0\0"s},
                                    {"raf", "FUJIFILMCCD-RAW 0201"s},
                                    {"mrw", "\0MRM\0\0\0\x40"s},
                                    {"crw", "II\x1a\0\0\0HEAPCCDR"s},
                                    {"cr3", "\0\0\0\x18"s + "ftypcrx "}}) {
    seeds.put(name, start + std::string(120, '\0'));
  }
}

void put_pictures(const Seeds& seeds) {
  for (const auto& [type, depths] :
       {std::pair{0, std::vector{1, 2, 4, 8, 16}}, {2, {8, 16}}, {3, {1, 2, 4, 8}}, {4, {8, 16}}, {6, {8, 16}}}) {
    for (const int depth : depths) {
      for (const bool interlaced : {false, true}) {
        seeds.put(join("png-", type, "-", depth, interlaced ? "-interlaced" : ""), png_file(depth, type, interlaced));
      }
    }
  }
  seeds.put("png-0-transparent", png_file(8, 0, false, chunk("tRNS", "\0\0"s)));
  seeds.put("png-2-transparent", png_file(16, 2, false, chunk("tRNS", std::string(6, '\0'))));
  seeds.put("png-3-transparent", png_file(4, 3, false, chunk("tRNS", "\x80"s)));
  const std::string exif = exif_block(true, 6, 9, 9, "THUMB");
  seeds.put("png-metadata", png_file(8, 2, false, png_chunks_of(exif)));

  const auto jpeg = [](const Image& image, Chroma chroma) {
    return encode_image("seed", image, ImageFormat::kJpeg, {.jpeg_quality = 50, .chroma = chroma});
  };
  const Image color = smooth_picture(17, 11, 3), gray = smooth_picture(9, 17, 1);
  seeds.put("jpeg-444", jpeg(color, Chroma::k444));
  seeds.put("jpeg-420", jpeg(color, Chroma::k420));
  seeds.put("jpeg-gray", jpeg(gray, Chroma::k444));
  seeds.put("jpeg-metadata", with_inserted(jpeg(color, Chroma::k422), jpeg_segments_of(exif)));
  seeds.put("jpeg-progressive",
            encode_jpeg_raw(17, 11, color.data,
                            {.from = JCS_RGB, .to = JCS_YCbCr, .adobe = false, .progressive = true, .quality = 50}));
  const Bytes inks = test_picture(9, 9, 4).data;
  seeds.put("jpeg-cmyk", encode_jpeg_raw(9, 9, inks, {.adobe = false, .quality = 30}));
  seeds.put("jpeg-cmyk-adobe", encode_jpeg_raw(9, 9, inks, {.quality = 30}));
  seeds.put("jpeg-ycck", encode_jpeg_raw(9, 9, inks, {.to = JCS_YCCK, .progressive = true, .quality = 30}));

  const std::string masks = number(0xf800, 4, true) + number(0x7e0, 4, true) + number(0x1f, 4, true);
  const std::string palette = "\0\0\0\0\x10\x20\x30\0\xf0\xe0\xd0\0"s;
  seeds.put("bmp-24", bmp_file(24, 40, 0, "", 48));
  seeds.put("bmp-32", bmp_file(32, 40, 0, "", 60));
  seeds.put("bmp-32-v5", bmp_file(32, 124, 3, "", 60));
  seeds.put("bmp-16", bmp_file(16, 40, 0, "", 36));
  seeds.put("bmp-16-masks", bmp_file(16, 40, 3, masks, 36));
  seeds.put("bmp-old", bmp_file(24, 12, 0, "", 48));
  seeds.put("bmp-8", bmp_file(8, 40, 0, palette + std::string(20, '\1'), 24));
  seeds.put("bmp-4", bmp_file(4, 40, 0, palette + std::string(52, '\1'), 12));
  seeds.put("bmp-1", bmp_file(1, 40, 0, palette, 12));
  seeds.put("bmp-gray", encode_image("seed", test_picture(5, 3, 1), ImageFormat::kBmp));
  put_written(seeds, exif);
  put_raws(seeds);
  put_animations(seeds);
  seeds.put("ppm-8", encode_image("seed", color, ImageFormat::kPpm));
  seeds.put("ppm-16", encode_image("seed", test_picture(3, 5, 3, 16), ImageFormat::kPpm));
  seeds.put("pgm-100", "P5\n# a comment\n 3 2 100\n\1\2\3\4\5\x64"s);
  seeds.put("pgm-1000", "P5 3 1 1000\n\0\1\2\3\1\4"s);
  for (const auto& [name, start] :
       {std::pair{"tiff", "II*\0\x08\0\0\0"s}, {"heic", "\0\0\0\x18"s + "ftypheic"}, {"webp", "RIFF\x10\0\0\0WEBP"s}}) {
    seeds.put(name, start + std::string(40, '\0'));
  }
}

void put_metadata(const Seeds& seeds) {
  for (const bool little : {false, true}) {
    const std::string exif = exif_block(little, 6, 640, 480, "THUMB"), name = little ? "-little" : "-big";
    seeds.put("jpeg" + name, "\0\xff\xd8"s + jpeg_segments_of(exif) + "\xff\xda"s);
    seeds.put("png" + name, "\1\x89PNG\r\n\x1a\n"s + png_chunks_of(exif) + chunk("IEND", ""));
    seeds.put("exif" + name, "\2" + exif);
  }
  seeds.put("xmp", "\3" + kPacket + "\0"s + kExtension);
  seeds.put("xmp-split", "\3" + split_xmp(kExtension).packet + "\0"s + kExtension);
}

void put_videos(const Seeds& seeds) {
  for (const char* kind :
       {"420jpeg", "420mpeg2", "420paldv", "422", "444", "mono", "420p10", "422p12", "444p16", "mono9"}) {
    const Y4mHeader header =
        parse_y4m_header("seed", join("YUV4MPEG2 W5 H3 F30:1 Ip A1:1 C", kind, " XCOLORRANGE=FULL"));
    const int channels = header.sampling == Y4mHeader::Sampling::kMono ? 1 : 3;
    std::string stream = header.line + "\n";
    for (const char* parameters : {"", " Xnext"}) {
      stream += text_of(encode_y4m_frame(header, {parameters, test_picture(5, 3, channels, header.bits > 8 ? 16 : 8)}));
    }
    seeds.put(kind, "\5" + stream);
  }
  seeds.put("old", "\0YUV4MPEG2 H1 W1 I? XYSCSS=420JPEG\nFRAME\nabc"s);
  seeds.put("tall", "\xffYUV4MPEG2 W1 H720\nFRAME\n"s + std::string(1440, '\x80'));
}

void put_arrays(const Seeds& seeds) {
  const auto file = [](int version, const std::string& header, std::size_t bytes) {
    return "\x93NUMPY" + std::string(1, static_cast<char>(version)) + "\0"s +
           number(header.size(), version == 1 ? 2 : 4, true) + header + std::string(bytes, '\x3f');
  };
  seeds.put("float", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24));
  seeds.put("double", file(2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }   \n", 16));
  seeds.put("bytes", file(1, "{'shape': (1, 2, 3, 4), 'descr': \"|u1\", 'fortran_order': False}", 24));
  seeds.put("scalar", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4));
  seeds.put("empty", file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9)}", 0));
  seeds.put("fortran", file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", 4));
}

void put_safetensors(const Seeds& seeds) {
  const auto file = [](const std::string& header, std::size_t bytes) {
    return number(header.size(), 8, true) + header + std::string(bytes, '\1');
  };
  seeds.put("two", file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],)"
                        R"("data_offsets":[8,11]}})",
                        11));
  seeds.put("texts",
            file(R"({"__metadata__":{"e":"\u00e9\n","f":"x"},"w":{"dtype":"I64","shape":[2,1],"data_offsets":[0,16]},)"
                 R"("s":{"shape":[],"data_offsets":[16,18],"dtype":"F16"}}   )",
                 18));
  seeds.put("types", file(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[1],)"
                          R"("data_offsets":[8,10]},"c":{"dtype":"BOOL","shape":[0],"data_offsets":[10,10]}})",
                          10));
  seeds.put("model", file(R"({"__metadata__":{"kind":"{\"decomposition\": {\"slope\": 0.1}}"},)"
                          R"("decomposition.conv1.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                          4));
  seeds.put("empty", file("{}", 0));
}

void put_checkpoints(const Seeds& seeds) {
  const auto put = [&](const std::string& name, const BundleWriter& bundle) {
    const std::string index = bundle.index();
    std::string data;
    for (const std::string& shard : bundle.data) data += shard;
    seeds.put(name, number(index.size(), 2, true) + index + data);
  };
  BundleWriter bundle;
  bundle.add("a/biases", 1, {3}, std::string(12, '\1'));
  put("one", bundle);
  bundle.add("a/steps", 9, {}, std::string(8, '\2'));
  bundle.add("a/weights", 1, {1, 2, 2}, std::string(16, '\3'));
  bundle.add("b", 19, {2, 0}, "");
  put("several", bundle);
  bundle.block_entries = 2;
  bundle.restart_interval = 1;
  put("blocks", bundle);
  bundle.compression = 1;
  put("compressed", bundle);
}

void put_configs(const Seeds& seeds) {
  const std::string stage = R"({"name": "decom", "net": {"decomposition": {}}, "losses": {"reconstruction": {},)"
                            R"( "mutual_consistency": {"c": 10}}, "epochs": 2, "optimizer": {"learning_rate": 1e-3}})";
  const std::string adjust = R"({"name": "adjust", "net": {"adjustment": {}}, "losses": {"square": {}}})";
  const std::string train = R"({"seed": 9, "stages": [)" + stage + ", " + adjust + "]}";
  seeds.put("train", "\0"s + train);
  seeds.put("set", "\2" + train + "\0stages.decom.epochs=5"s);
  seeds.put("set-index", "\2" + train + "\0stages.0.optimizer.learning_rate=0.1"s);
  seeds.put("set-word", "\2" + train + "\0data.root=pictures"s);
  seeds.put("cross", "\1"s +
                         R"({"base": "b", "axes": [{"name": "lr", "path": "stages.decom.optimizer.learning_rate",)"
                         R"( "range": {"from": 1e-4, "to": 1, "count": 3, "scale": "log"}}, {"name": "n", "choices":)"
                         R"( [{"name": "x", "set": {"stages.adjust.losses.square.norm": "l1"}}]}], "seeds": [1, 2]})" +
                         "\0"s + train);
  seeds.put("zip", "\5"s +
                       R"({"base": "b", "combine": "zip", "axes": [{"name": "s", "path": "batch", "values":)"
                       R"( [1, 2]}, {"name": "r", "path": "patch", "random": {"from": 48, "to": 96, "count": 2}}],)"
                       R"( "budget": {"steps": 3, "stages": {"decom": 4}}, "set": {"log_every": 7}})" +
                       "\0"s + train);
  seeds.put("each", "\4"s +
                        R"({"base": "b", "combine": "each", "axes": [{"name": "e", "path": "epochs", "values":)"
                        R"( [1, 2, 3]}], "budget": {"minutes": 2}, "keep_checkpoints": true})" +
                        "\0"s + train);
}

}  // namespace
}  // namespace kind::testing

int main(int argc, char** argv) {
  using namespace kind::testing;
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz-seeds DIR\n");
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    put_pictures({folder, "picture"});
    put_metadata({folder, "metadata"});
    put_videos({folder, "y4m"});
    put_matrices({folder, "mat"});
    put_arrays({folder, "npy"});
    put_safetensors({folder, "safetensors"});
    put_checkpoints({folder, "tensorflow"});
    put_configs({folder, "config"});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz-seeds: %s\n", error.what());
    return 2;
  }
}
