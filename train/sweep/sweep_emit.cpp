#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/files/file.h"
#include "train/sweep/sweep_run.h"

namespace kind {
namespace {

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

/// What both scripts begin with; `tasks` are the branches of its case.
std::string script_head(const std::string& name, const SweepOptions& options, const std::string& tasks) {
  return "#!/usr/bin/env bash\n# The runs of the sweep " + name + R"sh(, in levels: each needs those before it.
# KIND_TRAIN names the program, KIND_DATA the folder of pictures where it is not the one in the configs
# (NAME=DIR, one a line, of several sources).
set -euo pipefail
KIND_TRAIN=${KIND_TRAIN:-)sh" +
         shell_word(options.program) + R"sh(}
data=()
while IFS= read -r line; do
  [ -z "$line" ] || data+=(--data "$line")
done <<<"${KIND_DATA:-}"
cd )sh" + shell_word(std::filesystem::current_path().string()) +
         "\nout=" + shell_word(options.out) + R"sh(

run_task() {
  local name=$1 status=0
  case $name in
)sh" + tasks +
         R"sh(    *) echo "there is no task $name" >&2; return 2 ;;
  esac
  # The third word is the folder of the run.
  if [ -e "$3/model.safetensors" ] || [ -e "$3/stopped.json" ] || [ -e "$3/failed.json" ]; then return; fi
  "$KIND_TRAIN" "$@" ${data[@]+"${data[@]}"} ${KIND_THREADS:+-t "$KIND_THREADS"} \
    >>"$out/logs/$name.txt" 2>&1 || status=$?
  # A run that failed, by a NaN say, has left its reason; only what a signal has ended is to be tried again.
  [ "$status" -lt 128 ] || return "$status"
}

)sh";
}

std::string slurm_tail(const std::string& name, const std::vector<std::vector<const SweepTask*>>& levels) {
  const std::string submit = "sbatch --parsable --job-name=" + shell_word(name) + " --output=\"$out/logs/slurm-";
  std::string text =
      R"sh(# Without arguments: submits a job array for each level, and a job that removes what only they needed. sbatch takes
# further options from SBATCH_* variables.
if [ $# -eq 0 ]; then
  after=()
)sh";
  for (std::size_t level = 0; level < levels.size(); ++level) {
    text += join("  job=$(", submit, "%A-%a.txt\" --array=1-", levels[level].size(),
                 " \\\n    ${after[@]+\"${after[@]}\"} \"$out/slurm.sh\" ", level,
                 ")\n  after=(\"--dependency=afterany:${job%%;*}\")\n");
  }
  return text + "  " + submit + R"sh(%j.txt" "${after[@]}" "$out/slurm.sh" clean
  exit
fi
if [ "$1" = clean ]; then
  rm -rf "$out"/shared/maps-*
  exit
fi
KIND_THREADS=${KIND_THREADS:-${SLURM_CPUS_PER_TASK:-}}
run_task "$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$out/points/level-$1.txt")"
)sh";
}

std::string parallel_tail(const SweepOptions& options, std::size_t levels) {
  std::string text = join(
      R"sh(# With the name of a task: that one. Without: all, KIND_JOBS at a time; KIND_PARALLEL holds options of GNU parallel.
if [ $# -gt 0 ]; then
  run_task "$1"
  exit
fi
KIND_JOBS=${KIND_JOBS:-)sh",
      options.jobs, "}\nexport KIND_TRAIN KIND_DATA KIND_THREADS=${KIND_THREADS:-",
      std::max(1, options.threads / options.jobs), "}\nstatus=0\nfor level in");
  for (std::size_t level = 0; level < levels; ++level) text += join(" ", level);
  return text + R"sh(; do
  # shellcheck disable=SC2086
  parallel ${KIND_PARALLEL:-} --jobs "$KIND_JOBS" bash "$out/parallel.sh" {} <"$out/points/level-$level.txt" || status=1
done
rm -rf "$out"/shared/maps-*
exit "$status"
)sh";
}

}  // namespace

std::string emit_sweep(const SweepPlan& plan, const SweepOptions& options, SweepScript kind) {
  check_sweep(plan, options);
  write_plan(plan, options.out);
  SweepOptions kept = options;
  kept.program = keep_program(options);
  const std::vector<std::vector<const SweepTask*>> levels = levels_of(plan);
  std::string tasks;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    std::string list;
    for (const SweepTask* task : levels[level]) {
      write_task(*task, options.out);
      list += task->name + "\n";
      tasks += "    " + task->name + ") set --";
      for (const std::string& argument : task_arguments(*task, plan, options.out)) tasks += " " + shell_word(argument);
      tasks += " ;;\n";
    }
    write_file_atomic(join(options.out, "/points/level-", level, ".txt"), list);
  }
  const bool slurm = kind == SweepScript::kSlurm;
  const std::string path = options.out + (slurm ? "/slurm.sh" : "/parallel.sh");
  write_file_atomic(path, script_head(plan.name, kept, tasks) +
                              (slurm ? slurm_tail(plan.name, levels) : parallel_tail(options, levels.size())));
  return path;
}

}  // namespace kind
