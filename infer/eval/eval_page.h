#pragma once

#include <string>
#include <vector>

#include "infer/eval/eval_report.h"

namespace kind {

/// The HTML page of a report: a self-contained file with its pictures.
class EvalPage {
 public:
  /// Adds a picture [1, 3, h, w] of values 0..255 to those of a pair. `way` is the name of a protocol or stage of the
  /// report, or empty for the dark and the bright picture, which have no metrics.
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
