// fastrace::patches on the CPU: normalise patches, filter them, threshold both sides, and pool, in one pass.
//
// kernels/patches/ holds the formula, the float64 reference and the contract; this file holds what makes it fast:
//   * the patches of one row of positions are normalised once, a position per SIMD lane, for all filters;
//   * they are multiplied by the filters as in a matrix product, a filter per lane, six positions at once: 24 sums in
//     registers, and no response is ever stored: its two sides are added to the sums of its cell from there;
//   * cells of all grids are unions of pieces (kernels/patches/plan.py), so that a position is added once and not per grid.
// Sums of up to kMoved positions are float, of more double. Their order is that of the positions, so a result depends neither on
// the batch nor on the number of threads. patches_lanes.h has the loops, patches_sets.h the instruction sets.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "aligned.h"
#include "patches_sets.h"
#include "threads.h"

namespace fastrace {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kPanel = 64;      // positions normalised at once: with 6 x 6 pixels 9 KB, a fraction of the first-level cache
constexpr int64_t kMoved = 128;     // float sums err by 1e-6 at most after so many terms; moving them costs 2 % of the time
constexpr int64_t kProducts = 1 << 20;  // per thread: below, some 50 us, waking a helper costs more than it gives
constexpr int64_t kUnitsPerThread = 2;  // from here on images are units; fewer are cut by filters

// Columns of `cells` (int64), in the order of kernels/patches/plan.py.
enum Column { TOP, BOTTOM, LEFT, RIGHT, AT, STEP, COLUMNS };

struct Plan {
  std::vector<int64_t> rows, columns;  // where pieces begin, and the end
  const int64_t* cells;                // [cells, COLUMNS]
  int64_t count, features;             // of cells; of the result, per filter and side
};

struct Task {
  const float* images;
  int64_t height, width, side, many;  // filters
  float threshold, epsilon;
  std::vector<Block> blocks;
  std::vector<uint8_t> wrong;  // whether a filter is not finite
  Plan plan;
  float* out;
};

struct Scratch {
  Aligned<float> strip, panel, variances, part;
  Aligned<double> total, cells;
  std::vector<int64_t> since;         // positions in a piece's float sums
  std::vector<uint8_t> broken, lost;  // pieces and cells with a patch that is not finite
  std::vector<Run> runs;
};

constexpr uint32_t kNotANumber = 0x7fc00000;

// By their bits in memory: the compiler was told that there are no NaN, and may draw conclusions from arithmetic.
bool is_finite(const float* value) {
  uint32_t bits;
  std::memcpy(&bits, value, 4);
  return (bits & 0x7f800000) != 0x7f800000;
}

// Filters of the blocks first .. last - 1 on image n.
void pool_image(const Kernels& run, const Task& task, int64_t n, int64_t first, int64_t last, Scratch& scratch) {
  const Plan& plan = task.plan;
  const int64_t side = task.side, pixels = side * side, width = task.width;
  const int64_t across = static_cast<int64_t>(plan.columns.size()) - 1, bands = static_cast<int64_t>(plan.rows.size()) - 1;
  const int64_t begin = task.blocks[first].first;
  const int64_t sums = task.blocks[last - 1].first + task.blocks[last - 1].vectors * run.lanes - begin;  // of a side
  const int64_t positions = width - side + 1;
  const int64_t pitch = width + kPanel;  // vectors may read beyond the end of a row
  float* panel = scratch.panel.of(pixels * kPanel);
  float* part = scratch.part.of(across * 2 * sums);
  double* total = scratch.total.of(across * 2 * sums);
  double* cells = scratch.cells.of(plan.count * 2 * sums);
  std::memset(part, 0, across * 2 * sums * sizeof(float));
  std::memset(total, 0, across * 2 * sums * sizeof(double));
  std::memset(cells, 0, plan.count * 2 * sums * sizeof(double));
  float* variances = scratch.variances.of(kPanel);
  scratch.since.assign(across, 0), scratch.broken.assign(across, 0), scratch.lost.assign(plan.count, 0);

  for (int64_t band = 0; band < bands; ++band) {
    const int64_t top = plan.rows[band], bottom = plan.rows[band + 1];
    float* strip = scratch.strip.of((bottom - top + side) * pitch);
    for (int64_t y = top; y < bottom + side - 1; ++y) {
      float* row = strip + (y - top) * pitch;
      std::memcpy(row, task.images + (n * task.height + y) * width, width * sizeof(float));
      std::memset(row + width, 0, kPanel * sizeof(float));
    }
    for (int64_t y = top; y < bottom; ++y)
      for (int64_t x = 0, piece = 0; x < positions;) {
        const int64_t start = x, end = std::min(positions, x + kPanel);
        run.normalise(strip + (y - top) * pitch + start, pitch, side, task.epsilon, end - start, kPanel, panel,
                      variances);
        scratch.runs.clear();
        while (x < end) {
          const int64_t stop = std::min(end, plan.columns[piece + 1]);
          scratch.runs.push_back({x - start, stop - start, piece});
          scratch.since[piece] += stop - x;
          for (int64_t at = x - start; at < stop - start; ++at)
            if (!is_finite(variances + at)) {
              scratch.broken[piece] = 1;
              for (int64_t i = 0; i < pixels; ++i) panel[i * kPanel + at] = 0;
            }
          x = stop;
          if (stop == plan.columns[piece + 1]) ++piece;
        }
        for (int64_t b = first; b < last; ++b)  // outside: the weights of a block stay in the first-level cache
          for (const Run& r : scratch.runs) {
            float* above = part + r.piece * 2 * sums + task.blocks[b].first - begin;
            run.filter(task.blocks[b], r, panel, kPanel, pixels, task.threshold, above, above + sums);
          }
        for (const Run& r : scratch.runs)
          if (scratch.since[r.piece] > kMoved - kPanel / 2) {
            run.move(part + r.piece * 2 * sums, total + r.piece * 2 * sums, 2 * sums);
            scratch.since[r.piece] = 0;
          }
      }
    run.move(part, total, across * 2 * sums);
    for (int64_t c = 0; c < plan.count; ++c) {
      const int64_t* cell = plan.cells + c * COLUMNS;
      if (band < cell[TOP] || band >= cell[BOTTOM]) continue;
      for (int64_t piece = cell[LEFT]; piece < cell[RIGHT]; ++piece) {
        run.add(total + piece * 2 * sums, cells + c * 2 * sums, 2 * sums);
        scratch.lost[c] |= scratch.broken[piece];
      }
    }
    std::memset(total, 0, across * 2 * sums * sizeof(double));
    scratch.since.assign(across, 0), scratch.broken.assign(across, 0);
  }

  const int64_t filters = std::min(sums, task.many - begin);
  float* out = task.out + n * 2 * task.many * plan.features;
  for (int64_t c = 0; c < plan.count; ++c) {
    const int64_t* cell = plan.cells + c * COLUMNS;
    const double area = static_cast<double>((plan.rows[cell[BOTTOM]] - plan.rows[cell[TOP]]) *
                                            (plan.columns[cell[RIGHT]] - plan.columns[cell[LEFT]]));
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t k = 0; k < filters; ++k) {
        const bool lost = scratch.lost[c] || task.wrong[begin + k];
        const float mean = static_cast<float>(cells[(2 * c + half) * sums + k] / area);
        const int64_t channel = half * task.many + begin + k;
        float* at = out + 2 * task.many * cell[AT] + channel * cell[STEP] + (c - cell[AT]);
        std::memcpy(at, lost ? static_cast<const void*>(&kNotANumber) : &mean, sizeof(mean));
      }
  }
}

// [K, pixels] -> blocks of [pixels, vectors * lanes]; what fills the last block is 0.
void pack(const Kernels& run, const float* filters, int64_t pixels, Aligned<float>& memory, Task& task) {
  const int64_t vectors = (task.many + run.lanes - 1) / run.lanes;
  float* weights = memory.of(vectors * run.lanes * pixels);
  task.wrong.assign(vectors * run.lanes, 0);
  for (int64_t v = 0; v < vectors; v += run.wide) {
    const int64_t wide = std::min(run.wide, vectors - v), lanes = wide * run.lanes, first = v * run.lanes;
    task.blocks.push_back({weights, first, wide});
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int64_t k = first + lane;
      for (int64_t i = 0; i < pixels; ++i) {
        const bool there = k < task.many, used = there && is_finite(filters + k * pixels + i);
        weights[i * lanes + lane] = used ? filters[k * pixels + i] : 0;
        task.wrong[k] |= there && !used;
      }
    }
    weights += lanes * pixels;
  }
}

std::vector<int64_t> read_edges(const Tensor& edges, int64_t end) {
  STD_TORCH_CHECK(edges.is_cpu() && edges.dim() == 1 && edges.is_contiguous() && edges.numel() > 1 &&
                      edges.scalar_type() == ScalarType::Long,
                  "patches: edges must be int64 [pieces + 1] on the CPU");
  const int64_t* e = edges.const_data_ptr<int64_t>();
  std::vector<int64_t> read(e, e + edges.numel());
  bool rising = read.front() == 0 && read.back() == end;
  for (size_t i = 1; i < read.size(); ++i) rising &= read[i - 1] < read[i];
  STD_TORCH_CHECK(rising, "patches: edges must rise from 0 to the number of positions");
  return read;
}

// The operation can be called with any plan, and nothing else looks at bounds.
Plan read_plan(const Tensor& rows, const Tensor& columns, const Tensor& cells, int64_t down, int64_t across) {
  Plan plan{read_edges(rows, down), read_edges(columns, across), nullptr, 0, 0};
  STD_TORCH_CHECK(cells.is_cpu() && cells.dim() == 2 && cells.is_contiguous() && cells.size(1) == COLUMNS &&
                      cells.scalar_type() == ScalarType::Long,
                  "patches: cells must be int64 [cells, 6] on the CPU");
  plan.cells = cells.const_data_ptr<int64_t>();
  plan.count = plan.features = cells.size(0);
  const int64_t bands = static_cast<int64_t>(plan.rows.size()) - 1, wide = static_cast<int64_t>(plan.columns.size()) - 1;
  for (int64_t c = 0; c < plan.count; ++c) {
    const int64_t* cell = plan.cells + c * COLUMNS;
    STD_TORCH_CHECK(cell[TOP] >= 0 && cell[TOP] < cell[BOTTOM] && cell[BOTTOM] <= bands && cell[LEFT] >= 0 &&
                        cell[LEFT] < cell[RIGHT] && cell[RIGHT] <= wide,
                    "patches: a cell lies outside the pieces");
    STD_TORCH_CHECK(cell[AT] >= 0 && cell[STEP] > 0 && cell[AT] <= c && c < cell[AT] + cell[STEP] &&
                        cell[AT] + cell[STEP] <= plan.count,
                    "patches: a cell lies outside its grid");
  }
  return plan;
}

Tensor patches(Tensor images, Tensor filters, double threshold, double epsilon, Tensor rows, Tensor columns, Tensor cells) {
  STD_TORCH_CHECK(images.is_cpu() && images.dim() == 3 && images.is_contiguous() && images.scalar_type() == ScalarType::Float,
                  "patches: images must be contiguous float32 [N, H, W] on the CPU");
  STD_TORCH_CHECK(filters.is_cpu() && filters.dim() == 3 && filters.is_contiguous() &&
                      filters.scalar_type() == ScalarType::Float && filters.size(1) == filters.size(2) &&
                      filters.size(0) > 0 && filters.size(1) > 0,
                  "patches: filters must be contiguous float32 [K, p, p] on the CPU");
  const int64_t count = images.size(0), many = filters.size(0), side = filters.size(1);
  const int64_t down = images.size(1) - side + 1, across = images.size(2) - side + 1;
  STD_TORCH_CHECK(down > 0 && across > 0, "patches: images must be as large as a patch");
  Task task{};
  task.plan = read_plan(rows, columns, cells, down, across);
  Tensor out = torch::stable::new_empty(images, {count, 2 * many * task.plan.features});
  if (out.numel() == 0) return out;

  const Kernels& run = kernels_here();
  Aligned<float> memory;
  task.images = images.const_data_ptr<float>(), task.out = out.mutable_data_ptr<float>();
  task.height = images.size(1), task.width = images.size(2), task.side = side, task.many = many;
  task.threshold = static_cast<float>(threshold), task.epsilon = static_cast<float>(epsilon);
  pack(run, filters.const_data_ptr<float>(), side * side, memory, task);

  const int64_t products = count * down * across * side * side * many;
  const int64_t threads = std::min<int64_t>(torch::stable::get_num_threads(), 1 + products / kProducts);
  const int64_t blocks = static_cast<int64_t>(task.blocks.size());
  // Few images are shared out by filters; each share normalises the patches anew.
  const int64_t wanted = (threads * kUnitsPerThread + count - 1) / count;
  const int64_t shares = threads > 1 ? std::min(blocks, wanted) : 1;
  for_units(count * shares, threads, [&](int64_t unit) {
    thread_local Scratch scratch;
    const int64_t n = unit / shares, share = unit % shares;
    pool_image(run, task, n, blocks * share / shares, blocks * (share + 1) / shares, scratch);
  });
  return out;
}

}  // namespace
}  // namespace fastrace

STABLE_TORCH_LIBRARY_FRAGMENT(fastrace, m) {
  m.def(
      "patches_cpu(Tensor images, Tensor filters, float threshold, float epsilon, Tensor rows, Tensor columns, Tensor cells)"
      " -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastrace, CPU, m) {
  m.impl("patches_cpu", TORCH_BOX(&fastrace::patches));
}
