#pragma once

#include <filesystem>

#include "core/base/error.h"

namespace kind {

/// Another run works on the result.
class ClaimedElsewhere : public Error {
 public:
  using Error::Error;
};

/// Among all runs of kind-infer, this one makes the result: a file `.NAME.kind-claim` beside it, which holds the host, the
/// process and when that began. It is removed with the object. A claim whose process has ended on this host is taken over.
class Claim {
 public:
  /// Throws ClaimedElsewhere where another process has claimed the result, Error where its folder takes no files.
  explicit Claim(const std::filesystem::path& result);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  /// The claim's file.
  static std::filesystem::path path_of(const std::filesystem::path& result);
  /// Removes all claims of this process, for one that is about to end without destructors. A signal handler may call it.
  static void remove_all() noexcept;

 private:
  std::filesystem::path path_;
  std::size_t slot_;
};

}  // namespace kind
