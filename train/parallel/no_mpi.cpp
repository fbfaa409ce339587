#include "core/base/error.h"
#include "train/parallel/communicator.h"

namespace kind {

std::unique_ptr<Communicator> started_ranks() {
  check(!started_as_ranks(),
        "started as one of several ranks, but this kind-train is built without MPI; install libopenmpi-dev (or another "
        "MPI) and build again, with -DKIND_WITH_MPI=ON");
  return one_process();
}

std::string mpi_version() { return "none"; }

}  // namespace kind
