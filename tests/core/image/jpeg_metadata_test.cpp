// What a JPEG holds that a result does not: named, with sizes, and nothing in the result that speaks of it.

#include <catch2/catch.hpp>

#include "core/image/exif.h"
#include "core/image/image.h"
#include "core/image/xmp.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"

namespace kind::testing {
namespace {

using namespace std::string_literals;
using Bytes = std::vector<std::uint8_t>;
using Names = std::vector<std::string>;

const std::string kExif = "Exif\0\0"s, kXmp = "http://ns.adobe.com/xap/1.0/\0"s,
                  kExtension = "http://ns.adobe.com/xmp/extension/\0"s, kIptc = "Photoshop 3.0\0"s;

/// A small JPEG with more segments at its start and more bytes behind its end.
struct JpegReader {
  TempDir dir;
  Bytes plain;
  Metadata metadata;

  JpegReader() {
    write_image(dir / "plain", test_picture(7, 5, 3), ImageFormat::kJpeg);
    plain = slurp(dir / "plain");
  }
  Names names(const std::string& segments, const std::string& behind = "") {
    Bytes file = with_inserted(plain, segments);
    file.insert(file.end(), behind.begin(), behind.end());
    const Image image = read_image(dir.put("p.jpg", file), {}, &metadata);
    CHECK(image.data.size() == std::size_t{7 * 5 * 3});
    return metadata.dropped;
  }
};

std::string xmp_packet(const std::string& attributes, const std::string& elements = "") {
  return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
         "<rdf:Description rdf:about=\"\"" +
         attributes + ">" + elements + "</rdf:Description></rdf:RDF></x:xmpmeta>";
}

TEST_CASE("jpeg metadata: segments without a place in a result are named", "[unit]") {
  JpegReader jpeg;
  CHECK(jpeg.names("").empty());
  CHECK(jpeg.names(segment(0xe0, "JFXX\0\x10"s + "a thumbnail")) == Names{"APP0 data"});
  CHECK(jpeg.names(segment(0xe0, "AVI1\0\0\0\0"s)) == Names{"APP0 data"});
  CHECK(jpeg.names(segment(0xe0, "Ocad$Rev: 14797 $")) == Names{"APP0 data"});
  const std::string exif = segment(0xe1, kExif + exif_block(true, 6, 7, 5));
  CHECK(jpeg.names(exif).empty());
  CHECK(jpeg.names(exif + segment(0xe1, kExif + exif_block(false, 3, 70, 50))) == Names{"second EXIF data"});
  CHECK(text_of(jpeg.metadata.exif) == exif_block(true, 1, 5, 7));
  const std::string xmp = segment(0xe1, kXmp + xmp_packet(" dc:source=\"a\""));
  CHECK(jpeg.names(xmp + segment(0xe1, kXmp + xmp_packet(" dc:source=\"b\""))) == Names{"second XMP data"});
  CHECK(jpeg.metadata.xmp == xmp_packet(" dc:source=\"a\""));
  CHECK(jpeg.names(segment(0xee, "Adobe\0d\0\0\0\0\1"s)).empty());
}

TEST_CASE("jpeg metadata: extended XMP of another packet is named", "[unit]") {
  JpegReader jpeg;
  const auto part = [](const std::string& name, const std::string& text) {
    return segment(0xe1, kExtension + name + number(text.size(), 4, false) + number(0, 4, false) + text);
  };
  const std::string more = xmp_packet(" dc:source=\"more\""), other(32, 'B');
  const std::string xmp = segment(0xe1, kXmp + xmp_packet(" xmpNote:HasExtendedXMP=\"" + md5_text(more) + "\""));
  CHECK(jpeg.names(xmp + part(md5_text(more), more)).empty());
  CHECK(jpeg.names(xmp + part(other, "<x/>") + part(md5_text(more), more)) == Names{"second extended XMP data"});
  CHECK(jpeg.metadata.xmp_extension == more);
}

TEST_CASE("jpeg metadata: EXIF data longer than a segment are joined, and written again", "[unit]") {
  JpegReader jpeg;
  // Whose second part looks like the start of another block where it is cut at the usual place.
  for (const std::string& middle : {"II*\0"s, "MM\0*"s, "any "s}) {
    std::string exif = exif_block(true, 6, 7, 5);
    exif += std::string(65527 - exif.size(), 'p') + middle + std::string(100000, 'q');
    const std::string first = exif.substr(0, 65000), second = exif.substr(65000, 65000), third = exif.substr(130000);
    CHECK(jpeg.names(segment(0xe1, kExif + first) + segment(0xe1, kExif + second) + segment(0xe1, kExif + third))
              .empty());
    const std::string upright = exif_block(true, 1, 5, 7) + exif.substr(exif_block(true, 6, 7, 5).size());
    CHECK((text_of(jpeg.metadata.exif) == upright));
    CHECK(metadata_left_out(jpeg.metadata, MetadataHolder::kJpeg).empty());
    WriteOptions options;
    options.metadata = &jpeg.metadata;
    for (const ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kPng}) {
      write_image(jpeg.dir / "again", test_picture(5, 7, 3), format, options);
      Metadata again;
      read_image(jpeg.dir / "again", {}, &again);
      CHECK((text_of(again.exif) == upright));
      CHECK(again.dropped.empty());
    }
  }
}

TEST_CASE("jpeg metadata: copies of EXIF and XMP data among Photoshop's are named", "[unit]") {
  JpegReader jpeg;
  const auto resource = [](unsigned id, const std::string& data) {
    return "8BIM" + number(id, 2, false) + "\0\0"s + number(data.size(), 4, false) + data +
           (data.size() % 2 == 0 ? ""s : "\0"s);
  };
  const std::string kept = resource(1028, "keywords"), thumbnail = resource(1036, "stale");
  CHECK(jpeg.names(segment(0xed, kIptc + kept + thumbnail)).empty());
  CHECK(jpeg.names(segment(0xed, kIptc + resource(1058, exif_block(true, 6, 7, 5)) + kept)) ==
        Names{"EXIF data among Photoshop's"});
  CHECK(text_of(jpeg.metadata.photoshop) == kept);
  CHECK(jpeg.names(segment(0xed, kIptc + resource(1059, "x") + resource(1060, "<x/>"))) ==
        Names{"EXIF data among Photoshop's", "XMP data among Photoshop's"});
}

TEST_CASE("jpeg metadata: what lies behind the picture is named with its size", "[unit]") {
  JpegReader jpeg;
  const std::string mpf = segment(0xe2, "MPF\0II*\0"s), picture(jpeg.plain.begin(), jpeg.plain.end()),
                    bytes = " (" + std::to_string(picture.size()) + " bytes)";
  const std::string video = number(24, 4, false) + "ftypisom" + std::string(1000, 'v');
  CHECK(jpeg.names("", "hello") == Names{"data behind the picture (5 bytes)"});
  CHECK(jpeg.names("", video) == Names{"motion video (1012 bytes)"});
  CHECK(jpeg.names("", "MotionPhoto_Data" + video) == Names{"motion video (1028 bytes)"});
  CHECK(jpeg.names(mpf, picture) == Names{"further pictures" + bytes});
  CHECK(jpeg.names("", picture) == Names{"further pictures" + bytes});
  CHECK(jpeg.names(mpf, picture + video) == Names{"further pictures" + bytes, "motion video (1012 bytes)"});
  CHECK(jpeg.names(mpf) == Names{"further pictures"});
  // A stereo camera's: version, two pictures, their sizes and places (CIPA DC-007).
  const auto entry = [](unsigned tag, unsigned type, std::size_t count, const std::string& value) {
    return number(tag, 2, true) + number(type, 2, true) + number(count, 4, true) + value;
  };
  const auto index = [&](std::size_t first, std::size_t at) {
    return segment(0xe2, "MPF\0II*\0\x08\0\0\0\3\0"s + entry(0xb000, 7, 4, "0100") +
                             entry(0xb001, 4, 1, number(2, 4, true)) + entry(0xb002, 7, 32, number(50, 4, true)) +
                             number(0, 4, true) + number(0x20020002, 4, true) + number(first, 4, true) +
                             number(0, 8, true) + number(0x00020002, 4, true) + number(picture.size(), 4, true) +
                             number(at, 4, true) + number(0, 4, true));
  };
  const std::size_t whole = picture.size() + index(0, 0).size();
  CHECK(jpeg.names(index(whole, whole - 10), picture) == Names{"further pictures" + bytes});
  // Fill is nothing; four letters alone are no video.
  CHECK(jpeg.names("", std::string(100, '\0') + "\xff\n").empty());
  CHECK(jpeg.names("", "ftyp") == Names{"data behind the picture (4 bytes)"});
  CHECK(jpeg.names("", "\1\1\1\1ftyp") == Names{"data behind the picture (8 bytes)"});
  // The end marker is the picture's own, not one in a segment or a thumbnail.
  CHECK(jpeg.names(segment(0xe1, kExif + exif_block(true, 1, 7, 5, "\xff\xd8 a thumbnail \xff\xd9"))).empty());
}

TEST_CASE("jpeg metadata: metadata behind the pixels are named", "[unit]") {
  JpegReader jpeg;
  const std::string late = segment(0xfe, "a comment");
  jpeg.plain.insert(jpeg.plain.end() - 2, late.begin(), late.end());
  CHECK(jpeg.names("") == Names{"metadata behind the pixels"});
  CHECK(jpeg.metadata.comments.empty());
}

TEST_CASE("jpeg metadata: a result of a picture with a gain map and a video speaks of neither", "[unit]") {
  JpegReader jpeg;
  const std::string names =
      " xmlns:hdrgm=\"http://ns.adobe.com/hdr-gain-map/1.0/\" xmlns:GCamera=\"http://ns.google.com/photos/1.0/camera/\""
      " xmlns:C=\"http://ns.google.com/photos/1.0/container/\" "
      "xmlns:I=\"http://ns.google.com/photos/1.0/container/item/\"";
  const std::string packet = xmp_packet(
      names + " hdrgm:Version=\"1.0\" GCamera:MotionPhoto=\"1\" dc:source=\"a\"",
      "<C:Directory><rdf:Seq><rdf:li rdf:parseType=\"Resource\"><C:Item I:Semantic=\"Primary\" I:Mime=\"image/jpeg\"/>"
      "</rdf:li><rdf:li><C:Item I:Semantic=\"GainMap\" I:Length=\"9\"/></rdf:li></rdf:Seq></C:Directory>");
  const std::string iso = segment(0xe2, "urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"s);
  CHECK(jpeg.names(segment(0xe1, kXmp + packet) + iso) == Names{"gain map", "motion video"});
  CHECK(jpeg.metadata.xmp == xmp_packet(" dc:source=\"a\""));
  const std::string video = number(24, 4, false) + "ftypisom" + std::string(1000, 'v');
  CHECK(jpeg.names(segment(0xe1, kXmp + packet), video) == Names{"motion video (1012 bytes)", "gain map"});
  // The same in an extension, whose name follows it.
  const std::string depth = xmp_packet(" xmlns:GDepth=\"http://ns.google.com/photos/1.0/depthmap/\" GDepth:Data=\"" +
                                       std::string(1000, 'A') + "\" dc:source=\"b\"");
  const std::string main = xmp_packet(" xmpNote:HasExtendedXMP=\"" + md5_text(depth) + "\"");
  CHECK(jpeg.names(segment(0xe1, kXmp + main) +
                   segment(0xe1, kExtension + md5_text(depth) + number(depth.size(), 4, false) + number(0, 4, false) +
                                     depth)) == Names{"depth map"});
  CHECK(jpeg.metadata.xmp_extension == xmp_packet(" dc:source=\"b\""));
  CHECK(xmp_extension_name(jpeg.metadata.xmp) == md5_text(jpeg.metadata.xmp_extension));
  WriteOptions options;
  options.metadata = &jpeg.metadata;
  write_image(jpeg.dir / "again", test_picture(7, 5, 3), ImageFormat::kJpeg, options);
  Metadata again;
  read_image(jpeg.dir / "again", {}, &again);
  CHECK(again.dropped.empty());
}

}  // namespace
}  // namespace kind::testing
