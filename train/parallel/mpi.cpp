// The only file that knows MPI.

#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <thread>

#include "core/base/error.h"
#include "train/parallel/communicator.h"

namespace kind {
namespace {

/// MPI counts in int.
int as_int(std::int64_t count) {
  check(count <= INT_MAX, "MPI cannot send ", count, " numbers at once");
  return static_cast<int>(count);
}

// Errors of MPI end all ranks with MPI's message: its default.
class Mpi : public Communicator {
 public:
  explicit Mpi(MPI_Comm comm, bool world) : comm_(comm), world_(world) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &size_);
    char host[MPI_MAX_PROCESSOR_NAME];
    int length = 0;
    MPI_Get_processor_name(host, &length);
    name_ = join("rank ", rank_, " (", std::string(host, static_cast<std::size_t>(length)), ")");
  }
  ~Mpi() override {
    if (world_) {
      MPI_Finalize();
    } else {
      MPI_Comm_free(&comm_);
    }
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return name_; }
  void gather(const void* mine, std::size_t bytes, void* all) override {
    const int count = as_int(static_cast<std::int64_t>(bytes));
    MPI_Allgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, comm_);
  }
  void broadcast(void* data, std::size_t bytes) override {
    MPI_Bcast(data, as_int(static_cast<std::int64_t>(bytes)), MPI_BYTE, 0, comm_);
  }
  void exchange(const float* send, const std::vector<Piece>& sent, float* receive,
                const std::vector<Piece>& received) override {
    const Counts to(sent), from(received);
    MPI_Request request;
    MPI_Ialltoallv(send, to.counts.data(), to.offsets.data(), MPI_FLOAT, receive, from.counts.data(),
                   from.offsets.data(), MPI_FLOAT, comm_, &request);
    // MPI's own wait would keep a processor busy that computes meanwhile.
    constexpr std::chrono::microseconds kPause(50);
    for (int done = 0; !done;) {
      check(!cancelled_, "an exchange of gradients was cancelled");
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (!done) std::this_thread::sleep_for(kPause);
    }
  }
  std::unique_ptr<Communicator> first(int count) override {
    MPI_Comm part = MPI_COMM_NULL;
    MPI_Comm_split(comm_, rank_ < count ? 0 : MPI_UNDEFINED, rank_, &part);
    if (part == MPI_COMM_NULL) return nullptr;
    return std::make_unique<Mpi>(part, false);
  }
  bool concurrent() const override {
    int provided = MPI_THREAD_SINGLE;
    MPI_Query_thread(&provided);
    return provided == MPI_THREAD_MULTIPLE;
  }
  void cancel() override { cancelled_ = true; }
  void abort(int exit_code) override { MPI_Abort(comm_, exit_code); }

 private:
  struct Counts {
    std::vector<int> counts, offsets;
    explicit Counts(const std::vector<Piece>& pieces) {
      for (const Piece& piece : pieces) {
        counts.push_back(as_int(piece.count));
        offsets.push_back(as_int(piece.offset));
      }
    }
  };

  MPI_Comm comm_;
  bool world_;
  std::atomic<bool> cancelled_{false};
  int rank_ = 0, size_ = 1;
  std::string name_;
};

}  // namespace

std::unique_ptr<Communicator> started_ranks() {
  if (!started_as_ranks()) return one_process();
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  auto ranks = std::make_unique<Mpi>(MPI_COMM_WORLD, true);
  check(provided >= MPI_THREAD_FUNNELED, "this MPI does not allow threads (MPI_THREAD_FUNNELED)");
  check(ranks->size() > 1, "started as one of several ranks, of which MPI (", mpi_version(),
        ") finds this one alone; start it with that MPI's mpirun, or with srun --mpi=pmix");
  return ranks;
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace kind
