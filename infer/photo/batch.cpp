// Long because a picture's way from reading to writing, with what becomes of its failures, is one class.

#include "infer/photo/batch.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/machine.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/files/file.h"
#include "core/image/y4m.h"
#include "core/kernels/kernels.h"
#include "core/program/program.h"
#include "infer/photo/picture.h"
#include "infer/photo/video.h"

namespace kind {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::size_t kMaxName = 4096;
/// Results that are written while the next picture is computed.
constexpr std::size_t kWriteBehindBytes = std::size_t{64} << 20;

std::string shown(const Job& job) {
  return job.from_stdin() ? "the standard input" : printable(job.input.string(), kMaxName);
}

/// What became of a picture.
struct Outcome {
  enum class Status { kDone, kFailed, kSkipped } status = Status::kDone;
  std::string line;   // for stderr; empty: none
  std::string error;  // the same without the program's name
  Picture picture;    // what the report says of it, and no more: there is one for every picture of a run
};

/// Leaves of a picture what the report says of it.
Picture without_content(Picture picture) {
  picture.job = {};
  picture.image = {};
  picture.metadata = {};
  picture.maps = {};
  picture.page = {};
  for (Picture::Result& result : picture.results) result = {result.ratio, result.strength, result.mean, {}, {}};
  return picture;
}

/// What people see. All of it may be called from several threads at once.
class Console {
 public:
  Console(const Options& options, const std::vector<Job>& jobs)
      : jobs_(jobs), page_(options.compare), names_(!options.to_stdout()), shares_(jobs.size(), 0.0) {
    terminal_ = ::isatty(STDERR_FILENO) == 1;
  }
  ~Console() { clear(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void say(const std::string& line) {
    const std::lock_guard lock(mutex_);
    print(line);
  }

  /// Outcomes come in any order and are said in the plan's.
  void finish(std::size_t i, Outcome outcome) {
    const std::lock_guard lock(mutex_);
    shares_[i] = outcome.status == Outcome::Status::kSkipped ? -1 : 1;
    waiting_.emplace(i, std::move(outcome));
    for (; !waiting_.empty() && waiting_.begin()->first == outcomes_.size(); waiting_.erase(waiting_.begin())) {
      const Outcome& next = waiting_.begin()->second;
      if (!next.line.empty()) print(next.line);
      if (next.status == Outcome::Status::kDone && names_) {
        const Job& job = jobs_[outcomes_.size()];
        for (const auto& path : job.outputs) std::cout << path.string() << std::endl;
        // Without --output the page of --compare is the result.
        if (job.outputs.empty()) std::cout << page_ << std::endl;
      }
      outcomes_.push_back(std::move(waiting_.begin()->second));
    }
    show_progress(i);
  }

  void progress(std::size_t i, double share) {
    const std::lock_guard lock(mutex_);
    shares_[i] = std::min(share, 0.999);
    show_progress(i);
  }

  const std::vector<Outcome>& outcomes() const { return outcomes_; }
  double elapsed() const { return Seconds(std::chrono::steady_clock::now() - start_).count(); }

 private:
  void print(const std::string& line) {
    clear();
    std::cerr << line << std::endl;
  }
  void clear() {
    if (std::exchange(drawn_, false)) std::cerr << "\r\x1b[K" << std::flush;
  }
  void show_progress(std::size_t i) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || (drawn_ && Seconds(now - last_).count() < 0.2)) return;
    double done = 0, total = 0;
    std::size_t finished = 0;
    for (const double share : shares_) {
      if (share >= 0) {
        done += share;
        total += 1;
      }
      if (share >= 1 || share < 0) ++finished;
    }
    if (done <= 0 || finished == shares_.size()) return;
    const double elapsed = Seconds(now - start_).count(), left = elapsed * (total - done) / done;
    std::string line = join("[", finished, "/", shares_.size(), "] ", static_cast<int>(100 * done / total), " %");
    if (elapsed > 1) line += join(", ", time_text(left), " left");
    line += ": " + shown(jobs_[i]);
    struct winsize size {};
    const std::size_t columns = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    std::cerr << "\r" << line.substr(0, columns - 1) << "\x1b[K" << std::flush;
    drawn_ = true;
    last_ = now;
  }
  static std::string time_text(double seconds) {
    const auto all = static_cast<long>(seconds + 0.5);
    char text[32];
    if (all >= 3600) {
      std::snprintf(text, sizeof(text), "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
    } else {
      std::snprintf(text, sizeof(text), "%ld:%02ld", all / 60, all % 60);
    }
    return text;
  }

  const std::vector<Job>& jobs_;
  const std::string page_;
  const bool names_;
  bool terminal_ = false, drawn_ = false;
  std::mutex mutex_;
  std::vector<double> shares_;  // of each picture's work that is done; -1: skipped
  std::map<std::size_t, Outcome> waiting_;
  std::vector<Outcome> outcomes_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

Outcome failure(Picture picture, const std::exception& error) {
  Outcome outcome;
  outcome.status = Outcome::Status::kFailed;
  outcome.line = error_line("kind-infer", error);
  // Most messages name their file.
  const std::string name = shown(picture.job);
  if (outcome.line.find(name) == std::string::npos) outcome.line += " (" + name + ")";
  outcome.error = outcome.line.substr(std::string("kind-infer: ").size());
  outcome.picture = without_content(std::move(picture));
  return outcome;
}

/// The pictures go through three stages: one thread reads them ahead of their turn, `jobs` threads compute, and as many
/// write. Computing begins in the plan's order.
class Batch {
 public:
  Batch(const Options& options, const std::vector<Job>& jobs, std::vector<std::uint8_t> stdin_start,
        const StopSignal& stop)
      : options_(options), jobs_(jobs), stop_(stop), limits_(make_limits(options)), console_(options, jobs) {
    limits_.stdin_start = std::move(stdin_start);
  }

  int run() {
    const int jobs = std::min(options_.jobs, static_cast<int>(std::max<std::size_t>(1, jobs_.size())));
    const int threads = num_threads();
    if (jobs > 1) set_num_threads(std::max(1, threads / jobs));
    if (into_folder(options_)) folders_.make(options_.output);
    if (!options_.maps.empty()) folders_.make(options_.maps);
    if (!options_.report.empty()) check_report_folder();
    {
      std::vector<std::jthread> others;
      others.emplace_back([this] { read_all(); });
      for (int i = 0; i < jobs; ++i) others.emplace_back([this] { write_all(); });
      for (int i = 1; i < jobs; ++i) others.emplace_back([this] { compute_all(); });
      compute_all();
      // The writers end once all who compute have.
      for (std::size_t i = others.size(); i-- > static_cast<std::size_t>(jobs) + 1;) others[i].join();
      const std::lock_guard lock(mutex_);
      computing_over_ = true;
      changed_.notify_all();
    }
    set_num_threads(threads);
    const std::vector<Outcome>& outcomes = console_.outcomes();
    bool reported = true;
    try {
      if (!options_.report.empty()) write_report(outcomes);
    } catch (const Error& error) {
      reported = false;
      console_.say(error_line("kind-infer", error));
    }
    if (fatal_) std::rethrow_exception(fatal_);
    if (outcomes.size() < jobs_.size()) {
      console_.say("kind-infer: stopped; " + shown(jobs_[outcomes.size()]) + " and what follows it was not done");
      return 128 + stop_;
    }
    check(static_cast<bool>(std::cout), "cannot write to the standard output; the results are there");
    const auto count = [&](Outcome::Status status) {
      return static_cast<std::size_t>(std::count_if(outcomes.begin(), outcomes.end(),
                                                    [&](const Outcome& outcome) { return outcome.status == status; }));
    };
    const std::size_t failed = count(Outcome::Status::kFailed), skipped = count(Outcome::Status::kSkipped);
    if (skipped > 0) console_.say(join("kind-infer: skipped ", skipped, " of ", jobs_.size(), ": their results exist"));
    if (failed > 0 && failed == jobs_.size()) return kExitError;
    return failed == 0 && reported ? kExitDone : kExitSomeFailed;
  }

 private:
  using Lock = std::unique_lock<std::mutex>;

  struct Slot {
    Picture picture;
    std::exception_ptr error;
  };

  // What the stages wait for. Signals wake nobody up, so everybody looks again now and then.
  template <class Condition>
  void wait(Lock& lock, const Condition& condition) {
    while (!condition()) changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
  bool over() const { return stop_ || fatal_; }

  void read_all() {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      {
        Lock lock(mutex_);
        wait(lock, [&] { return over() || i <= next_ + static_cast<std::size_t>(options_.jobs); });
        if (over()) break;
      }
      Slot slot;
      slot.picture.job = jobs_[i];
      try {
        check(jobs_[i].error.empty(), jobs_[i].error);
        if (!jobs_[i].skipped && can_read_ahead(jobs_[i], limits_)) read_picture(options_, limits_, slot.picture);
      } catch (...) {
        slot.error = std::current_exception();
      }
      const Lock lock(mutex_);
      read_.emplace(i, std::move(slot));
      changed_.notify_all();
    }
    const Lock lock(mutex_);
    reading_over_ = true;
    changed_.notify_all();
  }

  void compute_all() {
    const std::unique_ptr<SerialScope> serial = num_threads() == 1 ? std::make_unique<SerialScope>() : nullptr;
    for (;;) {
      Slot slot;
      std::size_t i = 0;
      {
        Lock lock(mutex_);
        wait(lock, [&] { return over() || read_.count(next_) > 0 || next_ == jobs_.size(); });
        if (over() || next_ == jobs_.size()) return;
        i = next_++;
        slot = std::move(read_.at(i));
        read_.erase(i);
        changed_.notify_all();
      }
      Picture& picture = slot.picture;
      try {
        if (picture.job.skipped) {
          Outcome outcome;
          outcome.status = Outcome::Status::kSkipped;
          outcome.picture = without_content(std::move(picture));
          console_.finish(i, std::move(outcome));
          continue;
        }
        if (slot.error) std::rethrow_exception(slot.error);
        if (!picture.read) read_picture(options_, limits_, picture);
        const Model<float>* model = nullptr;
        try {
          model = &load();
        } catch (...) {
          const Lock lock(mutex_);
          if (!fatal_) fatal_ = std::current_exception();
          changed_.notify_all();
          return;
        }
        const auto progress = [this, i](double share) { console_.progress(i, share); };
        if (options_.sequence) {
          enhance_next(i, *model, picture);
        } else {
          enhance_picture(*model, options_, limits_, picture, progress);
        }
        std::size_t bytes = 0;
        for (const Picture::Result& result : picture.results) bytes += result.image.data.size() + result.file.size();
        if (bytes > kWriteBehindBytes || !options_.maps.empty()) {
          finish(i, std::move(picture));
          continue;
        }
        Lock lock(mutex_);
        wait(lock, [&] { return to_write_.size() < static_cast<std::size_t>(options_.jobs); });
        to_write_.emplace_back(i, std::move(picture));
        changed_.notify_all();
      } catch (const std::exception& error) {
        console_.finish(i, failure(std::move(picture), error));
      }
    }
  }

  void write_all() {
    for (;;) {
      std::pair<std::size_t, Picture> next;
      {
        Lock lock(mutex_);
        wait(lock, [&] { return !to_write_.empty() || computing_over_; });
        if (to_write_.empty()) return;
        next = std::move(to_write_.front());
        to_write_.pop_front();
        changed_.notify_all();
      }
      finish(next.first, std::move(next.second));
    }
  }

  void finish(std::size_t i, Picture picture) {
    try {
      write_picture(options_, picture, folders_);
      Outcome outcome;
      outcome.line = result_line(picture);
      outcome.picture = without_content(std::move(picture));
      console_.finish(i, std::move(outcome));
    } catch (const std::exception& error) {
      picture.results.clear();
      console_.finish(i, failure(std::move(picture), error));
    }
  }

  /// The next frame of a sequence, which one thread alone computes.
  void enhance_next(std::size_t i, const Model<float>& model, Picture& picture) {
    frame_ = i;
    if (!sequence_) {
      const auto progress = [this](double share) { console_.progress(frame_, share); };
      sequence_ = std::make_unique<SequenceEnhancer>(model, frame_options(options_, limits_, picture, progress),
                                                     options_.rate());
    }
    if (frame_width_ == 0) {
      frame_width_ = picture.width;
      frame_height_ = picture.height;
    }
    check(picture.width == frame_width_ && picture.height == frame_height_, shown(picture.job), ": it has ",
          picture.width, " x ", picture.height, " pixels, expected ", frame_width_, " x ", frame_height_,
          " as the first of the --sequence");
    enhance_frame(*sequence_, options_, picture);
  }

  /// The model, from its first use on.
  const Model<float>& load() {
    const std::lock_guard lock(model_mutex_);
    if (model_) return *model_;
    model_ =
        std::make_unique<Model<float>>(load_enhancer(options_, [&](const std::string& line) { console_.say(line); }));
    return *model_;
  }

  /// A night's work should not end with a report that has no place to go to.
  void check_report_folder() const {
    const std::filesystem::path folder = std::filesystem::path(options_.report).parent_path();
    std::error_code error;
    check(folder.empty() || std::filesystem::is_directory(folder, error), "--report ", options_.report,
          ": there is no folder ", folder.native());
  }

  void write_report(const std::vector<Outcome>& outcomes) const {
    using Json = nlohmann::ordered_json;
    const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
    Json pictures = Json::array();
    std::size_t counts[3] = {};
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      Json entry = {{"input", jobs_[i].input.string()}, {"outputs", Json::array()}};
      for (const auto& path : jobs_[i].outputs) entry["outputs"].push_back(path.string());
      if (i >= outcomes.size()) {
        entry["status"] = "not done";
        pictures.push_back(std::move(entry));
        continue;
      }
      const Outcome& outcome = outcomes[i];
      constexpr const char* kNames[] = {"done", "failed", "skipped"};
      const auto status = static_cast<std::size_t>(outcome.status);
      ++counts[status];
      entry["status"] = kNames[status];
      if (!outcome.error.empty()) entry["error"] = outcome.error;
      const Picture& picture = outcome.picture;
      if (picture.width > 0) entry["width"] = picture.width;
      if (picture.height > 0) entry["height"] = picture.height;
      if (!picture.results.empty()) {
        entry["ratios"] = Json::array();
        for (const Picture::Result& result : picture.results) entry["ratios"].push_back(rounded(result.ratio));
        entry["left_out"] = picture.left_out;
        entry["seconds"] = {{"read", rounded(picture.read_seconds)},
                            {"enhance", rounded(picture.enhance_seconds)},
                            {"write", rounded(picture.write_seconds)}};
      }
      pictures.push_back(std::move(entry));
    }
    const Json report = {{"done", counts[0]},
                         {"failed", counts[1]},
                         {"skipped", counts[2]},
                         {"not_done", jobs_.size() - outcomes.size()},
                         {"seconds", rounded(console_.elapsed())},
                         {"peak_memory_mib", rounded(static_cast<double>(peak_memory()) / (1 << 20))},
                         {"pictures", pictures}};
    // Names of files may be any bytes.
    write_file_atomic(options_.report, report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  const Options& options_;
  const std::vector<Job>& jobs_;
  const StopSignal& stop_;
  Limits limits_;
  Folders folders_;
  Console console_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Slot> read_;
  std::deque<std::pair<std::size_t, Picture>> to_write_;
  std::size_t next_ = 0;  // to be computed
  bool reading_over_ = false, computing_over_ = false;
  std::exception_ptr fatal_;

  std::mutex model_mutex_;
  std::unique_ptr<Model<float>> model_;

  std::unique_ptr<SequenceEnhancer> sequence_;
  std::size_t frame_ = 0;  // the one at hand
  int frame_width_ = 0, frame_height_ = 0;
};

/// Reads on from the standard input until it is plain whether it is a video.
std::vector<std::uint8_t> peek_stdin(const StopSignal& stop) {
  std::vector<std::uint8_t> start;
  while (start.size() < kY4mMagic.size() && std::equal(start.begin(), start.end(), kY4mMagic.begin())) {
    std::uint8_t bytes[kY4mMagic.size()];
    const std::size_t got = read_some(STDIN_FILENO, "the standard input", bytes, kY4mMagic.size() - start.size(),
                                      [&] { return stop != 0; });
    if (got == 0) break;
    start.insert(start.end(), bytes, bytes + got);
  }
  return start;
}

}  // namespace

int run_batch(const Options& options, const StopSignal& stop) {
  if (options.threads > 0) set_num_threads(options.threads);
  const bool stdin_alone = options.inputs.size() == 1 && options.inputs[0] == "-";
  std::vector<std::uint8_t> start;
  if (stdin_alone && !options.dry_run) start = peek_stdin(stop);
  const bool named_video = options.dry_run && lower_extension(options.output) == ".y4m";
  const bool video = stdin_alone
                         ? named_video || std::equal(start.begin(), start.end(), kY4mMagic.begin(), kY4mMagic.end())
                         : is_video_file(options);
  check(!options.sequence || !options.skip_existing || video,
        "--skip-existing: the light of a --sequence depends on the frames before, so that none can be passed over; "
        "--overwrite makes all of them again");
  const std::vector<Job> jobs = plan(options, video);
  if (options.dry_run) {
    std::size_t failed = 0;
    for (const Job& job : jobs) {
      if (!job.error.empty()) std::cerr << "kind-infer: " << printable(job.error, kMaxName) << std::endl;
      failed += job.error.empty() ? 0 : 1;
      for (const auto& output : job.outputs) {
        std::cout << job.input.string() << " -> " << output.string() << (job.skipped ? " (exists)" : "") << '\n';
      }
      if (job.outputs.empty() && job.error.empty()) {
        std::cout << job.input.string() << " -> " << options.compare << '\n';
      }
    }
    std::cout << std::flush;
    return failed == 0 ? kExitDone : failed < jobs.size() ? kExitSomeFailed : kExitError;
  }
  if (video) return run_video(options, jobs[0], std::move(start), stop);
  return Batch(options, jobs, std::move(start), stop).run();
}

}  // namespace kind
