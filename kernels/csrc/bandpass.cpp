// fastrace::bandpass on the CPU: real images through a radial filter, with a Fourier transform of its own.
//
// kernels/bandpass/ holds the formula, the float64 reference and the contract; this file holds what makes it fast:
//   * every SIMD lane carries a transform of its own, so that butterflies need no shuffles: first 2 x 16 columns of the
//     image at once (one the real part, one the imaginary part of a complex transform), then 16 rows of the half spectrum;
//   * a group of 16 rows goes forward, is multiplied by its gains and comes back while it lies in the first-level cache;
//   * rows which the filter rejects, and rows which it leaves alone, are not transformed at all;
//   * K filters of one image share the forward transform.
// Measured at 224 x 224 on one AVX-512 core: see bench/results. The order of all sums is fixed and no fused multiply-add
// is used, so that the clones for SSE2, AVX2 and AVX-512 give the same bits, whatever the batch and the number of threads.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "fft_plan.h"
#include "pages.h"
#include "threads.h"

namespace fastrace {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kPair = 16;   // columns x and x + kPair share a transform, on every instruction set
constexpr int64_t kGroup = 16;  // rows that are transformed, or left alone, together
constexpr int64_t kPixelsPerThread = 100000;  // below that, waking a helper costs more than it gives

template <class Real>
struct Shape {
  int64_t height, width, rows, stride;  // rows of the half spectrum, and how far apart they lie
  Real scale;                           // 1 / H; the 1 / W of the rows lies in the gains
  std::shared_ptr<const Plan<Real>> column, row;
  std::vector<int32_t> folded;  // |kx| of each slot of a row
};

template <class Real>
struct Kernels {
  int64_t lanes;
  void (*columns_forward)(const Real*, const Shape<Real>&, int64_t, Real*, Real*, void*);
  void (*columns_inverse)(const Real*, const Real*, const Shape<Real>&, const uint8_t*, Real*, void*);
  void (*rows_forward)(const Real*, const Real*, const Shape<Real>&, void*);
  void (*rows_gain)(const void*, const Shape<Real>&, const Real*, void*);
  void (*first_row_gain)(const void*, const Shape<Real>&, const Real*, const Real*, void*);
  void (*rows_inverse)(void*, const Shape<Real>&, Real*, Real*);
};

#define FASTRACE_SET baseline
#define FASTRACE_TARGET
#define FASTRACE_BYTES 16
#include "fft_lanes.h"

#include "bandpass_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES

#if defined(__x86_64__) && !defined(FASTRACE_BASELINE)
#define FASTRACE_SET avx2
#define FASTRACE_TARGET __attribute__((target("avx2")))
#define FASTRACE_BYTES 32
#include "fft_lanes.h"

#include "bandpass_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES
#endif

#if defined(__x86_64__) && !defined(FASTRACE_BASELINE) && !defined(FASTRACE_NO_AVX512)
#define FASTRACE_SET avx512
#define FASTRACE_TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw")))
#define FASTRACE_BYTES 64
#include "fft_lanes.h"

#include "bandpass_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES
#endif

template <class Real>
const Kernels<Real>& kernels_here() {
  static const Kernels<Real> chosen = [] {
#if defined(__x86_64__) && !defined(FASTRACE_BASELINE)
#ifndef FASTRACE_NO_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
      return avx512::kernels<Real>();
#endif
    if (__builtin_cpu_supports("avx2")) return avx2::kernels<Real>();
#endif
    return baseline::kernels<Real>();
  }();
  return chosen;
}

template <class Real>
Shape<Real> shape_of(int64_t height, int64_t width) {
  Shape<Real> shape{height, width, (height + 1) / 2, 0, 0, plan_of<Real>(height), plan_of<Real>(width), {}};
  // Rows a power of two apart would fall into the same few sets of the cache.
  shape.stride = (width + 2 * kPair - 1) / (2 * kPair) * (2 * kPair) + kPair;
  shape.scale = static_cast<Real>(1.0 / static_cast<double>(height));
  for (const int32_t k : shape.row->frequency)
    shape.folded.push_back(static_cast<int32_t>(std::min<int64_t>(k, width - k)));
  return shape;
}

// ---- gains ---------------------------------------------------------------------------------------------------------

// Keeps low_edge <= (ky W)^2 + (kx H)^2 < high_edge, or as a complement the rest.
struct Filter {
  int64_t low_edge, high_edge;
  bool complement;
  bool operator==(const Filter& f) const {
    return low_edge == f.low_edge && high_edge == f.high_edge && complement == f.complement;
  }
};

enum Treatment : uint8_t { ZERO, ONE, MIXED };  // all gains of a group are 0, 1, or something else

template <class Real>
struct Gains {
  std::vector<Real> table;  // [rows / kGroup, kGroup / lanes, W / 2 + 1, lanes] gain / W; row 0 is 1
  std::vector<Real> zero, nyquist;  // [W / 2 + 1] gain / W of ky = 0 and ky = H / 2, which share row 0
  std::vector<uint8_t> treatment;   // [rows / kGroup]
  std::vector<uint8_t> kept;        // [rows] 0 where a row has no gain but 0
  int64_t last = 0;                 // rows that have to be known: [0, last)
  bool constant = false;            // all rows are treated alike, and not MIXED
};

// A filter keeps the kx of one ky that lie in [first, last), or as a complement all others: radii grow along a row.
// They grow with ky too, so both ends only move down from one ky to the next.
struct Interval {
  int32_t first, last;
};

std::vector<Interval> intervals(const Filter& f, int64_t height, int64_t width) {
  std::vector<Interval> found;
  int64_t first = width / 2 + 1, last = first;
  for (int64_t ky = 0; ky <= height / 2; ++ky) {
    const int64_t y = ky * width * ky * width;
    const auto square = [&](int64_t kx) { return y + kx * height * kx * height; };
    while (first > 0 && square(first - 1) >= f.low_edge) --first;
    while (last > 0 && square(last - 1) >= f.high_edge) --last;
    found.push_back({static_cast<int32_t>(std::min(first, last)), static_cast<int32_t>(last)});
  }
  return found;
}

// What a filter does to one row of the half spectrum, found out row by row; row 0 stands for two.
struct Treated {
  bool any, all;  // whether some gain is not 0, and whether all are 1
};

template <class Real>
void finish(const std::vector<Treated>& rows, Gains<Real>& to) {
  const int64_t count = static_cast<int64_t>(rows.size());
  to.treatment.assign((count + kGroup - 1) / kGroup, MIXED);
  to.kept.resize(count);
  to.last = 0;
  for (int64_t p = 0; p < count; ++p) {
    const uint8_t own = !rows[p].any ? ZERO : rows[p].all ? ONE : MIXED;
    uint8_t& treatment = to.treatment[p / kGroup];
    treatment = p % kGroup == 0 || treatment == own ? own : uint8_t{MIXED};
    to.kept[p] = rows[p].any;
    if (rows[p].any) to.last = std::min(count, (p / kGroup + 1) * kGroup);
  }
  to.constant = to.treatment[0] != MIXED &&
      std::all_of(to.treatment.begin(), to.treatment.end(), [&](uint8_t t) { return t == to.treatment[0]; });
}

template <class Real>
void make_gains(const Filter& f, int64_t height, int64_t width, int64_t rows, int64_t lanes, Gains<Real>& to) {
  const int32_t columns = static_cast<int32_t>(width / 2 + 1);
  to.table.resize((rows + kGroup - 1) / kGroup * kGroup * columns);
  to.zero.resize(columns), to.nyquist.assign(columns, 0);
  const Real inside = static_cast<Real>((f.complement ? 0.0 : 1.0) / static_cast<double>(width));
  const Real outside = static_cast<Real>((f.complement ? 1.0 : 0.0) / static_cast<double>(width));
  const std::vector<Interval> kept = intervals(f, height, width);
  const auto treated = [&](Interval row) {
    const int32_t count = f.complement ? columns - (row.last - row.first) : row.last - row.first;
    return Treated{count > 0, count == columns};
  };
  std::vector<Treated> found(rows);
  for (int64_t p = 0; p < rows; ++p) found[p] = treated(kept[p]);
  for (int64_t first_row = 0; first_row < rows; first_row += lanes) {
    int32_t first[kGroup], last[kGroup];
    for (int64_t l = 0; l < lanes; ++l) {
      const Interval row = first_row + l < rows ? kept[first_row + l] : Interval{0, 0};
      first[l] = row.first, last[l] = row.last;
    }
    Real* at = to.table.data() + first_row * columns;
    for (int32_t kx = 0; kx < columns; ++kx)
      for (int64_t l = 0; l < lanes; ++l) at[kx * lanes + l] = kx >= first[l] && kx < last[l] ? inside : outside;
  }
  const auto whole_row = [&](Interval row, std::vector<Real>& gains) {
    for (int32_t kx = 0; kx < columns; ++kx) gains[kx] = kx >= row.first && kx < row.last ? inside : outside;
  };
  whole_row(kept[0], to.zero);
  if (height % 2 == 0) {
    const Treated nyquist = treated(kept[height / 2]);
    found[0] = {found[0].any || nyquist.any, found[0].all && nyquist.all};
    whole_row(kept[height / 2], to.nyquist);
  }
  finish(found, to);
  for (int32_t kx = 0; kx < columns; ++kx) to.table[kx * lanes] = 1;
}

// ---- one image -----------------------------------------------------------------------------------------------------

// Memory that a thread keeps between images, on cache lines of its own.
template <class Real>
class Aligned {
 public:
  Real* of(int64_t count) {
    if (count > count_) {
      std::free(data_);
      data_ = nullptr, count_ = 0;
      const size_t bytes = (static_cast<size_t>(count) * sizeof(Real) + 127) / 64 * 64;
      data_ = static_cast<Real*>(std::aligned_alloc(64, bytes));
      if (!data_) throw std::bad_alloc();
      std::memset(data_, 0, bytes);
      count_ = count;
    }
    return data_;
  }
  ~Aligned() { std::free(data_); }

 private:
  Real* data_ = nullptr;
  int64_t count_ = 0;
};

template <class Real>
struct Scratch {
  Aligned<Real> line, re, im;
};

template <class Real>
int64_t line_size(const Shape<Real>& shape, int64_t lanes) {  // numbers in the slots of one transform
  const int64_t slots = std::max({shape.column->slots, shape.row->slots, (shape.width + lanes - 1) / lanes * lanes});
  return 2 * lanes * slots;
}

template <class Real>
void multiply(const Real* image, int64_t pixels, Real factor, Real* out) {
  for (int64_t i = 0; i < pixels; ++i) out[i] = image[i] * factor;  // by 0 too: a NaN must not vanish
}

template <class Real>
void filter_rows(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, int64_t group,
                 const void* spectrum, void* line, Real* re, Real* im) {
  const int64_t columns = shape.width / 2 + 1;
  const Real* table = gains.table.data() + group * run.lanes * columns;
  run.rows_gain(spectrum, shape, table, line);
  if (group == 0) run.first_row_gain(spectrum, shape, gains.zero.data(), gains.nyquist.data(), line);
  run.rows_inverse(line, shape, re + group * run.lanes * shape.stride, im + group * run.lanes * shape.stride);
}

template <class Real>
void filter_image(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, const Real* image,
                  Real* out) {
  const int64_t pixels = shape.height * shape.width;
  if (gains.constant) return multiply(image, pixels, static_cast<Real>(gains.treatment[0] == ONE), out);
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride;
  Real *line = scratch.line.of(line_size(shape, run.lanes)), *re = scratch.re.of(plane), *im = scratch.im.of(plane);
  run.columns_forward(image, shape, gains.last, re, im, line);
  for (int64_t row = 0; row < gains.last; row += run.lanes)
    if (gains.treatment[row / kGroup] == MIXED) {
      run.rows_forward(re + row * shape.stride, im + row * shape.stride, shape, line);
      filter_rows(run, shape, gains, row / run.lanes, line, line, re, im);
    }
  run.columns_inverse(re, im, shape, gains.kept.data(), out, line);
}

// The forward transform of one image, for several filters.
template <class Real>
struct Transformed {
  Aligned<Real> re, im, spectrum;
};

template <class Real>
void transform(const Kernels<Real>& run, const Shape<Real>& shape, int64_t rows, const Real* image, Transformed<Real>& to) {
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride, line = line_size(shape, run.lanes);
  Real *re = to.re.of(plane), *im = to.im.of(plane);
  Real* spectrum = to.spectrum.of((rows + run.lanes - 1) / run.lanes * line);
  if (rows > 0) run.columns_forward(image, shape, rows, re, im, scratch.line.of(line));
  for (int64_t row = 0; row < rows; row += run.lanes)
    run.rows_forward(re + row * shape.stride, im + row * shape.stride, shape, spectrum + row / run.lanes * line);
}

template <class Real>
void filter_transformed(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, const Real* image,
                        Transformed<Real>& from, Real* out) {
  const int64_t pixels = shape.height * shape.width;
  if (gains.constant) return multiply(image, pixels, static_cast<Real>(gains.treatment[0] == ONE), out);
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride, line = line_size(shape, run.lanes);
  Real *data = scratch.line.of(line), *re = scratch.re.of(plane), *im = scratch.im.of(plane);
  const Real *from_re = from.re.of(0), *from_im = from.im.of(0), *spectrum = from.spectrum.of(0);
  for (int64_t row = 0; row < gains.last; row += run.lanes) {
    const uint8_t treatment = gains.treatment[row / kGroup];
    if (treatment == MIXED) {
      filter_rows(run, shape, gains, row / run.lanes, spectrum + row / run.lanes * line, data, re, im);
    } else if (treatment == ONE) {
      const size_t bytes = run.lanes * shape.stride * sizeof(Real);
      std::memcpy(re + row * shape.stride, from_re + row * shape.stride, bytes);
      std::memcpy(im + row * shape.stride, from_im + row * shape.stride, bytes);
    }
  }
  run.columns_inverse(re, im, shape, gains.kept.data(), out, data);
}

// ---- the operations ------------------------------------------------------------------------------------------------

int64_t threads_for(int64_t count, int64_t pixels) {
  const int64_t worth = std::max<int64_t>(1, count * pixels / kPixelsPerThread);
  return std::min<int64_t>({torch::stable::get_num_threads() + int64_t{0}, count, worth});
}

void check(const Tensor& images) {
  STD_TORCH_CHECK(images.dim() == 3 && images.is_contiguous() && images.is_cpu(),
                  "bandpass: images must be contiguous [N, H, W] on the CPU");
}

// One filter for all images. The gains of the last call are kept: an epoch filters every batch alike.
template <class Real>
void run_shared(const Tensor& images, const Filter& filter, Tensor& out) {
  const int64_t count = images.size(0), height = images.size(1), width = images.size(2);
  struct Kept {
    int64_t height = 0, width = 0;
    Filter filter;
    Shape<Real> shape;
    Gains<Real> gains;
  };
  thread_local std::shared_ptr<const Kept> last;
  const Kernels<Real>& run = kernels_here<Real>();
  if (!last || last->height != height || last->width != width || !(last->filter == filter)) {
    auto made = std::make_shared<Kept>();
    made->height = height, made->width = width, made->filter = filter;
    made->shape = shape_of<Real>(height, width);
    make_gains(filter, height, width, made->shape.rows, run.lanes, made->gains);
    last = made;
  }
  const std::shared_ptr<const Kept> kept = last;
  const Real* from = static_cast<const Real*>(images.const_data_ptr());
  Real* to = static_cast<Real*>(out.mutable_data_ptr());
  const int64_t pixels = height * width;
  for_units(count, threads_for(count, pixels), [=, &run](int64_t n) {
    filter_image(run, kept->shape, kept->gains, from + n * pixels, to + n * pixels);
  });
}

template <class Real>
void run_each(const Tensor& images, const std::vector<Filter>& filters, Tensor& out) {
  const int64_t count = images.size(0), height = images.size(1), width = images.size(2), pixels = height * width;
  const Kernels<Real>& run = kernels_here<Real>();
  const Shape<Real> shape = shape_of<Real>(height, width);
  const Real* from = static_cast<const Real*>(images.const_data_ptr());
  Real* to = static_cast<Real*>(out.mutable_data_ptr());
  for_units(count, threads_for(count, pixels), [&](int64_t n) {
    thread_local Gains<Real> gains;
    make_gains(filters[n], height, width, shape.rows, run.lanes, gains);
    filter_image(run, shape, gains, from + n * pixels, to + n * pixels);
  });
}

template <class Real>
void run_many(const Tensor& images, const std::vector<Filter>& filters, Tensor& out) {
  const int64_t count = images.size(0), height = images.size(1), width = images.size(2), pixels = height * width;
  const int64_t many = static_cast<int64_t>(filters.size());
  const Kernels<Real>& run = kernels_here<Real>();
  const Shape<Real> shape = shape_of<Real>(height, width);
  std::vector<Gains<Real>> gains(many);
  int64_t rows = 0;
  for (int64_t k = 0; k < many; ++k) {
    make_gains(filters[k], height, width, shape.rows, run.lanes, gains[k]);
    for (int64_t row = 0; row < gains[k].last; row += kGroup)
      if (!gains[k].constant) rows = std::max(rows, std::min(shape.rows, row + kGroup));
  }
  const Real* from = static_cast<const Real*>(images.const_data_ptr());
  Real* to = static_cast<Real*>(out.mutable_data_ptr());
  const int64_t threads = threads_for(std::max(count, many), pixels);
  // Images go to threads while there are enough of them; one alone has its filters shared out.
  if (count >= threads) {
    for_units(count, threads, [&](int64_t n) {
      thread_local Transformed<Real> transformed;
      transform(run, shape, rows, from + n * pixels, transformed);
      for (int64_t k = 0; k < many; ++k)
        filter_transformed(run, shape, gains[k], from + n * pixels, transformed, to + (n * many + k) * pixels);
    });
    return;
  }
  Transformed<Real> transformed;
  for (int64_t n = 0; n < count; ++n) {
    transform(run, shape, rows, from + n * pixels, transformed);
    for_units(many, threads, [&](int64_t k) {
      filter_transformed(run, shape, gains[k], from + n * pixels, transformed, to + (n * many + k) * pixels);
    });
  }
}

Tensor bandpass(Tensor images, int64_t low_edge, int64_t high_edge, bool complement) {
  check(images);
  Tensor out = torch::stable::empty_like(images);
  if (images.numel() == 0) return out;
  ask_for_huge_pages(out.mutable_data_ptr(), out.numel() * out.element_size());
  const Filter filter{low_edge, high_edge, complement};
  if (images.scalar_type() == ScalarType::Double)
    run_shared<double>(images, filter, out);
  else
    run_shared<float>(images, filter, out);
  return out;
}

std::vector<Filter> read_filters(const Tensor& edges, bool complement) {
  STD_TORCH_CHECK(edges.is_contiguous() && edges.scalar_type() == ScalarType::Long && edges.numel() % 2 == 0,
                  "bandpass: edges must be int64 [F, 2]");
  const int64_t* e = edges.const_data_ptr<int64_t>();
  std::vector<Filter> filters;
  for (int64_t i = 0; i < edges.numel(); i += 2) filters.push_back({e[i], e[i + 1], complement});
  return filters;
}

Tensor bandpass_each(Tensor images, Tensor edges, bool complement) {
  check(images);
  const std::vector<Filter> filters = read_filters(edges, complement);
  STD_TORCH_CHECK(static_cast<int64_t>(filters.size()) == images.size(0), "bandpass: one filter per image is needed");
  Tensor out = torch::stable::empty_like(images);
  if (images.numel() == 0) return out;
  ask_for_huge_pages(out.mutable_data_ptr(), out.numel() * out.element_size());
  if (images.scalar_type() == ScalarType::Double)
    run_each<double>(images, filters, out);
  else
    run_each<float>(images, filters, out);
  return out;
}

Tensor bandpass_many(Tensor images, Tensor edges, bool complement) {
  check(images);
  const std::vector<Filter> filters = read_filters(edges, complement);
  Tensor out = torch::stable::new_empty(
      images, {images.size(0), static_cast<int64_t>(filters.size()), images.size(1), images.size(2)});
  if (out.numel() == 0) return out;
  ask_for_huge_pages(out.mutable_data_ptr(), out.numel() * out.element_size());
  if (images.scalar_type() == ScalarType::Double)
    run_many<double>(images, filters, out);
  else
    run_many<float>(images, filters, out);
  return out;
}

}  // namespace
}  // namespace fastrace

STABLE_TORCH_LIBRARY_FRAGMENT(fastrace, m) {
  m.def("bandpass_cpu(Tensor images, int low_edge, int high_edge, bool complement) -> Tensor");
  m.def("bandpass_each_cpu(Tensor images, Tensor edges, bool complement) -> Tensor");
  m.def("bandpass_many_cpu(Tensor images, Tensor edges, bool complement) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastrace, CPU, m) {
  m.impl("bandpass_cpu", TORCH_BOX(&fastrace::bandpass));
  m.impl("bandpass_each_cpu", TORCH_BOX(&fastrace::bandpass_each));
  m.impl("bandpass_many_cpu", TORCH_BOX(&fastrace::bandpass_many));
}
