// fastrace::window, one image: its tables and weights, made once for each thread, and its rows, one after the other.
//
// A part of window.cpp, which alone includes it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "window_rows.h"
#include "window_shares.h"

namespace {

constexpr int64_t kExactTerms = 32;  // float32 sums are flushed to float64 after so many terms

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
  if (stream) _mm_sfence();  // before the unit is marked as done for other threads
#endif
}

}  // namespace
