#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kind {

/// The programs, called ranks, that train one model together: how they exchange bytes. The only implementation that
/// knows MPI is train/parallel/mpi.cpp. Every function but rank, size, name, concurrent, cancel and abort is collective: all
/// ranks must call it, in the same order. One thread at a time uses an object.
class Communicator {
 public:
  /// Part of an array of floats.
  struct Piece {
    std::int64_t offset = 0, count = 0;
  };

  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// For messages: "rank 3 (node7)".
  virtual std::string name() const = 0;
  /// `bytes` bytes of every rank, in the order of the ranks, to all of them: `all` has room for size() times as many.
  virtual void gather(const void* mine, std::size_t bytes, void* all) = 0;
  /// `bytes` bytes of rank 0 to all others.
  virtual void broadcast(void* data, std::size_t bytes) = 0;
  /// Sends piece r of `send` to rank r, and receives from rank r piece r of `receive`.
  virtual void exchange(const float* send, const std::vector<Piece>& sent, float* receive,
                        const std::vector<Piece>& received) = 0;
  /// The first `count` ranks among themselves; null on the others. Its messages never mix with this object's.
  virtual std::unique_ptr<Communicator> first(int count) = 0;
  /// Whether different objects may be used by different threads at the same time.
  virtual bool concurrent() const = 0;
  /// From another thread: makes an exchange() that waits, and every later one, throw Error. For a program that is about to
  /// end by abort(): until then memory that was given to the exchange may be read and written, and this object must stay.
  virtual void cancel() = 0;
  /// Ends all ranks at once, from any of them. Not collective. Never returns where there are several ranks.
  virtual void abort(int exit_code) = 0;

  /// Whether together() has told all ranks of an error, so that each ends by itself.
  bool failed() const { return failed_; }

 private:
  friend void together(Communicator& ranks, const std::function<void()>& work);
  bool failed_ = false;
};

/// A communicator of this program alone.
std::unique_ptr<Communicator> one_process();

/// The ranks that this program was started with by mpirun or srun, or this program alone. Throws Error if it was
/// started as one of several, but built without MPI, or MPI finds this one alone. To be called once, by the main
/// thread; the object must be destroyed before `main` returns.
std::unique_ptr<Communicator> started_ranks();
/// Whether a launcher has started several of this program as ranks of one job, going by its environment variables.
bool started_as_ranks();
/// For --version: the library and its version, or "none".
std::string mpi_version();

/// Runs `work`, which must not be collective, on every rank. If it throws on any of them, throws on all: where it has
/// thrown, the same exception; elsewhere an Error with the message of the first rank that has.
void together(Communicator& ranks, const std::function<void()>& work);
/// The same on rank 0 alone.
void on_first(Communicator& ranks, const std::function<void()>& work);
/// Whether it is true on any rank.
bool any_rank(Communicator& ranks, bool mine);
/// Throws Error that names `what`, both ranks and their values if a rank has another one than rank 0; `advice` says
/// what to do.
void check_same(Communicator& ranks, const std::string& what, const std::string& mine, const std::string& advice);

}  // namespace kind
