#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "infer/photo/stopping.h"

namespace kind {

/// Up to `count` bytes of a descriptor, at least one unless it ends or `stopped` becomes true. `name` is for the Error.
std::size_t read_some(int descriptor, const std::string& name, std::uint8_t* to, std::size_t count,
                      const std::function<bool()>& stopped);

/// All that comes from a descriptor, behind `start`; no more than its beginning where that is no picture. Throws Error
/// where it is empty or has more than max_bytes, Stopped where a signal ends the wait.
std::vector<std::uint8_t> read_stream(int descriptor, const std::string& name, std::vector<std::uint8_t> start,
                                      std::uint64_t max_bytes, const Stopping& stopping);

/// Whether the path is a named pipe or a socket, of which bytes come once and may be waited for.
bool is_pipe(const std::string& path);
/// A descriptor to read from; does not wait for somebody to write. Throws Error.
int open_pipe(const std::string& path);
/// The same as read_stream, of a pipe by its name.
std::vector<std::uint8_t> read_pipe(const std::string& path, std::uint64_t max_bytes, const Stopping& stopping);

/// Throws Error with the system's reason.
void write_stdout(std::span<const std::uint8_t> bytes);

/// Whether a result of that name is written where it leads, and not put in its place: a pipe, a terminal or the like, or
/// an open file of the process (/dev/fd/63).
bool is_direct_output(const std::string& path);
/// Whether it is the standard output by another name: /dev/stdout.
bool is_stdout_name(const std::string& path);
/// Writes to such an output. Throws Error, or Stopped where a signal ends the wait for a reader.
void write_direct(const std::string& path, std::span<const std::uint8_t> bytes, const Stopping& stopping);

}  // namespace kind
