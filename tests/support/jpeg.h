#pragma once

#include <cstdio>  // jpeglib.h needs it before itself

#include <jpeglib.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace kind::testing {

/// How encode_jpeg_raw writes. Cyan, magenta, yellow and black are 0 where there is no ink, or, as Adobe's programs
/// have them and say by a marker of theirs, where there is most.
struct RawJpeg {
  J_COLOR_SPACE from = JCS_CMYK;  ///< What the samples are.
  J_COLOR_SPACE to = JCS_CMYK;    ///< What the file holds; JCS_YCCK turns the inks but black into Y, Cb, Cr.
  bool adobe = true;
  bool progressive = false;
  int quality = 100;
};

/// A JPEG of kinds that the library only reads, by libjpeg. `samples` are rows of interleaved channels.
inline std::vector<std::uint8_t> encode_jpeg_raw(int width, int height, std::vector<std::uint8_t> samples,
                                                 const RawJpeg& how) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);  // ends the program where something is wrong
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = static_cast<int>(samples.size()) / (width * height);
  info.in_color_space = how.from;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, how.to);
  jpeg_set_quality(&info, how.quality, TRUE);
  for (int i = 0; i < info.num_components; ++i) info.comp_info[i].h_samp_factor = info.comp_info[i].v_samp_factor = 1;
  if (how.progressive) jpeg_simple_progression(&info);
  info.write_Adobe_marker = how.adobe ? TRUE : FALSE;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row =
        samples.data() + info.next_scanline * info.image_width * static_cast<unsigned>(info.input_components);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::vector<std::uint8_t> file(bytes, bytes + size);
  std::free(bytes);
  return file;
}

}  // namespace kind::testing
