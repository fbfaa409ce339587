#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/files/safetensors.h"
#include "nets/model.h"

namespace kind {

/// The state of a run besides its tensors. It does not depend on time, path, host or number of threads.
struct RunState {
  std::int64_t stage = 0;       // index of the stage
  std::int64_t stage_step = 0;  // steps taken in it
  std::int64_t step = 0;        // steps taken in all
  std::optional<double> best;   // highest validated PSNR of this stage
  bool validation_due = false;  // left before the validation of this step
  std::string data;             // Pairs::fingerprint in hexadecimal

  template <class V>
  void fields(V& v) {
    v.field("stage", stage, "Index of the stage.", at_least(0));
    v.field("stage_step", stage_step, "Steps taken in it.", at_least(0));
    v.field("step", step, "Steps taken in all stages.", at_least(0));
    v.field("best", best, "Highest PSNR validated in this stage.");
    v.field("validation_due", validation_due, "The validation of this step is still to come.");
    v.field("data", data, "Hash of the training pictures.");
  }
};

/// The checkpoints of a run: for step N, step-N.safetensors is the model as it would be used (averaged weights, if any)
/// and step-N.state.safetensors the state needed to resume. The model is written first, so a state never lacks its
/// model.
class Checkpoints {
 public:
  explicit Checkpoints(const std::string& out) : folder_(out + "/checkpoints") {}

  const std::string& folder() const { return folder_; }
  std::string model_path(std::int64_t step) const;
  std::string state_path(std::int64_t step) const;
  /// The step of the newest checkpoint; nothing if there is none.
  std::optional<std::int64_t> newest() const;
  /// The steps of all checkpoints, the newest first.
  std::vector<std::int64_t> newest_first() const;
  /// Removes all except the newest `count`; to be called when one is complete.
  void keep_last(std::int64_t count) const;

 private:
  std::vector<std::int64_t> steps(const std::string& suffix) const;

  std::string folder_;
};

/// Removes what a config's `keep` leaves out of a run that is finished (model.safetensors is there): with "models" its
/// checkpoints, with "model" best.safetensors, too. Does nothing to other runs. What cannot be removed stays.
void thin_run(const std::string& out, const std::string& keep);

/// The state's texts in the tensor file's metadata.
void put_state(const RunState& state, const ModelConfig& model, SafeTensors& content);
RunState get_state(const SafeTensors& content, ModelConfig& model);

/// Puts a checksum of all tensors into the metadata, so that damage to a state is noticed.
void seal_state(SafeTensors& content);
/// Throws Error naming the file if its tensors do not have the checksum in its metadata. States of earlier versions have
/// none, and pass.
void check_seal(const SafeTensors& content);

}  // namespace kind
