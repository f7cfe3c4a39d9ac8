// fastrace::window on the CPU: stored words -> display values -> area averages or Lanczos sums, in one pass.
//
// kernels/window/ holds the formula, the float64 reference and the contract; this file holds what makes it fast:
//   * resizing adds whole rows first: eight rows at a time are mapped and summed into one float row that stays in
//     the first-level cache, and only that row is reduced horizontally, eight outputs at a time;
//   * a table is expanded to one entry per possible word, so that a pixel costs two loads and no arithmetic; at full
//     size its entries are already rounded to the output type;
//   * windowing to bytes, which most images want, has its own loops (window_x86.h);
//   * threads draw units of about equal cost (threads.h).
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
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pages.h"
#include "threads.h"
#include "window_x86.h"

#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || defined(FASTRACE_BASELINE)
#define FASTRACE_CLONES
#define FASTRACE_LOOKUP_CLONES
#elif __GNUC__ >= 12 && !defined(FASTRACE_NO_AVX512)
#define FASTRACE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
// Look-ups are scalar loads; gcc builds 512-bit vectors from them more slowly than 256-bit ones (3.1 against 2.3 ms).
#define FASTRACE_LOOKUP_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else  // before gcc 12 the levels have no names, and AVX-512 cannot be asked for
#define FASTRACE_CLONES __attribute__((target_clones("avx2", "default")))
#define FASTRACE_LOOKUP_CLONES __attribute__((target_clones("avx2", "default")))
#endif
// Inlined into the clones, hence compiled once per instruction set.
#define FASTRACE_INLINE static inline __attribute__((always_inline))

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Columns of `geometry` (int64), in the order of kernels/window/plan.py.
enum Column {
  SOURCE, OFFSET, STRIDE, CROP_HEIGHT, CROP_WIDTH, BOX_TOP, BOX_LEFT, BOX_HEIGHT, BOX_WIDTH, FLIP, BITS, SHIFT, SIGNED,
  TABLE, COLUMNS
};

constexpr int64_t kLanes = 8;            // outputs reduced together; also the padding of rows and weights
constexpr int64_t kExactTerms = 32;      // float32 sums are flushed to float64 after so many terms
constexpr int64_t kUnitWords = 1 << 17;  // input words per unit of work: about 20 us
constexpr int64_t kUnitsPerThread = 4;   // a thread for less would cost more than it gives
constexpr int64_t kStreamBytes = int64_t{1} << 22;  // outputs from here on are written around the caches
constexpr int64_t kLanczos = 8;                     // in `hints`: the flag of kernels/window/plan.py

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

struct Unit {
  int64_t image, begin, end;  // rows of the canvas
};

// What one thread needs for the image it is working on; rebuilt when it draws a unit of another image.
struct Scratch {
  int64_t image = -1;
  std::vector<uint8_t> lookup;  // one entry per possible word: float display values, or the output type at full size
  std::vector<float> shares;    // of the source rows in an output row
  std::vector<int32_t> first;   // [box width, padded] first source column of each output column
  std::vector<float> weights;   // [box width, padded; chunks; 8] share of each source column
  int64_t chunks = 0;
  std::vector<float> row, line;
  std::vector<double> total;
  std::vector<uint8_t> clean;  // up to kExactTerms rows of words
  std::vector<uint8_t> mirror;
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

// ---- one image -----------------------------------------------------------------------------------------------------

int64_t bytes_of(ScalarType dtype) { return dtype == ScalarType::Byte ? 1 : dtype == ScalarType::Float ? 4 : 2; }

// The table with one entry per possible word, so that bits outside the value, whatever they hold, choose nothing.
void expand_table(const Image& im, ScalarType dtype, Scratch& scratch) {
  const int64_t size = bytes_of(dtype), entries = int64_t{1} << 8 * im.word_size, given = int64_t{im.mask} + 1;
  std::vector<uint8_t> rounded(given * size);
  round_values(im.table, given, dtype, rounded.data());
  scratch.lookup.resize(entries * size);
  if (im.shift == 0)
    for (int64_t i = 0; i < entries; i += given)
      std::memcpy(scratch.lookup.data() + i * size, rounded.data(), given * size);
  else
    for (int64_t i = 0; i < entries; ++i)
      std::memcpy(scratch.lookup.data() + i * size, rounded.data() + ((i >> im.shift) & im.mask) * size, size);
}

// Which source pixels the output pixel i of an axis takes: their shares, from the first of them, which is returned.
// Area: edges are in units of 1 / target source pixels, exact integers.
int64_t area_shares(int64_t i, int64_t source, int64_t target, std::vector<float>& shares) {
  const int64_t begin = i * source, end = begin + source, first = begin / target;
  shares.clear();
  for (int64_t x = first; x * target < end; ++x)
    shares.push_back(static_cast<float>(
        static_cast<double>(std::min(end, (x + 1) * target) - std::max(begin, x * target)) /
        static_cast<double>(source)));
  return first;
}

// sin(pi * x) for |x| <= 1/2, to 3e-16. The series and not the library's: that differs between processors.
double sine(double x) {
  const double angle = 3.14159265358979323846 * x, square = angle * angle;
  double term = angle, sum = angle;
  for (int k = 2; k < 26; k += 2) sum += term *= -square / (k * (k + 1));
  return sum;
}

// sinc(x) * sinc(x / 3) with x = n / d, and 0 from |x| = 3 on. The angles are reduced in integers.
double lanczos3(int64_t n, int64_t d) {
  n = std::abs(n);
  if (n == 0) return 1.0;
  if (n >= 3 * d) return 0.0;
  const auto reduced = [n](int64_t half_turn) {  // sin(pi * n / half_turn)
    const int64_t turns = (2 * n + half_turn) / (2 * half_turn);
    const double value = sine(static_cast<double>(n - turns * half_turn) / static_cast<double>(half_turn));
    return turns % 2 ? -value : value;
  };
  const double x = 3.14159265358979323846 * static_cast<double>(n) / static_cast<double>(d);
  return 3.0 * reduced(d) * reduced(3 * d) / (x * x);
}

// Lanczos: the kernel is stretched by source / target where that shrinks; shares of pixels outside the image are dealt
// out among those inside. In units of 1 / (2 * target) source pixels, the centres of pixels are integers.
int64_t lanczos_shares(int64_t i, int64_t source, int64_t target, std::vector<float>& shares) {
  if (source == target) {
    shares.assign(1, 1.0f);
    return i;
  }
  const int64_t centre = (2 * i + 1) * source, unit = 2 * std::max(source, target), reach = 3 * unit;
  const int64_t first = std::max<int64_t>(0, (centre - reach) / (2 * target));
  const int64_t last = std::min(source - 1, (centre + reach) / (2 * target));
  double sum = 0.0;
  for (int64_t x = first; x <= last; ++x) sum += lanczos3((2 * x + 1) * target - centre, unit);
  shares.clear();
  for (int64_t x = first; x <= last; ++x)
    shares.push_back(static_cast<float>(lanczos3((2 * x + 1) * target - centre, unit) / sum));
  return first;
}

int64_t shares_of(const Image& im, int64_t i, int64_t source, int64_t target, std::vector<float>& shares) {
  return (im.lanczos ? lanczos_shares : area_shares)(i, source, target, shares);
}

void plan_columns(const Image& im, Scratch& scratch) {
  const int64_t padded = (im.box_width + kLanes - 1) / kLanes * kLanes;
  std::vector<std::vector<float>> columns(im.box_width);
  std::size_t taps = 0;
  scratch.first.assign(padded, 0);
  for (int64_t j = 0; j < im.box_width; ++j) {
    scratch.first[j] = static_cast<int32_t>(shares_of(im, j, im.width, im.box_width, columns[j]));
    taps = std::max(taps, columns[j].size());
  }
  scratch.chunks = (static_cast<int64_t>(taps) + kLanes - 1) / kLanes;
  scratch.weights.assign(padded * scratch.chunks * kLanes, 0.0f);
  for (int64_t j = 0; j < im.box_width; ++j)
    std::copy(columns[j].begin(), columns[j].end(), scratch.weights.begin() + j * scratch.chunks * kLanes);
  // The last weights reach up to a chunk past the last column; they are zero, and what they meet must be finite.
  if (static_cast<int64_t>(scratch.row.size()) < im.width + scratch.chunks * kLanes)
    scratch.row.resize(im.width + scratch.chunks * kLanes);
  if (static_cast<int64_t>(scratch.line.size()) < padded) scratch.line.resize(padded);
  scratch.total.resize(im.width);
}

void prepare(const Image& im, int64_t index, ScalarType dtype, Scratch& scratch) {
  scratch.image = index;
  if (im.table) expand_table(im, im.same() ? dtype : ScalarType::Float, scratch);
  if (!im.same()) plan_columns(im, scratch);
  if (!im.plain()) scratch.clean.resize(im.width * im.word_size * (im.same() ? 1 : kExactTerms));
  if (im.flip) scratch.mirror.resize(im.box_width * bytes_of(dtype));
}

Rows clean_rows(const Image& im, int64_t y, int64_t count, Scratch& scratch) {
  const Rows stored{im.words + y * im.stride * im.word_size, im.stride * im.word_size};
  if (im.plain()) return stored;
  const Rows clean{scratch.clean.data(), im.width * im.word_size};
  for (int64_t k = 0; k < count; ++k)
    clean_row(im, stored.at + k * stored.stride, scratch.clean.data() + k * clean.stride);
  return clean;
}

// scratch.row = the weighted source rows of row i of the box, for every source column.
void average_rows(const Image& im, int64_t i, Scratch& scratch) {
  const int64_t first = shares_of(im, i, im.height, im.box_height, scratch.shares);
  const int64_t rows = static_cast<int64_t>(scratch.shares.size());
  float* row = scratch.row.data();
  double* total = scratch.total.data();
  const bool many = rows > kExactTerms;
  if (many) std::fill(total, total + im.width, 0.0);
  for (int64_t k = 0; k < rows; k += kExactTerms) {
    const int64_t count = std::min(kExactTerms, rows - k);
    const float* shares = scratch.shares.data() + k;
    const Rows words = clean_rows(im, first + k, count, scratch);
    if (im.table)
      add_table_rows(im, reinterpret_cast<const float*>(scratch.lookup.data()), words, count, shares, row);
    else
      add_affine_rows(im, words, count, shares, row);
    if (many)
      for (int64_t x = 0; x < im.width; ++x) total[x] += row[x];
  }
  if (many)
    for (int64_t x = 0; x < im.width; ++x) row[x] = static_cast<float>(total[x]);
}

void fill_row(const Image& im, int64_t i, ScalarType dtype, bool stream, Scratch& scratch, uint8_t* out) {
  uint8_t* forward = im.flip ? scratch.mirror.data() : out;
  // Only whole 64-byte lines can be streamed.
  stream = stream && !im.flip && reinterpret_cast<uintptr_t>(out) % 64 == 0;
  if (!im.same()) {
    average_rows(im, i, scratch);
    const auto columns = scratch.chunks <= kExactTerms ? average_columns : average_many_columns;
    columns(scratch.row.data(), scratch.first.data(), scratch.weights.data(),
            scratch.chunks <= kExactTerms ? scratch.chunks : scratch.chunks * kLanes, im.box_width, scratch.line.data());
    round_values(scratch.line.data(), im.box_width, dtype, forward);
  } else if (im.table) {
    const void* words = im.words + i * im.stride * im.word_size;
    const void* table = scratch.lookup.data();
    const int64_t done = dtype == ScalarType::Byte ? map_table_bytes(im, words, table, forward) : 0;
    map_table_row(im, words, done, table, bytes_of(dtype), forward);
  } else {
    const void* words = clean_rows(im, i, 1, scratch).at;
    const int64_t done = dtype == ScalarType::Byte ? map_affine_bytes(im, words, stream, forward) : 0;
    if (done < im.width) map_affine_row(im, words, dtype, done, forward);
  }
  if (im.flip) mirror(forward, im.box_width, bytes_of(dtype), out);
}

void fill_unit(const Image& im, const Unit& unit, int64_t width, ScalarType dtype, bool stream, Scratch& scratch,
               uint8_t* canvas) {
  const int64_t size = bytes_of(dtype), right = im.left + im.box_width;
  if (scratch.image != unit.image) prepare(im, unit.image, dtype, scratch);
  for (int64_t y = unit.begin; y < unit.end; ++y) {
    uint8_t* out = canvas + y * width * size;
    const int64_t i = y - im.top;
    if (i < 0 || i >= im.box_height) {
      std::memset(out, 0, width * size);
      continue;
    }
    std::memset(out, 0, im.left * size);
    std::memset(out + right * size, 0, (width - right) * size);
    fill_row(im, i, dtype, stream, scratch, out + im.left * size);
  }
#ifdef FASTRACE_X86
  if (stream) _mm_sfence();  // before another thread is told that the unit is done
#endif
}

// ---- the batch -----------------------------------------------------------------------------------------------------

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
