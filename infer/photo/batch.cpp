// Long because a picture's way from reading to writing, with what becomes of its failures, is one class.

#include "infer/photo/batch.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/image/y4m.h"
#include "core/kernels/kernels.h"
#include "core/program/program.h"
#include "infer/photo/console.h"
#include "infer/photo/listing.h"
#include "infer/photo/output.h"
#include "infer/photo/report.h"
#include "infer/photo/streams.h"
#include "infer/photo/video.h"

namespace kind {
namespace {

constexpr std::size_t kMaxName = 4096;
/// Results that are written while the next picture is computed.
constexpr std::size_t kWriteBehindBytes = std::size_t{64} << 20;

/// Leaves of a picture what the report says of it.
Picture without_content(Picture picture) {
  picture.job = {};
  picture.claims.clear();
  picture.image = {};
  picture.animation = {};
  picture.metadata = {};
  picture.maps = {};
  picture.page = {};
  for (Picture::Result& result : picture.results) result = {result.ratio, result.strength, result.mean, {}, {}, {}};
  return picture;
}

Outcome failure(Picture picture, const std::exception& error) {
  Outcome outcome;
  outcome.status = Outcome::Status::kFailed;
  outcome.line = error_line("kind-infer", error);
  // Most messages name their file.
  const std::string name = shown_name(picture.job);
  if (outcome.line.find(name) == std::string::npos) outcome.line += " (" + name + ")";
  outcome.error = outcome.line.substr(std::string("kind-infer: ").size());
  // Of two pictures that clash, one says so.
  if (picture.job.said) outcome.line.clear();
  outcome.picture = without_content(std::move(picture));
  return outcome;
}

/// The pictures go through three stages: one thread reads them ahead of their turn, `jobs` threads compute, and as many
/// write. Computing begins in the plan's order.
class Batch {
 public:
  Batch(const Options& options, const Plan& plan, std::vector<std::uint8_t> stdin_start, Stopping& stopping)
      : options_(options),
        plan_(plan),
        jobs_(plan.jobs),
        stopping_(stopping),
        limits_(make_limits(options)),
        console_(options, plan.jobs) {
    limits_.stdin_start = std::move(stdin_start);
  }

  int run() {
    const int jobs = std::min(options_.jobs, static_cast<int>(std::max<std::size_t>(1, jobs_.size())));
    const int threads = num_threads();
    if (jobs > 1) set_num_threads(std::max(1, threads / jobs));
    if (into_folder(options_)) folders_.make(options_.output);
    if (!options_.maps.empty()) folders_.make(options_.maps);
    if (!options_.report.empty()) check_report_folder();
    stopping_.set_last_words([this] { leave(); });
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
    stopping_.set_last_words({});
    set_num_threads(threads);
    console_.say_rest();
    const bool reported = report();
    if (fatal_) std::rethrow_exception(fatal_);
    return conclude(reported);
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
  bool over() const { return stopping_.asked() || fatal_; }

  /// Whether the report, if there is to be one, is written.
  bool report() {
    if (options_.report.empty()) return true;
    try {
      write_report(options_, plan_, console_.outcomes(), console_.elapsed());
      return true;
    } catch (const Error& error) {
      console_.say(error_line("kind-infer", error));
      return false;
    }
  }

  /// The process is about to end while threads are at work.
  void leave() {
    console_.say_rest(true);
    report();
    say_stopped();
    folders_.remove_empty();
  }

  /// False where all pictures are done.
  bool say_stopped() {
    const std::vector<Outcome>& outcomes = console_.outcomes();
    const auto first = std::find_if(outcomes.begin(), outcomes.end(),
                                    [](const Outcome& outcome) { return outcome.status == Outcome::Status::kNotDone; });
    if (first == outcomes.end()) return false;
    // Several at once may end in another order.
    const auto others = std::count_if(
        first + 1, outcomes.end(), [](const Outcome& outcome) { return outcome.status == Outcome::Status::kNotDone; });
    const bool rest = others == outcomes.end() - first - 1;
    console_.say(join("kind-infer: stopped; ", shown_name(jobs_[static_cast<std::size_t>(first - outcomes.begin())]),
                      rest ? std::string(" and what follows it was not done")
                           : join(" and ", others, " that follow it were not done")));
    return true;
  }

  /// The last lines, and the exit code.
  int conclude(bool reported) {
    if (say_stopped()) return stopping_.exit_code();
    check(
        console_.output_error() == 0, "cannot write to the standard output: ",
        [&] { return std::system_category().message(console_.output_error()); }, "; the results are there");
    std::size_t failed = 0, skipped = 0, elsewhere = 0, damaged = 0;
    for (const Outcome& outcome : console_.outcomes()) {
      failed += outcome.status == Outcome::Status::kFailed ? 1 : 0;
      if (outcome.status == Outcome::Status::kSkipped) ++(outcome.claimed_elsewhere ? elsewhere : skipped);
      damaged += outcome.picture.damage.empty() ? 0 : 1;
    }
    const char* const why = options_.in_place ? ": their backups exist" : ": their results exist";
    if (skipped > 0) console_.say(join("kind-infer: skipped ", skipped, " of ", jobs_.size(), why));
    if (elsewhere > 0) {
      console_.say(join("kind-infer: skipped ", elsewhere, " of ", jobs_.size(), ": another run is working on them"));
    }
    if (plan_.earlier_results > 0) {
      console_.say(join("kind-infer: skipped ", plan_.earlier_results,
                        plan_.earlier_results == 1 ? " result" : " results", " of an earlier run (",
                        printable(options_.names->text(), kMaxName), ")"));
    }
    if (!plan_.passed_over.empty()) console_.say("kind-infer: passed over: " + passed_over_text(plan_.passed_over));
    if (plan_.broken_links > 0) {
      console_.say(join("kind-infer: passed over: ", plan_.broken_links,
                        plan_.broken_links == 1 ? " link that leads" : " links that lead", " nowhere"));
    }
    if (failed > 0 && failed == jobs_.size()) return kExitError;
    return failed == 0 && damaged == 0 && reported ? kExitDone : kExitSomeFailed;
  }

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
        if (may_read_ahead(jobs_[i])) read_picture(options_, limits_, stopping_, slot.picture);
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

  /// Not what needs no reading, as it is another run's, or what is too large.
  bool may_read_ahead(const Job& job) const {
    if (job.skipped) return false;
    std::error_code ignored;
    const bool result = options_.skip_existing && !job.outputs.empty() && !options_.to_stdout();
    if (result && std::filesystem::exists(Claim::path_of(job.outputs[0]), ignored)) return false;
    return can_read_ahead(job, limits_);
  }

  void skip(std::size_t i, Picture picture, const ClaimedElsewhere* elsewhere = nullptr) {
    Outcome outcome;
    outcome.status = Outcome::Status::kSkipped;
    outcome.claimed_elsewhere = elsewhere != nullptr;
    if (elsewhere != nullptr) outcome.line = join("kind-infer: skipped ", elsewhere->what());
    outcome.picture = without_content(std::move(picture));
    console_.finish(i, std::move(outcome));
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
          skip(i, std::move(picture));
          continue;
        }
        if (slot.error) std::rethrow_exception(slot.error);
        if (!claim_results(options_, picture, folders_)) {
          skip(i, std::move(picture));
          continue;
        }
        if (!compute(i, picture)) return;
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
      } catch (const Stopped&) {
        return;
      } catch (const ClaimedElsewhere& error) {
        if (options_.skip_existing) {
          skip(i, std::move(picture), &error);
        } else {
          console_.finish(i, failure(std::move(picture), error));
        }
      } catch (const std::exception& error) {
        console_.finish(i, failure(std::move(picture), error));
      }
    }
  }

  /// False where nothing can be computed at all.
  bool compute(std::size_t i, Picture& picture) {
    if (!picture.read) read_picture(options_, limits_, stopping_, picture);
    const Model<float>* model = nullptr;
    try {
      model = &load();
    } catch (...) {
      const Lock lock(mutex_);
      if (!fatal_) fatal_ = std::current_exception();
      changed_.notify_all();
      return false;
    }
    if (options_.sequence) {
      enhance_next(i, *model, picture);
    } else {
      enhance_picture(*model, options_, limits_, picture, [this, i](double share) {
        stopping_.check_time();
        console_.progress(i, share);
      });
    }
    return true;
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
      write_picture(options_, picture, folders_, stopping_);
      Outcome outcome;
      outcome.line = result_line(picture);
      outcome.picture = without_content(std::move(picture));
      console_.finish(i, std::move(outcome));
    } catch (const Stopped&) {
      return;
    } catch (const std::exception& error) {
      picture.results.clear();
      console_.finish(i, failure(std::move(picture), error));
    }
  }

  /// The next frame of a sequence, which one thread alone computes.
  void enhance_next(std::size_t i, const Model<float>& model, Picture& picture) {
    frame_ = i;
    if (!sequence_) {
      const auto progress = [this](double share) {
        stopping_.check_time();
        console_.progress(frame_, share);
      };
      sequence_ = std::make_unique<SequenceEnhancer>(model, frame_options(options_, limits_, picture, progress),
                                                     options_.rate());
    }
    if (frame_width_ == 0) {
      frame_width_ = picture.width;
      frame_height_ = picture.height;
    }
    check(picture.width == frame_width_ && picture.height == frame_height_, shown_name(picture.job), ": it has ",
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

  const Options& options_;
  const Plan& plan_;
  const std::vector<Job>& jobs_;
  Stopping& stopping_;
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
std::vector<std::uint8_t> peek_stdin(const Stopping& stopping) {
  std::vector<std::uint8_t> start;
  while (start.size() < kY4mMagic.size() && std::equal(start.begin(), start.end(), kY4mMagic.begin())) {
    std::uint8_t bytes[kY4mMagic.size()];
    const std::size_t got = read_some(STDIN_FILENO, "the standard input", bytes, kY4mMagic.size() - start.size(),
                                      [&] { return stopping.asked(); });
    if (got == 0) break;
    start.insert(start.end(), bytes, bytes + got);
  }
  return start;
}

/// --dry-run.
int show_plan(const Options& options, const std::vector<Job>& jobs) {
  std::size_t failed = 0;
  for (const Job& job : jobs) {
    if (!job.error.empty()) {
      if (!job.said) std::cerr << "kind-infer: " << printable(job.error, kMaxName) << std::endl;
      ++failed;
      continue;
    }
    for (const auto& output : job.outputs) {
      std::cout << job.input.string() << " -> " << output.string();
      if (job.skipped) {
        std::cout << " (exists)";
      } else if (!job.backup.empty()) {
        std::cout << ", the original -> " << job.backup.string();
      }
      std::cout << '\n';
    }
    if (job.outputs.empty()) std::cout << job.input.string() << " -> " << options.compare << '\n';
  }
  std::cout << std::flush;
  return failed == 0 ? kExitDone : failed < jobs.size() ? kExitSomeFailed : kExitError;
}

}  // namespace

int run_batch(const Options& options, const StopSignal& stop, const std::function<void(int)>& leave) {
  if (options.threads > 0) set_num_threads(options.threads);
  Stopping stopping(stop, leave);
  const bool stdin_alone = options.inputs.size() == 1 && options.inputs[0] == "-";
  std::vector<std::uint8_t> start;
  if (stdin_alone && !options.dry_run) start = peek_stdin(stopping);
  const bool named_video = options.dry_run && lower_extension(options.output) == ".y4m";
  const bool video = stdin_alone
                         ? named_video || std::equal(start.begin(), start.end(), kY4mMagic.begin(), kY4mMagic.end())
                         : is_video_file(options);
  check(!options.sequence || !options.skip_existing || video,
        "--skip-existing: the light of a --sequence depends on the frames before, so that none can be passed over; "
        "--overwrite makes all of them again");
  const Plan all = plan(options, video);
  for (const std::string& line : options_without_effect(options, all)) {
    std::cerr << "kind-infer: " << printable(line, kMaxName) << std::endl;
  }
  if (options.dry_run) return show_plan(options, all.jobs);
  if (video) return run_video(options, all.jobs[0], std::move(start), stopping);
  return Batch(options, all, std::move(start), stopping).run();
}

}  // namespace kind
