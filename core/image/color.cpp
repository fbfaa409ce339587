// Long because an encoding, its reading from profiles, code points and gamma, and its use share what lcms2 needs.

#include "core/image/color.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/exif.h"
#include "core/image/metadata_parts.h"

#if KIND_HAS_LCMS
#include <lcms2.h>
#endif

namespace kind {

bool has_color_management() {
#if KIND_HAS_LCMS
  return true;
#else
  return false;
#endif
}

Image to_srgb(const Image& image, const ColorEncoding& encoding) {
  constexpr int kBand = 64;
  Image result(image.width, image.height, image.channels, 16);
  const std::size_t plane = static_cast<std::size_t>(kBand) * static_cast<std::size_t>(image.width);
  std::vector<float> values(3 * plane);
  float* const planes[] = {values.data(), values.data() + plane, values.data() + 2 * plane};
  for (int y = 0; y < image.height; y += kBand) {
    const int end = std::min(y + kBand, image.height);
    get_rows(image, y, end, planes);
    encoding.to_srgb(planes, std::int64_t{end - y} * image.width);
    put_rows(result, y, end, planes);
  }
  if (!image.has_alpha()) return result;
  const int alpha = image.channels - 1, scale = 65535 / image.maximum();
  parallel_for(image.height, 64, [&](std::int64_t begin, std::int64_t end) {
    for (int y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      for (int x = 0; x < image.width; ++x) result.set_sample(x, y, alpha, scale * image.sample(x, y, alpha));
    }
  });
  return result;
}

SrgbPicture read_srgb(const std::string& path, const ReadLimits& limits) {
  Metadata metadata;
  SrgbPicture picture;
  picture.image = read_image(path, limits, &metadata);
  picture.bits = metadata.file_bits.value_or(picture.image.bits);
  const ColorReading reading = read_color(path, metadata, picture.image.channels < 3);
  if (reading.encoding) picture.image = to_srgb(picture.image, *reading.encoding);
  const bool said = !reading.problem.empty();
  picture.note = said ? "taken for sRGB: " + reading.problem : metadata.color_note;
  return picture;
}

#if KIND_HAS_LCMS

namespace {

/// lcms2's errors are told by its return values.
void say_nothing(cmsContext, cmsUInt32Number, const char*) {}

struct Deleter {
  void operator()(cmsContext context) const { cmsDeleteContext(context); }
};
struct Closer {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct Freer {
  void operator()(cmsToneCurve* curve) const { cmsFreeToneCurve(curve); }
};
using Context = std::unique_ptr<std::remove_pointer_t<cmsContext>, Deleter>;
using Profile = std::unique_ptr<void, Closer>;
using Curve = std::unique_ptr<cmsToneCurve, Freer>;

Context make_context() {
  Context context(cmsCreateContext(nullptr, nullptr));
  check(context != nullptr, "colour management: there is not enough memory");
  cmsSetLogErrorHandlerTHR(context.get(), say_nothing);
  return context;
}

/// sRGB's curve (IEC 61966-2-1), to light.
Curve srgb_curve(cmsContext context) {
  const cmsFloat64Number parameters[] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
  return Curve(cmsBuildParametricToneCurve(context, 4, parameters));
}

/// The encoding of a profile, by lcms2.
class ProfileEncoding : public ColorEncoding {
 public:
  /// Throws Error where the profile cannot even be read.
  ProfileEncoding(std::string name, Context context, const Profile& profile, bool gray)
      : context_(std::move(context)), gray_(gray) {
    name_ = std::move(name);
    const Curve curve = srgb_curve(context_.get());
    const Profile srgb(gray ? cmsCreateGrayProfileTHR(context_.get(), cmsD50_xyY(), curve.get())
                            : cmsCreate_sRGBProfileTHR(context_.get()));
    // Every call computes for itself: the transforms are used by many threads.
    constexpr cmsUInt32Number kFlags = cmsFLAGS_NOCACHE | cmsFLAGS_NOOPTIMIZE;
    const cmsUInt32Number samples = gray ? TYPE_GRAY_FLT : TYPE_RGB_FLT;
    const auto transform = [&](const Profile& from, const Profile& to) {
      return cmsCreateTransformTHR(context_.get(), from.get(), samples, to.get(), samples, INTENT_RELATIVE_COLORIMETRIC,
                                   kFlags);
    };
    to_ = transform(profile, srgb);
    check(to_ != nullptr, "its colour profile cannot be used");
    from_ = transform(srgb, profile);
    cmsUInt32Number size = 0;
    if (cmsSaveProfileToMem(profile.get(), nullptr, &size)) {
      profile_.resize(size);
      if (!cmsSaveProfileToMem(profile.get(), profile_.data(), &size)) profile_.clear();
    }
  }
  ~ProfileEncoding() override {
    if (to_) cmsDeleteTransform(to_);
    if (from_) cmsDeleteTransform(from_);
  }

  bool two_way() const override { return from_ != nullptr; }
  void set_profile(std::vector<std::uint8_t> profile) { profile_ = std::move(profile); }

  void to_srgb(float* const* planes, std::int64_t count) const override { convert(to_, planes, count); }

  void from_srgb(float* const* planes, std::int64_t count) const override {
    check(two_way(), "colour management: there is no way back into ", name_);
    if (gray_) {
      for (std::int64_t i = 0; i < count; ++i) {
        planes[0][i] = 0.299f * planes[0][i] + 0.587f * planes[1][i] + 0.114f * planes[2][i];
      }
    }
    convert(from_, planes, count);
  }

  /// Whether no colour of a grid is changed by as much as 2 of 255: tables and roundings of profiles for sRGB differ so.
  bool is_srgb() const {
    constexpr int kSteps = 17;
    std::vector<float> values[3];
    for (int r = 0; r < kSteps; ++r) {
      for (int g = 0; g < (gray_ ? 1 : kSteps); ++g) {
        for (int b = 0; b < (gray_ ? 1 : kSteps); ++b) {
          const int levels[] = {r, gray_ ? r : g, gray_ ? r : b};
          for (std::size_t c = 0; c < 3; ++c) values[c].push_back(static_cast<float>(levels[c]) / (kSteps - 1));
        }
      }
    }
    std::vector<float> converted[] = {values[0], values[1], values[2]};
    float* const planes[] = {converted[0].data(), converted[1].data(), converted[2].data()};
    to_srgb(planes, static_cast<std::int64_t>(values[0].size()));
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t i = 0; i < values[c].size(); ++i) {
        if (!(std::abs(converted[c][i] - values[c][i]) < 2.0f / 255)) return false;
      }
    }
    return true;
  }

 private:
  void convert(cmsHTRANSFORM transform, float* const* planes, std::int64_t count) const {
    constexpr std::int64_t kAtOnce = 512;
    parallel_for((count + kAtOnce - 1) / kAtOnce, 8, [&](std::int64_t begin, std::int64_t end) {
      std::array<float, 3 * kAtOnce> pixels{};
      for (std::int64_t part = begin; part < end; ++part) {
        const std::int64_t first = part * kAtOnce, n = std::min(kAtOnce, count - first);
        const auto size = static_cast<cmsUInt32Number>(n);
        if (gray_) {
          cmsDoTransform(transform, planes[0] + first, planes[1] + first, size);
          std::copy_n(planes[1] + first, n, planes[0] + first);
          std::copy_n(planes[1] + first, n, planes[2] + first);
          continue;
        }
        for (std::size_t c = 0; c < 3; ++c) {
          const float* const from = planes[c] + first;
          for (std::int64_t i = 0; i < n; ++i) pixels[static_cast<std::size_t>(3 * i) + c] = from[i];
        }
        cmsDoTransform(transform, pixels.data(), pixels.data(), size);
        for (std::size_t c = 0; c < 3; ++c) {
          float* const to = planes[c] + first;
          for (std::int64_t i = 0; i < n; ++i) to[i] = pixels[static_cast<std::size_t>(3 * i) + c];
        }
      }
    });
  }

  Context context_;
  bool gray_;
  cmsHTRANSFORM to_ = nullptr, from_ = nullptr;
};

/// CIE x and y of white, red, green and blue.
using Primaries = std::array<std::array<double, 2>, 4>;
constexpr std::array<double, 2> kD65 = {0.3127, 0.3290};
constexpr Primaries kSrgbPrimaries = {{kD65, {0.64, 0.33}, {0.30, 0.60}, {0.15, 0.06}}};
constexpr Primaries kAdobePrimaries = {{kD65, {0.64, 0.33}, {0.21, 0.71}, {0.15, 0.06}}};

/// Primaries of ITU-T H.273, table 2.
std::optional<std::pair<Primaries, const char*>> primaries_of(int code) {
  switch (code) {
    case 1:
    case 2:
      return {{kSrgbPrimaries, "BT.709"}};
    case 4:
      return {{{{{0.310, 0.316}, {0.67, 0.33}, {0.21, 0.71}, {0.14, 0.08}}}, "BT.470 M"}};
    case 5:
      return {{{{kD65, {0.64, 0.33}, {0.29, 0.60}, {0.15, 0.06}}}, "BT.601 (625)"}};
    case 6:
    case 7:
      return {{{{kD65, {0.630, 0.340}, {0.310, 0.595}, {0.155, 0.070}}}, "BT.601 (525)"}};
    case 8:
      return {{{{{0.310, 0.316}, {0.681, 0.319}, {0.243, 0.692}, {0.145, 0.049}}}, "film"}};
    case 9:
      return {{{{kD65, {0.708, 0.292}, {0.170, 0.797}, {0.131, 0.046}}}, "BT.2020"}};
    case 11:
      return {{{{{0.314, 0.351}, {0.680, 0.320}, {0.265, 0.690}, {0.150, 0.060}}}, "DCI P3"}};
    case 12:
      return {{{{kD65, {0.680, 0.320}, {0.265, 0.690}, {0.150, 0.060}}}, "Display P3"}};
    default:
      return std::nullopt;
  }
}

/// Transfer characteristics of ITU-T H.273, table 3; null for those of HDR and rare ones.
Curve curve_of(cmsContext context, int code) {
  switch (code) {
    // Cameras' curve of BT.709 and its kin; screens show them as they do sRGB.
    case 1:
    case 2:
    case 6:
    case 13:
    case 14:
    case 15:
      return srgb_curve(context);
    case 4:
      return Curve(cmsBuildGamma(context, 2.2));
    case 5:
      return Curve(cmsBuildGamma(context, 2.8));
    case 8:
      return Curve(cmsBuildGamma(context, 1.0));
    default:
      return nullptr;
  }
}

Profile make_profile(cmsContext context, const Primaries& primaries, cmsToneCurve* curve, bool gray) {
  const auto chromaticity = [&](std::size_t i) { return cmsCIExyY{primaries[i][0], primaries[i][1], 1}; };
  if (gray) return Profile(cmsCreateGrayProfileTHR(context, cmsD50_xyY(), curve));
  const cmsCIExyY white = chromaticity(0);
  const cmsCIExyYTRIPLE colors = {chromaticity(1), chromaticity(2), chromaticity(3)};
  cmsToneCurve* const curves[] = {curve, curve, curve};
  return Profile(cmsCreateRGBProfileTHR(context, &white, &colors, curves));
}

std::shared_ptr<ProfileEncoding> make_encoding(std::string name, Context context, const Profile& profile, bool gray) {
  check(profile != nullptr, "its colour data make no sense");
  // What people and programs see of it.
  const std::unique_ptr<cmsMLU, decltype(&cmsMLUfree)> text(cmsMLUalloc(context.get(), 1), cmsMLUfree);
  if (text && cmsMLUsetASCII(text.get(), "en", "US", name.c_str())) {
    cmsWriteTag(profile.get(), cmsSigProfileDescriptionTag, text.get());
  }
  return std::make_shared<ProfileEncoding>(std::move(name), std::move(context), profile, gray);
}

constexpr int kPq = 16, kHlg = 18;

void check_not_hdr(const std::string& path, int transfer) {
  check(transfer != kPq && transfer != kHlg, "cannot read ", path, ": it is an HDR picture (",
        transfer == kPq ? "PQ" : "HLG",
        "), whose values are not relative to white; expected SDR: convert it first, or take its values for sRGB with "
        "--colour ignore");
}

std::shared_ptr<ProfileEncoding> of_code_points(const std::string& path, const std::vector<std::uint8_t>& points,
                                                bool gray) {
  check(points.size() == 4, "its cICP chunk is damaged");
  check_not_hdr(path, points[1]);
  const auto primaries = primaries_of(points[0]);
  Context context = make_context();
  const Curve curve = curve_of(context.get(), points[1]);
  check(primaries && curve, "its colours, code points ", int{points[0]}, " and ", int{points[1]}, ", are not known");
  const Profile profile = make_profile(context.get(), primaries->first, curve.get(), gray);
  return make_encoding(gray ? join("transfer ", int{points[1]}) : primaries->second, std::move(context), profile, gray);
}

/// The transfer characteristics in a profile's cicp tag (ICC.1:2022, 9.2.17), which HDR profiles have; 0: none.
int transfer_of_profile(const std::vector<std::uint8_t>& icc) {
  if (icc.size() < 132) return 0;
  const std::size_t tags = std::min<std::size_t>(big_endian(icc, 128, 4), (icc.size() - 132) / 12);
  for (std::size_t i = 0; i < tags; ++i) {
    const std::size_t tag = 132 + 12 * i, at = big_endian(icc, tag + 4, 4);
    if (std::memcmp(icc.data() + tag, "cicp", 4) == 0 && at <= icc.size() && icc.size() - at >= 12) return icc[at + 9];
  }
  return 0;
}

std::string description(const Profile& profile) {
  std::array<char, 80> text{};
  cmsGetProfileInfoASCII(profile.get(), cmsInfoDescription, "en", "US", text.data(), text.size());
  std::string name(text.data());
  std::erase_if(name,
                [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e; });
  return name.empty() ? "a profile without a name" : name;
}

std::shared_ptr<ProfileEncoding> of_profile(const std::string& path, const std::vector<std::uint8_t>& icc, bool gray) {
  check_not_hdr(path, transfer_of_profile(icc));
  Context context = make_context();
  const Profile profile(cmsOpenProfileFromMemTHR(context.get(), icc.data(), static_cast<cmsUInt32Number>(icc.size())));
  check(profile != nullptr, "its colour profile is damaged");
  check(cmsGetColorSpace(profile.get()) == (gray ? cmsSigGrayData : cmsSigRgbData),
        "its colour profile is for other pixels");
  std::string name = description(profile);
  auto encoding = std::make_shared<ProfileEncoding>(std::move(name), std::move(context), profile, gray);
  encoding->set_profile(icc);  // bit for bit
  return encoding;
}

/// PNG's gAMA, the reciprocal of the exponent, and cHRM, in 100000ths.
std::shared_ptr<ProfileEncoding> of_gamma(const std::vector<std::uint8_t>* gamma, const std::vector<std::uint8_t>* chrm,
                                          bool gray) {
  Primaries primaries = kSrgbPrimaries;
  double largest = 0;
  if (chrm) {
    check(chrm->size() == 32, "its cHRM chunk is damaged");
    for (std::size_t i = 0; i < 8; ++i) {
      primaries[i / 2][i % 2] = static_cast<double>(big_endian(*chrm, 4 * i, 4)) / 100000;
      largest = std::max(largest, std::abs(primaries[i / 2][i % 2] - kSrgbPrimaries[i / 2][i % 2]));
    }
  }
  double exponent = 0;
  if (gamma) {
    check(gamma->size() == 4 && big_endian(*gamma, 0, 4) > 0, "its gAMA chunk is damaged");
    exponent = 100000 / static_cast<double>(big_endian(*gamma, 0, 4));
    check(exponent >= 0.1 && exponent <= 10, "its gAMA chunk makes no sense");
  }
  const bool usual_primaries = gray || largest < 0.002;
  if (usual_primaries && (exponent == 0 || std::abs(exponent - 2.2) < 0.05)) return nullptr;
  Context context = make_context();
  const Curve curve = exponent == 0 ? srgb_curve(context.get()) : Curve(cmsBuildGamma(context.get(), exponent));
  const Profile profile = make_profile(context.get(), primaries, curve.get(), gray);
  std::string name = exponent == 0 ? "" : join("gamma ", std::round(exponent * 100) / 100);
  if (!usual_primaries) name += exponent == 0 ? "cHRM" : ", cHRM";
  return make_encoding(name, std::move(context), profile, gray);
}

std::shared_ptr<ProfileEncoding> adobe_rgb() {
  Context context = make_context();
  const Curve curve(cmsBuildGamma(context.get(), 563.0 / 256));
  const Profile profile = make_profile(context.get(), kAdobePrimaries, curve.get(), false);
  return make_encoding("Adobe RGB (EXIF)", std::move(context), profile, false);
}

}  // namespace

ColorReading read_color(const std::string& path, const Metadata& metadata, bool gray) {
  const auto chunk = [&](const char* type) -> const std::vector<std::uint8_t>* {
    for (const PngChunk& c : metadata.color) {
      if (c.type == type) return &c.data;
    }
    return nullptr;
  };
  const std::vector<std::uint8_t>* const points = chunk("cICP");
  if (points && points->size() == 4) check_not_hdr(path, (*points)[1]);
  if (!points) check_not_hdr(path, transfer_of_profile(metadata.icc));
  ColorReading reading;
  try {
    std::shared_ptr<ProfileEncoding> encoding;
    if (points) {
      encoding = of_code_points(path, *points, gray);
    } else if (!metadata.icc.empty()) {
      encoding = of_profile(path, metadata.icc, gray);
    } else if (chunk("sRGB")) {
      return reading;
    } else if (chunk("gAMA") || chunk("cHRM")) {
      encoding = of_gamma(chunk("gAMA"), chunk("cHRM"), gray);
    } else if (!gray && exif_is_adobe_rgb(metadata.exif)) {
      encoding = adobe_rgb();
    }
    if (encoding && !encoding->is_srgb()) reading.encoding = std::move(encoding);
  } catch (const Error& error) {
    reading.problem = error.what();
  }
  return reading;
}

InkConversion ink_conversion(const std::vector<std::uint8_t>& icc, int bits) {
  struct Inks {
    Context context = make_context();
    cmsHTRANSFORM transform = nullptr;
    Inks() = default;
    Inks(const Inks&) = delete;
    Inks& operator=(const Inks&) = delete;
    ~Inks() {
      if (transform) cmsDeleteTransform(transform);
    }
  };
  const auto inks = std::make_shared<Inks>();
  cmsContext const context = inks->context.get();
  const Profile profile(cmsOpenProfileFromMemTHR(context, icc.data(), static_cast<cmsUInt32Number>(icc.size())));
  if (!profile || cmsGetColorSpace(profile.get()) != cmsSigCmykData) return nullptr;
  const Profile srgb(cmsCreate_sRGBProfileTHR(context));
  inks->transform = cmsCreateTransformTHR(context, profile.get(), bits == 8 ? TYPE_CMYK_8 : TYPE_CMYK_16, srgb.get(),
                                          TYPE_RGB_16, INTENT_RELATIVE_COLORIMETRIC,
                                          cmsFLAGS_NOCACHE | cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOOPTIMIZE);
  if (!inks->transform) return nullptr;
  return [inks](const std::uint8_t* from, int count, std::uint8_t* rgb) {
    cmsDoTransform(inks->transform, from, rgb, static_cast<cmsUInt32Number>(count));
  };
}

#else

InkConversion ink_conversion(const std::vector<std::uint8_t>&, int) { return nullptr; }

ColorReading read_color(const std::string&, const Metadata& metadata, bool) {
  const bool said = !metadata.icc.empty() || std::any_of(metadata.color.begin(), metadata.color.end(),
                                                         [](const PngChunk& c) { return c.type != "sRGB"; });
  return {nullptr, said ? "this build has no colour management (lcms2)" : ""};
}

#endif

}  // namespace kind
