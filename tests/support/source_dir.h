#pragma once

#include <string>

namespace kind::testing {

/// The root of the repository. Set for one file alone (tests/main.cpp), so that a compiler cache serves every clone.
std::string source_dir();

}  // namespace kind::testing
