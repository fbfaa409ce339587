#include "core/image/y4m.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 16;
/// Of a header's or frame's line.
constexpr std::size_t kMaxLine = 4096;
/// Memory for a frame is taken in steps from this on.
constexpr std::size_t kFirstStep = std::size_t{1} << 20;

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

class HeaderParser {
 public:
  HeaderParser(const std::string& name, std::string_view line, const ReadLimits& limits)
      : name_(name), limits_(limits) {
    header_.line = line;
  }

  Y4mHeader parse_line() {
    std::string_view rest = header_.line;
    check(rest.starts_with(kY4mMagic), "cannot read ", name_, ": it does not begin with YUV4MPEG2, as video does");
    check(rest.find('\0') == rest.npos, "cannot read ", name_, ": there is a zero byte in its header");
    rest.remove_prefix(kY4mMagic.size());
    std::string_view chroma, subsampling;
    while (!rest.empty()) {
      const std::string_view parameter = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), parameter.size() + 1));
      if (parameter.empty()) continue;
      const std::string_view value = parameter.substr(1);
      if (parameter[0] == 'X') {
        if (value.starts_with("YSCSS=")) subsampling = value.substr(6);
        if (value.starts_with("COLORRANGE=")) set_range(value.substr(11));
        continue;
      }
      check(seen_.find(parameter[0]) == seen_.npos, "cannot read ", name_, ": its header has the parameter ",
            parameter.substr(0, 1), " twice");
      seen_ += parameter[0];
      if (parameter[0] == 'W') width_ = side(parameter);
      if (parameter[0] == 'H') height_ = side(parameter);
      if (parameter[0] == 'F') set_rate(value);
      if (parameter[0] == 'I') set_interlacing(value);
      if (parameter[0] == 'C') chroma = value;
    }
    check(width_ > 0 && height_ > 0, "cannot read ", name_, ": its header does not say both width (W) and height (H)");
    // Old programs say it beside the standard's parameter, or in its place.
    set_chroma(seen_.find('C') != seen_.npos ? chroma : subsampling);
    set_size();
    return std::move(header_);
  }

 private:
  std::int64_t side(std::string_view parameter) const {
    std::int64_t value = 0;
    check(parse(parameter.substr(1), value) && value > 0, "cannot read ", name_,
          ": its header should say a side as W640 or H360, it says ", Quoted{parameter});
    return value;
  }

  void set_range(std::string_view value) {
    check(value == "FULL" || value == "LIMITED", "cannot read ", name_,
          ": expected XCOLORRANGE=LIMITED or FULL in its header, got ", Quoted{value});
    header_.full_range = value == "FULL";
  }

  void set_rate(std::string_view value) {
    const std::size_t colon = std::min(value.find(':'), value.size());
    std::int64_t frames = 0, seconds = 0;
    check(parse(value.substr(0, colon), frames) && colon < value.size() && parse(value.substr(colon + 1), seconds) &&
              ((frames > 0 && seconds > 0) || (frames == 0 && seconds == 0)),
          "cannot read ", name_, ": its header should say a frame rate as F25:1, or F0:0 if unknown, it says ",
          [&] { return quote("F" + std::string(value)); });
    if (frames > 0) header_.frames_per_second = static_cast<double>(frames) / static_cast<double>(seconds);
  }

  void set_interlacing(std::string_view value) const {
    check(value != "t" && value != "b" && value != "m", "cannot read ", name_, ": it is interlaced (I", value,
          "), which is not read: deinterlace it first, with ffmpeg -vf yadif");
    check(value == "p" || value == "?", "cannot read ", name_, ": expected Ip or I? in its header, got ",
          [&] { return quote("I" + std::string(value)); });
  }

  void set_chroma(std::string_view value) {
    using Sampling = Y4mHeader::Sampling;
    struct Kind {
      std::string_view name;
      Sampling sampling;
      bool centred_columns, centred_rows;
      std::string_view before_bits;  // mono10, 420p10; empty: there is none of more bits
    };
    static constexpr auto kKinds = std::to_array<Kind>({{"", Sampling::k420, true, true, ""},
                                                        {"420", Sampling::k420, true, true, "420p"},
                                                        {"420jpeg", Sampling::k420, true, true, ""},
                                                        {"420mpeg2", Sampling::k420, false, true, ""},
                                                        {"420paldv", Sampling::k420, false, false, ""},
                                                        {"422", Sampling::k422, false, true, "422p"},
                                                        {"444", Sampling::k444, true, true, "444p"},
                                                        {"mono", Sampling::kMono, true, true, "mono"}});
    std::string lower(value);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const Kind& kind : kKinds) {
      for (const int bits : {8, 9, 10, 12, 14, 16}) {
        const bool deep = bits > 8 && !kind.before_bits.empty();
        if (bits == 8 ? lower != kind.name : !deep || lower != join(kind.before_bits, bits)) continue;
        header_.sampling = kind.sampling;
        header_.centred_columns = kind.centred_columns;
        header_.centred_rows = kind.centred_rows;
        header_.bits = bits;
        return;
      }
    }
    fail(
        "cannot read ", name_, ": its chroma kind is ", quote("C" + std::string(value)),
        ", expected 420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono, or one of more bits such as 420p10; convert it "
        "with ffmpeg -pix_fmt yuv420p");
  }

  void set_size() {
    check_picture_size(name_, width_, height_, limits_);
    header_.width = static_cast<int>(width_);
    header_.height = static_cast<int>(height_);
    const int channels = header_.sampling == Y4mHeader::Sampling::kMono ? 1 : 3;
    check_image_bytes(name_, {header_.width, header_.height}, channels, header_.bits > 8 ? 16 : 8, limits_);
  }

  const std::string& name_;
  const ReadLimits& limits_;
  Y4mHeader header_;
  std::string seen_;
  std::int64_t width_ = 0, height_ = 0;
};

}  // namespace

std::uint64_t Y4mHeader::frame_bytes() const {
  const auto w = static_cast<std::uint64_t>(width), h = static_cast<std::uint64_t>(height);
  std::uint64_t samples = w * h;
  if (sampling == Sampling::k444) samples += 2 * w * h;
  if (sampling == Sampling::k422) samples += 2 * ((w + 1) / 2) * h;
  if (sampling == Sampling::k420) samples += 2 * ((w + 1) / 2) * ((h + 1) / 2);
  return bits > 8 ? 2 * samples : samples;
}

Y4mHeader parse_y4m_header(const std::string& name, std::string_view line, const ReadLimits& limits) {
  return HeaderParser(name, line, limits).parse_line();
}

Y4mReader::Y4mReader(std::string name, Read read, const ReadLimits& limits)
    : name_(std::move(name)), read_(std::move(read)), buffer_(kBuffer) {
  const std::optional<std::string> line = read_line();
  check(line.has_value(), "cannot read ", name_, ": it is empty");
  header_ = parse_y4m_header(name_, *line, limits);
}

bool Y4mReader::fill() {
  at_ = 0;
  end_ = read_(buffer_.data(), buffer_.size());
  return end_ > 0;
}

/// Up to a line's end, which is left out; nothing at the stream's end.
std::optional<std::string> Y4mReader::read_line() {
  const auto where = [&] {
    return header_.width == 0 ? std::string("its header") : join("the line of frame ", frames_);
  };
  std::string line;
  for (;;) {
    if (at_ == end_ && !fill()) {
      if (line.empty()) return std::nullopt;
      fail("cannot read ", name_, ": it ends within ", where());
    }
    const auto from = buffer_.begin() + static_cast<std::ptrdiff_t>(at_);
    const auto stop = std::find(from, buffer_.begin() + static_cast<std::ptrdiff_t>(end_), std::uint8_t{'\n'});
    line.append(from, stop);
    // What is no video at all need not be read up to a line's end.
    check(header_.width > 0 || std::string_view(line).substr(0, kY4mMagic.size()) == kY4mMagic.substr(0, line.size()),
          "cannot read ", name_, ": it does not begin with YUV4MPEG2, as video does");
    check(line.size() <= kMaxLine, "cannot read ", name_, ": ", where(), " is longer than ", kMaxLine, " bytes");
    at_ = static_cast<std::size_t>(stop - buffer_.begin());
    if (at_ == end_) continue;
    ++at_;
    return line;
  }
}

std::optional<Y4mFrame> Y4mReader::next() {
  constexpr std::string_view kFrame = "FRAME";
  ++frames_;
  const std::optional<std::string> line = read_line();
  if (!line) return std::nullopt;
  check(line->starts_with(kFrame) && (line->size() == kFrame.size() || (*line)[kFrame.size()] == ' '), "cannot read ",
        name_, ": expected FRAME at the start of frame ", frames_, ", got ",
        [&] { return quote(line->substr(0, 20)); });
  const auto bytes = static_cast<std::size_t>(header_.frame_bytes());
  for (std::size_t have = 0; have < bytes;) {
    if (have == planes_.size()) planes_.resize(std::min(bytes, std::max(kFirstStep, 2 * have)));
    std::size_t got = std::min(end_ - at_, planes_.size() - have);
    if (got > 0) {
      std::memcpy(planes_.data() + have, buffer_.data() + at_, got);
      at_ += got;
    } else {
      got = read_(planes_.data() + have, planes_.size() - have);
    }
    check(got > 0, "cannot read ", name_, ": frame ", frames_, " is incomplete, it has ", have, " of ", bytes,
          " bytes");
    have += got;
  }
  return Y4mFrame{line->substr(kFrame.size()), y4m_image(header_, planes_)};
}

std::vector<std::uint8_t> encode_y4m_frame(const Y4mHeader& header, const Y4mFrame& frame) {
  const std::string line = "FRAME" + frame.parameters + "\n";
  std::vector<std::uint8_t> bytes(line.size() + static_cast<std::size_t>(header.frame_bytes()));
  std::memcpy(bytes.data(), line.data(), line.size());
  put_y4m_planes(header, frame.image, std::span(bytes).subspan(line.size()));
  return bytes;
}

}  // namespace kind
