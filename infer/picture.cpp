#include "infer/picture.h"

#include <cmath>
#include <iterator>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/io/npy.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxName = 4096;

/// A map [1, c, h, w] as [h, w, c].
Tensor<float> channels_last(const Tensor<float>& map) {
  const std::int64_t c = map.shape()[1], h = map.shape()[2], w = map.shape()[3];
  Tensor<float> result(Shape{h, w, c});
  for (std::int64_t p = 0; p < h * w; ++p) {
    for (std::int64_t i = 0; i < c; ++i) result[p * c + i] = map[i * h * w + p];
  }
  return result;
}

/// Writes the maps and adds their paths to `written`, each as soon as it is there.
void write_maps(const Model<float>& model, const Options& options, const Job& job, const Image& image,
                std::vector<fs::path>& written) {
  const Enhanced result = enhance(model, to_tensor(image), {options.photo.light, options.photo.fusion, true});
  const Tensor<float>* const maps[] = {&result.reflectance, &result.illumination, &result.restored, &result.adjusted};
  for (std::size_t i = 0; i < std::size(maps); ++i) {
    const fs::path png = map_path(options, job, kMapNames[i], "png"), npy = map_path(options, job, kMapNames[i], "npy");
    write_image(png.string(), to_image(*maps[i]), ImageFormat::kPng);
    written.push_back(png);
    write_npy(npy.string(), channels_last(*maps[i]));
    written.push_back(npy);
  }
}

/// What of the picture its result does not hold.
std::vector<std::string> losses(const Options& options, const Image& from, const Image& to, ImageFormat format,
                                const Metadata& metadata) {
  std::vector<std::string> lost;
  if (from.has_alpha() && !to.has_alpha()) lost.push_back("transparency");
  if (options.photo.bits == 0 && to.bits < from.bits) lost.push_back("8 of 16 bits");
  if (options.strip) return lost;
  lost.insert(lost.end(), metadata.dropped.begin(), metadata.dropped.end());
  for (const std::string& what : metadata_left_out(metadata, metadata_holder(format))) lost.push_back(what);
  return lost;
}

}  // namespace

std::string enhance_file(const Model<float>& model, const Options& options, const Job& job) {
  Metadata metadata;
  const Image image = read_image(job.input.string(), options.limits, &metadata);
  const ImageFormat format = format_of(job.output);
  PhotoOptions photo = options.photo;
  photo.alpha = format == ImageFormat::kPng;
  if (format == ImageFormat::kJpeg || format == ImageFormat::kBmp) {
    check(photo.bits != 16, "cannot write ", job.output.string(), ": ", image_extension(format),
          " files hold no 16-bit samples, expected png or ppm");
    photo.bits = 8;
  }
  WriteOptions writing = options.write;
  writing.metadata = options.strip ? nullptr : &metadata;
  std::vector<fs::path> written;
  try {
    if (!options.maps.empty()) write_maps(model, options, job, image, written);
    const EnhancedPhoto result = enhance_photo(model, image, photo);
    write_image(job.output.string(), result.image, format, writing);
    std::string line = join(printable(job.input.string(), kMaxName), ": ", image.width, "x", image.height, ", ratio ",
                            std::round(result.ratio * 100) / 100);
    const std::vector<std::string> lost = losses(options, image, result.image, format, metadata);
    for (std::size_t i = 0; i < lost.size(); ++i) line += (i == 0 ? "; left out: " : ", ") + lost[i];
    return line;
  } catch (...) {
    std::error_code ignored;
    for (const fs::path& path : written) fs::remove(path, ignored);
    throw;
  }
}

}  // namespace kind
