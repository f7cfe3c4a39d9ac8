// Two inner loops of window.cpp with x86 instructions that a compiler does not find by itself. Both give the bits of
// the plain loops there, which remain for other processors and for the ends of rows.

#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(FASTRACE_BASELINE)
#define FASTRACE_X86

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace fastrace {

enum class Simd { kNone, kAvx2, kAvx512 };

inline Simd simd() {
  static const Simd found = [] {
    __builtin_cpu_init();
#ifndef FASTRACE_NO_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return Simd::kAvx512;
#endif
    return __builtin_cpu_supports("avx2") ? Simd::kAvx2 : Simd::kNone;
  }();
  return found;
}

struct Affine {
  uint16_t mask;
  int32_t base;           // out = truncated ((word & mask) - base) * scale + residual, saturated to 0 .. 255
  float scale, residual;  // such that |out| < 2^31 for every word
};

// Saturating packs do the clip, so that a pixel takes five operations on floats and not seven: 0.77 ms per mammogram
// against 1.0 (AVX-512) and 1.3 (AVX2) for what gcc 12 makes of the plain loop. They interleave 128-bit lanes, and one
// permutation puts 64 (32) bytes back in order. Returns how many pixels were written, a multiple of 64 (32).
//
// `stream` writes around the caches: an output of several megabytes is not read again before it has left them, and
// fetching its lines only to overwrite them costs a tenth of the time. It needs `out` on a 64-byte boundary, and a
// fence after the last row.
__attribute__((target("avx512f,avx512bw"))) inline int64_t narrow_avx512(const uint16_t* words, int64_t n,
                                                                         const Affine& a, uint8_t* out, bool stream) {
  const __m512i mask = _mm512_set1_epi16(static_cast<short>(a.mask)), base = _mm512_set1_epi32(a.base);
  const __m512i zero = _mm512_setzero_si512(), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const __m512 scale = _mm512_set1_ps(a.scale), residual = _mm512_set1_ps(a.residual);
  const auto map = [=](__m512i v) __attribute__((target("avx512f,avx512bw"), always_inline)) {
    const __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(v, base));
    return _mm512_cvttps_epi32(_mm512_add_ps(_mm512_mul_ps(value, scale), residual));
  };
  const auto pair = [=](__m512i v) __attribute__((target("avx512f,avx512bw"), always_inline)) {
    v = _mm512_and_si512(v, mask);
    return _mm512_packs_epi32(map(_mm512_unpacklo_epi16(v, zero)), map(_mm512_unpackhi_epi16(v, zero)));
  };
  int64_t x = 0;
  for (; x + 64 <= n; x += 64) {
    const __m512i low = pair(_mm512_loadu_si512(words + x)), high = pair(_mm512_loadu_si512(words + x + 32));
    const __m512i bytes = _mm512_permutexvar_epi64(order, _mm512_packus_epi16(low, high));
    if (stream) _mm512_stream_si512(reinterpret_cast<__m512i*>(out + x), bytes);
    else _mm512_storeu_si512(out + x, bytes);
  }
  return x;
}

__attribute__((target("avx2"))) inline int64_t narrow_avx2(const uint16_t* words, int64_t n, const Affine& a,
                                                           uint8_t* out, bool stream) {
  const __m256i mask = _mm256_set1_epi16(static_cast<short>(a.mask)), base = _mm256_set1_epi32(a.base);
  const __m256i zero = _mm256_setzero_si256();
  const __m256 scale = _mm256_set1_ps(a.scale), residual = _mm256_set1_ps(a.residual);
  const auto map = [=](__m256i v) __attribute__((target("avx2"), always_inline)) {
    const __m256 value = _mm256_cvtepi32_ps(_mm256_sub_epi32(v, base));
    return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(value, scale), residual));
  };
  const auto pair = [=](const uint16_t* at) __attribute__((target("avx2"), always_inline)) {
    const __m256i v = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), mask);
    return _mm256_packs_epi32(map(_mm256_unpacklo_epi16(v, zero)), map(_mm256_unpackhi_epi16(v, zero)));
  };
  int64_t x = 0;
  for (; x + 32 <= n; x += 32) {
    const __m256i packed = _mm256_packus_epi16(pair(words + x), pair(words + x + 16));
    const __m256i bytes = _mm256_permute4x64_epi64(packed, 0xD8);
    if (stream) _mm256_stream_si256(reinterpret_cast<__m256i*>(out + x), bytes);
    else _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), bytes);
  }
  return x;
}

// out = table[word] for bytes, sixteen to a store. What limits a table is the number of loads: words are loaded two at
// a time and the bytes inserted from memory, 2.1 ms per mammogram against 2.6 with a load a word and shifts. Gathers
// are slower (3.1 ms), and so is holding the table in registers (VBMI, 5.1 ms); streaming gains nothing here. Returns
// how many pixels were written.
__attribute__((target("avx2"))) inline int64_t look_up_bytes(const uint16_t* words, int64_t n, const uint8_t* table,
                                                             uint8_t* out) {
  int64_t x = 0;
  for (; x + 16 <= n; x += 16) {
    __m128i bytes = _mm_setzero_si128();
#define FASTRACE_TWO(k)                                              \
  {                                                                  \
    uint32_t two;                                                    \
    std::memcpy(&two, words + x + (k), 4);                           \
    bytes = _mm_insert_epi8(bytes, table[two & 0xffff], (k));        \
    bytes = _mm_insert_epi8(bytes, table[two >> 16], (k) + 1);       \
  }
    FASTRACE_TWO(0) FASTRACE_TWO(2) FASTRACE_TWO(4) FASTRACE_TWO(6)
    FASTRACE_TWO(8) FASTRACE_TWO(10) FASTRACE_TWO(12) FASTRACE_TWO(14)
#undef FASTRACE_TWO
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + x), bytes);
  }
  return x;
}

}  // namespace fastrace

#endif
