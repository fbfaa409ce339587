#include "core/image/xmp.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace kind::testing {
namespace {

std::string packet(const std::string& attributes, const std::string& elements = "") {
  return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
         "<rdf:Description rdf:about=\"\" " +
         attributes + ">" + elements + "</rdf:Description></rdf:RDF></x:xmpmeta>";
}

TEST_CASE("xmp: made upright, in attributes and in elements", "[unit]") {
  std::string text = packet("tiff:Orientation=\"6\" tiff:Make='A' exif:PixelXDimension = '4000'",
                            "<tiff:Orientation> 8 </tiff:Orientation><tiff:ImageLength>4000</tiff:ImageLength>"
                            "<dc:title>tiff:Orientation</dc:title>"
                            "<xmp:Thumbnails><rdf:Alt>old</rdf:Alt></xmp:Thumbnails><dc:rights>mine</dc:rights>");
  make_xmp_upright(text, 30, 40, true);
  CHECK(text == packet("tiff:Orientation=\"1\" tiff:Make='A' exif:PixelXDimension = '30'",
                       "<tiff:Orientation>1</tiff:Orientation><tiff:ImageLength>40</tiff:ImageLength>"
                       "<dc:title>tiff:Orientation</dc:title><dc:rights>mine</dc:rights>"));
  std::string unknown = packet("tiff:Orientation=\"6\" exif:PixelXDimension='4000'");
  make_xmp_upright(unknown, 30, 40, false);
  CHECK(unknown == packet("tiff:Orientation=\"6\" exif:PixelXDimension='30'"));
  std::string other = packet("tiff:Orientation=\"up\"");
  const std::string before = other;
  make_xmp_upright(other, 30, 40, true);
  CHECK(other == before);
}

TEST_CASE("xmp: resolutions change places with the sides of a picture that is turned", "[unit]") {
  const std::string x = "<a tiff:XResolution=\"20000/100\"", y = " tiff:YResolution=\"72/1\"", end = "/>";
  for (const std::string& packet : {x + y + end, "<a" + y + x.substr(2) + end}) {
    std::string text = packet;
    make_xmp_upright(text, 30, 40, true, false);
    CHECK(text == packet);
    make_xmp_upright(text, 30, 40, true, true);
    CHECK(text.find("tiff:XResolution=\"72/1\"") != std::string::npos);
    CHECK(text.find("tiff:YResolution=\"20000/100\"") != std::string::npos);
    CHECK(text.size() == packet.size());
    make_xmp_upright(text, 30, 40, true, true);
    CHECK(text == packet);
  }
}

TEST_CASE("xmp: properties that hold no longer are taken out, all else stays byte for byte", "[unit]") {
  using Names = std::vector<std::string>;
  const auto left = [](std::string text) {
    remove_stale_xmp(text);
    return text;
  };
  const auto names = [](std::string text) { return remove_stale_xmp(text); };
  // A prefix is what it is declared to be, and only where it is.
  const std::string camera = "http://ns.google.com/photos/1.0/camera/", gain = "http://ns.adobe.com/hdr-gain-map/1.0/";
  CHECK(left(packet("xmlns:a=\"" + camera + "\" a:MicroVideo=\"1\" b:c='1'", "<a:Some>x</a:Some><d:e/>")) ==
        packet("b:c='1'", "<d:e/>"));
  CHECK(names(packet("xmlns:a='" + camera + "' a:MicroVideo='1'")) == Names{"motion video"});
  CHECK(names(packet("xmlns:a='" + camera + "' a:BurstID='1'")) == Names{"camera data in XMP"});
  const std::string inner = "<b:c xmlns:a='" + gain +
                            "'><a:Version>1.0</a:Version>\n  <a:Max>\n<a:Deep a:x='>'/></a:Max>\n"
                            "</b:c><a:Kept xmlns:a='of another'><!-- <a:x> --></a:Kept>";
  CHECK(left(packet("", inner)) == packet("", "<b:c>\n</b:c><a:Kept xmlns:a='of another'><!-- <a:x> --></a:Kept>"));
  CHECK(names(packet("", inner)) == Names{"gain map"});
  CHECK(names(packet("xmlns:a=\"http://ns.apple.com/HDRGainMap/1.0/\" a:x=\"\"")) == Names{"gain map"});
  CHECK(names(packet("xmlns:a=\"http://ns.google.com/photos/1.0/image/\" a:Data=\"\"")) == Names{"further pictures"});
  CHECK(names(packet("", "<a:Depth xmlns:a=\"http://ns.google.com/photos/dd/1.0/device/\"/>")) == Names{"depth map"});
  const std::string container = "http://ns.google.com/photos/1.0/container/";
  CHECK(names(packet("", "<a:Directory xmlns:a='" + container + "' xmlns:i='" + container +
                             "item/'><a:Item i:Semantic='MotionPhoto'/></a:Directory>")) == Names{"motion video"});
  // A declaration that nothing uses goes as well, without a name.
  CHECK(left(packet("xmlns:a=\"" + gain + "\" b:c=\"d\"")) != packet("xmlns:a=\"" + gain + "\" b:c=\"d\""));
  CHECK(names(packet("xmlns:a=\"" + gain + "\"")).empty());

  // What is kept: other namespaces, text that only mentions these, and what is no well-formed XML.
  const std::string panorama = "xmlns:GPano=\"http://ns.google.com/photos/1.0/panorama/\" GPano:Stitched=\"True\"";
  const std::string a = "<a:b xmlns:a=\"" + gain + "\">";
  for (const std::string& text : std::vector<std::string>{
           packet(panorama, "<dc:title>" + gain + "</dc:title>"), packet("", "<![CDATA[" + a + "]]>"), packet("", a),
           packet("", "</b>" + a + "</a:b>"), packet("", a + "</c:b>"), a.substr(0, 30),
           "<a:b xmlns:a=\"" + gain + "\"", "<" + a + "</a:b>", "<a:b xmlns:a=" + gain + "></a:b>", "<a b" + a, "",
           std::string(5, '<') + gain}) {
    CHECK(left(text) == text);
    CHECK(names(text).empty());
  }
  CHECK(left("<?xpacket begin=''?>" + a + "</a:b ><?xpacket end='w'?>") == "<?xpacket begin=''?><?xpacket end='w'?>");
}

TEST_CASE("xmp: text that never ends does not hang", "[unit]") {
  for (const char* piece : {"tiff:Orientation=\"6", "<tiff:Orientation>", "<xmp:Thumbnails", "tiff:Orientation=\"6\" ",
                            "<xmp:Thumbnails></xmp:Thumbnails>", "tiff:Orientation ", "<xmp:Thumbnails>'\"",
                            "tiff:Orientation>", "<b:c xmlns:b='x'>", "<b:c/>", "<b:c b:d=''/> ", "<!--", "\n"}) {
    std::string text;
    while (text.size() < 8 << 20) text += piece;
    const auto start = std::chrono::steady_clock::now();
    make_xmp_upright(text, 100000, 1, true);
    std::string stale = "<a xmlns:b='http://ns.adobe.com/hdr-gain-map/'>" + text;
    remove_stale_xmp(stale);
    // And one that ends at last, far behind.
    text += "tiff:Orientation><";
    make_xmp_upright(text, 100000, 1, true);
    CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 20);
  }
}

TEST_CASE("xmp: an extension's name may stand anywhere", "[unit]") {
  const std::string extension = packet("dc:title=\"more\"");
  // At the very start, and behind a mention of it that is no property.
  const std::string property = "xmpNote:HasExtendedXMP=\"" + std::string(32, 'A') + "\"";
  const std::optional<std::string> first = join_xmp(property + packet("a=\"b\""), extension);
  REQUIRE(first);
  CHECK(*first == join_xmp(packet("a=\"b\""), extension));
  const std::string mention = "<dc:title>xmpNote:HasExtendedXMP</dc:title>";
  CHECK(join_xmp(packet("a=\"b\"", mention) + property, extension) == join_xmp(packet("a=\"b\"", mention), extension));
}

TEST_CASE("xmp: the digest of RFC 1321", "[unit]") {
  CHECK(md5_text("") == "D41D8CD98F00B204E9800998ECF8427E");
  CHECK(md5_text("abc") == "900150983CD24FB0D6963F7D28E17F72");
  CHECK(md5_text("12345678901234567890123456789012345678901234567890123456789012345678901234567890") ==
        "57EDF4A22BE3C955AC49DA2E2107B67A");
  CHECK(md5_text(std::string(56, 'a')) == "3B0C8AC703F828B04C6C197006D17218");
}

TEST_CASE("xmp: a large packet in two parts and in one again", "[unit]") {
  const std::string whole =
      "<?xpacket begin=\"\"?>" + packet("dc:source=\"x\"", std::string(1000, 'y')) + "<?xpacket?>";
  const SplitXmp split = split_xmp(whole);
  CHECK(split.packet.size() < 500);
  CHECK(split.extension == packet("dc:source=\"x\"", std::string(1000, 'y')));
  CHECK(xmp_extension_name(split.packet) == md5_text(split.extension));
  const auto joined = join_xmp(split.packet, split.extension);
  REQUIRE(joined);
  CHECK(xmp_extension_name(*joined).empty());
  CHECK(joined->find("<rdf:Description rdf:about=\"\" dc:source=\"x\">yyy") != std::string::npos);
  CHECK(joined->find("HasExtendedXMP") == std::string::npos);
  CHECK_FALSE(join_xmp(split.packet, "no tree").has_value());
  CHECK_FALSE(join_xmp("", split.extension).has_value());
  const auto element = join_xmp(
      packet("", "<xmpNote:HasExtendedXMP>0123456789ABCDEF0123456789ABCDEF</xmpNote:HasExtendedXMP>"), split.extension);
  REQUIRE(element);
  CHECK(element->find("HasExtended") == std::string::npos);
}

}  // namespace
}  // namespace kind::testing
