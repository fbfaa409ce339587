#include "core/program/program.h"

#include <new>

#include "core/base/quote.h"

namespace kind {

std::string version_text(const std::string& program, const std::vector<std::string>& isas,
                         const std::string& isa_in_use, const std::string& codecs) {
  std::string sets;
  for (const std::string& isa : isas) sets += isa == isa_in_use ? " [" + isa + "]" : " " + isa;
  return program + " " KIND_VERSION "\ninstruction sets:" + sets + "\ncodecs: " + codecs;
}

std::string error_line(const std::string& program, const std::exception& error) {
  // What std::bad_alloc says of itself ("std::bad_alloc") tells a user nothing.
  const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  constexpr std::size_t kMaxBytes = 4096;  // names from hostile files are cut before; this is for whole paths
  return program + ": " + (memory ? "there is not enough memory" : printable(error.what(), kMaxBytes));
}

}  // namespace kind
