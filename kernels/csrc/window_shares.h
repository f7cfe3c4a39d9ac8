// fastrace::window, the shares: which source pixels an output takes and how much of each, by area or by Lanczos-3.
//
// A part of window.cpp, which alone includes it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

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

// Lanczos: the kernel is stretched by source / target where that shrinks; shares of pixels outside the image are
// distributed over those inside. In units of 1 / (2 * target) source pixels, the centres of pixels are integers.
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

}  // namespace
