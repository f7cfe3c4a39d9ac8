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
//
// bandpass_gains.h has the gains, bandpass_sets.h the loops for each instruction set, bandpass_image.h one image; here are the
// operations.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "bandpass_image.h"
#include "pages.h"
#include "threads.h"

namespace fastrace {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kPixelsPerThread = 100000;  // below that, waking a helper costs more than it gives

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
