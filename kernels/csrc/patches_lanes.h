// The loops of fastrace::patches, with a position per SIMD lane to normalise patches and a filter per lane to filter them.
// patches_sets.h includes this file once for each instruction set, with FASTRACE_SET (a namespace), FASTRACE_TARGET (a function
// attribute), FASTRACE_BYTES (of a vector), FASTRACE_FMA, FASTRACE_ROOT and FASTRACE_WIDE (vectors of filters in a block)
// defined. Nothing of the standard library may be instantiated here: it would be compiled for that set too.

#define FASTRACE_LANE FASTRACE_TARGET static inline __attribute__((always_inline))

namespace FASTRACE_SET {

constexpr int64_t kLanes = FASTRACE_BYTES / sizeof(float);
typedef float Vector __attribute__((vector_size(FASTRACE_BYTES)));
typedef float Loose __attribute__((vector_size(FASTRACE_BYTES), aligned(4), may_alias));

FASTRACE_LANE Vector load(const float* at) { return *reinterpret_cast<const Loose*>(at); }
FASTRACE_LANE void store(float* at, Vector value) { *reinterpret_cast<Loose*>(at) = value; }
FASTRACE_LANE Vector all(float value) { return value - Vector{}; }

// ---- contrast ------------------------------------------------------------------------------------------------------

// Patches of one row of positions, normalised: panel[(i * side + j) * stride + x] = (pixel(i, x + j) - mean) / s. Pixels are
// taken relative to the first of their patch, so that the brightness of an image costs no digits. `variances` is for the caller,
// who sees in them which patches are not finite.
FASTRACE_TARGET static void normalise(const float* rows, int64_t pitch, int64_t side, float epsilon, int64_t count,
                                      int64_t stride, float* panel, float* variances) {
  const Vector share = all(1.0f / static_cast<float>(side * side));
  for (int64_t x = 0; x < count; x += kLanes) {
    const float* corner = rows + x;
    const Vector first = load(corner);
    Vector mean = Vector{}, variance = Vector{};
    for (int64_t i = 0; i < side; ++i) {
      Vector sum = Vector{};
      for (int64_t j = 0; j < side; ++j) sum += load(corner + i * pitch + j) - first;
      mean += sum;
    }
    mean *= share;
    for (int64_t i = 0; i < side; ++i) {
      Vector sum = Vector{};
      for (int64_t j = 0; j < side; ++j) {
        const Vector d = load(corner + i * pitch + j) - first - mean;
        sum = FASTRACE_FMA(d, d, sum);
      }
      variance += sum;
    }
    variance = variance * share + epsilon;
    const Vector factor = 1.0f / FASTRACE_ROOT(variance);
    for (int64_t i = 0; i < side; ++i)
      for (int64_t j = 0; j < side; ++j) {
        store(panel + (i * side + j) * stride + x, (load(corner + i * pitch + j) - first - mean) * factor);
      }
    store(variances + x, variance);
  }
}

// ---- filters -------------------------------------------------------------------------------------------------------

FASTRACE_LANE Vector larger(Vector a, Vector b) { return a > b ? a : b; }
FASTRACE_LANE Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

// R positions through V vectors of filters: R * V responses are summed in registers, and what exceeds the threshold is
// added to the two sides, position after position: the order of a sum is that of the positions, whatever R and V are.
template <int R, int V>
FASTRACE_TARGET static void block(const float* panel, int64_t stride, const float* filters, int64_t pixels,
                                  float threshold, float* above, float* below) {
  Vector z[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) z[r][v] = Vector{};
  for (int64_t i = 0; i < pixels; ++i) {
    Vector f[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) f[v] = load(filters + (i * V + v) * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vector x = all(panel[i * stride + r]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) z[r][v] = FASTRACE_FMA(x, f[v], z[r][v]);
    }
  }
  const Vector zero = Vector{}, limit = all(threshold);
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) {
    Vector high = load(above + v * kLanes), low = load(below + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      high += larger(z[r][v] - limit, zero);
      low -= smaller(z[r][v] + limit, zero);
    }
    store(above + v * kLanes, high), store(below + v * kLanes, low);
  }
}

template <int V>
FASTRACE_TARGET static void positions(int64_t count, const float* panel, int64_t stride, const float* filters,
                                      int64_t pixels, float threshold, float* above, float* below) {
  // 15 positions are 5 + 5 + 5 and not 6 + 6 + 3: short blocks leave the multipliers waiting.
  for (int64_t blocks = (count + kRows - 1) / kRows; blocks > 0; --blocks) {
    const int64_t rows = (count + blocks - 1) / blocks;
    switch (rows) {
      case 1: block<1, V>(panel, stride, filters, pixels, threshold, above, below); break;
      case 2: block<2, V>(panel, stride, filters, pixels, threshold, above, below); break;
      case 3: block<3, V>(panel, stride, filters, pixels, threshold, above, below); break;
      case 4: block<4, V>(panel, stride, filters, pixels, threshold, above, below); break;
      case 5: block<5, V>(panel, stride, filters, pixels, threshold, above, below); break;
      default: block<6, V>(panel, stride, filters, pixels, threshold, above, below);
    }
    panel += rows, count -= rows;
  }
}

// A run of positions of one row that lie in the same pieces through all filters of a block; see `Block`.
FASTRACE_TARGET static void filter(const Block& filters, const Run& run, const float* panel, int64_t stride, int64_t pixels,
                                   float threshold, float* above, float* below) {
  panel += run.begin;
  const int64_t count = run.end - run.begin;
  switch (filters.vectors) {
    case 1: return positions<1>(count, panel, stride, filters.weights, pixels, threshold, above, below);
#if FASTRACE_WIDE > 2
    case 2: return positions<2>(count, panel, stride, filters.weights, pixels, threshold, above, below);
    case 3: return positions<3>(count, panel, stride, filters.weights, pixels, threshold, above, below);
#endif
    default: return positions<FASTRACE_WIDE>(count, panel, stride, filters.weights, pixels, threshold, above, below);
  }
}

// ---- sums ----------------------------------------------------------------------------------------------------------

// Sums of few positions are float, of many double: total += part, part = 0.
FASTRACE_TARGET static void move(float* part, double* total, int64_t count) {
  for (int64_t k = 0; k < count; ++k) total[k] += static_cast<double>(part[k]), part[k] = 0;
}

FASTRACE_TARGET static void add(const double* part, double* total, int64_t count) {
  for (int64_t k = 0; k < count; ++k) total[k] += part[k];
}

constexpr Kernels kernels() { return {kLanes, FASTRACE_WIDE, normalise, filter, move, add}; }

}  // namespace FASTRACE_SET

#undef FASTRACE_LANE
