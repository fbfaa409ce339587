#include "core/autograd/variable.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

thread_local bool no_grad = false;

// Elements that a thread adds at least.
constexpr std::int64_t kGrain = 32768;

}  // namespace

NoGrad::NoGrad() : before_(no_grad) { no_grad = true; }
NoGrad::~NoGrad() { no_grad = before_; }
bool NoGrad::active() { return no_grad; }

template <class T>
Variable<T>::Variable(Tensor<T> value, bool requires_grad) : node_(std::make_shared<Node>()) {
  check(value.defined(), "variable: the tensor has no storage");
  node_->value = std::move(value);
  node_->requires_grad = requires_grad;
}

template <class T>
Variable<T>::Node::~Node() {
  release(std::move(inputs));
}

// Nodes own their inputs, so freeing a long chain by destructors alone would recurse once a node. Here the last
// owner takes over a node's inputs before it dies.
template <class T>
void Variable<T>::release(std::vector<Variable> pending) {
  while (!pending.empty()) {
    Variable last = std::move(pending.back());
    pending.pop_back();
    if (last.node_ && last.node_.use_count() == 1) {
      for (Variable& input : last.node_->inputs) pending.push_back(std::move(input));
      last.node_->inputs.clear();
    }
  }
}

template <class T>
void Variable<T>::set_requires_grad(bool requires_grad) {
  check(!node().backward && !node().freed, "variable: requires_grad can be set on leaves only");
  node_->requires_grad = requires_grad;
}

template <class T>
Tensor<T>& Variable<T>::mutable_grad() {
  Tensor<T>& grad = node().grad;
  if (grad.defined() && !grad.unique()) grad = grad.clone();
  return grad;
}

template <class T>
void Variable<T>::add_grad(const Tensor<T>& gradient) {
  if (!requires_grad()) return;
  check(gradient.defined() && gradient.shape() == shape(), "gradient: expected the shape of the value, ", shape(),
        ", got ", [&] { return gradient.defined() ? gradient.shape().text() : "nothing"; });
  check(!node_->ready || node_->awaited > 0,
        "gradient: an operation adds more than one share for an input, after backward() has called it complete");
  sum_grad(gradient);
  if (node_->ready && --node_->awaited == 0) (*node_->ready)(*this);
}

template <class T>
void Variable<T>::sum_grad(const Tensor<T>& gradient) {
  Tensor<T>& grad = node_->grad;
  if (!grad.defined()) {
    grad = gradient;
    return;
  }
  // A tensor that came from add_grad may be another node's gradient too, so it is not written in place.
  if (!grad.unique()) grad = grad.clone();
  T* sum = grad.data();
  const T* add = gradient.data();
  parallel_for(grad.size(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) sum[i] += add[i];
  });
}

template <class T>
Variable<T> Variable<T>::from_op(Tensor<T> value, std::vector<Variable> inputs, BackwardFunction<T> backward) {
  const bool keep = needs_graph(inputs);
  check(!keep || backward, "variable: an operation whose inputs need a gradient was given no backward function");
  Variable result(std::move(value), keep);
  if (keep) {
    result.node_->inputs = std::move(inputs);
    result.node_->backward = std::move(backward);
  }
  return result;
}

template <class T>
bool Variable<T>::needs_graph(const std::vector<Variable>& inputs) {
  return !no_grad && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
}

// Inputs before what was made of them: depth-first post-order on an explicit stack.
template <class T>
std::vector<std::shared_ptr<typename Variable<T>::Node>> Variable<T>::sorted_graph() const {
  std::vector<std::shared_ptr<Node>> order;
  std::unordered_set<Node*> seen{node_.get()};
  std::vector<std::pair<std::shared_ptr<Node>, std::size_t>> stack{{node_, 0}};
  while (!stack.empty()) {
    const std::shared_ptr<Node> node = stack.back().first;
    if (stack.back().second == node->inputs.size()) {
      order.push_back(node);
      stack.pop_back();
      continue;
    }
    const std::shared_ptr<Node>& input = node->inputs[stack.back().second++].node_;
    if (input->requires_grad && seen.insert(input.get()).second) stack.emplace_back(input, 0);
  }
  return order;
}

template <class T>
void Variable<T>::backward() {
  backward(Tensor<T>::full(shape(), T(1)));
}

/// The leaves of a graph, once for each use as an input. Each calls `ready` after the last contribution to its gradient.
template <class T>
std::vector<Variable<T>> Variable<T>::watched_leaves(const std::vector<std::shared_ptr<Node>>& order,
                                                     const GradientReady<T>& ready) {
  std::vector<Variable> leaves;
  for (const std::shared_ptr<Node>& node : order) {
    for (const Variable& input : node->inputs) {
      if (!input.node_->backward && input.node_->requires_grad) leaves.push_back(input);
    }
  }
  // Only now, when nothing can fail any more.
  for (const Variable& leaf : leaves) {
    ++leaf.node_->awaited;
    leaf.node_->ready = &ready;
  }
  return leaves;
}

template <class T>
void Variable<T>::backward(const Tensor<T>& seed, const GradientReady<T>& ready) {
  check(requires_grad(), "backward: nothing in this variable's graph requires a gradient");
  std::vector<std::shared_ptr<Node>> order = sorted_graph();
  for (const std::shared_ptr<Node>& node : order) {
    check(!node->freed, "backward: this graph has already been back-propagated and freed; run the forward pass again");
  }
  add_grad(seed);
  struct Watch {
    std::vector<Variable> leaves;
    ~Watch() {
      for (const Variable& leaf : leaves) {
        leaf.node_->ready = nullptr;
        leaf.node_->awaited = 0;
      }
    }
  } const watch{ready ? watched_leaves(order, ready) : std::vector<Variable>()};
  // `order` owns every node that is still to come, so each one's value and saved tensors go as soon as its turn is
  // over.
  for (; !order.empty(); order.pop_back()) {
    Node& node = *order.back();
    if (!node.backward) continue;
    if (node.grad.defined()) node.backward(node.inputs, node.grad);
    node.backward = nullptr;
    node.grad = Tensor<T>();
    node.freed = true;
    node.inputs.clear();
  }
  for (const Variable& leaf : watch.leaves) {
    if (std::exchange(leaf.node_->awaited, 0) > 0) ready(leaf);
  }
  if (ready && !node_->freed) ready(*this);  // a leaf itself
}

template class Variable<float>;
template class Variable<double>;

}  // namespace kind
