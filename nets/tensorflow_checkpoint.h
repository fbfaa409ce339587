#pragma once

#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "nets/model.h"

namespace kind {

/// Whether `path` names a TensorFlow checkpoint rather than another file: a folder, PREFIX.index, or a PREFIX that is
/// no file itself while PREFIX.index is one.
bool is_tensorflow_checkpoint(const std::string& path);

/// Reads a TensorFlow checkpoint in the V2 "tensor bundle" format: PREFIX.index and PREFIX.data-SSSSS-of-NNNNN. `path`
/// is PREFIX, PREFIX.index, or a folder whose text file `checkpoint` names the prefix. The tensors keep TensorFlow's
/// names and layouts; there is no metadata.
///
/// Every rule of the format is checked and Error thrown, naming the file, where one is broken: the magic number, the
/// checksums of blocks and tensors, bounds, the order of names, restart points, the header, types, shapes, and that the
/// tensors follow one another without gap or overlap over the whole of each data file. Refused as well, for no KinD
/// file has them: compressed blocks, big-endian values, partitioned variables, strings, and names above 1024 bytes.
SafeTensors read_tensorflow_checkpoint(const std::string& path);

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
