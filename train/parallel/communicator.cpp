#include "train/parallel/communicator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace kind {
namespace {

class OneProcess : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string name() const override { return "rank 0"; }
  void gather(const void* mine, std::size_t bytes, void* all) override { std::memcpy(all, mine, bytes); }
  void broadcast(void*, std::size_t) override {}
  void exchange(const float* send, const std::vector<Piece>& sent, float* receive,
                const std::vector<Piece>& received) override {
    std::copy_n(send + sent.at(0).offset, sent[0].count, receive + received.at(0).offset);
  }
  std::unique_ptr<Communicator> first(int) override { return one_process(); }
  bool concurrent() const override { return true; }
  void cancel() override {}
  void abort(int) override {}
};

/// A text of every rank.
std::vector<std::string> gather_texts(Communicator& ranks, const std::string& mine) {
  const std::size_t size = static_cast<std::size_t>(ranks.size());
  const std::uint64_t own = mine.size();
  std::vector<std::uint64_t> lengths(size);
  ranks.gather(&own, sizeof own, lengths.data());
  const std::size_t longest = std::max<std::size_t>(1, *std::max_element(lengths.begin(), lengths.end()));
  std::string padded = mine, all(size * longest, '\0');
  padded.resize(longest);
  ranks.gather(padded.data(), longest, all.data());
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < size; ++r) texts.push_back(all.substr(r * longest, lengths[r]));
  return texts;
}

}  // namespace

bool started_as_ranks() {
  // Of Open MPI's mpirun, of other launchers and process managers, and of Slurm's srun.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(name);
    if (value && std::atoi(value) > 1) return true;
  }
  return false;
}

std::unique_ptr<Communicator> one_process() { return std::make_unique<OneProcess>(); }

void together(Communicator& ranks, const std::function<void()>& work) {
  if (ranks.size() == 1) return work();
  std::exception_ptr failure;
  std::string message;
  try {
    work();
  } catch (const std::exception& error) {
    failure = std::current_exception();
    message = error.what();
  }
  const char mine = failure ? 1 : 0;
  std::string failed(static_cast<std::size_t>(ranks.size()), '\0');
  ranks.gather(&mine, 1, failed.data());
  const std::size_t first = failed.find('\1');
  if (first == std::string::npos) return;
  ranks.failed_ = true;
  const std::vector<std::string> names = gather_texts(ranks, ranks.name()), messages = gather_texts(ranks, message);
  if (failure) std::rethrow_exception(failure);
  fail(names[first], ": ", messages[first]);
}

void on_first(Communicator& ranks, const std::function<void()>& work) {
  together(ranks, [&] {
    if (ranks.rank() == 0) work();
  });
}

bool any_rank(Communicator& ranks, bool mine) {
  if (ranks.size() == 1) return mine;
  const char own = mine ? 1 : 0;
  std::string all(static_cast<std::size_t>(ranks.size()), '\0');
  ranks.gather(&own, 1, all.data());
  return all.find('\1') != std::string::npos;
}

void check_same(Communicator& ranks, const std::string& what, const std::string& mine, const std::string& advice) {
  if (ranks.size() == 1) return;
  const std::vector<std::string> all = gather_texts(ranks, mine), names = gather_texts(ranks, ranks.name());
  together(ranks, [&] {
    for (std::size_t r = 1; r < all.size(); ++r) {
      check(all[r] == all[0], what, " differs: ", Quoted{all[r]}, " on ", names[r], ", ", Quoted{all[0]}, " on ",
            names[0], "; ", advice);
    }
  });
}

}  // namespace kind
