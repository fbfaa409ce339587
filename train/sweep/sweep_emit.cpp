#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/files/file.h"
#include "train/sweep/sweep_lock.h"
#include "train/sweep/sweep_run.h"
#include "train/sweep/sweep_state.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

/// A word that a shell takes as it is.
std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

/// The tasks by level, so that each needs only those of levels before it.
std::vector<std::vector<const SweepTask*>> levels_of(const SweepPlan& plan) {
  std::vector<std::vector<const SweepTask*>> levels;
  const auto add = [&](const SweepTask& task) {
    const std::size_t level = static_cast<std::size_t>(task.level);
    if (levels.size() <= level) levels.resize(level + 1);
    levels[level].push_back(&task);
  };
  for (const SweepTask& task : plan.shared) add(task);
  for (const SweepTask& task : plan.runs) add(task);
  return levels;
}

/// What both scripts begin with; `tasks` are the branches of its case, `out` the sweep's folder, absolute.
std::string script_head(const SweepPlan& plan, const std::string& program, const std::string& out,
                        const std::string& tasks) {
  return "#!/usr/bin/env bash\n# The runs of the sweep " + plan.name + R"sh(, in levels: each needs those before it.
# Of the environment: KIND_TRAIN names the program, KIND_DATA the folder of pictures where it is not the one in the
# configs (NAME=DIR, one a line, of several sources), KIND_THREADS the threads of a run. KIND_PIN=1 keeps each run to
# as many processors of its own. All KIND_* variables reach the nodes, by a file.
set -euo pipefail
out=)sh" +
         shell_word(out) + "\nkeep=" + plan.keep + "\n" + R"sh(
# Relative paths count from where the script is started.
absolute() { realpath -sm -- "$1"; }

# Writes the settings into a file for the nodes, and prints its path.
save_settings() {
  local file name line data=''
  case ${KIND_TRAIN:-} in */*) KIND_TRAIN=$(absolute "$KIND_TRAIN") ;; esac
  [ ! -e "${KIND_MODEL:-}" ] || KIND_MODEL=$(absolute "$KIND_MODEL")
  while IFS= read -r line; do
    case $line in
      '') continue ;;
      *=*) [ -e "$line" ] || line=${line%%=*}=$(absolute "${line#*=}") ;;
    esac
    [ ! -e "$line" ] || line=$(absolute "$line")
    data+=$line$'\n'
  done <<<"${KIND_DATA:-}"
  KIND_DATA=${data%$'\n'}
  file=$(mktemp "$out/logs/settings-XXXXXX")  # mktemp replaces the six X
  for name in "${!KIND_@}"; do printf 'export %s=%q\n' "$name" "${!name}"; done >"$file"
  printf '%s' "$file"
}

# Removes what is not to be kept of a finished run.
thin() {
  [ "$keep" != all ] && [ -e "$1/model.safetensors" ] || return 0
  rm -f "$1"/checkpoints/*.state.safetensors
  rm -f "$1"/checkpoints/*.safetensors
  [ "$keep" != model ] || rm -f "$1/best.safetensors"
}

pin=()
# taskset with the first KIND_THREADS processors that no other run of this sweep on this machine holds by a lock.
pin_run() {
  local cpus=() ranges range block lock
  IFS=, read -ra ranges <<<"$(taskset -cp $$ | sed 's/.*: //')"
  for range in "${ranges[@]}"; do
    for ((block = ${range%-*}; block <= ${range#*-}; ++block)); do cpus+=("$block"); done
  done
  for ((block = 0; (block + 1) * KIND_THREADS <= ${#cpus[@]}; ++block)); do
    exec {lock}>>"$out/logs/cpus-$(uname -n)-$KIND_THREADS-$block"
    if flock -n "$lock"; then
      pin=(taskset -c "$(IFS=,; echo "${cpus[*]:block * KIND_THREADS:KIND_THREADS}")")
      return
    fi
    exec {lock}>&-
  done
  echo "all processors are taken, so this run is not pinned" >&2
}

run_task() {
  local name=$1 status=0 data=() line
  while IFS= read -r line; do
    [ -z "$line" ] || data+=(--data "$line")
  done <<<"${KIND_DATA:-}"
  cd )sh" +
         shell_word(fs::current_path().string()) + R"sh(
  case $name in
)sh" + tasks +
         R"sh(    *) echo "there is no task $name" >&2; return 2 ;;
  esac
  # The third word is the folder of the run.
  if [ ! -e "$3/model.safetensors" ] && [ ! -e "$3/stopped.json" ] && [ ! -e "$3/failed.json" ]; then
    ${pin[@]+"${pin[@]}"} "${KIND_TRAIN:-)sh" +
         program + R"sh(}" "$@" ${data[@]+"${data[@]}"} \
      ${KIND_THREADS:+-t "$KIND_THREADS"} >>"$out/logs/$name.txt" 2>&1 || status=$?
  fi
  case $name in shared-*) ;; *) thin "$3" ;; esac
  # A run that failed, by a NaN say, has left its reason and is not tried again.
  [ "$status" -eq 0 ] || [ -e "$3/failed.json" ] || echo "$name: exit code $status; see $out/logs/$name.txt" >&2
  [ ! -e "$3/failed.json" ] || return 0
  return "$status"
}

)sh";
}

std::string slurm_tail(const SweepPlan& plan, const SweepOptions& options,
                       const std::vector<std::vector<const SweepTask*>>& levels) {
  const std::string submit = "sbatch --parsable --job-name=" + shell_word(plan.name) + " --output=\"$out/logs/slurm-";
  std::string text = join(
      R"sh(# Without arguments: submits a job array for each level, and a job that removes what only they needed. Each run has
# KIND_THREADS processors; sbatch takes further options from SBATCH_* variables.
if [ $# -eq 0 ]; then
  export KIND_THREADS=${KIND_THREADS:-)sh",
      std::max(1, options.threads / options.jobs), R"sh(}
  settings=$(save_settings)
  after=()
)sh");
  for (std::size_t level = 0; level < levels.size(); ++level) {
    text += join("  job=$(", submit, "%A-%a.txt\" --array=1-", levels[level].size(),
                 " --cpus-per-task=\"$KIND_THREADS\" \\\n    ${after[@]+\"${after[@]}\"} \"$out/slurm.sh\" ", level,
                 " \"$settings\")\n  after=(\"--dependency=afterany:${job%%;*}\")\n");
  }
  return text + "  " + submit + R"sh(%j.txt" "${after[@]}" "$out/slurm.sh" clean "$settings"
  exit
fi
if [ "$1" = clean ]; then
  rm -rf "$out"/shared/maps-* "$2"
  exit
fi
# shellcheck disable=SC1090
[ -z "${2:-}" ] || . "$2"
KIND_THREADS=${SLURM_CPUS_PER_TASK:-${KIND_THREADS:-}}
if [ "${KIND_PIN:-0}" = 1 ]; then pin=(srun --ntasks=1 --cpus-per-task="$KIND_THREADS" --cpu-bind=cores); fi
run_task "$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$out/points/level-$1.txt")"
)sh";
}

std::string parallel_tail(const SweepOptions& options, std::size_t levels) {
  std::string text = join(
      R"sh(# With the name of a task: that one, with the settings in the file. Without: all, KIND_JOBS at a time on each machine;
# KIND_PARALLEL holds options of GNU parallel.
if [ $# -gt 0 ]; then
  # shellcheck disable=SC1090
  [ -z "${2:-}" ] || . "$2"
  if [ "${KIND_PIN:-0}" = 1 ]; then pin_run; fi
  run_task "$1"
  exit
fi
KIND_JOBS=${KIND_JOBS:-)sh",
      options.jobs, "}\nexport KIND_THREADS=${KIND_THREADS:-", std::max(1, options.threads / options.jobs),
      "}\nsettings=$(save_settings)\ntrap 'rm -f \"$settings\"' EXIT\nstatus=0\nfor level in");
  for (std::size_t level = 0; level < levels; ++level) text += join(" ", level);
  return text + R"sh(; do
  # shellcheck disable=SC2086
  parallel ${KIND_PARALLEL:-} --quote --jobs "$KIND_JOBS" bash "$out/parallel.sh" {} "$settings" \
    <"$out/points/level-$level.txt" || status=1
done
rm -rf "$out"/shared/maps-*
exit "$status"
)sh";
}

}  // namespace

std::string emit_sweep(const SweepPlan& plan, const SweepOptions& options, SweepScript kind) {
  check(!plan.config.halving,
        "--emit: a sweep with halving runs on one machine, with --jobs: each rung waits for all of its runs, which a "
        "script cannot compare");
  check_sweep(plan, options);
  make_folder(options.out);
  const SweepLock lock(options.out);  // no sweep runs whose plan this would change
  write_plan(plan, options.out);
  SweepOptions kept = options;
  kept.program = keep_program(options);
  // Nodes begin in a folder of their own.
  const std::string out = fs::absolute(options.out).lexically_normal().string();
  const std::string program = "$out/bin/" + fs::path(kept.program).filename().string();
  const std::vector<std::vector<const SweepTask*>> levels = levels_of(plan);
  std::string tasks;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    std::string list;
    for (const SweepTask* task : levels[level]) {
      write_task(*task, options.out);
      list += task->name + "\n";
      tasks += "    " + task->name + ") set --";
      for (const std::string& argument : task_arguments(*task, plan, out)) tasks += " " + shell_word(argument);
      tasks += " ;;\n";
    }
    write_file_atomic(join(options.out, "/points/level-", level, ".txt"), list);
  }
  const bool slurm = kind == SweepScript::kSlurm;
  std::string path = options.out + (slurm ? "/slurm.sh" : "/parallel.sh");
  write_file_atomic(path, script_head(plan, program, out, tasks) +
                              (slurm ? slurm_tail(plan, kept, levels) : parallel_tail(kept, levels.size())));
  return path;
}

}  // namespace kind
