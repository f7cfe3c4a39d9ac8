// The radial mask of fastrace.kernels.bandpass: gain of one Fourier coefficient, and the kernel that applies it.
//
// CuPy compiles this file at run time (RawModule); it includes nothing. The index and gain arithmetic is plain C++ in
// host/device functions, so that a test compiles the same text with a host compiler and holds it against the reference.
// callbacks.cu is compiled behind it and uses those functions; it defines FASTRACE_GAIN_ONLY, which leaves the mask out.
//
// Frequency: f = hypot(ky / H, kx / W) cycles/pixel, radius = f max(H, W) cycles/image. With P = min(H, W) the square of
// the radius is q / P^2 with the integer q = (ky W)^2 + (kx H)^2; ideal edges compare q with integers, exactly.

#if defined(__CUDACC__)
#define FASTRACE_BOTH __host__ __device__ __forceinline__
#else
#include <cmath>
#define FASTRACE_BOTH inline
using std::exp;
#endif

namespace fastrace {

enum Shape { IDEAL = 0, GAUSSIAN = 1, BUTTERWORTH = 2 };

// One filter. Ideal: keeps low_edge <= q < high_edge. Smooth: low and high are 1 / (t P)^2 of the two cut-offs, so that
// q times it is (r / t)^2; 0 stands for an infinite cut-off, a negative value for a cut-off of 0.
struct Filter {
  long long low_edge, high_edge;
  double low, high;
  int shape, order, complement;
};

FASTRACE_BOTH long long scaled_square(int row, int column, int height, int width) {
  const long long ky = row <= height / 2 ? row : height - row;
  const long long y = ky * width, x = static_cast<long long>(column) * height;
  return y * y + x * x;
}

// Gain of a smooth low-pass at (r / t)^2 = q inverse_square.
FASTRACE_BOTH double lowpass_gain(long long q, double inverse_square, int shape, int order) {
  if (inverse_square < 0) return 0.0;
  const double ratio = static_cast<double>(q) * inverse_square;
  if (shape == GAUSSIAN) return exp(-0.5 * ratio);
  double power = 1.0;
  for (int i = 0; i < order; ++i) power *= ratio;
  return 1.0 / (1.0 + power);
}

FASTRACE_BOTH double gain(long long q, const Filter& filter) {
  double value;
  if (filter.shape == IDEAL) {
    value = q >= filter.low_edge && q < filter.high_edge ? 1.0 : 0.0;
  } else {
    value = lowpass_gain(q, filter.high, filter.shape, filter.order) -
            lowpass_gain(q, filter.low, filter.shape, filter.order);
  }
  return filter.complement ? 1.0 - value : value;
}

}  // namespace fastrace

#if defined(__CUDACC__) && !defined(FASTRACE_GAIN_ONLY)

// Write half spectra [count, height, width / 2 + 1] times gain * scale. One thread keeps one coefficient position and
// walks over images, so that a filter which all images share is evaluated once for several of them. `edges` (ideal) or
// `cutoffs` (smooth) hold two numbers per image and replace those of `filter`; null where all images share it.
//
// `source` may be `spectrum` itself. In a sweep it holds count / filters spectra, and filter k of spectrum n goes to place
// n * filters + k, with two numbers per filter; else `filters` is 1.
template <typename Real, typename Complex>
__device__ __forceinline__ void apply_mask(const Complex* source, Complex* spectrum, int filters, int count, int height,
                                           int width, const long long* edges, const double* cutoffs,
                                           fastrace::Filter filter, double scale) {
  const int columns = width / 2 + 1;
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= columns || row >= height) return;
  const long long q = fastrace::scaled_square(row, column, height, width);
  const bool shared = edges == nullptr && cutoffs == nullptr;
  Real factor = shared ? static_cast<Real>(fastrace::gain(q, filter) * scale) : Real(0);
  const long long pixels = static_cast<long long>(height) * columns;
  const long long position = static_cast<long long>(row) * columns + column;
  for (int image = blockIdx.z; image < count; image += gridDim.z) {
    const int from = filters > 1 ? image / filters : image, own = filters > 1 ? image - from * filters : image;
    if (edges != nullptr) {
      filter.low_edge = edges[2 * own];
      filter.high_edge = edges[2 * own + 1];
    }
    if (cutoffs != nullptr) {
      filter.low = cutoffs[2 * own];
      filter.high = cutoffs[2 * own + 1];
    }
    if (!shared) factor = static_cast<Real>(fastrace::gain(q, filter) * scale);
    // Also where the factor is 0: a NaN must not vanish with the coefficient.
    Complex value = source[from * pixels + position];
    value.x *= factor;
    value.y *= factor;
    spectrum[image * pixels + position] = value;
  }
}

#define FASTRACE_MASK(NAME, REAL, COMPLEX)                                                                            \
  extern "C" __global__ void NAME(const COMPLEX* source, COMPLEX* spectrum, int filters, int count, int height,       \
                                  int width, const long long* edges, const double* cutoffs, long long low_edge,       \
                                  long long high_edge, double low, double high, int shape, int order, int complement, \
                                  double scale) {                                                                     \
    apply_mask<REAL, COMPLEX>(source, spectrum, filters, count, height, width, edges, cutoffs,                        \
                              fastrace::Filter{low_edge, high_edge, low, high, shape, order, complement}, scale);     \
  }

FASTRACE_MASK(bandpass_mask_f32, float, float2)
FASTRACE_MASK(bandpass_mask_f64, double, double2)

#endif
