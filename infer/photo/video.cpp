#include "infer/photo/video.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/files/file.h"
#include "core/image/y4m.h"
#include "infer/photo/output.h"
#include "infer/photo/picture.h"
#include "infer/photo/streams.h"
#include "nets/sequence.h"

namespace kind {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds between lines on progress: on a terminal, where one is rewritten, and elsewhere.
constexpr double kTerminalPause = 0.2, kFilePause = 10;

/// What people see. May be called from several threads at once.
class Progress {
 public:
  ~Progress() { clear(); }

  void say(const std::string& line) {
    const std::lock_guard lock(mutex_);
    clear();
    std::cerr << line << std::endl;
  }
  /// Time counts from here on.
  void begin() { last_ = start_ = Clock::now(); }
  void finish_frame() {
    const std::lock_guard lock(mutex_);
    ++frames_;
    const auto now = Clock::now();
    if (seconds(last_, now) < (terminal_ ? kTerminalPause : kFilePause)) return;
    last_ = now;
    std::cerr << (terminal_ ? "\r" : "kind-infer: ") << "frame " << frames_ << ", " << speed()
              << (terminal_ ? "\x1b[K" : "\n") << std::flush;
    drawn_ = terminal_;
  }
  std::uint64_t frames() const {
    const std::lock_guard lock(mutex_);
    return frames_;
  }
  std::string speed() const {
    char text[32];
    std::snprintf(text, sizeof(text), "%.3g frames/s", static_cast<double>(frames_) / seconds(start_, Clock::now()));
    return text;
  }

 private:
  static double seconds(Clock::time_point from, Clock::time_point to) {
    return std::max(1e-9, std::chrono::duration<double>(to - from).count());
  }
  void clear() {
    if (std::exchange(drawn_, false)) std::cerr << "\r\x1b[K" << std::flush;
  }

  mutable std::mutex mutex_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
  std::uint64_t frames_ = 0;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};

/// Hands frames from one thread to another, one at a time.
class Handover {
 public:
  /// Waits until there is room; false where nobody takes anything any more.
  bool put(Y4mFrame frame) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !frame_ || abandoned_; });
    if (abandoned_) return false;
    frame_ = std::move(frame);
    changed_.notify_all();
    return true;
  }
  /// Nothing once all was taken and no more will come.
  std::optional<Y4mFrame> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return frame_ || closed_ || abandoned_; });
    std::optional<Y4mFrame> frame = abandoned_ ? std::nullopt : std::exchange(frame_, std::nullopt);
    changed_.notify_all();
    return frame;
  }
  void close() { set(closed_); }
  void abandon() { set(abandoned_); }

 private:
  void set(bool& what) {
    const std::lock_guard lock(mutex_);
    what = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Y4mFrame> frame_;
  bool closed_ = false, abandoned_ = false;
};

/// The bytes of the video.
class Source {
 public:
  Source(const Job& job, std::vector<std::uint8_t> start, std::function<bool()> stopped)
      : name_(name_of(job)), start_(std::move(start)), stopped_(std::move(stopped)) {
    if (job.from_stdin()) return;
    descriptor_ = open_pipe(job.input.string());  // or an ordinary file
  }
  ~Source() {
    if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  static std::string name_of(const Job& job) {
    constexpr std::size_t kMaxName = 4096;
    return job.from_stdin() ? "the standard input" : printable(job.input.string(), kMaxName);
  }

  std::size_t read(std::uint8_t* to, std::size_t count) {
    if (at_ == start_.size()) return read_some(descriptor_, name_, to, count, stopped_);
    const std::size_t got = std::min(count, start_.size() - at_);
    std::memcpy(to, start_.data() + at_, got);
    at_ += got;
    return got;
  }

 private:
  std::string name_;
  std::vector<std::uint8_t> start_;
  std::size_t at_ = 0;
  std::function<bool()> stopped_;
  int descriptor_ = STDIN_FILENO;
};

class Video {
 public:
  Video(const Options& options, const Job& job, std::vector<std::uint8_t> start, Stopping& stopping)
      : options_(options),
        job_(job),
        stopping_(stopping),
        limits_(make_limits(options)),
        name_(Source::name_of(job)),
        source_(job, std::move(start), [this] { return stopping_.asked() || ended_; }),
        reader_(
            name_, [this](std::uint8_t* to, std::size_t count) { return source_.read(to, count); }, limits_.read) {
    photo_ = options.photo;
    photo_.progress = [this](double) { stopping_.check_time(); };
    // Beside the frame that is computed there are two before and two behind it, with the bytes of one each.
    const Y4mHeader& header = reader_.header();
    const std::uint64_t pixels = static_cast<std::uint64_t>(header.width) * static_cast<std::uint64_t>(header.height);
    const std::uint64_t held = pixels * (header.bits > 8 ? 2 : 1) * 3 * 4 + 2 * header.frame_bytes();
    check(held < limits_.max_bytes, "cannot read ", name_, ": frames of ", header.width, " x ", header.height,
          " pixels need more than ", held >> 20, " MiB of memory, the limit is ", limits_.max_bytes >> 20, " MiB");
    photo_.max_bytes = limits_.max_bytes - held;
    check(!options.frames_per_second || header.frames_per_second == 0, "--frames-per-second: ", name_,
          " says its own, ", header.frames_per_second, " a second");
  }

  int run() {
    {
      std::jthread reading([this] { read_all(); });
      std::jthread writing([this] { write_all(); });
      compute_all();
      ended_ = true;
      read_.abandon();
      done_.close();
    }
    if (write_error_) std::rethrow_exception(write_error_);
    if (compute_error_) std::rethrow_exception(compute_error_);
    const std::uint64_t frames = progress_.frames();
    if (stopping_.asked() && !complete_) {
      progress_.say(join("kind-infer: stopped after ", count_text("frame", "frames"),
                         file_ ? "; " + printable(job_.outputs[0].string()) + " is not written" : ""));
      return stopping_.exit_code();
    }
    if (frames == 0 && read_error_) std::rethrow_exception(read_error_);
    check(frames > 0, "cannot read ", name_, ": it has no frames");
    const std::string speed = progress_.speed();
    struct stat status {};
    if (file_ && options_.keep_time && !job_.from_stdin() && ::stat(job_.input.c_str(), &status) == 0) {
      set_time(*file_, job_.outputs[0].string(), status.st_mtim);
    }
    if (file_) file_->commit(may_replace_ ? Existing::kReplace : Existing::kKeep);
    progress_.say(read_error_ ? join(error_of_reading(), "; ", count_text("frame before it is", "frames before it are"),
                                     " written")
                              : join(name_, ": ", reader_.header().width, "x", reader_.header().height, ", ",
                                     count_text("frame", "frames"), ", ", speed));
    if (file_) {
      errno = 0;
      std::cout << job_.outputs[0].string() << std::endl;
      // Who has stopped reading it wants no names.
      check(static_cast<bool>(std::cout) || errno == EPIPE, "cannot write to the standard output; the result is there");
    }
    return read_error_ ? kExitSomeFailed : kExitDone;
  }

 private:
  std::string count_text(const char* one, const char* several) const {
    const std::uint64_t frames = progress_.frames();
    return join(frames, " ", frames == 1 ? one : several);
  }

  std::string error_of_reading() const {
    try {
      std::rethrow_exception(read_error_);
    } catch (const std::exception& error) {
      return error_line("kind-infer", error);
    }
  }

  void read_all() {
    try {
      std::optional<Y4mFrame> frame;
      while ((frame = reader_.next()) && read_.put(std::move(*frame))) continue;
    } catch (...) {
      read_error_ = std::current_exception();
    }
    read_.close();
  }

  void compute_all() {
    const std::unique_ptr<SerialScope> serial = num_threads() == 1 ? std::make_unique<SerialScope>() : nullptr;
    std::uint64_t number = 0;
    try {
      while (!stopping_.asked()) {
        std::optional<Y4mFrame> frame = read_.take();
        if (!frame) {
          complete_ = !stopping_.asked();
          return;
        }
        if (number == 0) begin();
        ++number;
        if (!done_.put({std::move(frame->parameters), enhance(std::move(frame->image))})) return;
      }
    } catch (const Stopped&) {
      return;
    } catch (const Error& error) {
      compute_error_ = std::make_exception_ptr(Error(join("frame ", number, " of ", name_, ": ", error.what())));
    } catch (...) {
      compute_error_ = std::current_exception();
    }
  }

  /// All that the first frame needs.
  void begin() {
    model_ = std::make_unique<Model<float>>(
        load_enhancer(options_, [this](const std::string& line) { progress_.say(line); }));
    const double own_rate = reader_.header().frames_per_second;
    if (options_.sequence) {
      sequence_ = std::make_unique<SequenceEnhancer>(*model_, photo_, own_rate > 0 ? own_rate : options_.rate());
    }
    if (!options_.to_stdout()) {
      if (into_folder(options_)) folders_.make(options_.output);
      const std::filesystem::path& output = job_.outputs[0];
      std::error_code ignored;
      if (!is_direct_output(output.string())) {
        claim_ = std::make_unique<Claim>(output);
        may_replace_ = options_.overwrite;
        check(may_replace_ || !std::filesystem::exists(std::filesystem::symlink_status(output, ignored)),
              "cannot write ", output.native(), ": a file of this name has appeared in the meantime, and is kept");
      }
      file_ = std::make_unique<AtomicFile>(output.string());
    }
    progress_.begin();
  }

  Image enhance(Image frame) {
    if (sequence_) return sequence_->next(std::move(frame)).image;
    return enhance_photo(*model_, std::move(frame), photo_).image;
  }

  void write_all() {
    try {
      bool first = true;
      while (const std::optional<Y4mFrame> frame = done_.take()) {
        std::vector<std::uint8_t> bytes = encode_y4m_frame(reader_.header(), *frame);
        const std::string line = reader_.header().line + "\n";
        if (std::exchange(first, false)) bytes.insert(bytes.begin(), line.begin(), line.end());
        if (file_) {
          file_->write(bytes);
        } else {
          write_stdout(bytes);
        }
        progress_.finish_frame();
      }
    } catch (...) {
      write_error_ = std::current_exception();
      done_.abandon();
      read_.abandon();
    }
  }

  const Options& options_;
  const Job& job_;
  const Stopping& stopping_;
  std::atomic<bool> ended_ = false;  // nobody takes frames from the reader any more
  const Limits limits_;
  const std::string name_;
  Source source_;
  Y4mReader reader_;
  PhotoOptions photo_;
  Progress progress_;

  Handover read_, done_;
  std::exception_ptr read_error_, compute_error_, write_error_;
  bool complete_ = false;  // the video's end, or its last whole frame, was reached

  std::unique_ptr<Model<float>> model_;
  std::unique_ptr<SequenceEnhancer> sequence_;
  Folders folders_;
  std::unique_ptr<Claim> claim_;
  bool may_replace_ = false;
  std::unique_ptr<AtomicFile> file_;  // null: the standard output
};

void check_options(const Options& options) {
  const std::pair<const char*, bool> given[] = {
      {"--ladder", !options.ladder.empty()},  {"--compare", !options.compare.empty()},
      {"--dump-maps", !options.maps.empty()}, {"--format", options.format.has_value()},
      {"--bits", options.photo.bits != 0},    {"--tolerant", options.tolerant},
      {"--report", !options.report.empty()},  {"--jobs", options.jobs > 1}};
  for (const auto& [name, is_given] : given) check(!is_given, name, ": this is for pictures, the input is a video");
}

}  // namespace

int run_video(const Options& options, const Job& job, std::vector<std::uint8_t> start, Stopping& stopping) {
  check_options(options);
  if (job.skipped) {
    std::cerr << "kind-infer: skipped 1 of 1: its result exists" << std::endl;
    return kExitDone;
  }
  std::optional<Video> video;
  try {
    video.emplace(options, job, std::move(start), stopping);
  } catch (const Error&) {
    if (!stopping.asked()) throw;
    std::cerr << "kind-infer: stopped before the first frame" << std::endl;
    return stopping.exit_code();
  }
  return video->run();
}

}  // namespace kind
