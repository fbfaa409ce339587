#pragma once

#include <string>
#include <vector>

#include "core/files/safetensors.h"
#include "nets/model.h"

namespace kind {

/// Builds one model from tensors of the authors' program (or KinD++'s decomposition and adjustment, which differ from
/// KinD's only in their names), in the form of that program: leaky ReLU, also before adjustment's sigmoid; the size of
/// decomposition's last convolutions is inferred from their shapes. Names and layouts are TensorFlow's; tensors of the
/// optimiser are ignored.
///
/// Throws Error naming source and tensor if one is unknown, missing, of another shape or not finite, and if a net
/// is there twice.
Model<float> model_from_tensorflow(const std::vector<SafeTensors>& checkpoints);

/// The same from checkpoint files.
Model<float> import_tensorflow(const std::vector<std::string>& paths);

}  // namespace kind
