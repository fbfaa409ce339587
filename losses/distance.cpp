#include "losses/distance.h"

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace kind {

void check_same_pictures(const char* term, const Shape& a, const Shape& b) {
  check(a.rank() == 4 && a.size() > 0 && a == b, term, ": expected two pictures [n, c, h, w] of the same shape, got ",
        a.text(), " and ", b.text());
}

void check_illumination(const char* term, const Shape& l, const Shape& picture) {
  check(picture.rank() == 4 && picture.size() > 0 && l == picture.with(1, 1), term,
        ": expected an illumination [n, 1, h, w] of a picture [n, c, h, w], got ", l.text(), " and ", picture.text());
}

template <class T>
Variable<T> mean_distance(const char* term, const Variable<T>& a, const Variable<T>& b, Norm norm) {
  check_same_pictures(term, a.shape(), b.shape());
  const Variable<T> difference = a - b;
  return mean(norm == Norm::kL1 ? abs(difference) : square(difference));
}

template Variable<float> mean_distance(const char*, const Variable<float>&, const Variable<float>&, Norm);
template Variable<double> mean_distance(const char*, const Variable<double>&, const Variable<double>&, Norm);

}  // namespace kind
