// The band-pass of one image, with one column or row per SIMD lane. bandpass.cpp includes this file once for each
// instruction set, after fft_lanes.h; its head says how the steps follow each other.
//
// The half spectrum lives in two planes [rows, stride] of real and imaginary parts. Row p > 0 holds the coefficients
// ky = p of all columns (those of -ky are their conjugates, because the image is real); row 0 holds ky = 0, which is real,
// and in its imaginary part ky = H / 2, which is real too (zeros where H is odd).

#define FASTRACE_LANE FASTRACE_TARGET static inline __attribute__((always_inline))

namespace FASTRACE_SET {

// ---- tiles ---------------------------------------------------------------------------------------------------------

#ifdef __clang__
#define FASTRACE_MIX(V, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define FASTRACE_MIX(V, a, b, ...) __builtin_shuffle(a, b, V{__VA_ARGS__})
#endif

template <class Real>
using Order = typename std::conditional<sizeof(Real) == 4, int32_t, int64_t>::type;

// Lane l of the first (second) result: lane l of a where bit `Step` of l is clear (lane l + Step of a), else lane
// l - Step of b (lane l of b).
template <class Real, int Step, int... L>
FASTRACE_LANE void exchange(typename Lanes<Real>::Vector& a, typename Lanes<Real>::Vector& b,
                            std::integer_sequence<int, L...>) {
  constexpr int n = sizeof...(L);
  typedef Order<Real> Which __attribute__((vector_size(FASTRACE_BYTES)));
  const typename Lanes<Real>::Vector first = FASTRACE_MIX(Which, a, b, ((L & Step) ? n + L - Step : L)...);
  const typename Lanes<Real>::Vector second = FASTRACE_MIX(Which, a, b, ((L & Step) ? n + L : L + Step)...);
  a = first, b = second;
  (void)sizeof(Which);
}

template <class Real, int Step>
FASTRACE_LANE void exchange_all(typename Lanes<Real>::Vector* tile) {
  constexpr int n = Lanes<Real>::count;
  if constexpr (Step < n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (!(i & Step)) exchange<Real, Step>(tile[i], tile[i + Step], std::make_integer_sequence<int, n>{});
  }
}

// Rows of a square tile become columns.
template <class Real>
FASTRACE_LANE void transpose(typename Lanes<Real>::Vector* tile) {
  exchange_all<Real, 1>(tile);
  exchange_all<Real, 2>(tile);
  exchange_all<Real, 4>(tile);
  exchange_all<Real, 8>(tile);
}

// ---- columns -------------------------------------------------------------------------------------------------------

template <class Real>
FASTRACE_LANE typename Lanes<Real>::Vector load_some(const Real* at, int64_t count) {
  if (count >= Lanes<Real>::count) return load(at);
  Real padded[Lanes<Real>::count] = {};
  for (int64_t i = 0; i < count; ++i) padded[i] = at[i];
  return load<Real>(padded);
}

template <class Real>
FASTRACE_LANE void store_some(Real* at, typename Lanes<Real>::Vector value, int64_t count) {
  if (count >= Lanes<Real>::count) return store(at, value);
  Real padded[Lanes<Real>::count];
  store<Real>(padded, value);
  for (int64_t i = 0; i < count; ++i) at[i] = padded[i];
}

// Transforms columns x and x + kPair of the image as real and imaginary part of one, and takes them apart again into rows
// 0 .. rows - 1 of the half spectrum.
template <class Real>
FASTRACE_TARGET void columns_forward(const Real* image, const Shape<Real>& shape, int64_t rows, Real* re, Real* im,
                                     void* scratch) {
  constexpr int64_t lanes = Lanes<Real>::count;
  const int64_t height = shape.height, width = shape.width, stride = shape.stride;
  const Plan<Real>& plan = *shape.column;
  const int32_t* slot = plan.slot.data();
  Slot<Real>* data = static_cast<Slot<Real>*>(scratch);
  for (int64_t block = 0; block < width; block += 2 * kPair)
    for (int64_t x = block; x < std::min(block + kPair, width); x += lanes) {
      const int64_t left = width - x, right = width - x - kPair;
      if (right >= lanes) {
        for (int64_t y = 0; y < height; ++y) {
          const Real* at = image + y * width + x;
          data[y] = Slot<Real>{load(at), load(at + kPair)};
        }
      } else {
        for (int64_t y = 0; y < height; ++y) {
          const Real* at = image + y * width + x;
          data[y] = Slot<Real>{load_some(at, left), right > 0 ? load_some(at + kPair, right) : Slot<Real>{}.re};
        }
      }
      forward(data, plan);
      const Slot<Real> zero = data[slot[0]];
      const Slot<Real> nyquist = height % 2 == 0 ? data[slot[height / 2]] : Slot<Real>{};
      store(re + x, zero.re), store(re + x + kPair, zero.im);
      store(im + x, nyquist.re), store(im + x + kPair, nyquist.im);
      constexpr Real half = static_cast<Real>(0.5);
      for (int64_t p = 1; p < rows; ++p) {
        const Slot<Real> near = data[slot[p]], far = data[slot[height - p]];
        Real *to_re = re + p * stride + x, *to_im = im + p * stride + x;
        store(to_re, (near.re + far.re) * half), store(to_im, (near.im - far.im) * half);
        store(to_re + kPair, (near.im + far.im) * half), store(to_im + kPair, (far.re - near.re) * half);
      }
    }
}

// And back: rows of which `kept` is 0 count as zero.
template <class Real>
FASTRACE_TARGET void columns_inverse(const Real* re, const Real* im, const Shape<Real>& shape, const uint8_t* kept,
                                     Real* image, void* scratch) {
  constexpr int64_t lanes = Lanes<Real>::count;
  const int64_t height = shape.height, width = shape.width, stride = shape.stride, rows = shape.rows;
  const Plan<Real>& plan = *shape.column;
  const int32_t* slot = plan.slot.data();
  const Real scale = shape.scale;
  Slot<Real>* data = static_cast<Slot<Real>*>(scratch);
  for (int64_t block = 0; block < width; block += 2 * kPair)
    for (int64_t x = block; x < std::min(block + kPair, width); x += lanes) {
      const int64_t left = width - x, right = width - x - kPair;
      const Slot<Real> none = {};
      for (int64_t p = 0; p < rows; ++p) {
        Slot<Real>& near = data[slot[p]];
        Slot<Real>& far = data[slot[p == 0 ? height / 2 : height - p]];
        if (!kept[p]) {
          near = none;
          if (p > 0 || height % 2 == 0) far = none;
          continue;
        }
        const Real *from_re = re + p * stride + x, *from_im = im + p * stride + x;
        const Slot<Real> a = {load(from_re), load(from_im)};
        // What lies beyond the image would not stay apart from its partner to the last bit.
        const Slot<Real> b = {load_some(from_re + kPair, right), load_some(from_im + kPair, right)};
        if (p == 0) {
          near = Slot<Real>{a.re, b.re};
          if (height % 2 == 0) far = Slot<Real>{a.im, b.im};
        } else {
          near = Slot<Real>{a.re - b.im, a.im + b.re}, far = Slot<Real>{a.re + b.im, b.re - a.im};
        }
      }
      inverse(data, plan);
      if (right >= lanes) {
        for (int64_t y = 0; y < height; ++y) {
          Real* at = image + y * width + x;
          store(at, data[y].re * scale), store(at + kPair, data[y].im * scale);
        }
      } else {
        for (int64_t y = 0; y < height; ++y) {
          Real* at = image + y * width + x;
          store_some(at, data[y].re * scale, left);
          if (right > 0) store_some(at + kPair, data[y].im * scale, right);
        }
      }
    }
}

// ---- rows ----------------------------------------------------------------------------------------------------------

template <class Real>
FASTRACE_LANE void tile_in(const Real* from, int64_t stride, typename Lanes<Real>::Vector* tile) {
#pragma GCC unroll 16
  for (int i = 0; i < Lanes<Real>::count; ++i) tile[i] = load(from + i * stride);
  transpose<Real>(tile);
}

// Transforms one group of rows, as many as there are lanes: `data` then holds them in the order of the plan's slots.
template <class Real>
FASTRACE_TARGET void rows_forward(const Real* re, const Real* im, const Shape<Real>& shape, void* spectrum) {
  constexpr int64_t lanes = Lanes<Real>::count;
  Slot<Real>* data = static_cast<Slot<Real>*>(spectrum);
  for (int64_t x = 0; x < shape.width; x += lanes) {
    typename Lanes<Real>::Vector tile[lanes];
    tile_in(re + x, shape.stride, tile);
    for (int i = 0; i < lanes; ++i) data[x + i].re = tile[i];
    tile_in(im + x, shape.stride, tile);
    for (int i = 0; i < lanes; ++i) data[x + i].im = tile[i];
  }
  forward(data, *shape.row);
}

// data[s] = gain * spectrum[s], the gain of slot s at gains + its |kx| * lanes.
template <class Real>
FASTRACE_TARGET void rows_gain(const void* spectrum, const Shape<Real>& shape, const Real* gains, void* result) {
  constexpr int64_t lanes = Lanes<Real>::count;
  const Slot<Real>* from = static_cast<const Slot<Real>*>(spectrum);
  Slot<Real>* data = static_cast<Slot<Real>*>(result);
  const int32_t* folded = shape.folded.data();
  for (int64_t s = 0; s < shape.width; ++s) {
    const typename Lanes<Real>::Vector g = load(gains + folded[s] * lanes);
    data[s] = Slot<Real>{from[s].re * g, from[s].im * g};
  }
}

// Row 0 holds two real rows, ky = 0 and ky = H / 2, whose gains differ: Z = A + i B with Hermitian A and B, so
// A = (Z(k) + conj Z(-k)) / 2, and Z' = (a + b) / 2 Z(k) + (a - b) / 2 conj Z(-k).
template <class Real>
FASTRACE_TARGET void first_row_gain(const void* spectrum, const Shape<Real>& shape, const Real* zero, const Real* nyquist,
                                    void* result) {
  constexpr int64_t step = 2 * Lanes<Real>::count;  // lane 0 of real and imaginary part
  const Real* from = static_cast<const Real*>(spectrum);
  Real* to = static_cast<Real*>(result);
  const int32_t* slot = shape.row->slot.data();
  for (int64_t k = 0; k <= shape.width / 2; ++k) {
    const int64_t near = slot[k] * step, far = slot[k == 0 ? 0 : shape.width - k] * step, im = step / 2;
    const Real same = (zero[k] + nyquist[k]) / 2, other = (zero[k] - nyquist[k]) / 2;
    const Real a = from[near], b = from[near + im], c = from[far], d = from[far + im];
    to[near] = same * a + other * c, to[near + im] = same * b - other * d;
    to[far] = same * c + other * a, to[far + im] = same * d - other * b;
  }
}

template <class Real>
FASTRACE_TARGET void rows_inverse(void* spectrum, const Shape<Real>& shape, Real* re, Real* im) {
  constexpr int64_t lanes = Lanes<Real>::count;
  Slot<Real>* data = static_cast<Slot<Real>*>(spectrum);
  inverse(data, *shape.row);
  for (int64_t x = 0; x < shape.width; x += lanes)
    for (int part = 0; part < 2; ++part) {
      typename Lanes<Real>::Vector tile[lanes];
      for (int i = 0; i < lanes; ++i) tile[i] = part ? data[x + i].im : data[x + i].re;
      transpose<Real>(tile);
      Real* to = (part ? im : re) + x;
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) store(to + i * shape.stride, tile[i]);
    }
}

template <class Real>
constexpr Kernels<Real> kernels() {
  return {Lanes<Real>::count, columns_forward<Real>, columns_inverse<Real>, rows_forward<Real>,
          rows_gain<Real>,    first_row_gain<Real>,  rows_inverse<Real>};
}

}  // namespace FASTRACE_SET

#undef FASTRACE_LANE
#undef FASTRACE_MIX
