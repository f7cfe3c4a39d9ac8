// Complex Fourier transforms of many columns at once, one column per SIMD lane. bandpass.cpp includes this file once for
// each instruction set, with FASTRACE_SET (a namespace), FASTRACE_TARGET (a function attribute) and FASTRACE_BYTES (of a
// vector) defined. Nothing of the standard library may be instantiated here: it would be compiled for that set too.
//
// X[k] = sum over j of x[j] exp(-2 pi i j k / n), unscaled, and its inverse without 1 / n. In place: the forward transform
// decimates in frequency and leaves coefficient `plan.frequency[s]` in slot s, the inverse decimates in time and begins
// there, so that nothing is reordered. Radices 8, 4, 2 and odd primes up to 61; a length with a larger prime factor
// becomes a convolution of a smooth length (Bluestein 1970).

#define FASTRACE_LANE FASTRACE_TARGET static inline __attribute__((always_inline))

namespace FASTRACE_SET {

template <class Real>
struct Lanes {
  static constexpr int64_t count = FASTRACE_BYTES / sizeof(Real);
  typedef Real Vector __attribute__((vector_size(FASTRACE_BYTES)));
  typedef Real Loose __attribute__((vector_size(FASTRACE_BYTES), aligned(sizeof(Real)), may_alias));
};

template <class Real>
struct Slot {  // one coefficient of every lane
  typename Lanes<Real>::Vector re, im;
};

template <class Real>
FASTRACE_LANE typename Lanes<Real>::Vector load(const Real* at) {
  return *reinterpret_cast<const typename Lanes<Real>::Loose*>(at);
}

template <class Real>
FASTRACE_LANE void store(Real* at, typename Lanes<Real>::Vector value) {
  *reinterpret_cast<typename Lanes<Real>::Loose*>(at) = value;
}

template <class V>
FASTRACE_LANE V add(V a, V b) { return V{a.re + b.re, a.im + b.im}; }
template <class V>
FASTRACE_LANE V subtract(V a, V b) { return V{a.re - b.re, a.im - b.im}; }
template <class V>
FASTRACE_LANE V minus_i(V a) { return V{a.im, -a.re}; }
template <class V, class Real>
FASTRACE_LANE V times(V a, const Real* w) { return V{a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]}; }
// The inverse transform is the forward one of swapped parts, swapped again.
template <bool Inverse, class V>
FASTRACE_LANE V turned(V a) { return Inverse ? V{a.im, a.re} : a; }

template <class V>
FASTRACE_LANE void four(V& a, V& b, V& c, V& d) {
  const V s = add(a, c), t = subtract(a, c), u = add(b, d), v = minus_i(subtract(b, d));
  a = add(s, u), b = add(t, v), c = subtract(s, u), d = subtract(t, v);
}

// cosines[k] = cos(2 pi k / R), sines likewise, for k < R.
template <int R, class Real, class V>
FASTRACE_LANE void butterfly(V* x, const Real* cosines, const Real* sines) {
  if constexpr (R == 2) {
    const V a = x[0];
    x[0] = add(a, x[1]), x[1] = subtract(a, x[1]);
  } else if constexpr (R == 4) {
    four(x[0], x[1], x[2], x[3]);
  } else if constexpr (R == 8) {
    constexpr Real h = static_cast<Real>(0.70710678118654752440);
    four(x[0], x[2], x[4], x[6]);
    four(x[1], x[3], x[5], x[7]);
    const V a = x[3], b = minus_i(x[5]), c = x[7];
    const V p = {(a.re + a.im) * h, (a.im - a.re) * h}, q = {(c.im - c.re) * h, -(c.re + c.im) * h};
    const V e0 = x[0], e1 = x[2], e2 = x[4], e3 = x[6], o0 = x[1];
    x[0] = add(e0, o0), x[4] = subtract(e0, o0);
    x[1] = add(e1, p), x[5] = subtract(e1, p);
    x[2] = add(e2, b), x[6] = subtract(e2, b);
    x[3] = add(e3, q), x[7] = subtract(e3, q);
  } else {
    constexpr int half = R / 2;
    V sum[half], difference[half], out[R];
    out[0] = x[0];
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) {
      sum[k] = add(x[k + 1], x[R - 1 - k]), difference[k] = subtract(x[k + 1], x[R - 1 - k]);
      out[0] = add(out[0], sum[k]);
    }
#pragma GCC unroll 8
    for (int q = 1; q <= half; ++q) {
      V a = x[0], b = {difference[0].re * sines[q], difference[0].im * sines[q]};
#pragma GCC unroll 8
      for (int k = 0; k < half; ++k) {
        const int turn = q * (k + 1) % R;
        a.re += sum[k].re * cosines[turn], a.im += sum[k].im * cosines[turn];
        if (k > 0) b.re += difference[k].re * sines[turn], b.im += difference[k].im * sines[turn];
      }
      out[q] = V{a.re + b.im, a.im - b.re}, out[R - q] = V{a.re - b.im, a.im + b.re};
    }
#pragma GCC unroll 16
    for (int q = 0; q < R; ++q) x[q] = out[q];
  }
}

// One radix of the transform: `blocks` transforms of length R m, each into R of length m. Twiddles of position j are at
// twiddles + 2 (R - 1) j.
template <int R, bool Inverse, class Real>
FASTRACE_TARGET __attribute__((noinline)) void stage(Slot<Real>* data, int64_t blocks, int64_t m, const Real* twiddles,
                                                     const Real* cosines, const Real* sines) {
  for (int64_t j = 0; j < m; ++j) {
    const Real* w = twiddles + 2 * (R - 1) * j;
    for (int64_t block = 0; block < blocks; ++block) {
      Slot<Real>* at = data + block * R * m + j;
      Slot<Real> x[R];
#pragma GCC unroll 16
      for (int q = 0; q < R; ++q) x[q] = turned<Inverse>(at[q * m]);
      if (Inverse && j > 0) {
#pragma GCC unroll 16
        for (int q = 1; q < R; ++q) x[q] = times(x[q], w + 2 * (q - 1));
      }
      butterfly<R>(x, cosines, sines);
      if (!Inverse && j > 0) {
#pragma GCC unroll 16
        for (int q = 1; q < R; ++q) x[q] = times(x[q], w + 2 * (q - 1));
      }
#pragma GCC unroll 16
      for (int q = 0; q < R; ++q) at[q * m] = turned<Inverse>(x[q]);
    }
  }
}

// The same for a prime that has no code of its own.
template <bool Inverse, class Real>
FASTRACE_TARGET __attribute__((noinline)) void prime_stage(Slot<Real>* data, int64_t radix, int64_t blocks, int64_t m,
                                                           const Real* twiddles, const Real* cosines, const Real* sines) {
  constexpr int64_t most = kLargestPrime / 2;
  const int64_t half = radix / 2;
  for (int64_t j = 0; j < m; ++j) {
    const Real* w = twiddles + 2 * (radix - 1) * j;
    for (int64_t block = 0; block < blocks; ++block) {
      Slot<Real>* at = data + block * radix * m + j;
      Slot<Real> sum[most], difference[most];
      Slot<Real> first = turned<Inverse>(at[0]), total = first;
      for (int64_t k = 1; k <= half; ++k) {
        Slot<Real> a = turned<Inverse>(at[k * m]), b = turned<Inverse>(at[(radix - k) * m]);
        if (Inverse) a = times(a, w + 2 * (k - 1)), b = times(b, w + 2 * (radix - k - 1));
        sum[k - 1] = add(a, b), difference[k - 1] = subtract(a, b);
        total = add(total, sum[k - 1]);
      }
      at[0] = turned<Inverse>(total);
      for (int64_t q = 1; q <= half; ++q) {
        Slot<Real> a = first, b = {};
        for (int64_t k = 0, turn = q; k < half; ++k) {
          a.re += sum[k].re * cosines[turn], a.im += sum[k].im * cosines[turn];
          b.re += difference[k].re * sines[turn], b.im += difference[k].im * sines[turn];
          turn += q;
          if (turn >= radix) turn -= radix;
        }
        Slot<Real> near = {a.re + b.im, a.im - b.re}, far = {a.re - b.im, a.im + b.re};
        if (!Inverse) near = times(near, w + 2 * (q - 1)), far = times(far, w + 2 * (radix - q - 1));
        at[q * m] = turned<Inverse>(near), at[(radix - q) * m] = turned<Inverse>(far);
      }
    }
  }
}

template <bool Inverse, class Real>
FASTRACE_TARGET void run_stage(Slot<Real>* data, const Stage<Real>& s) {
  const Real *w = s.twiddles.data(), *c = s.cosines.data(), *d = s.sines.data();
  switch (s.radix) {
    case 2: return stage<2, Inverse>(data, s.blocks, s.rest, w, c, d);
    case 3: return stage<3, Inverse>(data, s.blocks, s.rest, w, c, d);
    case 4: return stage<4, Inverse>(data, s.blocks, s.rest, w, c, d);
    case 5: return stage<5, Inverse>(data, s.blocks, s.rest, w, c, d);
    case 7: return stage<7, Inverse>(data, s.blocks, s.rest, w, c, d);
    case 8: return stage<8, Inverse>(data, s.blocks, s.rest, w, c, d);
    default: return prime_stage<Inverse>(data, s.radix, s.blocks, s.rest, w, c, d);
  }
}

template <class Real>
FASTRACE_TARGET void smooth_forward(Slot<Real>* data, const Smooth<Real>& plan) {
  for (int64_t i = 0; i < plan.count; ++i) run_stage<false>(data, plan.stages[i]);
}
template <class Real>
FASTRACE_TARGET void smooth_inverse(Slot<Real>* data, const Smooth<Real>& plan) {
  for (int64_t i = plan.count; i-- > 0;) run_stage<true>(data, plan.stages[i]);
}

// Bluestein: jk = (j^2 + k^2 - (k - j)^2) / 2 turns the transform into a convolution with a chirp.
template <bool Inverse, class Real>
FASTRACE_TARGET void convolve(Slot<Real>* data, const Plan<Real>& plan) {
  const Real *chirp = plan.chirp.data(), *filter = plan.filter.data();
  const int64_t n = plan.length, padded = plan.smooth.length;
  for (int64_t j = 0; j < n; ++j) data[j] = times(turned<Inverse>(data[j]), chirp + 2 * j);
  for (int64_t j = n; j < padded; ++j) data[j] = Slot<Real>{};
  smooth_forward(data, plan.smooth);
  for (int64_t s = 0; s < padded; ++s) data[s] = times(data[s], filter + 2 * s);
  smooth_inverse(data, plan.smooth);
  for (int64_t k = 0; k < n; ++k) data[k] = turned<Inverse>(times(data[k], chirp + 2 * k));
}

template <class Real>
FASTRACE_TARGET void forward(Slot<Real>* data, const Plan<Real>& plan) {
  if (plan.chirp.size()) convolve<false>(data, plan);
  else smooth_forward(data, plan.smooth);
}
template <class Real>
FASTRACE_TARGET void inverse(Slot<Real>* data, const Plan<Real>& plan) {
  if (plan.chirp.size()) convolve<true>(data, plan);
  else smooth_inverse(data, plan.smooth);
}

}  // namespace FASTRACE_SET

#undef FASTRACE_LANE
