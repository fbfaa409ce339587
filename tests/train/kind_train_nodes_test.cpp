// The scripts of kind-train --emit: elsewhere, with settings that have to reach the nodes, they carry out the same runs.

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/train/sweep_program.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
namespace fs = std::filesystem;

Result shell(const TempDir& dir, const std::string& command) { return run(dir, {"-c", command}, "/bin/bash"); }

/// Stand-ins for both programs, which may not be installed: a task runs in another folder and knows nothing of the
/// environment. sbatch notes its arguments.
void put_stand_ins(const TempDir& dir) {
  fs::create_directory(dir / "bin");
  dir.put("bin/parallel", std::string(R"sh(#!/bin/bash
while [ "$1" != bash ]; do shift; done
status=0
while read -r name; do
  task=("${@/#\{\}/$name}")
  (cd / && env -i PATH="$PATH" "${task[@]}" </dev/null) || status=1
done
exit $status
)sh"));
  dir.put("bin/sbatch", std::string(R"sh(#!/bin/bash
last=1 cpus=''
echo "$*" >>)sh") + dir.path() +
                            R"sh(/submitted
for a; do
  case $a in
    --array=*) last=${a##*-} ;;
    --cpus-per-task=*) cpus=${a#*=} ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
for ((i = 1; i <= last; ++i)); do
  (cd / && env -i PATH="$PATH" SLURM_ARRAY_TASK_ID=$i ${cpus:+SLURM_CPUS_PER_TASK=$cpus} bash "$@")
done
echo 7
)sh");
  for (const char* program : {"bin/parallel", "bin/sbatch"}) ::chmod((dir / program).c_str(), 0755);
}

TEST_CASE("kind-train --sweep --emit: the scripts carry out the same runs, from any folder", "[slow]") {
  const TempDir dir;
  put_sweep(dir);
  const std::string isa = "KIND_ISA=baseline ";  // which every processor has
  REQUIRE(shell(dir, isa + KIND_TRAIN_PROGRAM + " --sweep s.json --out jobs --data $PWD/data").code == 1);
  const auto expected = results(dir, "jobs");
  put_stand_ins(dir);
  fs::create_directory(dir / "other folder");
  for (const std::string kind : {"parallel", "slurm"}) {
    const std::string out = kind + " 'it'";  // a shell would take it apart
    const Result emitted = run(dir, {"--sweep", "s.json", "--out", out, "--emit", kind});
    INFO(emitted.err);
    CHECK(emitted.code == 0);
    const std::string script = out + "/" + kind + ".sh";
    CHECK(emitted.out == script + "\n");
    CHECK(run(dir, {"-n", script}, "/bin/bash").code == 0);
    // The pictures are named by a path from where the script is started; points/*.json say "data", from elsewhere.
    const Result carried_out =
        shell(dir, "cd 'other folder' && " + isa + "KIND_DATA=../data KIND_THREADS=2 KIND_PIN=0 PATH=" + dir.path() +
                       "/bin:$PATH bash \"../" + script + "\"");
    INFO(carried_out.err);
    CHECK(carried_out.code == 0);
    CHECK(results(dir, out) == expected);
    CHECK(fs::exists(dir / (out + "/p2-s1/failed.json")));
    CHECK(fs::is_empty(dir / (out + "/p0-s1/checkpoints")));
    // Outputs of frozen nets take gigabytes: they go when all runs are done. So do the settings.
    for (const auto& entry : fs::directory_iterator(dir / (out + "/shared"))) {
      CHECK_THAT(entry.path().filename().string(), !StartsWith("maps-"));
    }
    for (const auto& entry : fs::directory_iterator(dir / (out + "/logs"))) {
      CHECK_THAT(entry.path().filename().string(), !StartsWith("settings-"));
    }
  }
  CHECK_THAT(text_of(dir / "submitted"), Contains("--array=1-") && Contains("--cpus-per-task=2"));
}

TEST_CASE("kind-train --sweep --emit: a run that cannot begin is told of, and the script fails") {
  const TempDir dir;
  put_sweep(dir);
  put_stand_ins(dir);
  REQUIRE(run(dir, {"--sweep", "s.json", "--out", "out", "--emit", "parallel"}).code == 0);
  const Result none = shell(dir, "KIND_DATA=nowhere PATH=" + dir.path() + "/bin:$PATH bash out/parallel.sh");
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Contains("p0-s1: exit code 2; see ") && Contains("/out/logs/p0-s1.txt"));
  // The first stage, which several runs share, has the reason; they have that it is not there.
  CHECK_THAT(text_of(dir / "out/logs/p0-s1.txt"), Contains("no finished run in it to branch from"));
  bool told = false;
  for (const auto& log : fs::directory_iterator(dir / "out/logs")) {
    told = told || text_of(log.path().string()).find("nowhere") != std::string::npos;
  }
  CHECK(told);
}

TEST_CASE("kind-train --sweep --emit: pinned runs keep to processors of their own") {
  const TempDir dir;
  put_sweep(dir);
  put_stand_ins(dir);
  if (shell(dir, "taskset -cp $$ && command -v flock").code != 0) {
    WARN("skipped: there is no taskset or no flock");
    return;
  }
  REQUIRE(run(dir, {"--sweep", "s.json", "--out", "out", "--emit", "parallel"}).code == 0);
  // A program that says where it runs, in place of kind-train.
  dir.put("where", std::string("#!/bin/bash\ntaskset -cp $$ | sed 's/.*: //'\n"));
  ::chmod((dir / "where").c_str(), 0755);
  REQUIRE(
      shell(dir, "KIND_PIN=1 KIND_THREADS=1 KIND_TRAIN=./where PATH=" + dir.path() + "/bin:$PATH bash out/parallel.sh")
          .code == 0);
  const std::string where = text_of(dir / "out/logs/p0-s1.txt");
  INFO(where);
  CHECK(where.find_first_not_of("0123456789\n") == std::string::npos);
  // While another run holds the first one, the next is taken, or none where there is one only.
  const Result second = shell(dir,
                              "exec 9>>out/logs/cpus-$(uname -n)-1-0 && flock 9 && KIND_PIN=1 KIND_THREADS=1 "
                              "KIND_TRAIN=$PWD/where bash out/parallel.sh p1-s1");
  CHECK(second.code == 0);
  const std::string other = text_of(dir / "out/logs/p1-s1.txt");
  const std::string last = other.substr(other.rfind('\n', other.size() - 2) + 1);
  CHECK((last != where || second.err.find("not pinned") != std::string::npos));
}

/// sshd on this machine alone, with keys of its own, in a folder; ended with it.
class SshServer {
 public:
  explicit SshServer(const TempDir& dir) : dir_(dir) {
    const std::string set_up = R"sh(
      sshd=$(command -v sshd || ls /usr/sbin/sshd 2>/dev/null) || exit 3
      for program in ssh ssh-keygen parallel; do command -v $program >/dev/null || exit 3; done
      mkdir ssh && cd ssh && chmod 700 . || exit 3
      ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f key && cp key.pub allowed || exit 3
      for port in $(seq $((20000 + $$ % 20000)) 7 65000 | head -20); do
        printf '%s\n' "Port $port" 'ListenAddress 127.0.0.1' "HostKey $PWD/host" "AuthorizedKeysFile $PWD/allowed" \
          "PidFile $PWD/pid" 'StrictModes no' 'UsePAM no' 'PasswordAuthentication no' >config
        "$sshd" -f "$PWD/config" -E "$PWD/log" || continue
        ssh="ssh -p $port -i $PWD/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        ssh="$ssh -o BatchMode=yes $(id -un)@127.0.0.1"
        $ssh true && echo "2/$ssh" >nodes && exit 0
        [ ! -e pid ] || kill "$(cat pid)"
      done
      exit 3)sh";
    const Result result = shell(dir, set_up);
    works_ = result.code == 0;
    reason_ = result.err;
  }
  ~SshServer() { shell(dir_, "[ ! -e ssh/pid ] || kill \"$(cat ssh/pid)\""); }
  SshServer(const SshServer&) = delete;
  SshServer& operator=(const SshServer&) = delete;

  bool works() const { return works_; }
  const std::string& reason() const { return reason_; }

 private:
  const TempDir& dir_;
  bool works_ = false;
  std::string reason_;
};

TEST_CASE("kind-train --sweep --emit parallel: over ssh the same bytes as with --jobs", "[slow]") {
  const TempDir dir;
  put_sweep(dir);
  const SshServer server(dir);
  if (!server.works()) {
    WARN("skipped: no sshd, ssh and GNU parallel that work together here: " << server.reason());
    return;
  }
  const std::string isa = "KIND_ISA=baseline ";
  REQUIRE(shell(dir, isa + KIND_TRAIN_PROGRAM + " --sweep s.json --out jobs --jobs 2 --data $PWD/data").code == 1);
  REQUIRE(run(dir, {"--sweep", "s.json", "--out", "ssh out", "--emit", "parallel"}).code == 0);
  fs::create_directory(dir / "other");
  const Result carried_out =
      shell(dir, "cd other && " + isa + "KIND_DATA=../data KIND_THREADS=1 KIND_PARALLEL='--sshloginfile " + dir.path() +
                     "/ssh/nodes --will-cite' bash '../ssh out/parallel.sh'");
  INFO(carried_out.err);
  CHECK(carried_out.code == 0);
  CHECK(results(dir, "ssh out") == results(dir, "jobs"));
}

}  // namespace
}  // namespace kind::testing
