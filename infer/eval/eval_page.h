#pragma once

#include <string>
#include <vector>

#include "infer/eval/eval_report.h"

namespace kind {

/// The HTML page of a report: one file that holds its pictures and works without a network.
class EvalPage {
 public:
  /// Adds a picture [1, 3, h, w] of values 0..255 to those of a pair. `way` is the name of one of the report's, or
  /// empty for the dark and the bright picture, which have no figures.
  void add(const std::string& pair, const std::string& label, const std::string& way, const Tensor<float>& picture);

  std::string html(const EvalReport& report) const;

 private:
  struct Picture {
    std::string pair, label, way, jpeg;
    int width, height;
  };
  std::vector<Picture> pictures_;
};

}  // namespace kind
