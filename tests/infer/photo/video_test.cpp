// Video through kind-infer, and pictures that are frames of one scene.

#include <catch2/catch.hpp>

#include "core/image/y4m.h"
#include "nets/sequence.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/program.h"

namespace kind::testing {
namespace {

const std::string kHeader = "YUV4MPEG2 W17 H11 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG Xmine";

/// A dark frame, each another one.
Image dark_frame(const Y4mHeader& header, int number) {
  const int channels = header.sampling == Y4mHeader::Sampling::kMono ? 1 : 3;
  Image image(header.width, header.height, channels, header.bits > 8 ? 16 : 8);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.set_sample(x, y, c,
                         (5 + 3 * number + 40 * (x + c) / image.width + 20 * y / image.height) * image.maximum() / 255);
      }
    }
  }
  return image;
}

std::string clip(const std::string& header_line, int frames) {
  const Y4mHeader header = parse_y4m_header("clip", header_line);
  std::string stream = header_line + "\n";
  for (int i = 0; i < frames; ++i) {
    const Bytes bytes = encode_y4m_frame(header, {i == 1 ? " Xsecond" : "", dark_frame(header, i)});
    stream.append(bytes.begin(), bytes.end());
  }
  return stream;
}

/// What the library makes of it.
std::string enhanced(const std::string& stream, bool sequence) {
  static const Model<float> model = load_model<float>(models().whole);
  std::size_t at = 0;
  Y4mReader reader("clip", [&](std::uint8_t* to, std::size_t count) {
    const std::size_t got = stream.copy(reinterpret_cast<char*>(to), count, at);
    at += got;
    return got;
  });
  const double rate = reader.header().frames_per_second;
  SequenceEnhancer enhancer(model, {}, rate > 0 ? rate : 25);
  std::string result = reader.header().line + "\n";
  while (std::optional<Y4mFrame> frame = reader.next()) {
    frame->image =
        sequence ? enhancer.next(std::move(frame->image)).image : enhance_photo(model, std::move(frame->image)).image;
    const Bytes bytes = encode_y4m_frame(reader.header(), *frame);
    result.append(bytes.begin(), bytes.end());
  }
  return result;
}

std::size_t frame_size(const std::string& stream) {
  return static_cast<std::size_t>(parse_y4m_header("clip", stream.substr(0, stream.find('\n'))).frame_bytes()) + 6;
}

TEST_CASE("video: every frame is what the library makes of it, of any kind and size") {
  const std::string lines[] = {kHeader,
                               "YUV4MPEG2 W1 H1 F25:1 C420mpeg2",
                               "YUV4MPEG2 W3 H5 C420paldv XCOLORRANGE=FULL",
                               "YUV4MPEG2 W24 H18 F0:0 C422",
                               "YUV4MPEG2 W17 H11 I? C444p12",
                               "YUV4MPEG2 W3 H5 C420p10",
                               "YUV4MPEG2 W17 H11 Cmono",
                               "YUV4MPEG2 W5 H3 Cmono10 XCOLORRANGE=FULL"};
  for (const std::string& line : lines) {
    INFO(line);
    const TempDir dir;
    dir.put("clip.y4m", clip(line, 3));
    for (const bool sequence : {false, true}) {
      const std::string expected = enhanced(clip(line, 3), sequence), more = sequence ? " --sequence" : "";
      const Result piped = shell(dir, "cat clip.y4m | \"$KIND\" - -o -" + more + " | cat");
      CHECK(piped.out == expected);
      CHECK_THAT(piped.err, Contains("the standard input: ") && Contains("3 frames, ") && Contains(" frames/s"));
      CHECK(piped.lines().size() == 1);
      CHECK(success(dir, "clip.y4m -o out.y4m --overwrite -t 2" + more) == "out.y4m\n");
      CHECK(text_of_file(dir / "out.y4m") == expected);
    }
  }
}

TEST_CASE("video: files are named, kept and replaced as pictures are") {
  const TempDir dir;
  const std::string stream = clip(kHeader, 2), expected = enhanced(stream, false);
  dir.put("noext", stream);  // known by its content
  CHECK(success(dir, "noext -o out/") == "out/noext.y4m\n");
  CHECK(text_of_file(dir / "out/noext.y4m") == expected);
  CHECK(shell(dir, "\"$KIND\" - -o out/ <noext").out == "out/stdin.y4m\n");
  CHECK_THAT(failure(dir, "noext -o out/"), Contains("out/noext.y4m: exists already; --overwrite replaces it"));
  CHECK_THAT(failure(dir, "noext -o noext.png"), Contains("noext.png: expected a name that ends in .y4m"));
  CHECK_THAT(failure(dir, "noext -o missing/x.y4m"), Contains("missing"));
  dir.put("in.y4m", stream);
  CHECK_THAT(failure(dir, "in.y4m -o in.y4m --overwrite"), Contains("inputs are never overwritten"));
  dir.put("out/noext.y4m", std::string("old"));
  const Result skipped = run(dir, "noext -o out/ --skip-existing --sequence");
  CHECK(skipped.code == 0);
  CHECK_THAT(skipped.err, Contains("skipped 1 of 1"));
  CHECK(text_of_file(dir / "out/noext.y4m") == "old");
  CHECK(run(dir, "noext -o x/ --dry-run").out == "noext -> x/noext.y4m\n");
  CHECK(run(dir, "- -o x.y4m --dry-run").out == "- -> x.y4m\n");
  CHECK(shell(dir, "mkfifo pipe.y4m; cat noext >pipe.y4m & \"$KIND\" pipe.y4m -o -").out == expected);
  CHECK_THAT(run(dir, "in.y4m noext -o out/").err, Contains("a video (YUV4MPEG2), expected a picture"));
}

TEST_CASE("video: what ends early gives its whole frames, and says which one is not") {
  const TempDir dir;
  const std::string stream = clip(kHeader, 3), whole = enhanced(clip(kHeader, 2), true);
  dir.put("cut.y4m", stream.substr(0, stream.size() - 100));
  const std::string says = join("frame 3 is incomplete, it has ", 17 * 11 + 2 * 9 * 6 - 100, " of ",
                                17 * 11 + 2 * 9 * 6, " bytes; 2 frames before it are written");
  const Result piped = shell(dir, "cat cut.y4m | \"$KIND\" - -o - --sequence");
  CHECK(piped.code == 1);
  CHECK(piped.out == whole);
  CHECK(piped.lines().size() == 1);
  CHECK_THAT(piped.err, Contains("cannot read the standard input: " + says));
  const Result file = run(dir, "cut.y4m -o out.y4m --sequence");
  CHECK(file.code == 1);
  CHECK(text_of_file(dir / "out.y4m") == whole);
  CHECK_THAT(file.err, Contains("cannot read cut.y4m: " + says));
  dir.put("strange.y4m", clip(kHeader, 1) + "FRAMING");
  const Result strange = run(dir, "strange.y4m -o -");
  CHECK(strange.code == 1);
  CHECK(strange.out == enhanced(clip(kHeader, 1), false));
  CHECK_THAT(strange.err,
             Contains("frame 2; 1 frame before it is written") || Contains("ends within the line of frame 2"));
}

TEST_CASE("video: streams that hold nothing, or hostile ones, are refused in a line") {
  const TempDir dir;
  const std::pair<std::string, const char*> bad[] = {
      {kHeader, "it ends within its header"},
      {kHeader + "\n", "it has no frames"},
      {kHeader + "\nFRAME\nfew", "frame 1 is incomplete, it has 3 of 295 bytes"},
      {kHeader + "\nfew", "it ends within the line of frame 1"},
      {"YUV4MPEG2 \n", "width (W) and height (H)"},
      {"YUV4MPEG2 W4 H4 It\n", "interlaced"},
      {"YUV4MPEG2 W4 H4 C411\n", "chroma kind"},
      {"YUV4MPEG2 W99999 H99999\n", "the limit is"},
      {"YUV4MPEG2 W16384 H16384 C444p16\nFRAME\n", "cannot read"},
      {"YUV4MPEG2 W2 H2 X\x1b[2J\r\nFRAME", "it ends within the line of frame 1"},
      {"YUV4MPEG2 " + std::string(100000, 'X'), "longer than 4096 bytes"}};
  for (const auto& [stream, says] : bad) {
    dir.put("bad.y4m", stream);
    CHECK_THAT(failure(dir, "bad.y4m -o x.y4m"), Contains(says) && Contains("bad.y4m"));
    const Result piped = shell(dir, "\"$KIND\" - -o - --sequence <bad.y4m");
    CHECK((piped.code == 2 && piped.out.empty() && piped.lines().size() == 1));
    CHECK_THAT(piped.err, Contains("the standard input") && Contains(says));
  }
  dir.put("wide.y4m", clip("YUV4MPEG2 W64 H48", 1));
  CHECK_THAT(failure(dir, "wide.y4m -o x.y4m --max-pixels 3071"), Contains("64 x 48 pixels, the limit is 3071"));
  dir.put("large.y4m", "YUV4MPEG2 W4000 H3000\nFRAME\n" + std::string(18000000, '\x20'));
  CHECK_THAT(failure(dir, "large.y4m -o x.y4m --max-mem 200M"), Contains("the limit is 40 MiB"));
  CHECK_THAT(failure(dir, "large.y4m -o x.y4m --max-mem 400M"), Contains("frame 1 of large.y4m: "));
  CHECK_THAT(failure(dir, "wide.y4m -o x.y4m -w wide.y4m"), Contains("wide.y4m"));
}

TEST_CASE("video: options that are for pictures are refused") {
  const TempDir dir;
  dir.put("clip.y4m", clip(kHeader, 1));
  for (const char* option : {"--ladder 1,2 --sheet", "--compare page.html", "--dump-maps maps", "--format png",
                             "--bits 8", "--report r.json", "-j 2"}) {
    CHECK_THAT(failure(dir, std::string("clip.y4m -o x.y4m ") + option),
               Contains("this is for pictures") || Contains("its name asks for another type"));
  }
  CHECK_THAT(failure(dir, "clip.y4m -o x.y4m --sequence --frames-per-second 10"),
             Contains("--frames-per-second: clip.y4m says its own, 29.97"));
  dir.put("slow.y4m", clip("YUV4MPEG2 W4 H4", 1));
  CHECK(success(dir, "slow.y4m -o x.y4m --sequence --frames-per-second 10") == "x.y4m\n");
}

TEST_CASE("video: outputs that fail, or that nobody reads any more") {
  const TempDir dir;
  dir.put("clip.y4m", clip("YUV4MPEG2 W64 H48", 30));
  const Result full = shell(dir, "\"$KIND\" clip.y4m -o - >/dev/full");
  CHECK(full.code == 2);
  CHECK_THAT(full.err, Contains("cannot write to the standard output: No space left on device"));
  CHECK(full.lines().size() == 1);
  const Result closed = shell(dir, "{ \"$KIND\" clip.y4m -o -; echo $? >code; } | head -c 10");
  CHECK(closed.out == "YUV4MPEG2 ");
  CHECK(closed.err.empty());
  CHECK(text_of_file(dir / "code") == "141\n");
}

TEST_CASE("video: frames leave as soon as they are done, a signal ends behind one") {
  const std::pair<const char*, int> signals[] = {{"INT", 130}, {"TERM", 143}};
  const std::string stream = clip(kHeader, 3), expected = enhanced(stream, true);
  const std::size_t two = stream.find('\n') + 1 + 2 * frame_size(stream) + std::string(" Xsecond").size();
  for (const auto& [signal, code] : signals) {
    const TempDir dir;
    dir.put("clip.y4m", stream);
    const std::string feed = join("mkfifo pipe; exec 4<>pipe; head -c ", two + 50, " clip.y4m >&4; "),
                      wait_for_two = join("until test $(wc -c <out) = ", two, "; do sleep 0.02; done; "),
                      end = join("kill -", signal, " $!; wait $!");
    const Result piped =
        shell(dir, ": >out; " + feed + "\"$KIND\" - -o - --sequence <pipe >out & " + wait_for_two + end);
    CHECK(piped.code == code);
    CHECK(text_of_file(dir / "out") == expected.substr(0, two));
    CHECK(piped.err == "kind-infer: stopped after 2 frames\n");
    fs::remove(dir / "pipe");
    fs::remove(dir / "out");
    // A file would look as if it were the whole.
    const Result file = shell(dir, feed + "\"$KIND\" - -o out.y4m <pipe & sleep 1; " + end);
    CHECK(file.code == code);
    CHECK_THAT(file.err, Contains("kind-infer: stopped "));
    CHECK(files(dir) == Names{"clip.y4m", "pipe"});
  }
}

TEST_CASE("sequence: pictures in the order of their numbers, as the library enhances them") {
  const TempDir dir;
  const Y4mHeader header = parse_y4m_header("clip", kHeader);
  static const Model<float> model = load_model<float>(models().whole);
  SequenceEnhancer enhancer(model, {}, 10);
  fs::create_directory(dir / "in");
  std::string names;
  for (const int number : {2, 9, 10, 11, 100}) {
    write_image(dir / join("in/f", number, ".png"), dark_frame(header, number % 7), ImageFormat::kPng);
    names += join("out/f", number, ".png\n");
  }
  CHECK(success(dir, "in -o out --sequence --frames-per-second 10") == names);
  for (const int number : {2, 9, 10, 11, 100}) {
    INFO(number);
    const Image expected = enhancer.next(dark_frame(header, number % 7)).image;
    CHECK(read_image(dir / join("out/f", number, ".png")).data == expected.data);
  }
  CHECK(success(dir, "in/f100.png in/f9.png -o out --sequence --overwrite -t 2") == "out/f9.png\nout/f100.png\n");
  CHECK(shell(dir, "\"$KIND\" - -o one.png --sequence <in/f2.png").code == 0);
}

TEST_CASE("sequence: frames that cannot be done are named, and it goes on") {
  const TempDir dir;
  const Y4mHeader header = parse_y4m_header("clip", kHeader);
  for (const char* name : {"1.png", "4.png"}) write_image(dir / name, dark_frame(header, 1), ImageFormat::kPng);
  dir.put("2.png", std::string("none"));
  write_image(dir / "3.png", smooth_picture(18, 11, 3), ImageFormat::kPng);
  const Result result = run(dir, "4.png 3.png 2.png 1.png -o out --sequence");
  CHECK(result.code == 1);
  CHECK(result.out == "out/1.png\nout/4.png\n");
  REQUIRE(result.lines().size() == 4);
  CHECK_THAT(result.lines()[1], Contains("cannot read 2.png: it is not a picture"));
  CHECK_THAT(result.lines()[2], Contains("3.png: it has 18 x 11 pixels, expected 17 x 11 as the first"));
}

TEST_CASE("sequence: options that do not go with it") {
  const TempDir dir;
  put_pictures(dir);
  for (const char* option : {"--target-mean 0.5", "--ladder 1,2", "--compare page.html", "--dump-maps maps"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o out/ --sequence ") + option), Contains("excludes"));
  }
  CHECK_THAT(failure(dir, "a.png -o out/ --sequence --skip-existing"), Contains("--skip-existing: "));
  CHECK_THAT(failure(dir, "a.png -o out/ --sequence -j 2"), Contains("--jobs: "));
  CHECK_THAT(failure(dir, "a.png b.JPG -o out/ --sequence"),
             Contains("out/a.png and out/b.JPG; --format chooses one") || Contains("of several types"));
  CHECK(success(dir, "a.png b.JPG -o out/ --sequence -f jpg") == "out/a.jpg\nout/b.jpg\n");
  CHECK_THAT(failure(dir, "a.png -o out/ --frames-per-second 30"), Contains("--sequence"));
  for (const char* rate : {"0", "-1", "1001", "nan"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x/ --sequence --frames-per-second ") + rate),
               Contains("--frames-per-second: expected a number above 0"));
  }
}

}  // namespace
}  // namespace kind::testing
