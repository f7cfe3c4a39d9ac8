// fastrace::bandpass, one image: forward, gains and inverse by groups of rows; once for one filter, or once for several.
//
// A part of bandpass.cpp, which alone includes it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "aligned.h"
#include "bandpass_gains.h"
#include "bandpass_sets.h"

namespace fastrace {
namespace {

template <class Real>
struct Scratch {
  Aligned<Real> line, re, im;
};

template <class Real>
int64_t line_size(const Shape<Real>& shape, int64_t lanes) {  // numbers in the slots of one transform
  const int64_t slots = std::max({shape.column->slots, shape.row->slots, (shape.width + lanes - 1) / lanes * lanes});
  return 2 * lanes * slots;
}

template <class Real>
void multiply(const Real* image, int64_t pixels, Real factor, Real* out) {
  for (int64_t i = 0; i < pixels; ++i) out[i] = image[i] * factor;  // by 0 too: a NaN must not vanish
}

template <class Real>
void filter_rows(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, int64_t group,
                 const void* spectrum, void* line, Real* re, Real* im) {
  const int64_t columns = shape.width / 2 + 1;
  const Real* table = gains.table.data() + group * run.lanes * columns;
  run.rows_gain(spectrum, shape, table, line);
  if (group == 0) run.first_row_gain(spectrum, shape, gains.zero.data(), gains.nyquist.data(), line);
  run.rows_inverse(line, shape, re + group * run.lanes * shape.stride, im + group * run.lanes * shape.stride);
}

template <class Real>
void filter_image(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, const Real* image,
                  Real* out) {
  const int64_t pixels = shape.height * shape.width;
  if (gains.constant) return multiply(image, pixels, static_cast<Real>(gains.treatment[0] == ONE), out);
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride;
  Real *line = scratch.line.of(line_size(shape, run.lanes)), *re = scratch.re.of(plane), *im = scratch.im.of(plane);
  run.columns_forward(image, shape, gains.last, re, im, line);
  for (int64_t row = 0; row < gains.last; row += run.lanes)
    if (gains.treatment[row / kGroup] == MIXED) {
      run.rows_forward(re + row * shape.stride, im + row * shape.stride, shape, line);
      filter_rows(run, shape, gains, row / run.lanes, line, line, re, im);
    }
  run.columns_inverse(re, im, shape, gains.kept.data(), out, line);
}

// The forward transform of one image, for several filters.
template <class Real>
struct Transformed {
  Aligned<Real> re, im, spectrum;
};

template <class Real>
void transform(const Kernels<Real>& run, const Shape<Real>& shape, int64_t rows, const Real* image, Transformed<Real>& to) {
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride, line = line_size(shape, run.lanes);
  Real *re = to.re.of(plane), *im = to.im.of(plane);
  Real* spectrum = to.spectrum.of((rows + run.lanes - 1) / run.lanes * line);
  if (rows > 0) run.columns_forward(image, shape, rows, re, im, scratch.line.of(line));
  for (int64_t row = 0; row < rows; row += run.lanes)
    run.rows_forward(re + row * shape.stride, im + row * shape.stride, shape, spectrum + row / run.lanes * line);
}

template <class Real>
void filter_transformed(const Kernels<Real>& run, const Shape<Real>& shape, const Gains<Real>& gains, const Real* image,
                        Transformed<Real>& from, Real* out) {
  const int64_t pixels = shape.height * shape.width;
  if (gains.constant) return multiply(image, pixels, static_cast<Real>(gains.treatment[0] == ONE), out);
  thread_local Scratch<Real> scratch;
  const int64_t plane = (shape.rows + kGroup - 1) / kGroup * kGroup * shape.stride, line = line_size(shape, run.lanes);
  Real *data = scratch.line.of(line), *re = scratch.re.of(plane), *im = scratch.im.of(plane);
  const Real *from_re = from.re.of(0), *from_im = from.im.of(0), *spectrum = from.spectrum.of(0);
  for (int64_t row = 0; row < gains.last; row += run.lanes) {
    const uint8_t treatment = gains.treatment[row / kGroup];
    if (treatment == MIXED) {
      filter_rows(run, shape, gains, row / run.lanes, spectrum + row / run.lanes * line, data, re, im);
    } else if (treatment == ONE) {
      const size_t bytes = run.lanes * shape.stride * sizeof(Real);
      std::memcpy(re + row * shape.stride, from_re + row * shape.stride, bytes);
      std::memcpy(im + row * shape.stride, from_im + row * shape.stride, bytes);
    }
  }
  run.columns_inverse(re, im, shape, gains.kept.data(), out, data);
}

}  // namespace
}  // namespace fastrace
