// fastrace::bandpass, the gains: what a filter does to each row of the half spectrum, laid out as the lanes read it.
//
// A part of bandpass.cpp, which alone includes it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fastrace {
namespace {

constexpr int64_t kGroup = 16;  // rows that are transformed, or left alone, together

// Keeps low_edge <= (ky W)^2 + (kx H)^2 < high_edge, or as a complement the rest.
struct Filter {
  int64_t low_edge, high_edge;
  bool complement;
  bool operator==(const Filter& f) const {
    return low_edge == f.low_edge && high_edge == f.high_edge && complement == f.complement;
  }
};

enum Treatment : uint8_t { ZERO, ONE, MIXED };  // all gains of a group are 0, 1, or something else

template <class Real>
struct Gains {
  std::vector<Real> table;  // [rows / kGroup, kGroup / lanes, W / 2 + 1, lanes] gain / W; row 0 is 1
  std::vector<Real> zero, nyquist;  // [W / 2 + 1] gain / W of ky = 0 and ky = H / 2, which share row 0
  std::vector<uint8_t> treatment;   // [rows / kGroup]
  std::vector<uint8_t> kept;        // [rows] 0 where a row has no gain but 0
  int64_t last = 0;                 // rows that have to be known: [0, last)
  bool constant = false;            // all rows are treated alike, and not MIXED
};

// A filter keeps the kx of one ky that lie in [first, last), or as a complement all others: radii grow along a row.
// They grow with ky too, so both ends only move down from one ky to the next.
struct Interval {
  int32_t first, last;
};

std::vector<Interval> intervals(const Filter& f, int64_t height, int64_t width) {
  std::vector<Interval> found;
  int64_t first = width / 2 + 1, last = first;
  for (int64_t ky = 0; ky <= height / 2; ++ky) {
    const int64_t y = ky * width * ky * width;
    const auto square = [&](int64_t kx) { return y + kx * height * kx * height; };
    while (first > 0 && square(first - 1) >= f.low_edge) --first;
    while (last > 0 && square(last - 1) >= f.high_edge) --last;
    found.push_back({static_cast<int32_t>(std::min(first, last)), static_cast<int32_t>(last)});
  }
  return found;
}

// What a filter does to one row of the half spectrum, found out row by row; row 0 stands for two.
struct Treated {
  bool any, all;  // whether some gain is not 0, and whether all are 1
};

template <class Real>
void finish(const std::vector<Treated>& rows, Gains<Real>& to) {
  const int64_t count = static_cast<int64_t>(rows.size());
  to.treatment.assign((count + kGroup - 1) / kGroup, MIXED);
  to.kept.resize(count);
  to.last = 0;
  for (int64_t p = 0; p < count; ++p) {
    const uint8_t own = !rows[p].any ? ZERO : rows[p].all ? ONE : MIXED;
    uint8_t& treatment = to.treatment[p / kGroup];
    treatment = p % kGroup == 0 || treatment == own ? own : uint8_t{MIXED};
    to.kept[p] = rows[p].any;
    if (rows[p].any) to.last = std::min(count, (p / kGroup + 1) * kGroup);
  }
  to.constant = to.treatment[0] != MIXED &&
      std::all_of(to.treatment.begin(), to.treatment.end(), [&](uint8_t t) { return t == to.treatment[0]; });
}

template <class Real>
void make_gains(const Filter& f, int64_t height, int64_t width, int64_t rows, int64_t lanes, Gains<Real>& to) {
  const int32_t columns = static_cast<int32_t>(width / 2 + 1);
  to.table.resize((rows + kGroup - 1) / kGroup * kGroup * columns);
  to.zero.resize(columns), to.nyquist.assign(columns, 0);
  const Real inside = static_cast<Real>((f.complement ? 0.0 : 1.0) / static_cast<double>(width));
  const Real outside = static_cast<Real>((f.complement ? 1.0 : 0.0) / static_cast<double>(width));
  const std::vector<Interval> kept = intervals(f, height, width);
  const auto treated = [&](Interval row) {
    const int32_t count = f.complement ? columns - (row.last - row.first) : row.last - row.first;
    return Treated{count > 0, count == columns};
  };
  std::vector<Treated> found(rows);
  for (int64_t p = 0; p < rows; ++p) found[p] = treated(kept[p]);
  for (int64_t first_row = 0; first_row < rows; first_row += lanes) {
    int32_t first[kGroup], last[kGroup];
    for (int64_t l = 0; l < lanes; ++l) {
      const Interval row = first_row + l < rows ? kept[first_row + l] : Interval{0, 0};
      first[l] = row.first, last[l] = row.last;
    }
    Real* at = to.table.data() + first_row * columns;
    for (int32_t kx = 0; kx < columns; ++kx)
      for (int64_t l = 0; l < lanes; ++l) at[kx * lanes + l] = kx >= first[l] && kx < last[l] ? inside : outside;
  }
  const auto whole_row = [&](Interval row, std::vector<Real>& gains) {
    for (int32_t kx = 0; kx < columns; ++kx) gains[kx] = kx >= row.first && kx < row.last ? inside : outside;
  };
  whole_row(kept[0], to.zero);
  if (height % 2 == 0) {
    const Treated nyquist = treated(kept[height / 2]);
    found[0] = {found[0].any || nyquist.any, found[0].all && nyquist.all};
    whole_row(kept[height / 2], to.nyquist);
  }
  finish(found, to);
  for (int32_t kx = 0; kx < columns; ++kx) to.table[kx * lanes] = 1;
}

}  // namespace
}  // namespace fastrace
