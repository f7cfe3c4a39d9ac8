// fastrace::window, the rows: one pixel, one row, and each step compiled for every instruction set.
//
// A part of window.cpp, which alone includes it: with internal linkage the compiler clones and inlines as in one file.

#pragma once

#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "window_x86.h"

#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || defined(FASTRACE_BASELINE)
#define FASTRACE_CLONES
#define FASTRACE_LOOKUP_CLONES
#elif __GNUC__ >= 12 && !defined(FASTRACE_NO_AVX512)
#define FASTRACE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
// Look-ups are scalar loads; gcc builds 512-bit vectors from them more slowly than 256-bit ones (3.1 against 2.3 ms).
#define FASTRACE_LOOKUP_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else  // before gcc 12 the levels have no names, and AVX-512 cannot be requested
#define FASTRACE_CLONES __attribute__((target_clones("avx2", "default")))
#define FASTRACE_LOOKUP_CLONES __attribute__((target_clones("avx2", "default")))
#endif
// Inlined into the clones, hence compiled once per instruction set.
#define FASTRACE_INLINE static inline __attribute__((always_inline))

namespace {

using torch::headeronly::ScalarType;

constexpr int64_t kLanes = 8;  // outputs reduced together; also the padding of rows and weights

struct Image {
  const uint8_t* words;
  int64_t word_size;  // 1 or 2 bytes
  int64_t stride, height, width, top, left, box_height, box_width;
  bool flip, lanczos;
  int32_t shift, mask, sign, origin;  // value = (((word >> shift) & mask) ^ sign) - sign
  float scale, residual;              // display = clip(scale * (value - origin) + residual)
  const float* table;                 // display = table[(word >> shift) & mask]; null: affine
  bool same() const { return height == box_height && width == box_width; }
  bool plain() const { return table || (shift == 0 && sign == 0); }
};

// ---- one pixel -----------------------------------------------------------------------------------------------------

struct Half {
  uint16_t bits;
};

struct Brain {  // bfloat16
  uint16_t bits;
};

// y is the display value times its full scale, never negative. 8 bits round half up: half_step has been added, truncation
// does the rest. With 16 bits float32 resolves 1/256 of a step only, and a y at a half is a true value a little below as
// often as above: rounding those up would lift the mean, so they go to even. Adding 2^23 does that to the last bits.
FASTRACE_INLINE void store(float y, uint8_t* out) { *out = static_cast<uint8_t>(static_cast<int32_t>(y)); }
FASTRACE_INLINE void store(float y, uint16_t* out) {
  const float rounded = y + 8388608.0f;
  uint32_t bits;
  std::memcpy(&bits, &rounded, 4);
  *out = static_cast<uint16_t>(bits);
}
FASTRACE_INLINE void store(float y, float* out) { *out = y; }
// float32 -> float16, nearest even, for 0 <= y <= 1. gcc 12 lowers _Float16 narrowing to a call per pixel (8 ms per
// mammogram); this is integer arithmetic that every clone vectorises.
FASTRACE_INLINE void store(float y, Half* out) {
  uint32_t bits, small;
  std::memcpy(&bits, &y, 4);
  const float shifted = y + 0.5f;  // below 2^-14 a half is subnormal: its last bit is 2^-24, the last of 0.5f
  std::memcpy(&small, &shifted, 4);
  const uint32_t normal = (bits + 0xfffu + ((bits >> 13) & 1u) - 0x38000000u) >> 13;
  out->bits = static_cast<uint16_t>(y < 6.103515625e-5f ? small - 0x3f000000u : normal);
}

FASTRACE_INLINE void store(float y, Brain* out) {  // nearest even; y is no NaN
  uint32_t bits;
  std::memcpy(&bits, &y, 4);
  out->bits = static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <typename Out> constexpr float full_scale() { return 1.0f; }
template <> constexpr float full_scale<uint8_t>() { return 255.0f; }
template <> constexpr float full_scale<uint16_t>() { return 65535.0f; }
template <typename Out> constexpr float half_step() { return sizeof(Out) == 1 ? 0.5f : 0.0f; }

// The builtins, not ?: or std::max: gcc then sees a minimum even when what follows is multiplied (1.5 against 3.4 ms).
FASTRACE_INLINE float clamp(float x, float low, float high) {
  return __builtin_fminf(__builtin_fmaxf(x, low), high);
}

template <typename Word>
FASTRACE_INLINE float centred(Word word, Word mask, int32_t base) {
  return static_cast<float>(static_cast<int32_t>(static_cast<Word>(word & mask)) - base);
}

// Words whose value is neither shifted nor signed are read as they are; the others first become such words, with the
// sign bit turned over, so that the value is word - sign.
template <typename Word>
FASTRACE_INLINE void clean_words(const Image& im, const void* bytes, void* result) {
  const Word* words = static_cast<const Word*>(bytes);
  Word* __restrict out = static_cast<Word*>(result);
  const int32_t shift = im.shift;
  const Word mask = static_cast<Word>(im.mask), sign = static_cast<Word>(im.sign);
  const int64_t n = im.width;
  for (int64_t x = 0; x < n; ++x)
    out[x] = static_cast<Word>((static_cast<Word>(words[x] >> shift) & mask) ^ sign);
}

// ---- rows ----------------------------------------------------------------------------------------------------------

template <typename Word, typename Out>
FASTRACE_INLINE void map_affine(const Image& im, const void* bytes, int64_t begin, void* result) {
  const Word* words = static_cast<const Word*>(bytes);
  Out* __restrict out = static_cast<Out*>(result);
  const Word mask = static_cast<Word>(im.mask);
  const int32_t base = im.sign + im.origin;
  const float full = full_scale<Out>(), half = half_step<Out>();
  const float scale = im.scale * full, residual = im.residual * full + half;
  const int64_t n = im.width;  // not in the loop: a byte stored could be a byte of it
  for (int64_t x = begin; x < n; ++x)
    store(clamp(centred(words[x], mask, base) * scale + residual, half, full + half), out + x);
}

// Four look-ups become one store: 2.0 ms per mammogram against 4.7 with a store each.
template <typename Word, typename Out, typename Four>
FASTRACE_INLINE void map_table(const void* bytes, const void* lookup, int64_t n, void* result) {
  const Word* words = static_cast<const Word*>(bytes);
  const Out* table = static_cast<const Out*>(lookup);
  uint8_t* __restrict out = static_cast<uint8_t*>(result);
  constexpr int width = 8 * sizeof(Out);
  int64_t x = 0;
  for (; x + 4 <= n; x += 4) {
    const Four four = static_cast<Four>(table[words[x]]) | static_cast<Four>(table[words[x + 1]]) << width |
        static_cast<Four>(table[words[x + 2]]) << 2 * width | static_cast<Four>(table[words[x + 3]]) << 3 * width;
    std::memcpy(out + x * sizeof(Out), &four, sizeof(Four));
  }
  for (; x < n; ++x) std::memcpy(out + x * sizeof(Out), table + words[x], sizeof(Out));
}

template <typename Word>
FASTRACE_INLINE void map_table_wide(const void* bytes, const void* lookup, int64_t n, void* result) {
  const Word* words = static_cast<const Word*>(bytes);
  const float* table = static_cast<const float*>(lookup);
  float* __restrict out = static_cast<float*>(result);
  for (int64_t x = 0; x < n; ++x) out[x] = table[words[x]];
}

template <typename Out>
FASTRACE_INLINE void round_line(const float* line, int64_t n, void* result) {
  Out* __restrict out = static_cast<Out*>(result);
  const float full = full_scale<Out>(), half = half_step<Out>();
  for (int64_t x = 0; x < n; ++x) store(clamp(line[x] * full + half, half, full + half), out + x);
}

template <typename Out>
FASTRACE_INLINE void mirror_row(const void* from, int64_t n, void* to) {
  const Out* in = static_cast<const Out*>(from);
  Out* __restrict out = static_cast<Out*>(to);
  for (int64_t x = 0; x < n; ++x) out[x] = in[n - 1 - x];
}

struct Rows {
  const uint8_t* at;
  int64_t stride;  // in bytes
};

template <int Count>
FASTRACE_INLINE float weigh(const float* weight, const float* display) {
  float sum = 0.0f;
  for (int k = 0; k < Count; ++k) sum += weight[k] * display[k];
  return sum;
}

// row = weight[0] * (displayed first row) + ..., or row += the same. Eight rows at a time are half as dear as one by
// one. What is over is summed in fours, twos and ones, each apart: the order in which single passes would add them.
template <typename Word, int Count, bool First, bool Table>
FASTRACE_INLINE void add_rows(const Image& im, const float* table, Rows rows, const float* share, float* __restrict row) {
  const Word mask = static_cast<Word>(im.mask);
  const int32_t base = im.sign + im.origin;
  const float scale = im.scale, residual = im.residual;
  const Word* words[Count];
  float weight[Count];
  for (int k = 0; k < Count; ++k) {
    words[k] = reinterpret_cast<const Word*>(rows.at + k * rows.stride);
    weight[k] = share[k];
  }
  for (int64_t x = 0; x < im.width; ++x) {
    float display[Count];
    for (int k = 0; k < Count; ++k)
      display[k] = Table ? table[words[k][x]]
                         : clamp(centred(words[k][x], mask, base) * scale + residual, 0.0f, 1.0f);
    float total = First ? 0.0f : row[x];
    if (Count & 8) total += weigh<Count & 8>(weight, display);
    if (Count & 4) total += weigh<Count & 4>(weight, display);
    if (Count & 2) total += weigh<Count & 2>(weight + (Count & 4), display + (Count & 4));
    if (Count & 1) total += weigh<Count & 1>(weight + (Count & 6), display + (Count & 6));
    row[x] = total;
  }
}

template <typename Word, bool Table>
FASTRACE_INLINE void add_all_rows(const Image& im, const float* table, Rows rows, int64_t count, const float* share,
                                  float* row) {
  switch (std::min<int64_t>(count, 8)) {
    case 1: return add_rows<Word, 1, true, Table>(im, table, rows, share, row);
    case 2: return add_rows<Word, 2, true, Table>(im, table, rows, share, row);
    case 3: return add_rows<Word, 3, true, Table>(im, table, rows, share, row);
    case 4: return add_rows<Word, 4, true, Table>(im, table, rows, share, row);
    case 5: return add_rows<Word, 5, true, Table>(im, table, rows, share, row);
    case 6: return add_rows<Word, 6, true, Table>(im, table, rows, share, row);
    case 7: return add_rows<Word, 7, true, Table>(im, table, rows, share, row);
    default: add_rows<Word, 8, true, Table>(im, table, rows, share, row);
  }
  for (count -= 8, rows.at += 8 * rows.stride, share += 8; count >= 8; count -= 8, rows.at += 8 * rows.stride, share += 8)
    add_rows<Word, 8, false, Table>(im, table, rows, share, row);
  if (count & 4) add_rows<Word, 4, false, Table>(im, table, rows, share, row), rows.at += 4 * rows.stride, share += 4;
  if (count & 2) add_rows<Word, 2, false, Table>(im, table, rows, share, row), rows.at += 2 * rows.stride, share += 2;
  if (count & 1) add_rows<Word, 1, false, Table>(im, table, rows, share, row);
}

typedef float Lanes __attribute__((vector_size(32)));
typedef float LooseLanes __attribute__((vector_size(32), aligned(4)));
typedef int32_t Order __attribute__((vector_size(32)));
#ifdef __clang__
#define FASTRACE_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define FASTRACE_PICK(a, b, ...) __builtin_shuffle(a, b, Order{__VA_ARGS__})
#endif

FASTRACE_INLINE Lanes load(const float* at) { return *reinterpret_cast<const LooseLanes*>(at); }

// Each adds neighbouring lanes of two vectors; the three in turn make of eight vectors the vector of their eight sums.
FASTRACE_INLINE Lanes add_ones(Lanes a, Lanes b) {
  return FASTRACE_PICK(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + FASTRACE_PICK(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
FASTRACE_INLINE Lanes add_twos(Lanes a, Lanes b) {
  return FASTRACE_PICK(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + FASTRACE_PICK(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
FASTRACE_INLINE Lanes add_fours(Lanes a, Lanes b) {
  return FASTRACE_PICK(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + FASTRACE_PICK(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

// Count is `chunks` where the compiler knows it, else 0: with it the usual single chunk takes 0.24 ms per mammogram to
// 1024 x 512 instead of 0.59.
template <int64_t Count>
FASTRACE_INLINE void sum_columns(const float* row, const int32_t* first, const float* weights, int64_t chunks, int64_t n,
                                 float* line) {
  if (Count) chunks = Count;
  for (int64_t j = 0; j < n; j += kLanes) {
    Lanes sum[kLanes];
    for (int64_t k = 0; k < kLanes; ++k) {
      const float* at = row + first[j + k];
      const float* weight = weights + (j + k) * chunks * kLanes;
      Lanes s = load(at) * load(weight);
      for (int64_t c = 1; c < chunks; ++c) s += load(at + c * kLanes) * load(weight + c * kLanes);
      sum[k] = s;
    }
    const Lanes low = add_twos(add_ones(sum[0], sum[1]), add_ones(sum[2], sum[3]));
    const Lanes high = add_twos(add_ones(sum[4], sum[5]), add_ones(sum[6], sum[7]));
    *reinterpret_cast<LooseLanes*>(line + j) = add_fours(low, high);
  }
}

FASTRACE_CLONES
void average_columns(const float* row, const int32_t* first, const float* weights, int64_t chunks, int64_t n,
                     float* line) {
  if (chunks == 1) sum_columns<1>(row, first, weights, chunks, n, line);
  else if (chunks == 2) sum_columns<2>(row, first, weights, chunks, n, line);
  else sum_columns<0>(row, first, weights, chunks, n, line);
}

// So many columns per output that float32 would drift.
void average_many_columns(const float* row, const int32_t* first, const float* weights, int64_t taps, int64_t n,
                          float* line) {
  for (int64_t j = 0; j < n; ++j) {
    double sum = 0.0;
    for (int64_t x = 0; x < taps; ++x) sum += static_cast<double>(weights[j * taps + x]) * row[first[j] + x];
    line[j] = static_cast<float>(sum);
  }
}

// ---- one function per step, compiled for each instruction set ------------------------------------------------------

FASTRACE_CLONES
void clean_row(const Image& im, const void* words, void* out) {
  if (im.word_size == 2) clean_words<uint16_t>(im, words, out);
  else clean_words<uint8_t>(im, words, out);
}

FASTRACE_CLONES
void map_affine_row(const Image& im, const void* words, ScalarType dtype, int64_t begin, void* out) {
  const bool wide = im.word_size == 2;
  if (dtype == ScalarType::Byte)
    wide ? map_affine<uint16_t, uint8_t>(im, words, begin, out) : map_affine<uint8_t, uint8_t>(im, words, begin, out);
  else if (dtype == ScalarType::UInt16)
    wide ? map_affine<uint16_t, uint16_t>(im, words, begin, out) : map_affine<uint8_t, uint16_t>(im, words, begin, out);
  else if (dtype == ScalarType::Half)
    wide ? map_affine<uint16_t, Half>(im, words, begin, out) : map_affine<uint8_t, Half>(im, words, begin, out);
  else if (dtype == ScalarType::BFloat16)
    wide ? map_affine<uint16_t, Brain>(im, words, begin, out) : map_affine<uint8_t, Brain>(im, words, begin, out);
  else
    wide ? map_affine<uint16_t, float>(im, words, begin, out) : map_affine<uint8_t, float>(im, words, begin, out);
}

// How many pixels of a row were mapped to bytes by the loops of window_x86.h; the rest is for the plain ones.
int64_t map_affine_bytes(const Image& im, const void* words, bool stream, void* out) {
#ifdef FASTRACE_X86
  using fastrace::Simd;
  const fastrace::Affine map{static_cast<uint16_t>(im.mask), im.sign + im.origin, im.scale * 255.0f,
                             im.residual * 255.0f + 0.5f};
  // Beyond the 32-bit integers a conversion saturates downwards; words less the base are below 2^18.
  const bool small = std::fabs(map.scale) * 262144.0f + std::fabs(map.residual) < 2e9f;
  if (im.word_size == 2 && small && fastrace::simd() != Simd::kNone) {
    const auto narrow = fastrace::simd() == Simd::kAvx512 ? fastrace::narrow_avx512 : fastrace::narrow_avx2;
    return narrow(static_cast<const uint16_t*>(words), im.width, map, static_cast<uint8_t*>(out), stream);
  }
#endif
  (void)im, (void)words, (void)stream, (void)out;
  return 0;
}

int64_t map_table_bytes(const Image& im, const void* words, const void* table, void* out) {
#ifdef FASTRACE_X86
  if (im.word_size == 2 && fastrace::simd() != fastrace::Simd::kNone)
    return fastrace::look_up_bytes(static_cast<const uint16_t*>(words), im.width, static_cast<const uint8_t*>(table),
                                   static_cast<uint8_t*>(out));
#endif
  (void)im, (void)words, (void)table, (void)out;
  return 0;
}

FASTRACE_LOOKUP_CLONES
void map_table_row(const Image& im, const void* row, int64_t begin, const void* table, int64_t size, void* result) {
  const bool wide = im.word_size == 2;
  const int64_t n = im.width - begin;
  const void* words = static_cast<const uint8_t*>(row) + begin * im.word_size;
  void* out = static_cast<uint8_t*>(result) + begin * size;
  if (size == 1)
    wide ? map_table<uint16_t, uint8_t, uint32_t>(words, table, n, out)
         : map_table<uint8_t, uint8_t, uint32_t>(words, table, n, out);
  else if (size == 2)
    wide ? map_table<uint16_t, uint16_t, uint64_t>(words, table, n, out)
         : map_table<uint8_t, uint16_t, uint64_t>(words, table, n, out);
  else
    wide ? map_table_wide<uint16_t>(words, table, n, out) : map_table_wide<uint8_t>(words, table, n, out);
}

FASTRACE_CLONES
void add_affine_rows(const Image& im, Rows rows, int64_t count, const float* share, float* row) {
  if (im.word_size == 2) add_all_rows<uint16_t, false>(im, nullptr, rows, count, share, row);
  else add_all_rows<uint8_t, false>(im, nullptr, rows, count, share, row);
}

FASTRACE_LOOKUP_CLONES
void add_table_rows(const Image& im, const float* table, Rows rows, int64_t count, const float* share, float* row) {
  if (im.word_size == 2) add_all_rows<uint16_t, true>(im, table, rows, count, share, row);
  else add_all_rows<uint8_t, true>(im, table, rows, count, share, row);
}

FASTRACE_CLONES
void round_values(const float* line, int64_t n, ScalarType dtype, void* out) {
  if (dtype == ScalarType::Byte) round_line<uint8_t>(line, n, out);
  else if (dtype == ScalarType::UInt16) round_line<uint16_t>(line, n, out);
  else if (dtype == ScalarType::Half) round_line<Half>(line, n, out);
  else if (dtype == ScalarType::BFloat16) round_line<Brain>(line, n, out);
  else round_line<float>(line, n, out);
}

FASTRACE_CLONES
void mirror(const void* from, int64_t n, int64_t size, void* to) {
  if (size == 1) mirror_row<uint8_t>(from, n, to);
  else if (size == 2) mirror_row<uint16_t>(from, n, to);
  else mirror_row<uint32_t>(from, n, to);
}

}  // namespace
