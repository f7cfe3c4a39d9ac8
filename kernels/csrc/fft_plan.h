// How long a Fourier transform is cut into stages: radices, twiddle factors, and the frequency that ends in each slot. All
// numbers are made in double and rounded once.

#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace fastrace {

// A prime radix costs its square; beyond this one a convolution of a smooth length is used. A filter of 61 rows then takes
// 0.83 of the time that one of 67 takes (per row, 1024 columns, one AVX-512 core).
constexpr int64_t kLargestPrime = 61;

template <class Real>
struct Stage {
  int64_t radix, blocks, rest;  // `blocks` transforms of length radix * rest
  std::vector<Real> twiddles;   // [rest, radix - 1] complex: exp(-2 pi i j q / (radix rest)), q from 1
  std::vector<Real> cosines, sines;  // [radix] of 2 pi k / radix
};

// A transform whose length has small prime factors only.
template <class Real>
struct Smooth {
  int64_t length = 1, count = 0;
  std::vector<Stage<Real>> stages;
  std::vector<int32_t> frequency;  // [length] which coefficient the forward transform leaves in each slot
};

template <class Real>
struct Plan {
  int64_t length, slots;           // slots of working memory that the transform needs
  Smooth<Real> smooth;             // of `length`, or of the convolution that replaces it
  std::vector<Real> chirp, filter;  // complex, of the convolution; else empty
  std::vector<int32_t> frequency, slot;  // [length] coefficient of each slot, and the reverse
};

inline constexpr double kTurn = 6.283185307179586476925286766559;

// exp(-2 pi i k / n) for k in 0 .. n - 1. The angle is brought into the first eighth of a turn in integers: in a large
// angle the rounding of 2 pi k / n alone would be several last bits of a double.
inline void turn(int64_t k, int64_t n, double* re, double* im) {
  const bool below = 2 * k > n;  // the mirror image in the real axis
  if (below) k = n - k;
  const bool left = 4 * k > n;  // then 2 k lies in (n / 2, n]: the mirror image in the imaginary axis, of half turn - k
  const int64_t twice = left ? n - 2 * k : 2 * k;  // the angle in units of pi / n, at most a quarter turn
  double cosine, sine;
  if (4 * twice > n) {
    const double rest = kTurn * static_cast<double>(n - 2 * twice) / static_cast<double>(4 * n);
    cosine = std::sin(rest), sine = std::cos(rest);
  } else {
    const double angle = kTurn * static_cast<double>(twice) / static_cast<double>(2 * n);
    cosine = std::cos(angle), sine = std::sin(angle);
  }
  *re = left ? -cosine : cosine, *im = below ? sine : -sine;
}

inline std::vector<int64_t> radices(int64_t n) {
  std::vector<int64_t> found;
  for (; n % 8 == 0; n /= 8) found.push_back(8);
  for (const int64_t radix : {4, 2})
    if (n % radix == 0) found.push_back(radix), n /= radix;
  for (int64_t p = 3; n > 1; p += 2) {
    if (p * p > n) p = n;
    for (; n % p == 0; n /= p) found.push_back(p);
  }
  return found;
}

inline bool is_smooth(int64_t n) {
  for (const int64_t radix : radices(n))
    if (radix > kLargestPrime) return false;
  return true;
}

template <class Real>
Smooth<Real> make_smooth(int64_t n) {
  Smooth<Real> plan;
  plan.length = n;
  plan.frequency.assign(n, 0);
  int64_t blocks = 1, rest = n;
  for (const int64_t radix : radices(n)) {
    rest /= radix;
    Stage<Real> stage{radix, blocks, rest, {}, {}, {}};
    double re, im;
    for (int64_t j = 0; j < rest; ++j)
      for (int64_t q = 1; q < radix; ++q) {
        turn(j * q, radix * rest, &re, &im);
        stage.twiddles.push_back(static_cast<Real>(re)), stage.twiddles.push_back(static_cast<Real>(im));
      }
    for (int64_t k = 0; k < radix; ++k) {
      turn(k, radix, &re, &im);
      stage.cosines.push_back(static_cast<Real>(re)), stage.sines.push_back(static_cast<Real>(-im));
    }
    for (int64_t s = 0; s < n; ++s) plan.frequency[s] += static_cast<int32_t>(s / rest % radix * blocks);
    plan.stages.push_back(std::move(stage));
    blocks *= radix;
  }
  plan.count = static_cast<int64_t>(plan.stages.size());
  return plan;
}

// Coefficients of `values` (complex double) in the slots of a smooth transform, by its own stages' definition: slow and
// exact, used once for a chirp.
inline std::vector<double> spectrum(const std::vector<double>& values, int64_t n) {
  std::vector<double> work = values, next(2 * n);
  // Decimation in time, recursively unrolled: transforms of length `done` interleaved `n / done` apart.
  int64_t done = 1;
  for (const int64_t radix : radices(n)) {
    const int64_t apart = n / (done * radix);
    for (int64_t offset = 0; offset < apart; ++offset)
      for (int64_t k = 0; k < done * radix; ++k) {
        double sum_re = 0, sum_im = 0, re, im;
        for (int64_t q = 0; q < radix; ++q) {
          turn(q * k % (done * radix), done * radix, &re, &im);
          const double* at = &work[2 * ((k % done) * apart * radix + offset + q * apart)];
          sum_re += at[0] * re - at[1] * im, sum_im += at[0] * im + at[1] * re;
        }
        next[2 * (k * apart + offset)] = sum_re, next[2 * (k * apart + offset) + 1] = sum_im;
      }
    work.swap(next);
    done *= radix;
  }
  return work;
}

template <class Real>
Plan<Real> make_plan(int64_t n) {
  Plan<Real> plan{n, n, {}, {}, {}, {}, {}};
  if (is_smooth(n)) {
    plan.smooth = make_smooth<Real>(n);
    plan.frequency = plan.smooth.frequency;
  } else {
    int64_t padded = 2 * n - 1;
    while (radices(padded).back() > 7) ++padded;
    plan.slots = padded;
    plan.smooth = make_smooth<Real>(padded);
    std::vector<double> wave(2 * padded, 0.0);
    for (int64_t j = 0; j < n; ++j) {
      double re, im;
      turn(j * j % (2 * n), 2 * n, &re, &im);  // exp(-pi i j^2 / n)
      plan.chirp.push_back(static_cast<Real>(re)), plan.chirp.push_back(static_cast<Real>(im));
      for (const int64_t at : {j, (padded - j) % padded}) wave[2 * at] = re, wave[2 * at + 1] = -im;
    }
    const std::vector<double> filter = spectrum(wave, padded);
    for (const int32_t k : plan.smooth.frequency)
      for (int part = 0; part < 2; ++part)
        plan.filter.push_back(static_cast<Real>(filter[2 * k + part] / static_cast<double>(padded)));
    for (int64_t k = 0; k < n; ++k) plan.frequency.push_back(static_cast<int32_t>(k));
  }
  plan.slot.resize(n);
  for (int64_t s = 0; s < n; ++s) plan.slot[plan.frequency[s]] = static_cast<int32_t>(s);
  return plan;
}

// Plans are made once and kept for good: some kilobytes for each length that a process meets.
template <class Real>
std::shared_ptr<const Plan<Real>> plan_of(int64_t n) {
  static std::mutex mutex;
  static std::unordered_map<int64_t, std::shared_ptr<const Plan<Real>>> plans;
  const std::lock_guard<std::mutex> lock(mutex);
  auto& plan = plans[n];
  if (!plan) plan = std::make_shared<const Plan<Real>>(make_plan<Real>(n));
  return plan;
}

}  // namespace fastrace
