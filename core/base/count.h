#pragma once

#include <string>

#include "core/base/error.h"

namespace kind {

/// A number with its noun, in the plural unless it is 1: "1 pair", "2 pairs".
template <class Number>
std::string counted(const Number& number, const std::string& noun) {
  return join(number, " ", noun, number == 1 ? "" : "s");
}

}  // namespace kind
