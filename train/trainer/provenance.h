#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "train/data/pairs.h"
#include "train/trainer/config.h"

namespace kind {

/// Where a run's results come from: the programs that worked on it, and its data. Equal runs of the same program have
/// equal ones: there are no paths, times or hosts in it.
///   programs  list of {version, commit, compiler, kernels}: the one that began the run, then each other one that went
///             on with it
///   data      {hash, pairs, sources: [{name, hash, pairs, train, validation, test, split, dark}]}; hash covers names,
///             sizes and pixels of the files, split the names of each part; dark: "files" or "camera model"
///   init      {STAGE: hash of the model file in its init}
nlohmann::ordered_json make_provenance(const TrainConfig& config, const Pairs& pairs);

/// The provenance of a run that goes on: `now`, with the programs of `before` ahead.
nlohmann::ordered_json joined_provenance(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now);

/// What differs between the data of two provenances, for a message: "source lol: 485 pairs then, 484 now"; empty if
/// nothing does, or if either has none.
std::string data_difference(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now);

/// OUT/provenance.json; null if there is none. Throws Error if it is not what kind-train writes.
nlohmann::ordered_json read_provenance(const std::string& out);

/// "kind 0.1.0, commit 0123456789ab, gcc 12.2.0, avx2 kernels" of one of the programs.
std::string program_text(const nlohmann::ordered_json& program);

}  // namespace kind
