#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/files/safetensors.h"

namespace kind {

/// Whether `path` names a TensorFlow checkpoint: a folder, PREFIX.index, or a PREFIX that does not exist as a file
/// while PREFIX.index does.
bool is_tensorflow_checkpoint(const std::string& path);

/// Reads a TensorFlow checkpoint in the V2 "tensor bundle" format: PREFIX.index and PREFIX.data-SSSSS-of-NNNNN. `path`
/// is PREFIX, PREFIX.index, or a folder whose text file `checkpoint` names the prefix. The tensors keep TensorFlow's
/// names and layouts; there is no metadata.
///
/// Every rule of the format is checked and Error thrown, naming the file, if one is broken: the magic number, the
/// checksums of blocks and tensors, bounds, the order of names, restart points, the header, types, shapes, and that the
/// tensors follow one another without gap or overlap over the whole of each data file. Refused as well, for no KinD
/// file has them: compressed blocks, big-endian values, partitioned variables, strings, and names above 1024 bytes.
SafeTensors read_tensorflow_checkpoint(const std::string& path);

/// The same for files from another source, such as memory: read(name, most) returns the content of the file of that
/// name, or throws Error if there is none or it has more than `most` bytes.
using ReadFile = std::function<std::vector<std::uint8_t>(const std::string& name, std::uint64_t most)>;
SafeTensors read_tensorflow_bundle(const std::string& prefix, const ReadFile& read);

}  // namespace kind
