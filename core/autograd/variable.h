#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/tensor.h"

namespace kind {

template <class T>
class Variable;

/// Adds each input's gradient: for y = f(inputs) and `grad_out` = dE/dy, calls inputs[i].add_grad(dE/dinputs[i]) for
/// the inputs that require one. It may capture tensors (inputs' values, the result's value) but never the result's
/// Variable: the reference cycle would leak.
template <class T>
using BackwardFunction = std::function<void(std::vector<Variable<T>>& inputs, const Tensor<T>& grad_out)>;

/// Called with a leaf whose gradient is complete.
template <class T>
using GradientReady = std::function<void(const Variable<T>& leaf)>;

/// A tensor in a graph of differentiable operations (reverse mode). Copies share the same node.
template <class T>
class Variable {
 public:
  /// An undefined variable: everything except defined() and assignment throws Error.
  Variable() = default;
  /// A leaf: parameters have requires_grad = true, data has false.
  explicit Variable(Tensor<T> value, bool requires_grad = false);

  bool defined() const { return node_ != nullptr; }
  const Tensor<T>& value() const { return node().value; }
  /// For optimisers and loaders: the elements may be written while no graph that used them waits for backward().
  Tensor<T>& mutable_value() { return node().value; }
  const Shape& shape() const { return node().value.shape(); }
  bool requires_grad() const { return node().requires_grad; }
  /// Only for leaves. A frozen parameter is left out of graphs that are built later.
  void set_requires_grad(bool requires_grad);

  /// dE/d(this), summed over all backward() calls since zero_grad(); undefined if none has arrived.
  const Tensor<T>& grad() const { return node().grad; }
  /// The same for writing; copied first if another variable's gradient shares its elements.
  Tensor<T>& mutable_grad();
  void zero_grad() { node().grad = Tensor<T>(); }

  /// Adds to the gradient. The tensor may be kept, so the caller must not write to it afterwards. Throws Error, naming
  /// both shapes, if its shape is not the value's. Does nothing if no gradient is required.
  void add_grad(const Tensor<T>& gradient);

  /// Back-propagates from this variable, seeded with ones of its shape or with `seed` (dE/d(this)), then releases the
  /// graph. Leaves keep and accumulate their gradients; a second call through the same graph throws Error.
  ///
  /// `ready` is called once for each leaf that requires a gradient, on this thread: while others are still to come, as soon
  /// as every operation that used the leaf has called add_grad() for it, or else at the end. Throws Error if an operation
  /// adds to a gradient after that.
  void backward();
  void backward(const Tensor<T>& seed, const GradientReady<T>& ready = nullptr);

  /// The same value outside any graph.
  Variable detach() const { return Variable(node().value); }

  /// The result of an operation. It becomes a node of the graph if gradients are enabled (no NoGrad in scope) and an
  /// input requires one; otherwise `backward` is dropped.
  static Variable from_op(Tensor<T> value, std::vector<Variable> inputs, BackwardFunction<T> backward);
  /// Whether from_op would keep a backward function for these inputs. If not, an operation need not save anything for
  /// it.
  static bool needs_graph(const std::vector<Variable>& inputs);

 private:
  struct Node {
    Tensor<T> value;
    Tensor<T> grad;
    bool requires_grad = false;
    bool freed = false;  // took part in a backward() that has released it
    // Of a leaf during backward(): how many contributions its gradient still lacks, and what to call after the last.
    int awaited = 0;
    const GradientReady<T>* ready = nullptr;
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
  static std::vector<Variable> watched_leaves(const std::vector<std::shared_ptr<Node>>& order,
                                              const GradientReady<T>& ready);
  void sum_grad(const Tensor<T>& gradient);
  std::vector<std::shared_ptr<Node>> sorted_graph() const;

  std::shared_ptr<Node> node_;
};

/// Disables graph recording on this thread while an object is alive.
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
