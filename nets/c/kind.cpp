#include "nets/c/kind.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/base/machine.h"
#include "core/base/parallel.h"
#include "nets/model_path.h"
#include "nets/photograph.h"
#include "nets/pipeline.h"

struct kind_model {
  kind::Model<float> nets;
  std::string description;
};

namespace {

using kind::check;
using kind::Image;

/// An argument that cannot be.
struct Invalid : kind::Error {
  using Error::Error;
};

struct Stopped {};

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw Invalid(kind::join(parts...));
}

// Of a fixed size, so that running out of memory can be told, too.
thread_local char last_error[4096] = "";

int failure(int code, const char* text) {
  std::size_t i = 0;
  for (; text[i] != '\0' && i + 1 < sizeof last_error; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    last_error[i] = byte < 0x20 || byte == 0x7f ? '?' : text[i];
  }
  last_error[i] = '\0';
  return code;
}

/// Runs it; what it throws becomes a code and last_error.
template <class Work>
int guarded(const Work& work) noexcept {
  try {
    work();
    return KIND_OK;
  } catch (const Stopped&) {
    return failure(KIND_STOPPED, "stopped, as `progress` asked for");
  } catch (const Invalid& error) {
    return failure(KIND_INVALID, error.what());
  } catch (const std::bad_alloc&) {
    return failure(KIND_NO_MEMORY, "there is not enough memory");
  } catch (const std::exception& error) {
    return failure(KIND_FAILED, error.what());
  } catch (...) {
    return failure(KIND_FAILED, "an error of a kind that is not known");
  }
}

/// Where an installation that this library lies in, in lib/ or a folder below it, has its model.
std::vector<std::string> models_beside_library() {
  std::vector<std::string> places;
  Dl_info info;
  std::error_code error;
  if (::dladdr(reinterpret_cast<const void*>(&kind_version), &info) == 0 || !info.dli_fname) return places;
  std::filesystem::path folder = std::filesystem::canonical(info.dli_fname, error).parent_path();
  for (int i = 0; i < 2 && !error; ++i) {
    folder = folder.parent_path();
    places.push_back((folder / "share/kind/kind.safetensors").string());
  }
  return places;
}

// ---- pictures

std::size_t sample_bytes(const kind_picture& picture) { return static_cast<std::size_t>(picture.samples) / 8; }

void check_picture(const char* name, const kind_picture* picture) {
  constexpr int kMaxSide = 65535;
  require(picture && picture->pixels, name, ": expected a picture with pixels, got NULL");
  const kind_picture& p = *picture;
  require(p.width >= 1 && p.width <= kMaxSide && p.height >= 1 && p.height <= kMaxSide, name,
          ": expected sides from 1 to ", kMaxSide, ", got ", p.width, " x ", p.height);
  require(p.channels >= 1 && p.channels <= 4, name, ": expected 1 to 4 channels, got ", p.channels);
  require(p.samples == KIND_8_BITS || p.samples == KIND_16_BITS || p.samples == KIND_FLOATS, name,
          ": samples: expected KIND_8_BITS, KIND_16_BITS or KIND_FLOATS, got ", p.samples);
  const auto row = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(p.width) *
                                               static_cast<std::size_t>(p.channels) * sample_bytes(p));
  const std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max() / p.height;
  require((p.row_bytes >= row && p.row_bytes <= most) || (p.row_bytes <= -row && p.row_bytes >= -most), name,
          ": row_bytes: expected at least ", row, ", which a row takes, or at most ", -row, ", got ", p.row_bytes);
}

std::uint8_t* row_of(const kind_picture& picture, int y) {
  return static_cast<std::uint8_t*>(picture.pixels) + y * picture.row_bytes;
}

constexpr double kMost = 65535;

Image copy_from(const kind_picture& from) {
  Image image(from.width, from.height, from.channels, from.samples == KIND_8_BITS ? 8 : 16);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* row = row_of(from, y);
    if (from.samples != KIND_FLOATS) {
      std::memcpy(image.row(y), row, image.row_bytes());
      continue;
    }
    for (int i = 0; i < from.width * from.channels; ++i) {
      float value;
      std::memcpy(&value, row + static_cast<std::size_t>(i) * sizeof value, sizeof value);
      require(!std::isnan(value), "from: there is a NaN in row ", y);
      const auto sample =
          static_cast<std::uint16_t>(std::floor(kMost * std::clamp(static_cast<double>(value), 0.0, 1.0) + 0.5));
      std::memcpy(image.row(y) + static_cast<std::size_t>(i) * sizeof sample, &sample, sizeof sample);
    }
  }
  return image;
}

void copy_to(const Image& image, const kind_picture& to) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* row = row_of(to, y);
    if (to.samples != KIND_FLOATS) {
      std::memcpy(row, image.row(y), image.row_bytes());
      continue;
    }
    for (int i = 0; i < to.width * to.channels; ++i) {
      std::uint16_t sample;
      std::memcpy(&sample, image.row(y) + static_cast<std::size_t>(i) * sizeof sample, sizeof sample);
      const auto value = static_cast<float>(sample / kMost);
      std::memcpy(row + static_cast<std::size_t>(i) * sizeof value, &value, sizeof value);
    }
  }
}

// ---- options

kind_options checked(const kind_options* given) {
  kind_options options = KIND_OPTIONS;
  if (!given) return options;
  // What this version does not know must not be asked for.
  require(given->size >= sizeof options, "options: size: expected ", sizeof options, ", got ", given->size,
          "; begin with KIND_OPTIONS");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  require(given->size < 4096 &&
              std::all_of(bytes + sizeof options, bytes + given->size, [](unsigned char byte) { return byte == 0; }),
          "options: they ask for what this version of the library, ", kind_version(), ", does not know");
  options = *given;
  require(options.light >= KIND_LIGHT_AUTO && options.light <= KIND_LIGHT_TARGET_MEAN,
          "options: light: expected one of KIND_LIGHT_..., got ", options.light);
  require(options.light != KIND_LIGHT_RATIO || (options.light_value > 0 && options.light_value <= 100),
          "options: light_value: expected a ratio above 0 and at most 100, got ", options.light_value);
  require(options.light != KIND_LIGHT_TARGET_MEAN || (options.light_value >= 0 && options.light_value <= 1),
          "options: light_value: expected a mean from 0 to 1, got ", options.light_value);
  require(options.light != KIND_LIGHT_AUTO || (options.light_value >= -10 && options.light_value <= 10),
          "options: light_value: expected -10 to 10 stops, got ", options.light_value);
  require(options.fusion >= KIND_FUSION_NONE && options.fusion <= KIND_FUSION_AUTO,
          "options: fusion: expected one of KIND_FUSION_..., got ", options.fusion);
  for (const auto& [name, value] : {std::pair{"strength", options.strength}, {"denoise", options.denoise}}) {
    require(value >= 0 && value <= 1, "options: ", name, ": expected a number from 0 to 1, got ", value);
  }
  require(options.threads >= 0 && options.threads <= 1024, "options: threads: expected 0 to 1024, got ",
          options.threads);
  require(options.reserved == 0, "options: reserved: expected 0, got ", options.reserved);
  return options;
}

kind::PhotoOptions photo_options(const kind_options& options, const kind_picture& from, const kind_picture& to) {
  kind::PhotoOptions photo;
  photo.light.mode = options.light == KIND_LIGHT_RATIO         ? kind::LightLevel::Mode::kRatio
                     : options.light == KIND_LIGHT_TARGET_MEAN ? kind::LightLevel::Mode::kTargetMean
                                                               : kind::LightLevel::Mode::kAuto;
  photo.light.value = options.light_value;
  if (options.light == KIND_LIGHT_AUTO) photo.light.stops = options.light_value;
  photo.fusion = options.fusion == KIND_FUSION_OFFICIAL ? kind::Fusion::kOfficial
                 : options.fusion == KIND_FUSION_AUTO   ? kind::Fusion::kAuto
                                                        : kind::Fusion::kNone;
  photo.denoise = options.denoise;
  photo.strength = options.strength;
  photo.bits = to.samples == KIND_8_BITS ? 8 : 16;
  photo.alpha = to.channels == from.channels;
  photo.max_bytes = options.max_memory > 0 ? options.max_memory : kind::available_memory() / 5 * 4;
  if (options.progress) {
    photo.progress = [&options](double done) {
      if (options.progress(done, options.user) != 0) throw Stopped();
    };
  }
  return photo;
}

// ---- maps

void check_threads(std::int32_t threads) {
  require(threads >= 0 && threads <= 1024, "threads: expected 0 to 1024, got ", threads);
}

/// A map of floats with so many channels, and the sides of `like`.
void check_map(const char* name, const kind_picture* map, int channels, const kind_picture* like) {
  check_picture(name, map);
  require(map->samples == KIND_FLOATS, name, ": samples: expected KIND_FLOATS, got ", map->samples);
  require(map->channels == channels, name, ": expected ", channels, channels == 1 ? " channel" : " channels", ", got ",
          map->channels);
  require(map->width == like->width && map->height == like->height, name, ": expected ", like->width, " x ",
          like->height, ", as the other maps, got ", map->width, " x ", map->height);
}

/// [1, c, h, w] of a map's values.
kind::Tensor<float> tensor_of(const char* name, const kind_picture& map) {
  kind::Tensor<float> tensor(kind::Shape{1, map.channels, map.height, map.width});
  const std::int64_t plane = std::int64_t{map.height} * map.width;
  for (int y = 0; y < map.height; ++y) {
    const std::uint8_t* const row = row_of(map, y);
    for (std::int64_t i = 0; i < std::int64_t{map.width} * map.channels; ++i) {
      float value;
      std::memcpy(&value, row + static_cast<std::size_t>(i) * sizeof value, sizeof value);
      require(std::isfinite(value), name, ": there is a value that is not finite in row ", y);
      tensor[i % map.channels * plane + std::int64_t{y} * map.width + i / map.channels] = value;
    }
  }
  return tensor;
}

void put_tensor(const kind::Tensor<float>& tensor, const kind_picture& map) {
  const std::int64_t plane = std::int64_t{map.height} * map.width;
  for (int y = 0; y < map.height; ++y) {
    std::uint8_t* const row = row_of(map, y);
    for (std::int64_t i = 0; i < std::int64_t{map.width} * map.channels; ++i) {
      const float value = tensor[i % map.channels * plane + std::int64_t{y} * map.width + i / map.channels];
      std::memcpy(row + static_cast<std::size_t>(i) * sizeof value, &value, sizeof value);
    }
  }
}

/// [1, 3, h, w] in 0..1 of a picture with one or three channels.
kind::Tensor<float> rgb_of(const kind_picture& picture) {
  kind::Tensor<float> values =
      picture.samples == KIND_FLOATS ? tensor_of("from", picture) : kind::to_tensor(copy_from(picture));
  if (values.shape()[1] == 3) return values;
  kind::Tensor<float> rgb(kind::Shape{1, 3, picture.height, picture.width});
  for (int c = 0; c < 3; ++c) std::copy_n(values.data(), values.size(), rgb.data() + c * values.size());
  return rgb;
}

}  // namespace

extern "C" {

const char* kind_version(void) { return KIND_VERSION; }

const char* kind_last_error(void) { return last_error; }

int kind_open(const char* path, kind_model** model) {
  return guarded([&] {
    require(model, "model: expected where to put the model, got NULL");
    *model = nullptr;
    require(!path || *path, "path: expected a file or NULL, got an empty name");
    kind::Model<float> nets = kind::load_model<float>(path ? path : kind::find_model("", models_beside_library()));
    check(nets.decomposition && nets.adjustment, path ? path : "the model",
          ": enhancing needs a decomposition and an adjustment net, which this model has not got");
    std::string description = kind::to_json(nets.config).dump();
    *model = new kind_model{std::move(nets), std::move(description)};
  });
}

void kind_free(kind_model* model) { delete model; }

int kind_enhance(const kind_model* model, const kind_picture* from, const kind_picture* to, const kind_options* options,
                 kind_result* result) {
  return guarded([&] {
    require(model, "model: expected one from kind_open, got NULL");
    check_picture("from", from);
    check_picture("to", to);
    require(from->width == to->width && from->height == to->height, "to: expected sides as those of `from`, ",
            from->width, " x ", from->height, ", got ", to->width, " x ", to->height);
    const bool alpha = from->channels % 2 == 0;
    require(to->channels == from->channels || (alpha && to->channels == from->channels - 1), "to: expected ",
            from->channels, " channels", alpha ? ", or one less for no alpha" : "", ", got ", to->channels);
    const kind_options wanted = checked(options);
    const kind::OwnThreads threads(wanted.threads);
    const kind::EnhancedPhoto enhanced =
        kind::enhance_photo(model->nets, copy_from(*from), photo_options(wanted, *from, *to));
    copy_to(enhanced.image, *to);
    if (result) *result = {enhanced.ratio, enhanced.strength};
  });
}

const char* kind_describe(const kind_model* model) { return model ? model->description.c_str() : ""; }

int kind_stretch(const kind_model* model, const kind_picture* from, const kind_picture* to, int32_t threads) {
  return guarded([&] {
    require(model, "model: expected one from kind_open, got NULL");
    check_picture("from", from);
    require(from->channels == 1 || from->channels == 3, "from: expected 1 or 3 channels, got ", from->channels);
    check_map("to", to, 3, from);
    check_threads(threads);
    const kind::OwnThreads own(threads);
    put_tensor(kind::net_input(rgb_of(*from), model->nets.config.input), *to);
  });
}

int kind_decompose(const kind_model* model, const kind_picture* input, const kind_picture* reflectance,
                   const kind_picture* illumination, int32_t threads) {
  return guarded([&] {
    require(model, "model: expected one from kind_open, got NULL");
    check_picture("input", input);
    check_map("input", input, 3, input);
    check_map("reflectance", reflectance, 3, input);
    check_map("illumination", illumination, 1, input);
    check_threads(threads);
    const kind::OwnThreads own(threads);
    const kind::PictureNets::Parts parts = kind::PictureNets(model->nets).decompose(tensor_of("input", *input));
    put_tensor(parts.reflectance, *reflectance);
    put_tensor(parts.illumination, *illumination);
  });
}

int kind_restore(const kind_model* model, const kind_picture* reflectance, const kind_picture* illumination,
                 const kind_picture* restored, int32_t threads) {
  return guarded([&] {
    require(model, "model: expected one from kind_open, got NULL");
    check_picture("reflectance", reflectance);
    check_map("reflectance", reflectance, 3, reflectance);
    check_map("illumination", illumination, 1, reflectance);
    check_map("restored", restored, 3, reflectance);
    check_threads(threads);
    const kind::OwnThreads own(threads);
    kind::Tensor<float> map = tensor_of("reflectance", *reflectance);
    kind::PictureNets(model->nets).restore_in_place(map, tensor_of("illumination", *illumination));
    put_tensor(map, *restored);
  });
}

int kind_adjust(const kind_model* model, const kind_picture* illumination, double ratio, const kind_picture* adjusted,
                int32_t threads) {
  return guarded([&] {
    require(model, "model: expected one from kind_open, got NULL");
    check_picture("illumination", illumination);
    check_map("illumination", illumination, 1, illumination);
    check_map("adjusted", adjusted, 1, illumination);
    require(ratio > 0 && ratio <= 100, "ratio: expected a number above 0 and at most 100, got ", ratio);
    check_threads(threads);
    const kind::OwnThreads own(threads);
    put_tensor(kind::PictureNets(model->nets).adjust(tensor_of("illumination", *illumination), ratio), *adjusted);
  });
}

}  // extern "C"
