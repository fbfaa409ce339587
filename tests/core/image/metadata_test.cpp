#include "tests/support/metadata.h"

#include <catch2/catch.hpp>

#include "core/image/image.h"
#include "core/image/xmp.h"
#include "tests/support/errors.h"
#include "tests/support/pictures.h"

namespace kind::testing {
namespace {

using namespace std::string_literals;
using Catch::Contains;
using Bytes = std::vector<std::uint8_t>;

const std::string kXmp = "http://ns.adobe.com/xap/1.0/\0"s, kIcc = "ICC_PROFILE\0"s, kIptc = "Photoshop 3.0\0"s;
const std::string kTree =
    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
    "<rdf:Description rdf:about=\"\" tiff:Orientation=\"6\"/></rdf:RDF></x:xmpmeta>";

std::string resource(unsigned id, const std::string& data) {
  return "8BIM" + number(id, 2, false) + "\0\0"s + number(data.size(), 4, false) + data +
         (data.size() % 2 == 0 ? ""s : "\0"s);
}

Bytes picture_file(const TempDir& dir, ImageFormat format, int channels = 3) {
  write_image(dir / "plain", test_picture(7, 5, channels), format);
  return slurp(dir / "plain");
}

/// Everything a JPEG can hold, with a profile in two parts and XMP in two as well.
std::string jpeg_metadata(const std::string& icc) {
  const std::string more = "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"rdf\"><rdf:Description a=\"" +
                           std::string(70000, 'm') + "\"/></rdf:RDF></x:xmpmeta>";
  const std::string name = md5_text(more);
  std::string tree = kTree;
  tree.insert(tree.find("tiff:"), "xmpNote:HasExtendedXMP=\"" + name + "\" ");
  const auto part = [&](std::size_t at, std::size_t size) {
    return segment(0xe1, "http://ns.adobe.com/xmp/extension/\0"s + name + number(more.size(), 4, false) +
                             number(at, 4, false) + more.substr(at, size));
  };
  return segment(0xe1, "Exif\0\0"s + exif_block(true, 6, 7, 5, "THUMB")) + segment(0xe1, kXmp + tree) +
         part(50000, more.size() - 50000) + part(0, 50000) + segment(0xe2, kIcc + "\2\2" + icc.substr(600)) +
         segment(0xe2, kIcc + "\1\2" + icc.substr(0, 600)) +
         segment(0xed, kIptc + resource(1028, "keywords") + resource(1036, "stale")) + segment(0xfe, "a comment");
}

TEST_CASE("metadata: what a JPEG holds comes back upright", "[unit]") {
  const TempDir dir;
  const std::string icc = profile("RGB ", 1001);
  const Bytes file = with_inserted(picture_file(dir, ImageFormat::kJpeg), jpeg_metadata(icc));
  Metadata metadata;
  const Image image = read_image(dir.put("p.jpg", file), {}, &metadata);
  CHECK((image.width == 5 && image.height == 7));
  CHECK(text_of(metadata.exif) == exif_block(true, 1, 5, 7));
  CHECK_THAT(metadata.xmp, Contains("tiff:Orientation=\"1\""));
  CHECK(metadata.xmp_extension.size() > 70000);
  CHECK(md5_text(metadata.xmp_extension) == xmp_extension_name(metadata.xmp));
  CHECK(text_of(metadata.icc) == icc);
  CHECK(text_of(metadata.photoshop) == resource(1028, "keywords"));
  CHECK(metadata.comments == std::vector<std::string>{"a comment"});
  CHECK(metadata.dropped.empty());

  // Written to both types and read again; from PNG to JPEG, too.
  WriteOptions options;
  options.metadata = &metadata;
  write_image(dir / "a.jpg", image, ImageFormat::kJpeg, options);
  write_image(dir / "a.png", image, ImageFormat::kPng, options);
  CHECK(metadata_left_out(metadata, MetadataHolder::kJpeg).empty());
  CHECK(metadata_left_out(metadata, MetadataHolder::kPng).empty());
  CHECK(metadata_left_out(metadata, MetadataHolder::kNone).size() == 5);
  Metadata jpeg, png, back;
  CHECK(read_image(dir / "a.jpg", {}, &jpeg).width == 5);
  const Image again = read_image(dir / "a.png", {}, &png);
  CHECK(again.data == image.data);
  CHECK((jpeg.exif == metadata.exif && jpeg.xmp == metadata.xmp && jpeg.xmp_extension == metadata.xmp_extension));
  CHECK((jpeg.icc == metadata.icc && jpeg.photoshop == metadata.photoshop && jpeg.comments == metadata.comments));
  CHECK((png.exif == metadata.exif && png.icc == metadata.icc && png.photoshop == metadata.photoshop));
  CHECK(png.xmp == join_xmp(metadata.xmp, metadata.xmp_extension));
  CHECK(text_of(png.texts.at(0).data) == "Comment\0a comment"s);
  options.metadata = &png;
  write_image(dir / "b.jpg", again, ImageFormat::kJpeg, options);
  read_image(dir / "b.jpg", {}, &back);
  CHECK((back.exif == metadata.exif && back.icc == metadata.icc && back.photoshop == metadata.photoshop));
  CHECK(back.xmp_extension == png.xmp);
  CHECK(metadata_left_out(png, MetadataHolder::kJpeg) == std::vector<std::string>{"texts"});
  CHECK(jpeg.dropped.empty());
  CHECK(png.dropped.empty());
  CHECK(back.dropped.empty());
}

TEST_CASE("metadata: large profiles and no profile's size in between is lost", "[unit]") {
  const TempDir dir;
  for (const std::size_t size : {128u, 65518u, 65519u, 65520u, 131038u, 131039u, 1000000u}) {
    Metadata metadata, again;
    const std::string icc = profile("GRAY", size);
    metadata.icc.assign(icc.begin(), icc.end());
    WriteOptions options;
    options.metadata = &metadata;
    write_image(dir / "p", test_picture(7, 5, 1), ImageFormat::kJpeg, options);
    read_image(dir / "p", {}, &again);
    CHECK(again.icc == metadata.icc);
    write_image(dir / "p", test_picture(7, 5, 2, 16), ImageFormat::kPng, options);
    read_image(dir / "p", {}, &again);
    CHECK(again.icc == metadata.icc);
  }
}

TEST_CASE("metadata: a PNG's chunks, before and behind the pixels, packed or as digits", "[unit]") {
  const TempDir dir;
  const Bytes file = picture_file(dir, ImageFormat::kPng);
  const std::string exif = exif_block(false, 8, 7, 5), icc = profile("RGB ", 500);
  std::string digits = "\nexif\n" + std::to_string(exif.size()) + "\n";
  for (const char c : exif) {
    digits += "0123456789abcdef"[static_cast<std::uint8_t>(c) >> 4];
    digits += "0123456789abcdef"[c & 15];
  }
  const std::string front = chunk("gAMA", number(45455, 4, false)) + chunk("iCCP", "name\0\0"s + packed(icc)) +
                            chunk("pHYs", number(3000, 4, false) + number(2000, 4, false) + "\1") +
                            chunk("iTXt", "XML:com.adobe.xmp\0\1\0\0\0"s + packed(kTree)) +
                            chunk("tEXt", "Author\0me"s);
  for (const std::string& orientation :
       {chunk("eXIf", exif), chunk("zTXt", "Raw profile type exif\0\0"s + packed(digits)),
        chunk("tEXt", "Raw profile type APP1\0"s + digits), chunk("eXIf", "Exif\0\0"s + exif)}) {
    for (const bool behind : {false, true}) {
      Bytes whole = with_inserted(file, behind ? front : front + orientation);
      if (behind) whole.insert(whole.end() - 12, orientation.begin(), orientation.end());
      const std::string path = dir.put("p.png", whole);
      Metadata metadata;
      const Image image = read_image(path, {}, &metadata);
      CHECK((image.width == 5 && image.height == 7));
      CHECK(image_info(path).width == 5);
      CHECK(text_of(metadata.exif) == exif_block(false, 1, 5, 7));
      CHECK(text_of(metadata.icc) == icc);
      CHECK_THAT(metadata.xmp, Contains("tiff:Orientation=\"1\""));
      REQUIRE(metadata.density);
      CHECK((metadata.density->x == 2000 && metadata.density->y == 3000 && metadata.density->metric));
      REQUIRE(metadata.texts.size() == 1);
      CHECK(metadata.color.size() == 1);
      CHECK(metadata.dropped.empty());
      WriteOptions options;
      options.metadata = &metadata;
      write_image(dir / "q.png", image, ImageFormat::kPng, options);
      Metadata again;
      CHECK(read_image(dir / "q.png", {}, &again).data == image.data);
      CHECK((again.exif == metadata.exif && again.icc == metadata.icc && again.xmp == metadata.xmp));
      CHECK((again.texts[0].data == metadata.texts[0].data && again.color[0].data == metadata.color[0].data));
    }
  }
}

TEST_CASE("metadata: image resources and IPTC in a PNG's texts, as ImageMagick writes them", "[unit]") {
  const TempDir dir;
  const auto text = [](const std::string& name, const std::string& content) {
    std::string digits = "\n" + name + "\n" + std::to_string(content.size()) + "\n";
    for (const char c : content) {
      digits += "0123456789abcdef"[static_cast<std::uint8_t>(c) >> 4];
      digits += "0123456789abcdef"[c & 15];
    }
    return chunk("zTXt", "Raw profile type " + name + "\0\0"s + packed(digits));
  };
  const std::string records = "\x1c\2\x78\0\5words"s, iptc = resource(1028, records);
  const auto read = [&](const std::string& chunks) {
    Metadata metadata;
    read_image(dir.put("p.png", with_inserted(picture_file(dir, ImageFormat::kPng), chunks)), {}, &metadata);
    CHECK(metadata.dropped.empty());
    CHECK(metadata.texts.empty());
    return text_of(metadata.photoshop);
  };
  const std::string other = resource(1005, "density"), stale = resource(1036, "the dark picture");
  CHECK(read(text("iptc", records)) == iptc);
  CHECK(read(text("iptc", iptc)) == iptc);
  CHECK(read(text("8bim", stale + other + iptc) + text("iptc", records)) == other + iptc);
  CHECK(read(text("iptc", records) + text("8bim", stale + other)) == other + iptc);
  // Texts of other kinds are kept as they are, whatever is in them.
  Metadata metadata;
  const std::string unknown = chunk("zTXt", "Raw profile type icm\0\0"s + "no stream");
  read_image(dir.put("p.png", with_inserted(picture_file(dir, ImageFormat::kPng), unknown)), {}, &metadata);
  CHECK(metadata.dropped.empty());
  CHECK(metadata.texts.size() == 1);
  // The last resource may lack the byte that makes its size even; another one behind it needs it.
  const std::string odd = resource(1005, "densities");
  CHECK(read(text("8bim", odd.substr(0, odd.size() - 1)) + text("iptc", records)) == odd + iptc);
}

TEST_CASE("metadata: an extension of XMP data is made true, too", "[unit]") {
  const TempDir dir;
  const std::string start = "<rdf:RDF><rdf:Description tiff:ImageWidth=\"4000\">", end = "</rdf:Description></rdf:RDF>",
                    more = start + "<xmp:Thumbnails>the dark picture</xmp:Thumbnails>" + end;
  const std::string packet = kXmp + "<rdf:RDF><rdf:Description xmpNote:HasExtendedXMP=\"" + md5_text(more) +
                             "\"/></rdf:RDF>",
                    extension = "http://ns.adobe.com/xmp/extension/\0"s + md5_text(more) +
                                number(more.size(), 4, false) + number(0, 4, false) + more;
  Metadata metadata;
  const Bytes file =
      with_inserted(picture_file(dir, ImageFormat::kJpeg), segment(0xe1, packet) + segment(0xe1, extension));
  read_image(dir.put("p.jpg", file), {}, &metadata);
  CHECK(metadata.dropped.empty());
  CHECK(metadata.xmp_extension == "<rdf:RDF><rdf:Description tiff:ImageWidth=\"7\">" + end);
  CHECK(xmp_extension_name(metadata.xmp) == md5_text(metadata.xmp_extension));
}

TEST_CASE("metadata: comments of a JPEG in a PNG, in both encodings", "[unit]") {
  Metadata metadata;
  metadata.comments = {"plain", "gr\xc3\xbc\xc3\x9f", "gr\xfc\xdf", "ends\0\0"s, "\xed\xa0\x80"};
  CHECK(metadata_left_out(metadata, MetadataHolder::kPng).empty());
  const std::vector<PngChunk> chunks = png_chunks(metadata);
  REQUIRE(chunks.size() == 5);
  CHECK((chunks[0].type == "tEXt" && text_of(chunks[0].data) == "Comment\0plain"s));
  CHECK((chunks[1].type == "iTXt" && text_of(chunks[1].data) == "Comment\0\0\0\0\0gr\xc3\xbc\xc3\x9f"s));
  CHECK((chunks[2].type == "tEXt" && text_of(chunks[2].data) == "Comment\0gr\xfc\xdf"s));
  CHECK((chunks[3].type == "tEXt" && text_of(chunks[3].data) == "Comment\0ends"s));
  CHECK(chunks[4].type == "tEXt");
  metadata.comments = {"in\0between"s};
  CHECK(png_chunks(metadata).empty());
  CHECK(metadata_left_out(metadata, MetadataHolder::kPng) == std::vector<std::string>{"comments"});
}

TEST_CASE("metadata: density, in inches and centimetres", "[unit]") {
  const TempDir dir;
  for (const auto& [unit, x, y] : {std::tuple{1, 300, 72}, {2, 118, 40}, {0, 1, 2}}) {
    Bytes file = picture_file(dir, ImageFormat::kJpeg);
    file[13] = static_cast<std::uint8_t>(unit);
    file[14] = static_cast<std::uint8_t>(x >> 8);
    file[15] = static_cast<std::uint8_t>(x & 0xff);
    file[17] = static_cast<std::uint8_t>(y);
    Metadata metadata;
    const Image image = read_image(dir.put("p.jpg", file), {}, &metadata);
    WriteOptions options;
    options.metadata = &metadata;
    write_image(dir / "p.png", image, ImageFormat::kPng, options);
    read_image(dir / "p.png", {}, &metadata);
    write_image(dir / "q.jpg", image, ImageFormat::kJpeg, options);
    const Bytes again = slurp(dir / "q.jpg");
    CHECK(Bytes(again.begin() + 13, again.begin() + 18) == Bytes(file.begin() + 13, file.begin() + 18));
  }
}

TEST_CASE("metadata: damage is left out and named, the picture is whole", "[unit]") {
  const TempDir dir;
  const std::string icc = profile("RGB ", 1001);
  const auto dropped = [&](ImageFormat format, const std::string& more) {
    const Bytes plain = picture_file(dir, format);
    Metadata metadata;
    const Image image = read_image(dir.put("p", with_inserted(plain, more)), {}, &metadata);
    CHECK(image.data == read_image(dir.put("plain", plain)).data);
    CHECK((metadata.exif.empty() && metadata.icc.empty() && metadata.photoshop.empty()));
    REQUIRE(metadata.dropped.size() == 1);
    return metadata.dropped[0];
  };
  const auto jpeg = [&](int marker, const std::string& content) {
    return dropped(ImageFormat::kJpeg, segment(marker, content));
  };
  CHECK(jpeg(0xe1, "Exif\0\0II*\0\xff\xff\xff\xff"s) == "damaged EXIF data");
  CHECK(jpeg(0xe1, "Exif\0\0hello"s) == "damaged EXIF data");
  CHECK(jpeg(0xe2, kIcc + "\1\2" + icc) == "damaged colour profile");
  CHECK(jpeg(0xe2, kIcc + "\0\1"s + icc) == "damaged colour profile");
  CHECK(jpeg(0xe2, kIcc + "\1\1" + icc.substr(1)) == "damaged colour profile");
  CHECK(jpeg(0xe2, kIcc + "\1\1" + icc + "x") == "damaged colour profile");
  CHECK(jpeg(0xe2, kIcc) == "damaged colour profile");
  CHECK(jpeg(0xe2, kIcc + "\1\1" + profile("GRAY", 300)) == "colour profile for other pixels than the picture's");
  CHECK(jpeg(0xed, kIptc + "8BIM") == "damaged Photoshop and IPTC data");
  CHECK(jpeg(0xed, kIptc + "8BIM\4\4\0\0\xff\xff\xff\xff"s) == "damaged Photoshop and IPTC data");
  CHECK(jpeg(0xe1, "http://ns.adobe.com/xmp/extension/\0"s + std::string(60, 'x')) == "damaged extended XMP data");
  const auto png = [&](const std::string& more) { return dropped(ImageFormat::kPng, more); };
  CHECK(png(chunk("eXIf", "II*\0\1"s)) == "damaged EXIF data");
  CHECK(png(chunk("iCCP", "name\0\0"s + packed(icc).substr(0, 500))) == "damaged colour profile");
  CHECK(png(chunk("iCCP", "name")) == "damaged colour profile");
  CHECK(png(chunk("iCCP", "name\0\0"s + packed("no profile"))) == "damaged colour profile");
  CHECK(png(chunk("iTXt", "XML:com.adobe.xmp\0\1\0\0\0"s + "no stream")) == "damaged XMP data");
  CHECK(png(chunk("iTXt", "XML:com.adobe.xmp\0"s)) == "damaged XMP data");
  CHECK(png(chunk("tEXt", "Raw profile type exif\0\nexif\n3\nxyz"s)) == "damaged EXIF data");
  CHECK(png(chunk("zTXt", "Raw profile type iptc\0\0"s + "no stream")) == "damaged Photoshop and IPTC data");
  CHECK(png(chunk("zTXt", "Raw profile type xmp\0\0"s + "no stream")) == "damaged XMP data");
  std::string bad = chunk("tEXt", "Author\0me"s);
  bad.back() = static_cast<char>(bad.back() + 1);
  CHECK(png(bad) == "damaged text");

  // What is whole and has no place in a result.
  CHECK(jpeg(0xe2, "MPF\0II*\0"s) == "further pictures");
  CHECK(jpeg(0xe2, "FPXR\0"s) == "APP2 data");
  CHECK(jpeg(0xeb, "JP") == "APP11 data");
  CHECK(png(chunk("acTL", number(2, 4, false) + number(0, 4, false)) + chunk("tIME", "7 bytes")) ==
        "further frames of the animation");
  CHECK(png(chunk("bKGD", "6 byte") + chunk("prVt", "")) == "prVt chunk");  // a hint, which nobody misses
  CHECK(png(chunk("acTL", number(1, 4, false) + number(0, 4, false)) + chunk("prVt", "")) == "prVt chunk");
}

TEST_CASE("metadata: a background is carried over to pictures of the same kind", "[unit]") {
  for (const int bits : {8, 16}) {
    for (const int channels : {1, 2, 3, 4}) {
      INFO(channels << " channels, " << bits << " bits");
      const std::string color = channels < 3 ? std::string("\0\x21", 2) : std::string("\0\x21\0\x42\0\x63", 6);
      const Bytes file =
          with_inserted(encode_image("p", test_picture(5, 4, channels, bits), ImageFormat::kPng), chunk("bKGD", color));
      Metadata metadata;
      const Image image = decode_image("p", file, {}, &metadata);
      CHECK(metadata.dropped.empty());
      const auto background_of = [&](const Image& result) {
        Metadata again;
        decode_image("q", encode_image("q", result, ImageFormat::kPng, {.metadata = &metadata}), {}, &again);
        return again.background ? text_of(again.background->data) : "";
      };
      CHECK(background_of(image) == color);
      CHECK(background_of(test_picture(5, 4, channels < 3 ? 3 : 1, bits)).empty());
      CHECK(background_of(test_picture(5, 4, channels, 24 - bits)).empty());
      CHECK(metadata_left_out(metadata, metadata_holder(ImageFormat::kJpeg)).empty());
    }
  }
}

TEST_CASE("metadata: many kinds that have no place are not all named", "[unit]") {
  const TempDir dir;
  std::string more;
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) more += chunk({a, b, 'X', 'x'}, "");
  }
  Metadata metadata;
  read_image(dir.put("p", with_inserted(picture_file(dir, ImageFormat::kPng), more)), {}, &metadata);
  CHECK(metadata.dropped.size() == 16);
}

TEST_CASE("metadata: more than the limit is refused, also where it is packed", "[unit]") {
  const TempDir dir;
  const auto message = [&](ImageFormat format, const std::string& more, std::size_t most) {
    const std::string path = dir.put("p", with_inserted(picture_file(dir, format), more));
    return error_of([&] { read_image(path, {.max_metadata_bytes = most}); });
  };
  const std::string bomb = packed(std::string(std::size_t{1} << 25, '\0'));
  CHECK_THAT(message(ImageFormat::kPng, chunk("iCCP", "name\0\0"s + bomb), 1 << 20),
             Contains("more than 1048576 bytes"));
  CHECK_THAT(message(ImageFormat::kPng, chunk("zTXt", "Raw profile type exif\0\0"s + bomb), 1 << 20),
             Contains("limit"));
  CHECK_THAT(message(ImageFormat::kPng, chunk("tEXt", "Raw profile type exif\0"s + std::string(5000, 'x')), 4999),
             Contains("limit"));
  CHECK_THAT(message(ImageFormat::kPng, chunk("eXIf", std::string(5000, 'x')), 4999), Contains("limit"));
  CHECK_THAT(message(ImageFormat::kJpeg, segment(0xfe, std::string(5000, 'x')), 4999), Contains("limit"));
  CHECK_THAT(message(ImageFormat::kJpeg, segment(0xe1, kXmp + std::string(5000, 'x')), 4999), Contains("limit"));
  std::string tree = kTree;
  tree.insert(tree.find("tiff:"), "xmpNote:HasExtendedXMP=\"" + std::string(32, 'A') + "\" ");
  CHECK_THAT(
      message(ImageFormat::kJpeg,
              segment(0xe1, kXmp + tree) + segment(0xe1, "http://ns.adobe.com/xmp/extension/\0"s +
                                                             std::string(32, 'A') + "\xff\xff\xff\xff\0\0\0\0x"s),
              1 << 20),
      Contains("limit"));
}

}  // namespace
}  // namespace kind::testing
