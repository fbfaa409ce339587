#include "train/stages/map_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"

namespace kind {
namespace {

/// Reads or writes all of it, however many calls that takes.
template <class Call>
void transfer(const Call& call, std::size_t bytes, const std::string& folder) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t count = call(done);
    if (count < 0 && errno == EINTR) continue;
    check(count > 0, folder,
          ": the file for outputs of frozen nets failed: ", count < 0 ? std::strerror(errno) : "it is too short");
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

MapStore::MapStore(std::size_t count, std::size_t memory_bytes, std::string folder)
    : entries_(count), memory_left_(memory_bytes), folder_(std::move(folder)) {}

MapStore::~MapStore() {
  if (file_ >= 0) ::close(file_);
}

void MapStore::put(std::size_t index, const Tensor<float>& maps) {
  check(maps.shape().rank() == 3, "map store: expected maps [c, h, w], got ", maps.shape());
  Entry& entry = entries_[index];
  const std::size_t bytes = static_cast<std::size_t>(maps.size()) * sizeof(float);
  if (bytes <= memory_left_) {
    entry.tensor = maps;
    entry.data = entry.tensor.data();
    memory_left_ -= bytes;
  } else {
    if (file_ < 0) {
      std::string name = folder_ + "/maps-XXXXXX";  // mkstemp replaces the six X
      file_ = ::mkstemp(name.data());
      check(file_ >= 0, folder_, ": cannot make a file for outputs of frozen nets: ", std::strerror(errno));
      ::unlink(name.c_str());
    }
    const char* data = reinterpret_cast<const char*>(maps.data());
    transfer(
        [&](std::size_t done) {
          return ::pwrite(file_, data + done, bytes - done, file_size_ + static_cast<off_t>(done));
        },
        bytes, folder_);
    entry.offset = file_size_;
    file_size_ += static_cast<std::int64_t>(bytes);
  }
  entry.shape = {maps.shape()[0], maps.shape()[1], maps.shape()[2]};
}

void MapStore::put_view(std::size_t index, const Shape& shape, const float* maps) {
  check(shape.rank() == 3, "map store: expected maps [c, h, w], got ", shape);
  Entry& entry = entries_[index];
  entry.data = maps;
  entry.shape = {shape[0], shape[1], shape[2]};
}

Tensor<float> MapStore::crop(std::size_t index, std::int64_t y, std::int64_t x, std::int64_t height,
                             std::int64_t width) const {
  const Entry& entry = entries_[index];
  check(has(index), "map store: there are no maps of picture ", index);
  const std::int64_t c = entry.shape[0], h = entry.shape[1], w = entry.shape[2];
  check(y >= 0 && x >= 0 && y + height <= h && x + width <= w, "map store: the crop leaves the maps");
  Tensor<float> result(Shape{c, height, width});
  for (std::int64_t i = 0; i < c * height; ++i) {
    const std::int64_t from = (i / height * h + y + i % height) * w + x;
    float* to = result.data() + i * width;
    if (entry.data) {
      std::copy_n(entry.data + from, width, to);
      continue;
    }
    const std::size_t bytes = static_cast<std::size_t>(width) * sizeof(float);
    const std::int64_t at = entry.offset + from * static_cast<std::int64_t>(sizeof(float));
    transfer(
        [&](std::size_t done) {
          return ::pread(file_, reinterpret_cast<char*>(to) + done, bytes - done, at + static_cast<off_t>(done));
        },
        bytes, folder_);
  }
  return result;
}

Tensor<float> MapStore::get(std::size_t index) const {
  const Entry& entry = entries_[index];
  check(has(index), "map store: there are no maps of picture ", index);
  return crop(index, 0, 0, entry.shape[1], entry.shape[2]);
}

}  // namespace kind
