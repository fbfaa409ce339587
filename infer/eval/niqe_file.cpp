#include "infer/eval/niqe_file.h"

#include <cmath>
#include <cstdint>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/files/mat.h"

namespace kind {
namespace {

/// The matrix of that name, with finite numbers.
const MatMatrix& matrix_of(const std::map<std::string, MatMatrix>& all, const char* name, std::int64_t rows,
                           std::int64_t columns, const std::string& path) {
  const auto found = all.find(name);
  check(found != all.end(), path, ": it has no matrix ", name,
        "; expected a model of NIQE with mu_prisparam and "
        "cov_prisparam");
  const MatMatrix& matrix = found->second;
  check(matrix.rows == rows && matrix.columns == columns, path, ": ", name, ": expected ", rows, " x ", columns,
        " numbers, got ", matrix.rows, " x ", matrix.columns);
  for (const double value : matrix.values) {
    check(std::isfinite(value), path, ": ", name, ": a number is not finite");
  }
  return matrix;
}

}  // namespace

NiqeModel read_niqe_model(const std::string& path) {
  const auto is_json = [&path] {
    FileReader file(path);
    for (const std::uint8_t byte : file.read_until(64)) {
      if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') return byte == '{';
    }
    return true;
  };
  if (is_json()) return parse_config<NiqeModel>(read_json_file(path), path);
  constexpr auto kCount = static_cast<std::int64_t>(kNiqeFeatures);
  const std::map<std::string, MatMatrix> all = read_mat(path);
  const MatMatrix& mean = matrix_of(all, "mu_prisparam", 1, kCount, path);
  const MatMatrix& covariance = matrix_of(all, "cov_prisparam", kCount, kCount, path);
  NiqeModel model;
  model.mean = mean.values;
  for (std::int64_t i = 0; i < kCount; ++i) {
    model.covariance.emplace_back();
    for (std::int64_t k = 0; k < kCount; ++k) model.covariance.back().push_back(covariance.at(i, k));
  }
  for (std::int64_t i = 0; i < kCount; ++i) {
    for (std::int64_t k = 0; k < i; ++k) {
      const double a = covariance.at(i, k), b = covariance.at(k, i);
      check(std::abs(a - b) <= 1e-9 * (std::abs(a) + std::abs(b)), path, ": cov_prisparam: it is not symmetric");
    }
  }
  return model;
}

}  // namespace kind
