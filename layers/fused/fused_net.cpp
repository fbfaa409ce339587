// Long because the order of rows, the layout of memory and the run itself work on one another's state.

#include "layers/fused/fused_net.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "layers/fused/fused_gradient.h"
#include "layers/fused/fused_layers.h"

namespace kind {
namespace {

// Pixels of a layer that one step makes for every thread (every two in large pictures, whose rows are long), and half
// as many at the next level: enough to share out among threads and to be worth the weights' transforms, few enough to
// stay in the cache until the next layer reads them.
constexpr std::int64_t kStepPixels = 16 * 1024;
// Rows of the picture that may wait for a step at a lower level, and as many more as these pixels make.
constexpr std::int64_t kWaitingRows = 192;
constexpr std::int64_t kWaitingPixels = 384 * 1024;
// Pixels of a step that are worth the transform of many channels' weights.
constexpr std::int64_t kSlicePixels = 1440;
// Both tiles' rows divide it, so that a tile never crosses the end of a map's slots.
constexpr std::int64_t kSlotUnit = 12;

std::int64_t round_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b * b; }

}  // namespace

int FusedNet::level_of(const FusedLayer& layer) const { return layer.is_output() ? 0 : shape_of(layer.y).level; }

ConvAlgorithm FusedNet::algorithm(const FusedLayer& layer, std::int64_t n, std::int64_t h, std::int64_t w) const {
  const int level = level_of(layer);
  return layer.algorithm(options_, n, at_level(h, level), at_level(w, level), n == 1 && h * w > kWaitingPixels);
}

/// The order in which a picture's rows go through the layers, and where the rows that are held lie. Found by running
/// the counters alone: the last layer that has rows enough for a step takes its turn, so that few rows wait.
class FusedSchedule {
 public:
  struct Step {
    std::size_t layer;
    std::int64_t y0, y1;    // rows of its result
    bool exchange = false;  // nothing is computed: the run stops here to exchange rows of the result
  };

  FusedSchedule(const FusedNet& net, const BlockKernels& kernels, std::int64_t h, std::int64_t w, RowSpan part,
                FusedRun::Sharing sharing)
      : net_(net), h_(h), w_(w), peak_(net.values_.size(), 0) {
    for (const auto& layer : net.layers_) algorithms_.push_back(net.algorithm(*layer, 1, h, w));
    if (sharing == FusedRun::Sharing::kExchanges) find_exchanges(kernels.lanes, part);
    find_spans(part);
    simulate();
    place(kernels);
  }

  const std::vector<Step>& steps() const { return steps_; }
  ConvAlgorithm algorithm(std::size_t layer) const { return algorithms_[layer]; }
  /// Rows of a layer's result that are made.
  RowSpan span(std::size_t layer) const { return spans_[layer]; }
  const std::vector<FusedRun::Exchange>& exchanges() const { return exchanges_; }
  /// The map whose rows are exchanged.
  const BlockMap& exchanged(std::size_t exchange) const {
    return maps_[static_cast<std::size_t>(net_.layers_[exchange_layers_[exchange]]->y)];
  }
  const std::vector<BlockMap>& maps() const { return maps_; }
  std::int64_t floats() const { return floats_; }
  void set_memory(float* memory) {
    for (std::size_t v = 0; v < maps_.size(); ++v) maps_[v].place(memory + offsets_[v]);
  }

 private:
  std::int64_t height(int level) const { return FusedNet::at_level(h_, level); }
  std::int64_t rows_of(const FusedLayer& layer) const { return height(net_.level_of(layer)); }
  std::size_t maker(FusedNet::Value v) const {
    std::size_t i = 0;
    while (net_.layers_[i]->y != v) ++i;
    return i;
  }
  /// Which exchange the value of a layer has, counted from 0; all of them: none.
  std::size_t exchange_of(std::size_t layer) const {
    return static_cast<std::size_t>(std::find(exchange_layers_.begin(), exchange_layers_.end(), layer) -
                                    exchange_layers_.begin());
  }
  /// The row that follows those of a value that readers can have.
  std::int64_t made(FusedNet::Value v) const {
    const std::size_t layer = maker(v), exchange = exchange_of(layer);
    if (exchange == exchanges_.size()) return done_[layer];
    return exchange < exchanged_ ? exchanges_[exchange].needed.end : 0;
  }

  /// Exchanges where neighbours would repeat most: before the poolings that read a level below the first, and behind the
  /// first convolutions that read an up-convolution there.
  void find_exchanges(std::int64_t lanes, RowSpan part) {
    int deepest = 0;
    const auto ups = [&](FusedNet::Value v) {
      return dynamic_cast<const UpLayer*>(net_.layers_[maker(v)].get()) != nullptr;
    };
    for (std::size_t i = 0; i < net_.layers_.size(); ++i) {
      const FusedLayer& layer = *net_.layers_[i];
      if (layer.is_output() || net_.level_of(layer) == 0) continue;
      bool exchanged = std::any_of(layer.x.begin(), layer.x.end(), ups);
      for (const auto& reader : net_.layers_) {
        exchanged = exchanged || (reader->reads(layer.y) && reader->waits() == FusedLayer::Wait::kForLevel);
      }
      if (!exchanged) continue;
      exchange_layers_.push_back(i);
      const auto& shape = net_.shape_of(layer.y);
      exchanges_.push_back({{}, {}, round_up(shape.channels, lanes) * FusedNet::at_level(w_, shape.level)});
      deepest = std::max(deepest, shape.level);
    }
    const bool whole = part.first == 0 && part.end == h_;
    check(whole || part.first >> deepest < part.end >> deepest, "fused net: rows ", part.first, " to ", part.end,
          " are too few for a run that exchanges rows: expected at least ", std::int64_t{1} << deepest);
  }

  /// From the outputs up, the rows that each layer has to make for a part of the outputs. They begin and end between
  /// tiles, of two rows at least, which is what an up-convolution makes at once.
  void find_spans(RowSpan part) {
    const std::size_t count = net_.layers_.size();
    spans_.assign(count, {std::numeric_limits<std::int64_t>::max(), 0});
    const auto demand = [&](FusedNet::Value v, std::int64_t first, std::int64_t end) {
      RowSpan& span = spans_[maker(v)];
      span.first = std::min(span.first, std::max<std::int64_t>(0, first));
      span.end = std::max(span.end, end);
    };
    for (std::size_t i = count; i-- > 0;) {
      const FusedLayer& layer = *net_.layers_[i];
      const std::int64_t rows = rows_of(layer);
      RowSpan& span = spans_[i];
      const std::size_t exchange = exchange_of(i);
      if (exchange < exchanges_.size()) {
        const int level = net_.level_of(layer);
        FusedRun::Exchange& rows_of_it = exchanges_[exchange];
        rows_of_it.made = {part.first >> level, part.end == h_ ? rows : part.end >> level};
        rows_of_it.needed = {span.first, std::min(span.end, rows)};
        if (span.first >= span.end) rows_of_it.needed = rows_of_it.made;  // nothing reads it
        span = rows_of_it.made;
      }
      if (layer.is_output()) {
        span = part;
      } else if (span.first < span.end) {
        const std::int64_t unit = std::max<std::int64_t>(2, algorithm_rows(algorithms_[i]));
        span = {span.first / unit * unit, std::min(rows, round_up(span.end, unit))};
      } else {
        span = {0, 0};  // nothing reads it
        continue;
      }
      for (const auto x : layer.x) {
        const std::int64_t all = height(net_.shape_of(x).level);
        std::int64_t have = 0, most = all;  // the fewest rows that suffice
        while (have < most) {
          const std::int64_t middle = (have + most) / 2;
          if (layer.rows_from(middle, all, rows) >= span.end) {
            most = middle;
          } else {
            have = middle + 1;
          }
        }
        demand(x, layer.first_needed(span.first), have);
      }
      if (layer.adds_input()) demand(0, span.first, span.end);
    }
    for (const RowSpan& span : spans_) done_.push_back(span.first);
    // Rows that others make lie beside a run's own.
    for (std::size_t i = 0; i < exchanges_.size(); ++i) {
      const RowSpan own = spans_[exchange_layers_[i]], needed = exchanges_[i].needed;
      peak_[static_cast<std::size_t>(net_.layers_[exchange_layers_[i]]->y)] =
          std::max(own.end, needed.end) - std::min(own.first, needed.first);
    }
  }

  /// Rows of its result that a layer could have made by now.
  std::int64_t possible(std::size_t i) const {
    const FusedLayer& layer = *net_.layers_[i];
    const std::int64_t rows = rows_of(layer);
    std::int64_t most = layer.x.empty() ? rows : std::numeric_limits<std::int64_t>::max();
    for (const auto x : layer.x) {
      most = std::min(most, layer.rows_from(made(x), height(net_.shape_of(x).level), rows));
    }
    const std::int64_t unit = algorithm_rows(algorithms_[i]), end = spans_[i].end;
    return most >= end ? end : std::max<std::int64_t>(0, most / unit * unit);
  }
  std::int64_t step_rows(std::size_t i) const { return step_rows_of(net_.level_of(*net_.layers_[i])); }
  std::int64_t step_rows_of(int level) const {
    // A step at a lower level makes all rows above it wait, in the maps that skip it; many short ones transform the
    // weights again and again. Pictures that may wait as a whole take one from the third level on.
    const bool small = h_ * w_ <= kWaitingPixels;
    const std::int64_t most = (small ? kWaitingPixels / w_ : kWaitingRows) >> level;
    const std::int64_t pixels =
        (kStepPixels >> std::min(level, 2)) * (small ? num_threads() : std::max(1, num_threads() / 2));
    const std::int64_t wanted = small && level >= 2 ? most : pixels / FusedNet::at_level(w_, level);
    return std::max(kSlotUnit, std::min(wanted, most) / kSlotUnit * kSlotUnit);
  }
  /// Rows that wait on the way down. In large pictures, what a level's layers make use of and no more, since all maps
  /// above wait as well: a tile's rows, but from the fourth level on, where weights are transformed in each step,
  /// enough pixels to be worth that.
  std::int64_t pool_rows(std::size_t i) const {
    const int level = net_.level_of(*net_.layers_[i]);
    if (h_ * w_ <= kWaitingPixels) return step_rows(i);
    if (level < 3) return 6;
    constexpr std::int64_t kUnit = 4;
    const std::int64_t most = std::max(kWaitingRows, kWaitingPixels / w_) >> level;
    const std::int64_t wanted = round_up(kSlicePixels, FusedNet::at_level(w_, level)) / FusedNet::at_level(w_, level);
    return std::clamp(round_up(wanted, kUnit), kUnit, std::max(kSlotUnit, most / kUnit * kUnit));
  }
  /// The first row of a value that one of its readers still needs.
  std::int64_t oldest(FusedNet::Value v) const {
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    for (std::size_t i = 0; i < net_.layers_.size(); ++i) {
      const FusedLayer& layer = *net_.layers_[i];
      if (!layer.reads(v) || done_[i] == spans_[i].end) continue;
      first = std::min(first, layer.first_needed(done_[i]));
    }
    return std::max<std::int64_t>(0, first);
  }

  void simulate() {
    const std::size_t count = net_.layers_.size();
    first_use_.assign(net_.values_.size(), std::numeric_limits<std::size_t>::max());
    last_use_.assign(net_.values_.size(), 0);
    for (;;) {
      std::size_t next = count;
      for (std::size_t i = count; i-- > 0;) {
        const std::int64_t end = spans_[i].end, can = possible(i);
        // Only the way down waits for whole steps: behind it rows come in steps, and go on as they come.
        const FusedLayer::Wait waits = net_.layers_[i]->waits();
        const std::int64_t least = waits == FusedLayer::Wait::kForSource  ? step_rows(i)
                                   : waits == FusedLayer::Wait::kForLevel ? pool_rows(i)
                                                                          : 1;
        if (can > done_[i] && (can - done_[i] >= least || can == end)) {
          next = i;
          break;
        }
      }
      if (next == count) {
        if (exchanged_ == exchanges_.size()) break;
        const std::size_t layer = exchange_layers_[exchanged_++];
        steps_.push_back({layer, spans_[layer].first, spans_[layer].end, true});
        last_use_[static_cast<std::size_t>(net_.layers_[layer]->y)] = steps_.size();
        continue;
      }
      const FusedLayer& layer = *net_.layers_[next];
      const std::int64_t y0 = done_[next];
      // Whole units, so that the next step starts at one.
      const std::int64_t y1 = std::min(possible(next), y0 + step_rows(next));
      steps_.push_back({next, y0, y1, false});
      for (const auto x : layer.x) last_use_[static_cast<std::size_t>(x)] = steps_.size();
      if (layer.adds_input()) last_use_[0] = steps_.size();
      if (!layer.is_output()) {
        const std::size_t v = static_cast<std::size_t>(layer.y);
        peak_[v] = std::max(peak_[v], y1 - std::min(y0, oldest(layer.y)));
        first_use_[v] = std::min(first_use_[v], steps_.size());
        last_use_[v] = steps_.size();
      }
      done_[next] = y1;
    }
    for (std::size_t i = 0; i < count; ++i) {
      check(done_[i] == spans_[i].end, "fused net: the schedule stopped at layer ", i);
    }
  }

  /// Rows of a thread's band: its share of a step, in whole tiles. 0 for a single thread.
  std::int64_t band(int level) const {
    const std::int64_t threads = num_threads(), rows = std::min(height(level), step_rows_of(level));
    return threads > 1 ? round_up((rows + threads - 1) / threads, 6) : 0;
  }
  /// Slots for so many rows: if that is not far more, so many that a slot is the same thread's each time.
  static std::int64_t slots(std::int64_t rows, std::int64_t band) {
    if (band == 0) return rows;
    const std::int64_t turns = round_up(rows, std::lcm(kSlotUnit, band * num_threads()));
    return turns <= 2 * rows ? turns : rows;
  }

  // Largest first, each at the lowest place that no map in use at the same time has taken.
  void place(const BlockKernels& kernels) {
    const std::size_t count = net_.values_.size();
    offsets_.assign(count, 0);
    std::vector<std::size_t> order(count);
    for (std::size_t v = 0; v < count; ++v) {
      const auto& value = net_.values_[v];
      const std::int64_t h = height(value.level);
      maps_.emplace_back(kernels.lanes, 1, value.channels, h, FusedNet::at_level(w_, value.level),
                         std::min(h, slots(round_up(peak_[v], kSlotUnit), band(value.level))));
      maps_.back().band = band(value.level);
      order[v] = v;
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return maps_[a].floats() > maps_[b].floats(); });
    const auto size = [&](std::size_t v) { return round_up(maps_[v].floats(), 16); };
    std::vector<std::size_t> placed;
    for (const std::size_t v : order) {
      std::int64_t at = 0;
      for (bool moved = true; moved;) {
        moved = false;
        for (const std::size_t other : placed) {
          const bool together = first_use_[v] <= last_use_[other] && first_use_[other] <= last_use_[v];
          if (together && at < offsets_[other] + size(other) && offsets_[other] < at + size(v)) {
            at = offsets_[other] + size(other);
            moved = true;
          }
        }
      }
      offsets_[v] = at;
      floats_ = std::max(floats_, at + size(v));
      placed.push_back(v);
    }
  }

  const FusedNet& net_;
  const std::int64_t h_, w_;
  std::vector<RowSpan> spans_;             // of each layer's result that are made
  std::vector<std::int64_t> done_, peak_;  // the row that each layer goes on with; rows of a value that are held
  std::vector<std::size_t> first_use_, last_use_;
  std::vector<ConvAlgorithm> algorithms_;
  std::vector<FusedRun::Exchange> exchanges_;
  std::vector<std::size_t> exchange_layers_;  // whose results are exchanged
  std::size_t exchanged_ = 0;                 // while the steps are found
  std::vector<Step> steps_;
  std::vector<BlockMap> maps_;
  std::vector<std::int64_t> offsets_;
  std::int64_t floats_ = 0;
};

/// A schedule with the memory that it runs in.
struct FusedRun::State {
  FusedNet net;
  std::int64_t h, w;
  RowSpan part;
  Source source;
  Sink sink;
  const BlockKernels& kernels;
  FusedSchedule schedule;
  // The layers' weights, where they are made once for all steps.
  std::vector<std::optional<Buffer<float>>> prepared;
  std::size_t next = 0;
  std::map<std::size_t, std::int64_t> outputs_made;  // rows, by the layer
  std::size_t exchange = 0;                          // the next one, or the one at hand
  bool exchanging = false;                           // whether it is at hand
  std::vector<bool> lacking;                         // of the rows needed, those that others make and have not given

  State(const FusedNet& of, std::int64_t height, std::int64_t width, RowSpan rows, Sharing sharing = Sharing::kNone)
      : net(of),
        h(height),
        w(width),
        part(rows),
        kernels(checked_kernels(of, h, w, part)),
        schedule(net, kernels, h, w, part, sharing),
        prepared(of.layers_.size()) {
    for (std::size_t i = 0; i < net.layers_.size(); ++i) {
      if (net.layers_[i]->is_output()) outputs_made[i] = part.first;
    }
  }

  static const BlockKernels& checked_kernels(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part) {
    net.check_runnable(h, w);
    check(0 <= part.first && part.first < part.end && part.end <= h, "fused net: expected a part of a picture of ", h,
          " rows, got rows ", part.first, " to ", part.end);
    return *block_kernels();
  }

  /// A step that computes rows, and notes which of the outputs are made.
  void take(const FusedSchedule::Step& step) {
    stream(step);
    const auto at = outputs_made.find(step.layer);
    if (at != outputs_made.end()) at->second = step.y1;
  }

  /// The step at hand is an exchange.
  void begin_exchange() {
    const auto& [made, needed, floats] = schedule.exchanges()[exchange];
    lacking.clear();
    for (std::int64_t y = needed.first; y < needed.end; ++y) lacking.push_back(y < made.first || y >= made.end);
    exchanging = true;
  }
  /// Continues behind the exchange that was reached, if the run is at one.
  void end_exchange() {
    if (!exchanging) return;
    const auto first = std::find(lacking.begin(), lacking.end(), true);
    check(first == lacking.end(), "fused net: exchange ", exchange, " lacks row ",
          schedule.exchanges()[exchange].needed.first + (first - lacking.begin()), ": put_rows() has to give it");
    exchanging = false;
    ++exchange;
    ++next;
  }
  void check_rows(RowSpan rows, const char* verb, RowSpan Exchange::*all) const {
    check(exchanging, "fused net: the run is at no exchange; call advance_to_exchange() first");
    const RowSpan span = schedule.exchanges()[exchange].*all;
    check(span.first <= rows.first && rows.first <= rows.end && rows.end <= span.end, "fused net: exchange ", exchange,
          ' ', verb, " rows ", span.first, " to ", span.end, ", got ", rows.first, " to ", rows.end);
  }

  std::int64_t weight_floats(std::size_t i) const {
    return net.layers_[i]->prepared_floats(kernels, schedule.algorithm(i));
  }

  /// One step. The planes, of the inputs' channels for the layer that takes them or of all outputs', begin with row
  /// `first_row`.
  void compute(const FusedSchedule::Step& step, const float* const* inputs, float* const* outputs,
               std::int64_t first_row) {
    const FusedLayer& layer = *net.layers_[step.layer];
    std::optional<Buffer<float>>& weights = prepared[step.layer];
    const std::int64_t floats = weights ? 0 : weight_floats(step.layer);
    if (floats > 0) {
      weights.emplace(floats);
      layer.prepare(kernels, schedule.algorithm(step.layer), weights->data());
    }
    std::vector<FusedPass::Plane> planes;
    for (std::int64_t c = 0; inputs && c < net.input_channels(); ++c) planes.push_back({inputs[c], 0});
    layer.run({.kernels = kernels,
               .slope = net.slope_,
               .maps = schedule.maps(),
               .algorithm = schedule.algorithm(step.layer),
               .prepared = weights ? weights->data() : nullptr,
               .inputs = planes,
               .outputs = outputs,
               .first_row = first_row},
              step.y0, step.y1);
  }

  /// The same with rows from the source and to the sink.
  void stream(const FusedSchedule::Step& step) {
    const FusedLayer& layer = *net.layers_[step.layer];
    const bool input = layer.x.empty();
    if (!input && !layer.is_output()) return compute(step, nullptr, nullptr, 0);
    const std::int64_t rows = step.y1 - step.y0, count = input ? net.input_channels() : layer.weight.shape()[0];
    Buffer<float> buffer(count * rows * w);
    // A layer finds its planes behind those of the outputs before it.
    std::vector<float*> planes(static_cast<std::size_t>(layer.first_output), nullptr);
    for (std::int64_t c = 0; c < count; ++c) planes.push_back(buffer.data() + c * rows * w);
    if (input) {
      source(step.y0, step.y1, planes.data());
      compute(step, planes.data(), nullptr, step.y0);
    } else {
      compute(step, nullptr, planes.data(), step.y0);
      sink(layer.first_output, count, step.y0, step.y1, planes.data() + layer.first_output);
    }
  }
};

FusedRun::FusedRun(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part, Sharing sharing, Source source,
                   Sink sink, Arena& arena)
    : state_(std::make_unique<State>(net, h, w, part, sharing)) {
  check(source && sink, "fused net: a run needs a source and a sink, got none");
  state_->source = std::move(source);
  state_->sink = std::move(sink);
  state_->schedule.set_memory(arena.take<float>(state_->schedule.floats()));
}

FusedRun::~FusedRun() = default;

void FusedRun::advance(std::int64_t rows) {
  State& s = *state_;
  const auto made = [&] {
    std::int64_t least = s.part.end;
    for (const auto& [node, y] : s.outputs_made) least = std::min(least, y);
    return least;
  };
  s.end_exchange();
  while (s.next < s.schedule.steps().size() && made() < std::min(rows, s.part.end)) {
    if (s.schedule.steps()[s.next].exchange) {
      s.begin_exchange();
      s.end_exchange();
    } else {
      s.take(s.schedule.steps()[s.next++]);
    }
  }
}

const std::vector<FusedRun::Exchange>& FusedRun::exchanges() const { return state_->schedule.exchanges(); }

std::size_t FusedRun::advance_to_exchange() {
  State& s = *state_;
  s.end_exchange();
  if (s.exchange == exchanges().size()) return s.exchange;
  for (; !s.schedule.steps()[s.next].exchange; ++s.next) s.take(s.schedule.steps()[s.next]);
  s.begin_exchange();
  return s.exchange;
}

void FusedRun::get_rows(RowSpan rows, float* to) const {
  state_->check_rows(rows, "makes", &Exchange::made);
  const BlockMap& map = state_->schedule.exchanged(state_->exchange);
  const std::int64_t floats = map.w * map.lanes;
  for (std::int64_t y = rows.first; y < rows.end; ++y) {
    for (std::int64_t block = 0; block < map.blocks(); ++block, to += floats) {
      std::copy_n(map.row(0, block, y), floats, to);
    }
  }
}

void FusedRun::put_rows(RowSpan rows, const float* from) {
  state_->check_rows(rows, "needs", &Exchange::needed);
  const auto lacking = state_->lacking.begin() + (rows.first - exchanges()[state_->exchange].needed.first);
  const auto end = lacking + (rows.end - rows.first), other = std::find(lacking, end, false);
  check(other == end, "fused net: row ", rows.first + (other - lacking), " of exchange ", state_->exchange,
        " is the run's own, or was given before");
  const BlockMap& map = state_->schedule.exchanged(state_->exchange);
  const std::int64_t floats = map.w * map.lanes;
  for (std::int64_t y = rows.first; y < rows.end; ++y) {
    for (std::int64_t block = 0; block < map.blocks(); ++block, from += floats) {
      std::copy_n(from, floats, map.row(0, block, y));
    }
    map.clear_margins(0, y);
  }
  std::fill(lacking, end, false);
}

RowSpan FusedRun::needs(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part, Sharing sharing) {
  const State state(net, h, w, part, sharing);
  for (std::size_t i = 0; i < net.layers_.size(); ++i) {
    if (net.layers_[i]->x.empty()) return state.schedule.span(i);
  }
  fail("fused net: it has no input");
}

std::uint64_t FusedRun::bytes(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part, Sharing sharing) {
  const State state(net, h, w, part, sharing);
  std::int64_t floats = state.schedule.floats(), rows = 0;
  for (std::size_t i = 0; i < net.layers_.size(); ++i) floats += state.weight_floats(i);
  for (const FusedSchedule::Step& step : state.schedule.steps()) {
    if (!step.exchange) rows = std::max(rows, step.y1 - step.y0);
  }
  return static_cast<std::uint64_t>(floats + 4 * rows * w) * sizeof(float);
}

void FusedNet::run(std::int64_t h, std::int64_t w, const std::vector<const float*>& inputs,
                   const std::vector<float*>& outputs, Arena& arena, std::vector<LayerTime>* times) const {
  check_runnable(h, w);
  check(static_cast<std::int64_t>(inputs.size()) == input_channels(), "fused net: expected ", input_channels(),
        " input planes, got ", inputs.size());
  check(static_cast<std::int64_t>(outputs.size()) == output_channels_, "fused net: expected ", output_channels_,
        " output planes, got ", outputs.size());
  check(std::count(inputs.begin(), inputs.end(), nullptr) == 0 &&
            std::count(outputs.begin(), outputs.end(), nullptr) == 0,
        "fused net: expected planes of h * w values, got a null pointer");
  FusedRun::State state(*this, h, w, {0, h});
  state.schedule.set_memory(arena.take<float>(state.schedule.floats()));
  if (times) {
    times->clear();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      times->push_back(describe(*layers_[i], state.schedule.algorithm(i), h, w));
    }
  }
  for (const FusedSchedule::Step& step : state.schedule.steps()) {
    const auto start = std::chrono::steady_clock::now();
    state.compute(step, inputs.data(), outputs.data(), 0);
    if (times) {
      LayerTime& time = (*times)[step.layer];
      time.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      ++time.steps;
    }
  }
}

LayerTime FusedNet::describe(const FusedLayer& layer, ConvAlgorithm algorithm, std::int64_t h, std::int64_t w) const {
  const int level = level_of(layer);
  LayerSizes sizes{0, layer.is_output() ? layer.weight.shape()[0] : shape_of(layer.y).channels, at_level(h, level),
                   at_level(w, level), algorithm};
  const double made = static_cast<double>(sizes.h * sizes.w) * static_cast<double>(sizes.oc);
  double read = layer.x.empty() ? made : 0;
  for (const Value x : layer.x) {
    const ValueShape& from = shape_of(x);
    sizes.ic += from.channels;
    read += static_cast<double>(from.channels * at_level(h, from.level) * at_level(w, from.level));
  }
  if (layer.adds_input()) read += static_cast<double>(input_sizes_[0] * h * w);
  const LayerCost cost = layer.cost(sizes);
  LayerTime time;
  time.what = cost.what;
  time.h = sizes.h;
  time.w = sizes.w;
  time.products = cost.products;
  time.flops = cost.flops;
  time.bytes = 4 * (read + cost.weights + made);
  return time;
}

Variable<float> FusedNet::operator()(const std::vector<Variable<float>>& inputs) const {
  check(inputs.size() == input_sizes_.size(), "fused net: expected ", input_sizes_.size(), " inputs, got ",
        inputs.size());
  check(!inputs.empty(), "fused net: it has no input, expected one");
  const Shape& shape = inputs[0].shape();
  check(shape.rank() != 4 || shape[0] > 0, "fused net: expected at least one picture, got n = 0 in ", shape);
  check(shape.rank() == 4 && shape[2] > 0 && shape[3] > 0, "fused net: expected [n, ", input_sizes_[0], ", h, w], got ",
        shape);
  check_runnable(shape[2], shape[3]);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Shape wanted{shape[0], input_sizes_[i], shape[2], shape[3]};
    check(inputs[i].shape() == wanted, "fused net: expected input ", i, " of shape ", wanted, ", got ",
          inputs[i].shape());
  }
  std::vector<Variable<float>> leaves = inputs;
  for (const auto& layer : layers_) {
    if (layer->weight.defined()) leaves.push_back(layer->weight);
    if (layer->bias.defined()) leaves.push_back(layer->bias);
  }
  if (Variable<float>::needs_graph(leaves)) return fused_with_gradients(*this, inputs, leaves);

  const std::int64_t h = shape[2], w = shape[3], plane = h * w;
  Tensor<float> y(Shape{shape[0], output_channels_, h, w});
  Arena arena;
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    std::vector<const float*> from;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      for (std::int64_t c = 0; c < input_sizes_[i]; ++c) {
        from.push_back(inputs[i].value().data() + (n * input_sizes_[i] + c) * plane);
      }
    }
    std::vector<float*> to;
    for (std::int64_t c = 0; c < output_channels_; ++c) to.push_back(y.data() + (n * output_channels_ + c) * plane);
    run(h, w, from, to, arena);
  }
  return Variable<float>(std::move(y));
}

}  // namespace kind
