#pragma once

#include <string>
#include <vector>

#include "core/files/safetensors.h"
#include "nets/model.h"

namespace kind {

/// The nets that the tensors of the authors' program make (or KinD++'s decomposition and adjustment, which differ from
/// KinD's in their names alone), as one model in the form that program has: leaky ReLU, also before adjustment's
/// sigmoid; the size of decomposition's last convolutions is read from their shapes. Names and layouts are
/// TensorFlow's; tensors of the optimiser are passed over.
///
/// Throws Error naming source and tensor where one is unknown, missing, of another shape or not finite, and where a net
/// is there twice.
Model<float> model_from_tensorflow(const std::vector<SafeTensors>& checkpoints);

/// The same from checkpoint files.
Model<float> import_tensorflow(const std::vector<std::string>& paths);

}  // namespace kind
