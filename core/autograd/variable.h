#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/tensor.h"

namespace kind {

template <class T>
class Variable;

/// Adds each input's share of the gradient: for y = f(inputs) and `grad_out` = dE/dy, calls
/// inputs[i].add_grad(dE/dinputs[i]) for the inputs that need one. It may capture tensors (inputs' values, the
/// result's value) but never the result's Variable, which would own itself.
template <class T>
using BackwardFunction = std::function<void(std::vector<Variable<T>>& inputs, const Tensor<T>& grad_out)>;

/// A tensor in a graph of differentiable operations (reverse mode). Copies refer to the same node.
template <class T>
class Variable {
 public:
  /// An undefined variable: all but defined() and assignment throw Error.
  Variable() = default;
  /// A leaf: parameters have requires_grad = true, data has false.
  explicit Variable(Tensor<T> value, bool requires_grad = false);

  bool defined() const { return node_ != nullptr; }
  const Tensor<T>& value() const { return node().value; }
  /// For optimisers and loaders: the elements may be written while no graph that used them waits for backward().
  Tensor<T>& mutable_value() { return node().value; }
  const Shape& shape() const { return node().value.shape(); }
  bool requires_grad() const { return node().requires_grad; }
  /// Only for leaves; freezing a parameter keeps it out of graphs built from then on.
  void set_requires_grad(bool requires_grad);

  /// dE/d(this), summed over all backward() calls since zero_grad(); undefined where none has arrived.
  const Tensor<T>& grad() const { return node().grad; }
  /// The same for writing; first copied where another variable's gradient shares its elements.
  Tensor<T>& mutable_grad();
  void zero_grad() { node().grad = Tensor<T>(); }

  /// Adds to the gradient. The tensor may be kept, so the caller must not write to it afterwards. Throws Error, naming
  /// both shapes, where its shape is not the value's. Does nothing where no gradient is required.
  void add_grad(const Tensor<T>& gradient);

  /// Back-propagates from this variable, seeded with ones of its shape or with `seed` (dE/d(this)), then frees the
  /// graph. Leaves keep and accumulate their gradients; a second call through the same graph throws Error.
  void backward();
  void backward(const Tensor<T>& seed);

  /// The same value outside any graph.
  Variable detach() const { return Variable(node().value); }

  /// The result of an operation. It joins the graph where gradients are on (no NoGrad in scope) and an input needs one;
  /// otherwise `backward` is dropped.
  static Variable from_op(Tensor<T> value, std::vector<Variable> inputs, BackwardFunction<T> backward);
  /// Whether from_op would keep a backward function for these inputs: lets an operation skip saving what only that
  /// needs.
  static bool needs_graph(const std::vector<Variable>& inputs);

 private:
  struct Node {
    Tensor<T> value;
    Tensor<T> grad;
    bool requires_grad = false;
    bool freed = false;  // took part in a backward() that has released it
    std::vector<Variable> inputs;
    BackwardFunction<T> backward;

    Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    ~Node();
  };

  Node& node() const {
    check(node_ != nullptr, "variable: it is undefined, expected one made of a tensor");
    return *node_;
  }
  static void release(std::vector<Variable> pending);
  std::vector<std::shared_ptr<Node>> sorted_graph() const;

  std::shared_ptr<Node> node_;
};

/// While one is alive, operations on this thread build no graph.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

  static bool active();

 private:
  bool before_;
};

extern template class Variable<float>;
extern template class Variable<double>;

}  // namespace kind
