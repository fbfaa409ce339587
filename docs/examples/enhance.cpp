// enhance-cpp PHOTO RESULT.png [RATIO]: brightens a photograph and keeps its metadata.
#include <cstdlib>
#include <iostream>
#include <utility>

#include "core/image/image.h"
#include "nets/model_path.h"
#include "nets/photograph.h"

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::cerr << "usage: enhance-cpp PHOTO RESULT.png [RATIO]\n";
    return 2;
  }
  try {
    const kind::Model<float> model = kind::load_model<float>(kind::find_model());
    kind::Metadata metadata;
    kind::Image photo = kind::read_image(argv[1], {}, &metadata);

    kind::PhotoOptions options;
    if (argc == 4) options.light = {kind::LightLevel::Mode::kRatio, std::atof(argv[3])};
    const kind::EnhancedPhoto result = kind::enhance_photo(model, std::move(photo), options);

    kind::WriteOptions writing;
    writing.metadata = &metadata;
    kind::write_image(argv[2], result.image, kind::ImageFormat::kPng, writing);
    std::cerr << "ratio " << result.ratio << "\n";
  } catch (const std::exception& error) {
    std::cerr << "enhance-cpp: " << error.what() << "\n";
    return 2;
  }
}
