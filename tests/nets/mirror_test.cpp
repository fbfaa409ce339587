#include "nets/mirror.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>

#include "core/kernels/kernels.h"
#include "nets/nets.h"
#include "nets/pipeline.h"
#include "tests/nets/models.h"
#include "tests/support/errors.h"
#include "tests/support/reference.h"

namespace kind::testing {
namespace {

TEST_CASE("mirrored_index goes to and fro") {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = -7; i < 9; ++i) rows.push_back(mirrored_index(i, 3));
  CHECK(rows == std::vector<std::int64_t>{0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2});
  for (std::int64_t i = -5; i < 5; ++i) CHECK(mirrored_index(i, 1) == 0);
}

TEST_CASE("mirrored and cropped") {
  Tensor<float> x(Shape{1, 2, 2, 3});
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  const Tensor<float> one = mirrored(x, 1);
  CHECK(one.shape() == Shape{1, 2, 4, 5});
  CHECK(one.to_vector() == std::vector<float>{1, 1, 2, 3, 3, 1, 1, 2, 3, 3, 4,  4,  5,  6,  6,  4,  4,  5,  6,  6,
                                              7, 7, 8, 9, 9, 7, 7, 8, 9, 9, 10, 10, 11, 12, 12, 10, 10, 11, 12, 12});
  for (const std::int64_t margin : {0, 1, 2, 5}) {
    const Tensor<float> wide = mirrored(x, margin);
    CHECK(cropped(wide, margin).to_vector() == x.to_vector());
    bool right = true;
    for (std::int64_t y = 0; y < 2 + 2 * margin; ++y) {
      for (std::int64_t c = 0; c < 3 + 2 * margin; ++c) {
        right = right &&
                wide[y * (3 + 2 * margin) + c] == x[mirrored_index(y - margin, 2) * 3 + mirrored_index(c - margin, 3)];
      }
    }
    CHECK(right);
  }
  CHECK_THAT(error_of([&] { cropped(x, 1); }), Catch::Contains("larger sides"));
  CHECK_THAT(error_of([&] { mirrored(x.reshape(Shape{2, 6}), 1); }), Catch::Contains("expected [n, c, h, w]"));
}

/// The net's outputs for a picture, all at once.
Tensor<float> run_whole(const FusedNet& net, const Tensor<float>& in, std::int64_t outputs, Arena& arena) {
  const std::int64_t rows = in.shape()[2], columns = in.shape()[3];
  Tensor<float> result(Shape{1, outputs, rows, columns});
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t c = 0; c < net.input_channels(); ++c) from.push_back(in.data() + c * rows * columns);
  for (std::int64_t c = 0; c < outputs; ++c) to.push_back(result.data() + c * rows * columns);
  net.run(rows, columns, from, to, arena);
  return result;
}

/// The outputs by MirroredRun. Checks that every row is asked for once and in order, and made as soon as it can be.
Tensor<float> run_mirrored(const FusedNet& net, const Tensor<float>& in, std::int64_t outputs, std::int64_t margin,
                           Arena& arena) {
  const std::int64_t channels = net.input_channels(), h = in.shape()[2], w = in.shape()[3];
  Tensor<float> result(Shape{1, outputs, h, w});
  std::int64_t asked = 0;
  std::vector<std::int64_t> made(static_cast<std::size_t>(outputs));
  bool in_order = true;
  {
    MirroredRun run(
        net, h, w, margin,
        [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
          in_order = in_order && y0 == asked && y1 > y0 && y1 <= h;
          asked = y1;
          for (std::int64_t c = 0; c < channels; ++c)
            std::copy_n(in.data() + (c * h + y0) * w, (y1 - y0) * w, planes[c]);
        },
        [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          for (std::int64_t c = 0; c < count; ++c) {
            in_order = in_order && y0 == made[static_cast<std::size_t>(first + c)] && y1 <= h;
            made[static_cast<std::size_t>(first + c)] = y1;
            std::copy_n(planes[c], (y1 - y0) * w, result.data() + ((first + c) * h + y0) * w);
          }
        },
        arena);
    for (std::int64_t y = 0; y < h; y += 13) {
      const std::int64_t end = std::min(y + 13, h);
      run.advance(end);
      for (const std::int64_t rows_made : made) CHECK(rows_made >= end);
    }
  }
  CHECK(in_order);
  CHECK(asked == h);
  return result;
}

/// A source of rows of the planes of in [1, c, h, w].
FusedRun::Source rows_of(const Tensor<float>& in) {
  return [&in](std::int64_t y0, std::int64_t y1, float* const* planes) {
    const std::int64_t channels = in.shape()[1], h = in.shape()[2], w = in.shape()[3];
    for (std::int64_t c = 0; c < channels; ++c) std::copy_n(in.data() + (c * h + y0) * w, (y1 - y0) * w, planes[c]);
  };
}

/// Rows `part` of the outputs by MirroredRun, from the rows that it says it needs: others must not be asked for.
Tensor<float> run_part(const FusedNet& net, const Tensor<float>& in, std::int64_t outputs, std::int64_t margin,
                       RowSpan part, Arena& arena) {
  const std::int64_t h = in.shape()[2], w = in.shape()[3], rows = part.end - part.first;
  const RowSpan needed = MirroredRun::needs(net, h, w, margin, part);
  Tensor<float> result(Shape{1, outputs, rows, w});
  bool within = 0 <= needed.first && needed.end <= h;
  std::int64_t asked = needed.first;
  {
    MirroredRun run(
        net, h, w, margin, part,
        [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
          within = within && y0 == asked && y1 <= needed.end;
          asked = y1;
          rows_of(in)(y0, y1, planes);
        },
        [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          within = within && part.first <= y0 && y1 <= part.end;
          for (std::int64_t c = 0; c < count && within; ++c)
            std::copy_n(planes[c], (y1 - y0) * w, result.data() + ((first + c) * rows + y0 - part.first) * w);
        },
        arena);
    run.advance(h);
  }
  CHECK(within);
  CHECK(asked == needed.end);
  return result;
}

TEST_CASE("parts of a picture have the bits of the whole", "[isa]") {
  const NoGrad no_grad;
  const Model<float> model = random_model(6, 1);
  const FusedNet &decomposition = model.decomposition->fused(), &restoration = model.restoration->fused(),
                 &adjustment = model.adjustment->fused();
  if (!restoration.runnable()) {
    WARN("skipped: the kernel set " << current_isa() << " has no fused nets");
    return;
  }
  Random random(11);
  struct Case {
    const FusedNet& net;
    std::int64_t outputs, h, w, margin;
    std::vector<std::int64_t> cuts;
  };
  Arena arena;
  // The last one is of a size whose layers choose other tiles.
  for (const Case& c :
       {Case{restoration, 3, 301, 21, 32, {0, 1, 77, 150, 299, 301}}, Case{restoration, 3, 150, 17, 0, {0, 75, 150}},
        Case{restoration, 3, 20, 33, 32, {0, 7, 20}}, Case{decomposition, 4, 133, 40, 32, {0, 60, 61, 133}},
        Case{adjustment, 1, 90, 31, 5, {0, 31, 90}}, Case{decomposition, 4, 9000, 45, 1, {4400, 4600}}}) {
    INFO(c.h << " rows of " << c.w << ", margin " << c.margin);
    Tensor<float> in(Shape{1, c.net.input_channels(), c.h, c.w});
    for (std::int64_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(random.uniform());
    const Tensor<float> whole = run_mirrored(c.net, in, c.outputs, c.margin, arena);
    for (std::size_t i = 0; i + 1 < c.cuts.size(); ++i) {
      const RowSpan span{c.cuts[i], c.cuts[i + 1]};
      INFO("rows " << span.first << " to " << span.end);
      const Tensor<float> part = run_part(c.net, in, c.outputs, c.margin, span, arena);
      bool same = true;
      const std::int64_t count = (span.end - span.first) * c.w;
      for (std::int64_t channel = 0; channel < c.outputs; ++channel) {
        same = same && std::equal(part.data() + channel * count, part.data() + (channel + 1) * count,
                                  whole.data() + (channel * c.h + span.first) * c.w);
      }
      CHECK(same);
    }
  }
  const auto wrong = [&](RowSpan part) { return error_of([&] { MirroredRun::needs(restoration, 20, 20, 3, part); }); };
  for (const RowSpan part : {RowSpan{4, 4}, RowSpan{5, 4}, RowSpan{-1, 4}, RowSpan{4, 21}}) {
    CHECK_THAT(wrong(part), Catch::Contains("expected a part of a picture"));
  }
}

namespace {

/// Makes all parts of a picture in runs that share work, one at a time up to each exchange. `least` gets the fewest rows of
/// the picture that a part took.
Tensor<float> run_shared(const FusedNet& net, const Tensor<float>& in, std::int64_t outputs, std::int64_t margin,
                         const std::vector<std::int64_t>& cuts, std::int64_t& least) {
  const std::int64_t h = in.shape()[2], w = in.shape()[3];
  Tensor<float> result(Shape{1, outputs, h, w});
  const std::size_t parts = cuts.size() - 1;
  std::vector<Arena> arenas(parts);
  std::vector<std::unique_ptr<MirroredRun>> runs;
  bool within = true;
  for (std::size_t i = 0; i < parts; ++i) {
    const RowSpan part{cuts[i], cuts[i + 1]};
    constexpr auto kSharing = FusedRun::Sharing::kExchanges;
    const RowSpan needed = MirroredRun::needs(net, h, w, margin, part, kSharing);
    least = std::min(least, needed.end - needed.first);
    runs.push_back(std::make_unique<MirroredRun>(
        net, h, w, margin, part, kSharing,
        [&, needed](std::int64_t y0, std::int64_t y1, float* const* planes) {
          within = within && needed.first <= y0 && y1 <= needed.end;
          rows_of(in)(y0, y1, planes);
        },
        [&, part](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1,
                  const float* const* planes) {
          within = within && part.first <= y0 && y1 <= part.end;
          for (std::int64_t c = 0; c < count && within; ++c)
            std::copy_n(planes[c], (y1 - y0) * w, result.data() + ((first + c) * h + y0) * w);
        },
        arenas[i]));
  }
  const std::size_t exchanges = runs[0]->inner().exchanges().size();
  for (std::size_t e = 0; e < exchanges; ++e) {
    for (const auto& run : runs) CHECK(run->inner().advance_to_exchange() == e);
    for (const auto& from : runs) {
      for (const auto& to : runs) {
        const FusedRun::Exchange &given = from->inner().exchanges()[e], &taken = to->inner().exchanges()[e];
        const std::int64_t first = std::max(given.made.first, taken.needed.first),
                           end = std::min(given.made.end, taken.needed.end);
        if (from == to || first >= end) continue;
        std::vector<float> rows(static_cast<std::size_t>((end - first) * given.floats));
        from->inner().get_rows({first, end}, rows.data());
        to->inner().put_rows({first, end}, rows.data());
      }
    }
  }
  for (const auto& run : runs) {
    CHECK(run->inner().advance_to_exchange() == exchanges);
    CHECK(run->inner().advance_to_exchange() == exchanges);
    run->advance(h);
  }
  CHECK(within);
  return result;
}

}  // namespace

TEST_CASE("parts of a picture that share work have the bits of the whole", "[isa]") {
  const NoGrad no_grad;
  const Model<float> model = random_model(6, 1);
  Model<float> narrow;
  narrow.config.restoration.emplace();
  narrow.config.restoration->width = 0.5;
  narrow.config.restoration->output = "residual";
  narrow.build(6);
  const FusedNet& restoration = model.restoration->fused();
  if (!restoration.runnable()) {
    WARN("skipped: the kernel set " << current_isa() << " has no fused nets");
    return;
  }
  Random random(12);
  struct Case {
    const FusedNet& net;
    std::int64_t outputs, h, w, margin;
    std::vector<std::int64_t> cuts;
    bool fewer;  // rows than without sharing
  };
  Arena arena;
  for (const Case& c :
       {Case{restoration, 3, 301, 21, 32, {0, 150, 301}, true},
        Case{restoration, 3, 301, 21, 4, {0, 61, 140, 260, 301}, true},
        Case{restoration, 3, 97, 30, 0, {0, 40, 49, 97}, true}, Case{restoration, 3, 21, 40, 4, {0, 9, 21}, false},
        Case{restoration, 3, 30, 1, 4, {0, 30}, false},
        Case{model.decomposition->fused(), 4, 133, 40, 4, {0, 60, 70, 133}, false},
        Case{model.adjustment->fused(), 1, 90, 31, 5, {0, 31, 90}, false},
        Case{narrow.restoration->fused(), 3, 181, 33, 4, {0, 45, 90, 135, 181}, true},
        // So large that rows wait less.
        Case{narrow.restoration->fused(), 3, 97, 4100, 0, {0, 48, 97}, false}}) {
    INFO(c.h << " rows of " << c.w << ", margin " << c.margin << ", " << c.cuts.size() - 1 << " parts");
    Tensor<float> in(Shape{1, c.net.input_channels(), c.h, c.w});
    for (std::int64_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(random.uniform());
    std::int64_t least = c.h, alone = c.h;
    const Tensor<float> shared = run_shared(c.net, in, c.outputs, c.margin, c.cuts, least);
    CHECK(shared.to_vector() == run_mirrored(c.net, in, c.outputs, c.margin, arena).to_vector());
    for (std::size_t i = 0; i + 1 < c.cuts.size(); ++i) {
      const RowSpan needed = MirroredRun::needs(c.net, c.h, c.w, c.margin, {c.cuts[i], c.cuts[i + 1]});
      alone = std::min(alone, needed.end - needed.first);
    }
    if (c.fewer) CHECK(least < alone);
  }
}

TEST_CASE("a run that exchanges rows checks them", "[isa]") {
  const NoGrad no_grad;
  Model<float> model;
  model.config.restoration.emplace();
  model.build(6);
  const FusedNet& net = model.restoration->fused();
  if (!net.runnable()) {
    WARN("skipped: the kernel set " << current_isa() << " has no fused nets");
    return;
  }
  const auto source = [](std::int64_t y0, std::int64_t y1, float* const* planes) {
    for (int c = 0; c < 4; ++c) std::fill_n(planes[c], (y1 - y0) * 20, 0.5f);
  };
  const auto sink = [](std::int64_t, std::int64_t, std::int64_t, std::int64_t, const float* const*) {};
  constexpr auto kSharing = FusedRun::Sharing::kExchanges;
  Arena arena;
  for (const RowSpan part : {RowSpan{8, 9}, RowSpan{8, 15}, RowSpan{0, 7}}) {
    CHECK_THAT(error_of([&] { FusedRun(net, 40, 20, part, kSharing, source, sink, arena); }),
               Catch::Contains(" to " + std::to_string(part.end)) && Catch::Contains("at least 8"));
  }
  FusedRun run(net, 40, 20, {0, 24}, kSharing, source, sink, arena);
  std::vector<float> rows(static_cast<std::size_t>(40 * run.exchanges()[0].floats));
  CHECK_THAT(error_of([&] { run.get_rows({0, 1}, rows.data()); }), Catch::Contains("at no exchange"));
  CHECK_THAT(error_of([&] { run.put_rows({0, 1}, rows.data()); }), Catch::Contains("at no exchange"));
  const FusedRun::Exchange first = run.exchanges()[0];
  REQUIRE(first.needed.end > first.made.end + 1);
  const std::string lacks = "exchange 0 lacks row ";
  CHECK_THAT(error_of([&] { run.advance(1); }), Catch::Contains(lacks + std::to_string(first.made.end)));
  CHECK_THAT(error_of([&] { run.get_rows({0, first.made.end + 1}, rows.data()); }), Catch::Contains("0 makes rows"));
  CHECK_THAT(error_of([&] { run.get_rows({-1, 1}, rows.data()); }), Catch::Contains("0 makes rows"));
  CHECK_THAT(error_of([&] { run.put_rows({0, first.needed.end + 1}, rows.data()); }), Catch::Contains("0 needs rows"));
  CHECK_THAT(error_of([&] {
               run.put_rows({first.made.end - 1, first.needed.end}, rows.data());
             }),
             Catch::Contains("row " + std::to_string(first.made.end - 1) + " of exchange 0"));
  run.put_rows({first.made.end + 1, first.needed.end}, rows.data());
  CHECK_THAT(error_of([&] { run.advance(24); }), Catch::Contains(lacks + std::to_string(first.made.end)));
  CHECK_THAT(error_of([&] { run.advance_to_exchange(); }), Catch::Contains(lacks));
  CHECK_THAT(error_of([&] {
               run.put_rows({first.made.end, first.needed.end}, rows.data());
             }),
             Catch::Contains("was given before"));
  run.put_rows({first.made.end, first.made.end + 1}, rows.data());
  CHECK(run.advance_to_exchange() == 1);

  // Nobody else has rows of the whole.
  FusedRun whole(net, 40, 20, {0, 40}, kSharing, source, sink, arena);
  CHECK_NOTHROW(whole.advance(40));
  FusedRun alone(net, 40, 20, {0, 24}, source, sink, arena);
  CHECK(alone.exchanges().empty());
  CHECK(alone.advance_to_exchange() == 0);
}

TEST_CASE("MirroredRun is the net on the mirrored picture", "[isa]") {
  const NoGrad no_grad;
  Model<float> model;
  model.config.decomposition.emplace();
  model.config.restoration.emplace();
  model.build(5);
  if (!model.restoration->fused().runnable()) {
    WARN("skipped: the kernel set " << current_isa() << " has no fused nets");
    return;
  }
  Random random(8);
  for (const auto& [h, w] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {2, 3}, {3, 90}, {90, 3}, {71, 130}}) {
    for (const std::int64_t margin : {0, 1, 4, 9}) {
      INFO(h << " x " << w << ", margin " << margin);
      Tensor<float> x(Shape{1, 4, h, w});
      for (std::int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(random.uniform());
      for (const FusedNet& net : {model.restoration->fused(), model.decomposition->fused()}) {
        const std::int64_t channels = net.input_channels(), outputs = channels == 3 ? 4 : 3;
        const Tensor<float> in(Shape{1, channels, h, w}, std::vector<float>(x.data(), x.data() + channels * h * w));
        Arena arena;  // the second run finds what the first one left in it
        const Tensor<float> expected = run_whole(net, mirrored(in, margin), outputs, arena);
        CHECK(run_mirrored(net, in, outputs, margin, arena).to_vector() == cropped(expected, margin).to_vector());
      }
    }
  }
}

// What the mirror image is for: adjustment sees four pixels far, so with as many around it a picture of one level comes
// out as one level, and without them it does not.
TEST_CASE("a mirror image as wide as the net sees leaves no line along the border", "[isa]") {
  Model<float> model;
  model.config.adjustment.emplace();
  model.build(4);
  const Tensor<float> flat = Tensor<float>::full(Shape{1, 1, 20, 30}, 0.3f);
  const auto spread = [&](std::int64_t margin) {
    model.config.input.mirror = margin;
    const Tensor<float> light = PictureNets(model).adjust(flat, 4);
    const auto [least, most] = std::minmax_element(light.data(), light.data() + light.size());
    return static_cast<double>(*most - *least);
  };
  CHECK(spread(0) > 1e-3);
  CHECK(spread(4) < 1e-6);
}

}  // namespace
}  // namespace kind::testing
