#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/image/color.h"
#include "core/image/image.h"
#include "nets/pipeline.h"

namespace kind {

/// What else decides how a picture is enhanced: the other frames of a sequence, for example. Each may change what it is
/// given.
struct PhotoHooks {
  std::function<void(PictureArea&)> area = {};                         // what is no frame, as framed_area finds it
  std::function<void(const MeteredPicture&, InputRange&)> range = {};  // that is stretched, metered.range
  std::function<void(LightChoice&)> light = {};                        // chosen for each level
};

/// How a picture is enhanced, and as what its result is made.
struct PhotoOptions {
  LightLevel light = {};
  Fusion fusion = Fusion::kAuto;
  double denoise = 1;   // 0..1, see EnhanceOptions
  double strength = 1;  // 0..1: how far from the picture to the enhanced one the result lies
  int bits = 0;         // of the result's samples, 8 or 16; 0: as the picture's
  bool alpha = true;    // false: the result has no alpha channel
  // How the picture's samples are encoded, and the results'; null: in sRGB. It converts back (two_way()).
  std::shared_ptr<const ColorEncoding> color = {};
  /// Bytes that work on a picture may take, the picture and its results included; 0: any number. Pictures too large
  /// for it to be held as numbers go through the nets in bands of rows, with the same bits; those that are too large
  /// even so are refused.
  std::uint64_t max_bytes = 0;
  /// In bands of rows even where there is memory enough, if that can be.
  bool bands = false;
  /// Called now and then with how much of the work is done, 0..1.
  std::function<void(double)> progress = {};
  PhotoHooks hooks = {};
};

/// Throws Error for a picture that is empty, or whose channels, bits and bytes do not match.
void check_photo(const Image& photo);

struct EnhancedPhoto {
  Image image;
  double ratio = 1;     // what adjustment was given
  double strength = 1;  // of the automatic light, see choose_light
};

/// The whole method on a picture of any kind, any size from 1x1. The nets get its samples in full precision, gray in
/// all three channels. The result has the picture's channels: gray stays gray (BT.601 of the nets' RGB), also where it
/// is stored as RGB whose channels are equal in every pixel; alpha is the picture's, bit for bit where the bits are the
/// same. What is fully transparent has no part in anything: the nets see the mean colour of all else there. Plain frames and
/// letterbox bars (framed_area) stay as they are. A picture in another encoding is converted to sRGB for the nets. The part
/// of a colour that lies outside sRGB is scaled with the pixel's gain in light and added to the result. Opaque pictures
/// with colour, in sRGB and without a frame, come out the same as by enhance() and to_image(), bit for bit, in less memory.
/// Throws Error as enhance() does, and where options.max_bytes do not suffice.
EnhancedPhoto enhance_photo(const Model<float>& model, Image photo, const PhotoOptions& options = {});

/// The picture at several light levels, each of which `use` is given as soon as it is done; options.light is not looked
/// at. Decomposition and restoration, nearly all of the work, are done once where memory suffices. `maps`, unless null,
/// gets the maps of the first level, without an output; on a frame the reflectance is the picture and the light 1.
void enhance_levels(const Model<float>& model, Image photo, const PhotoOptions& options,
                    const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use,
                    Enhanced* maps = nullptr);

/// The maps behind the result that enhance_photo makes, and that result as `output`. Throws Error as enhance_photo does.
Enhanced photo_maps(const Model<float>& model, const Image& photo, const PhotoOptions& options);

/// What work on a picture of these sides takes, without weights and files: with its maps in memory (faster), and in
/// bands of rows (0 where that cannot be).
struct PhotoMemory {
  std::uint64_t held = 0, bands = 0;
};
PhotoMemory photo_memory(const Model<float>& model, const Image& photo, const PhotoOptions& options,
                         const std::vector<LightLevel>& levels);

}  // namespace kind
