#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/image/image.h"

namespace kind {

/// A page that shows a picture before and after, at several light levels: one HTML file that holds all it needs and
/// asks for nothing else. A line between the two is moved with a mouse, a finger or the keys; a slider chooses the
/// level.
class ComparePage {
 public:
  /// `icc`: the pictures' colour profile; empty: none.
  ComparePage(std::string title, std::vector<std::uint8_t> icc) : title_(std::move(title)) {
    profile_.icc = std::move(icc);
  }

  void set_before(const Image& image);
  /// `chosen`: the level that the program chose or was asked for, which the page starts with.
  void add_level(const Image& image, double ratio, bool chosen);
  /// Throws Error without a level.
  std::string html() const;

 private:
  struct Level {
    std::string data;
    double ratio;
    bool chosen;
  };
  std::string data_of(const Image& image) const;

  std::string title_, before_;
  Metadata profile_;
  int width_ = 0, height_ = 0;
  std::vector<Level> levels_;
};

}  // namespace kind
