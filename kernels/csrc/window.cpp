// fastrace::window on the CPU: stored words -> display values -> area averages or Lanczos sums, in one pass.
//
// kernels/window/ holds the formula, the float64 reference and the contract; this file holds what makes it fast:
//   * resizing adds whole rows first: eight rows at a time are mapped and summed into one float row that stays in
//     the first-level cache, and only that row is reduced horizontally, eight outputs at a time;
//   * a table is expanded to one entry per possible word, so that a pixel costs two loads and no arithmetic; at full
//     size its entries are already rounded to the output type;
//   * windowing to bytes, which most images want, has its own loops (window_x86.h);
//   * threads draw units of about equal cost (threads.h).
// window_rows.h has the loops over pixels, window_shares.h the weights, window_image.h one image; here is the batch.
// Compiled with -ffp-contract=off: every sum has one fixed order and no fused multiply-add, so the SSE2, AVX2 and
// AVX-512 clones give the same bits, and a dataset does not depend on the machine that wrote it. With
// -ffinite-math-only -fno-signed-zeros -fno-trapping-math a clip is one instruction (1.2 ms instead of 2.2 per
// mammogram); the Python side has refused NaN and infinities.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "pages.h"
#include "threads.h"
#include "window_image.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Columns of `geometry` (int64), in the order of kernels/window/plan.py.
enum Column {
  SOURCE, OFFSET, STRIDE, CROP_HEIGHT, CROP_WIDTH, BOX_TOP, BOX_LEFT, BOX_HEIGHT, BOX_WIDTH, FLIP, BITS, SHIFT, SIGNED,
  TABLE, COLUMNS
};

constexpr int64_t kUnitWords = 1 << 17;  // input words per unit of work: about 20 us
constexpr int64_t kUnitsPerThread = 4;   // a thread for less would cost more than it gives
constexpr int64_t kStreamBytes = int64_t{1} << 22;  // outputs from here on are written around the caches
constexpr int64_t kLanczos = 8;                     // in `hints`: the flag of kernels/window/plan.py

// The op can be called with any geometry, and nothing else looks at bounds.
Image read_image(const int64_t* g, const float* affine, const std::vector<Tensor>& words, const Tensor& tables,
                 int64_t height, int64_t width, int64_t hints) {
  STD_TORCH_CHECK(g[SOURCE] >= 0 && g[SOURCE] < static_cast<int64_t>(words.size()), "window: no such source");
  const Tensor& source = words[g[SOURCE]];
  const bool wide = source.scalar_type() == ScalarType::UInt16;
  STD_TORCH_CHECK(wide || source.scalar_type() == ScalarType::Byte, "window: words must be uint8 or uint16");
  STD_TORCH_CHECK(source.is_cpu() && source.numel() > 0, "window: words must be filled CPU tensors");
  int64_t extent = 1;
  for (int64_t d = 0; d < source.dim(); ++d) extent += (source.size(d) - 1) * source.stride(d);
  constexpr int64_t most = int64_t{1} << 31;
  STD_TORCH_CHECK(g[CROP_HEIGHT] > 0 && g[CROP_WIDTH] > 0 && g[CROP_HEIGHT] < most && g[CROP_WIDTH] < most &&
                      g[STRIDE] >= 0 && g[STRIDE] < most && g[OFFSET] >= 0 && g[OFFSET] < extent &&
                      g[OFFSET] + (g[CROP_HEIGHT] - 1) * g[STRIDE] + g[CROP_WIDTH] <= extent,
                  "window: a crop lies outside its words");
  STD_TORCH_CHECK(g[BOX_TOP] >= 0 && g[BOX_LEFT] >= 0 && g[BOX_HEIGHT] > 0 && g[BOX_WIDTH] > 0 &&
                      g[BOX_HEIGHT] <= height - g[BOX_TOP] && g[BOX_WIDTH] <= width - g[BOX_LEFT],
                  "window: a box lies outside the canvas");
  const int64_t bits = g[BITS], shift = g[SHIFT];
  STD_TORCH_CHECK(bits >= 1 && bits <= 16 && shift >= 0 && shift <= (wide ? 16 : 8) - bits,
                  "window: the bits do not fit the word");
  STD_TORCH_CHECK(g[TABLE] < 0 || g[TABLE] <= tables.numel() - (int64_t{1} << bits),
                  "window: a table lies outside the tables");
  Image im{};
  im.word_size = wide ? 2 : 1;
  im.words = static_cast<const uint8_t*>(source.const_data_ptr()) + g[OFFSET] * im.word_size;
  im.stride = g[STRIDE], im.height = g[CROP_HEIGHT], im.width = g[CROP_WIDTH];
  im.top = g[BOX_TOP], im.left = g[BOX_LEFT], im.box_height = g[BOX_HEIGHT], im.box_width = g[BOX_WIDTH];
  im.flip = g[FLIP] != 0;
  im.lanczos = (hints & kLanczos) != 0;
  im.shift = static_cast<int32_t>(shift);
  im.mask = static_cast<int32_t>((int64_t{1} << bits) - 1);
  im.sign = g[SIGNED] ? int32_t{1} << (bits - 1) : 0;
  im.scale = affine[0], im.origin = static_cast<int32_t>(affine[1]), im.residual = affine[2];
  im.table = g[TABLE] >= 0 ? tables.const_data_ptr<float>() + g[TABLE] : nullptr;
  return im;
}

Tensor window(std::vector<Tensor> words, Tensor geometry, Tensor affine, Tensor tables, int64_t height, int64_t width,
              ScalarType dtype, int64_t hints) {
  STD_TORCH_CHECK(dtype == ScalarType::Byte || dtype == ScalarType::UInt16 || dtype == ScalarType::Half ||
                      dtype == ScalarType::BFloat16 || dtype == ScalarType::Float,
                  "window: dtype must be uint8, uint16, float16, bfloat16 or float32");
  STD_TORCH_CHECK(geometry.dim() == 2 && geometry.size(1) == COLUMNS && geometry.is_contiguous(),
                  "window: geometry must be contiguous, [N, 14]");
  const int64_t n = geometry.size(0);
  STD_TORCH_CHECK(affine.is_contiguous() && affine.numel() == 3 * n && tables.is_contiguous(),
                  "window: affine must be [N, 3], and tables contiguous");
  const int64_t* rows = geometry.const_data_ptr<int64_t>();
  const float* maps = affine.const_data_ptr<float>();
  Tensor out = torch::stable::new_empty(geometry, {n, height, width}, dtype);
  if (n == 0 || height == 0 || width == 0) return out;

  std::vector<Image> images;
  std::vector<Unit> units;
  images.reserve(n);
  for (int64_t i = 0; i < n; ++i) {
    const Image im = read_image(rows + i * COLUMNS, maps + i * 3, words, tables, height, width, hints);
    const int64_t rows_each = (im.height + im.box_height - 1) / im.box_height * (im.lanczos && !im.same() ? 6 : 1);
    const int64_t cost = std::max(width, im.width * rows_each);
    const int64_t step = std::max<int64_t>(1, kUnitWords / cost);
    for (int64_t y = 0; y < height; y += step) units.push_back({i, y, std::min(height, y + step)});
    images.push_back(im);
  }
  const int64_t bytes = height * width * bytes_of(dtype);
  fastrace::ask_for_huge_pages(out.mutable_data_ptr(), n * bytes);
  uint8_t* canvas = static_cast<uint8_t*>(out.mutable_data_ptr());
  const int64_t count = static_cast<int64_t>(units.size());
  const int64_t threads = std::min<int64_t>(torch::stable::get_num_threads(), 1 + count / kUnitsPerThread);
  const bool stream = n * bytes >= kStreamBytes;
  static std::atomic<int64_t> calls{0};
  const int64_t call = ++calls;  // what a thread's scratch holds may belong to another call's images
  fastrace::for_units(count, threads, [=, &images, &units](int64_t u) {
    thread_local Scratch scratch;
    thread_local int64_t prepared = 0;
    if (prepared != call) scratch.image = -1, prepared = call;
    fill_unit(images[units[u].image], units[u], width, dtype, stream, scratch, canvas + units[u].image * bytes);
  });
  return out;
}

}  // namespace

// Which sources this library was built from; fastrace/kernels/_extension.py looks for it before loading.
#ifndef FASTRACE_MARKER
#define FASTRACE_MARKER "fastrace-kernels:none"
#endif
extern "C" __attribute__((used, visibility("default"))) const char fastrace_marker[] = FASTRACE_MARKER;

STABLE_TORCH_LIBRARY_FRAGMENT(fastrace, m) {
  m.def(
      "window_cpu(Tensor[] words, Tensor geometry, Tensor affine, Tensor tables, int height, int width, ScalarType dtype,"
      " int hints) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastrace, CPU, m) {
  m.impl("window_cpu", TORCH_BOX(&window));
}
