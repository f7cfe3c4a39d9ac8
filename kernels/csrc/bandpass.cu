// The radial mask of fastrace.kernels.bandpass: gain of one Fourier coefficient, and the kernel that applies it.
//
// CuPy compiles this file at run time (RawModule); it includes nothing. The index and gain arithmetic is plain C++ in
// host/device functions, so that a test compiles the same text with a host compiler and holds it against the reference.
// callbacks.cu is compiled behind it and uses those functions; it defines FASTRACE_GAIN_ONLY, which leaves the mask out.
//
// Frequency: f = hypot(ky / H, kx / W) cycles/pixel, radius = f max(H, W) cycles/image. With P = min(H, W) the square of
// the radius is q / P^2 with the integer q = (ky W)^2 + (kx H)^2; edges compare q with integers, exactly.

#if defined(__CUDACC__)
#define FASTRACE_BOTH __host__ __device__ __forceinline__
#else
#define FASTRACE_BOTH inline
#endif

namespace fastrace {

// Keeps low_edge <= q < high_edge, or as a complement the rest.
struct Filter {
  long long low_edge, high_edge;
  int complement;
};

FASTRACE_BOTH long long scaled_square(int row, int column, int height, int width) {
  const long long ky = row <= height / 2 ? row : height - row;
  const long long y = ky * width, x = static_cast<long long>(column) * height;
  return y * y + x * x;
}

FASTRACE_BOTH double gain(long long q, const Filter& filter) {
  const double value = q >= filter.low_edge && q < filter.high_edge ? 1.0 : 0.0;
  return filter.complement ? 1.0 - value : value;
}

}  // namespace fastrace

#if defined(__CUDACC__) && !defined(FASTRACE_GAIN_ONLY)

// Write half spectra [count, height, width / 2 + 1] times gain * scale. One thread keeps one coefficient position and
// walks over images, so that a filter which all images share is evaluated once for several of them. `edges` holds two
// numbers per image, which replace those of `filter`; null where all images share it.
//
// `source` may be `spectrum` itself. In a sweep it holds count / filters spectra, and filter k of spectrum n goes to place
// n * filters + k, with two numbers per filter; else `filters` is 1.
template <typename Real, typename Complex>
__device__ __forceinline__ void apply_mask(const Complex* source, Complex* spectrum, int filters, int count, int height,
                                           int width, const long long* edges, fastrace::Filter filter, double scale) {
  const int columns = width / 2 + 1;
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= columns || row >= height) return;
  const long long q = fastrace::scaled_square(row, column, height, width);
  const bool shared = edges == nullptr;
  Real factor = shared ? static_cast<Real>(fastrace::gain(q, filter) * scale) : Real(0);
  const long long pixels = static_cast<long long>(height) * columns;
  const long long position = static_cast<long long>(row) * columns + column;
  for (int image = blockIdx.z; image < count; image += gridDim.z) {
    const int from = filters > 1 ? image / filters : image, own = filters > 1 ? image - from * filters : image;
    if (!shared) {
      filter.low_edge = edges[2 * own];
      filter.high_edge = edges[2 * own + 1];
      factor = static_cast<Real>(fastrace::gain(q, filter) * scale);
    }
    // Also where the factor is 0: a NaN must not vanish with the coefficient.
    Complex value = source[from * pixels + position];
    value.x *= factor;
    value.y *= factor;
    spectrum[image * pixels + position] = value;
  }
}

#define FASTRACE_MASK(NAME, REAL, COMPLEX)                                                                       \
  extern "C" __global__ void NAME(const COMPLEX* source, COMPLEX* spectrum, int filters, int count, int height, \
                                  int width, const long long* edges, long long low_edge, long long high_edge,   \
                                  int complement, double scale) {                                               \
    apply_mask<REAL, COMPLEX>(source, spectrum, filters, count, height, width, edges,                           \
                              fastrace::Filter{low_edge, high_edge, complement}, scale);                        \
  }

FASTRACE_MASK(bandpass_mask_f32, float, float2)
FASTRACE_MASK(bandpass_mask_f64, double, double2)

#endif
