// fastrace::bandpass, the instruction sets: the loops of bandpass_lanes.h compiled for each, and the choice of one.
//
// A part of bandpass.cpp, which alone includes it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "bandpass_gains.h"
#include "fft_plan.h"

namespace fastrace {
namespace {

constexpr int64_t kPair = 16;  // columns x and x + kPair share a transform, on every instruction set

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

}  // namespace
}  // namespace fastrace
