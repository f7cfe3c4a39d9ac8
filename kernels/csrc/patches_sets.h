// fastrace::patches, the instruction sets: the loops of patches_lanes.h compiled for each, and the choice of one.
//
// A part of patches.cpp, which alone includes it. AVX2 and AVX-512 give the same bits, because both have a fused multiply-add
// and every sum one order; without it (SSE2, other processors) the last bits differ.

#pragma once

#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(FASTRACE_BASELINE)
#define FASTRACE_X86
#include <immintrin.h>
#endif

namespace fastrace {
namespace {

constexpr int64_t kRows = 6;  // positions in a block: 6 x 4 sums of 512 bits, or 6 x 2 of 256, fit into the registers

struct Block {  // of filters, as many vectors as are multiplied at once: [pixels, vectors * lanes]
  const float* weights;
  int64_t first, vectors;  // its first filter
};

struct Run {  // positions begin .. end - 1 of a panel, which lie in one piece
  int64_t begin, end, piece;
};

struct Kernels {
  int64_t lanes, wide;
  void (*normalise)(const float*, int64_t, int64_t, float, int64_t, int64_t, float*, float*);
  void (*filter)(const Block&, const Run&, const float*, int64_t, int64_t, float, float*, float*);
  void (*move)(float*, double*, int64_t);
  void (*add)(const double*, double*, int64_t);
};

template <class Vector>
inline __attribute__((always_inline)) Vector root_of_each(Vector v) {
  for (unsigned i = 0; i < sizeof(v) / sizeof(float); ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
}

#define FASTRACE_SET baseline
#define FASTRACE_TARGET
#define FASTRACE_BYTES 16
#define FASTRACE_WIDE 2
#define FASTRACE_FMA(a, b, c) ((a) * (b) + (c))
#define FASTRACE_ROOT(v) root_of_each(v)
#include "patches_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES
#undef FASTRACE_WIDE
#undef FASTRACE_FMA
#undef FASTRACE_ROOT

#ifdef FASTRACE_X86
#define FASTRACE_SET avx2
#define FASTRACE_TARGET __attribute__((target("avx2,fma")))
#define FASTRACE_BYTES 32
#define FASTRACE_WIDE 2
#define FASTRACE_FMA(a, b, c) ((Vector)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define FASTRACE_ROOT(v) ((Vector)_mm256_sqrt_ps((__m256)(v)))
#include "patches_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES
#undef FASTRACE_WIDE
#undef FASTRACE_FMA
#undef FASTRACE_ROOT
#endif

#if defined(FASTRACE_X86) && !defined(FASTRACE_NO_AVX512)
#define FASTRACE_SET avx512
#define FASTRACE_TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define FASTRACE_BYTES 64
#define FASTRACE_WIDE 4
#define FASTRACE_FMA(a, b, c) ((Vector)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define FASTRACE_ROOT(v) ((Vector)_mm512_sqrt_ps((__m512)(v)))
#include "patches_lanes.h"
#undef FASTRACE_SET
#undef FASTRACE_TARGET
#undef FASTRACE_BYTES
#undef FASTRACE_WIDE
#undef FASTRACE_FMA
#undef FASTRACE_ROOT
#endif

inline const Kernels& kernels_here() {
  static const Kernels chosen = [] {
#ifdef FASTRACE_X86
    const bool fused = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifndef FASTRACE_NO_AVX512
    if (fused && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
      return avx512::kernels();
#endif
    if (fused) return avx2::kernels();
#endif
    return baseline::kernels();
  }();
  return chosen;
}

}  // namespace
}  // namespace fastrace
