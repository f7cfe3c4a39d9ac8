// fastrace::ranking on the CPU: placements of score columns, and AUCs of whole-number replicates from one sort.
//
// kernels/ranking.py holds the formula, the float64 reference and the contract; this file holds what makes it fast:
//   * scores are sorted as integers, by digits (radix): no comparison to be guessed wrong, and the digits that all scores
//     share (the exponents of probabilities, the low half of a float32) cost nothing;
//   * a column is sorted once; after that each group of 32 replicates reads the rows once, in order of their scores. The
//     32 weights of a cluster lie in one cache line, and a row costs about 20 vector instructions for all of them;
//   * a replicate's weights are drawn here, from its own counter-based stream, and never exist as a matrix.
// Counts are whole numbers below 2^53, so sums of doubles are exact in any order, on every instruction set and with any
// number of threads.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || defined(FASTRACE_BASELINE)
#define FASTRACE_CLONES
#elif __GNUC__ >= 12
#define FASTRACE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else  // the levels have no names yet, and AVX-512 cannot be requested
#define FASTRACE_CLONES __attribute__((target_clones("avx2", "default")))
#endif
#define FASTRACE_INLINE static inline __attribute__((always_inline))

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kLanes = 32;              // replicates at a time: their weights of one cluster fill a cache line
constexpr int64_t kSmall = 256;             // rows below which comparing is faster than counting digits
constexpr int64_t kLarge = 4096;            // rows from which 6 digits of 11 bits are faster than 8 of 8
constexpr int64_t kRowsPerThread = 100000;  // a millisecond's work; starting a thread costs about a tenth of that
constexpr double kExact = 9007199254740992.0;  // 2^53

// ---- sorting -------------------------------------------------------------------------------------------------------

struct Entry {
  uint64_t key;
  uint32_t row;
};

// Rows in ascending order of score, and where each run of equal scores ends.
struct Sorted {
  std::vector<Entry> entries, other;
  std::vector<uint32_t> ends;
};

// Integers in the order of the doubles; -0 and 0 are equal. By bits, because the compiler assumes that there is no NaN.
constexpr uint64_t kSign = uint64_t{1} << 63;
FASTRACE_INLINE uint64_t bits_of(double score) {
  uint64_t bits;
  std::memcpy(&bits, &score, 8);
  return bits;
}
FASTRACE_INLINE uint64_t key_of(double score) {
  const uint64_t bits = bits_of(score);
  return bits > kSign ? ~bits : bits | kSign;
}

template <int BITS>
void sort_by_digits(std::vector<Entry>& entries, std::vector<Entry>& other) {
  constexpr int DIGITS = (64 + BITS - 1) / BITS;
  constexpr uint64_t BUCKETS = uint64_t{1} << BITS;
  std::vector<uint32_t> counts(DIGITS * BUCKETS);
  for (const Entry& e : entries)
    for (int d = 0; d < DIGITS; ++d) ++counts[d * BUCKETS + ((e.key >> (d * BITS)) & (BUCKETS - 1))];
  other.resize(entries.size());
  for (int d = 0; d < DIGITS; ++d) {
    uint32_t* count = counts.data() + d * BUCKETS;
    if (count[(entries[0].key >> (d * BITS)) & (BUCKETS - 1)] == entries.size()) continue;  // all share this digit
    uint32_t start = 0;
    for (uint64_t b = 0; b < BUCKETS; ++b) start += std::exchange(count[b], start);
    for (const Entry& e : entries) other[count[(e.key >> (d * BITS)) & (BUCKETS - 1)]++] = e;
    entries.swap(other);
  }
}

void sort_rows(const double* scores, int64_t rows, Sorted& sorted) {
  sorted.entries.resize(rows);
  for (int64_t r = 0; r < rows; ++r) sorted.entries[r] = {key_of(scores[r]), static_cast<uint32_t>(r)};
  if (rows < kSmall) {
    std::sort(sorted.entries.begin(), sorted.entries.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
  } else if (rows < kLarge) {
    sort_by_digits<8>(sorted.entries, sorted.other);
  } else {
    sort_by_digits<11>(sorted.entries, sorted.other);
  }
  sorted.ends.clear();
  for (int64_t r = 0; r < rows; ++r)
    if (r + 1 == rows || sorted.entries[r].key != sorted.entries[r + 1].key)
      sorted.ends.push_back(static_cast<uint32_t>(r + 1));
}

// ---- threads -------------------------------------------------------------------------------------------------------

// Calls work(unit, thread) for every unit; threads draw units from one counter, so a core that is busy elsewhere holds up
// none of them. They live as long as the call: what they do takes long enough, and a forked process inherits nothing.
template <typename Work>
void share(int64_t units, int64_t threads, const Work& work) {
  threads = std::max<int64_t>(1, std::min({threads, units, static_cast<int64_t>(torch::stable::get_num_threads())}));
  std::atomic<int64_t> next{0};
  const auto draw = [&](int64_t thread) {
    for (int64_t u = next++; u < units; u = next++) work(u, thread);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(threads - 1);
  try {
    for (int64_t t = 1; t < threads; ++t) helpers.emplace_back(draw, t);
  } catch (const std::system_error&) {  // no more threads to be had: those there are do the work
  }
  draw(0);
  for (std::thread& helper : helpers) helper.join();
}

// ---- placements ----------------------------------------------------------------------------------------------------

// out[r]: for a positive the share of negatives below it, for a negative the share of positives above it, ties as one
// half. counts: twice the pairs won, positives, negatives.
void place(const Sorted& sorted, const bool* positive, double* out, int64_t* counts) {
  const int64_t rows = static_cast<int64_t>(sorted.entries.size());
  const int64_t m = std::count(positive, positive + rows, true), n = rows - m;
  int64_t positives_below = 0, negatives_below = 0, twice = 0, begin = 0;
  for (const int64_t end : sorted.ends) {
    int64_t p = 0;
    for (int64_t i = begin; i < end; ++i) p += positive[sorted.entries[i].row];
    const int64_t q = end - begin - p;
    // Divisions of whole numbers round once, so that equal shares are equal numbers. An empty group is 0 / 1 here.
    const double below = static_cast<double>(2 * negatives_below + q) / static_cast<double>(std::max<int64_t>(1, 2 * n));
    const double above =
        static_cast<double>(2 * (m - positives_below) - p) / static_cast<double>(std::max<int64_t>(1, 2 * m));
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t row = sorted.entries[i].row;
      out[row] = positive[row] ? below : above;
    }
    twice += p * (2 * negatives_below + q);
    positives_below += p, negatives_below += q, begin = end;
  }
  counts[0] = twice, counts[1] = m, counts[2] = n;
}

struct Columns {
  const double* scores;
  const bool* positive;
  int64_t columns, rows, step;  // step: from one column's positives to the next one's, 0 where all share them
};

Columns read_columns(const Tensor& scores, const Tensor& positive) {
  STD_TORCH_CHECK(scores.dim() == 2 && scores.scalar_type() == ScalarType::Double && scores.is_contiguous(),
                  "ranking: scores must be contiguous float64, [C, R]");
  const int64_t columns = scores.size(0), rows = scores.size(1);
  STD_TORCH_CHECK(positive.dim() == 2 && positive.scalar_type() == ScalarType::Bool && positive.is_contiguous() &&
                      positive.size(1) == rows && (positive.size(0) == 1 || positive.size(0) == columns),
                  "ranking: positive must be contiguous bool, [C, R] or [1, R]");
  STD_TORCH_CHECK(rows < (int64_t{1} << 31), "ranking: too many rows");
  const double* values = scores.const_data_ptr<double>();
  bool numbers = true;
  for (int64_t i = 0; i < columns * rows; ++i) numbers &= (bits_of(values[i]) & ~kSign) <= 0x7ff0000000000000u;
  STD_TORCH_CHECK(numbers, "ranking: scores must not be NaN");
  return {values, positive.const_data_ptr<bool>(), columns, rows,
          positive.size(0) == 1 ? 0 : rows};
}

std::tuple<Tensor, Tensor> placements(Tensor scores, Tensor positive) {
  const Columns in = read_columns(scores, positive);
  Tensor out = torch::stable::new_empty(scores, {in.columns, in.rows});
  Tensor counts = torch::stable::new_empty(scores, {in.columns, 3}, ScalarType::Long);
  double* placed = out.mutable_data_ptr<double>();
  int64_t* counted = counts.mutable_data_ptr<int64_t>();
  const int64_t threads = in.columns * in.rows / kRowsPerThread;
  std::vector<Sorted> sorted(std::max<int64_t>(1, std::min(threads, in.columns)));
  for (Sorted& one : sorted) one.entries.reserve(in.rows), one.other.reserve(in.rows), one.ends.reserve(in.rows);
  share(in.columns, threads, [&](int64_t c, int64_t thread) {
    sort_rows(in.scores + c * in.rows, in.rows, sorted[thread]);
    place(sorted[thread], in.positive + c * in.step, placed + c * in.rows, counted + c * 3);
  });
  return {out, counts};
}

// ---- weights of replicates -----------------------------------------------------------------------------------------

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the i-th word of a stream is a function of its key and i.
constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
FASTRACE_INLINE uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

FASTRACE_CLONES void fill_words(uint64_t key, int64_t first, int64_t count, uint64_t* words) {
  for (int64_t i = 0; i < count; ++i) words[i] = mix(key + static_cast<uint64_t>(first + i + 1) * kGamma);
}

// Clusters listed stratum by stratum.
struct Strata {
  std::vector<uint32_t> members;
  std::vector<int64_t> ends;
};

// How often each cluster is drawn when each stratum is resampled with replacement to its own size. Draw d uses half a
// word: 32 bits times the size, of which the upper half is the member. Shares are uneven by at most size / 2^32.
void draw(const Strata& strata, uint64_t key, std::vector<uint64_t>& words, uint16_t* weights) {
  const int64_t count = static_cast<int64_t>(strata.members.size());
  std::fill(weights, weights + count, uint16_t{0});
  fill_words(key, 0, (count + 1) / 2, words.data());
  int64_t begin = 0;
  for (const int64_t end : strata.ends) {
    const uint32_t* members = strata.members.data() + begin;
    const uint64_t size = end - begin;
    for (int64_t d = begin; d < end; ++d) {
      const uint64_t bits = d % 2 ? words[d / 2] >> 32 : words[d / 2] & 0xffffffffu;
      ++weights[members[bits * size >> 32]];
    }
    begin = end;
  }
}

// [lanes, clusters] -> [clusters, kLanes]; missing lanes are 0.
FASTRACE_CLONES void interleave(const uint16_t* from, int64_t lanes, int64_t clusters, uint16_t* to) {
  constexpr int64_t TILE = 64;
  for (int64_t begin = 0; begin < clusters; begin += TILE) {
    const int64_t end = std::min(clusters, begin + TILE);
    for (int64_t l = 0; l < kLanes; ++l)
      for (int64_t p = begin; p < end; ++p) to[p * kLanes + l] = l < lanes ? from[l * clusters + p] : uint16_t{0};
  }
}

// ---- weighted AUC --------------------------------------------------------------------------------------------------

// One sorted column, as the pass over it reads it.
struct Pass {
  std::vector<uint32_t> place;  // 2 * cluster + positive, in ascending order of score
  std::vector<uint32_t> ends;
};

typedef double Doubles __attribute__((vector_size(64)));
typedef int64_t Longs __attribute__((vector_size(64)));
typedef uint16_t Words __attribute__((vector_size(16)));
constexpr int kVectors = kLanes / 8;

// counts: per lane twice the weight of pairs won, weight of positives, weight of negatives.
FASTRACE_CLONES void rank(const Pass& pass, const uint16_t* weights, double* counts) {
  Doubles twice[kVectors] = {}, all_positive[kVectors] = {}, below[kVectors] = {};
  const uint32_t* place = pass.place.data();
  int64_t row = 0;
  for (const int64_t end : pass.ends) {
    Doubles positive[kVectors] = {}, negative[kVectors] = {};
    for (; row < end; ++row) {
      const int64_t is = -static_cast<int64_t>(place[row] & 1);
      const uint16_t* mine = weights + (place[row] >> 1) * kLanes;
      for (int v = 0; v < kVectors; ++v) {
        Words words;
        std::memcpy(&words, mine + v * 8, sizeof words);
        const Longs weight = reinterpret_cast<Longs>(__builtin_convertvector(words, Doubles));
        positive[v] += reinterpret_cast<Doubles>(weight & is);
        negative[v] += reinterpret_cast<Doubles>(weight & ~is);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      twice[v] += positive[v] * (below[v] + below[v] + negative[v]);
      below[v] += negative[v];
      all_positive[v] += positive[v];
    }
  }
  std::memcpy(counts, twice, sizeof twice);
  std::memcpy(counts + kLanes, all_positive, sizeof all_positive);
  std::memcpy(counts + 2 * kLanes, below, sizeof below);
}

std::vector<Pass> sort_columns(const Columns& in, const int64_t* clusters) {
  std::vector<Pass> passes(in.columns);
  Sorted sorted;
  for (int64_t c = 0; c < in.columns; ++c) {
    sort_rows(in.scores + c * in.rows, in.rows, sorted);
    passes[c].place.reserve(in.rows);
    for (const Entry& e : sorted.entries)
      passes[c].place.push_back(static_cast<uint32_t>(2 * clusters[e.row] + in.positive[c * in.step + e.row]));
    passes[c].ends = sorted.ends;
  }
  return passes;
}

// fill(replicate, words, row): writes the weights [clusters] of one replicate.
template <typename Fill>
Tensor replicate(const Columns& in, const Tensor& scores, const Tensor& owners, int64_t clusters, int64_t replicates,
                 const Fill& fill) {
  STD_TORCH_CHECK(owners.dim() == 1 && owners.size(0) == in.rows && owners.scalar_type() == ScalarType::Long &&
                      owners.is_contiguous(),
                  "ranking: clusters must be contiguous int64, [R]");
  const int64_t* owner = owners.const_data_ptr<int64_t>();
  for (int64_t r = 0; r < in.rows; ++r)
    STD_TORCH_CHECK(owner[r] >= 0 && owner[r] < clusters, "ranking: clusters must be 0 .. P-1");
  STD_TORCH_CHECK(clusters < (int64_t{1} << 31), "ranking: too many clusters");
  Tensor out = torch::stable::new_empty(scores, {in.columns, replicates, 3}, ScalarType::Long);
  int64_t* counted = out.mutable_data_ptr<int64_t>();
  const std::vector<Pass> passes = sort_columns(in, owner);

  struct Scratch {
    std::vector<uint16_t> rows, lanes;
    std::vector<uint64_t> words;
    double counts[3 * kLanes];
  };
  const int64_t units = (replicates + kLanes - 1) / kLanes;
  const int64_t threads =
      std::min({units, torch::stable::get_num_threads() + int64_t{0}, replicates * (in.rows + clusters) / kRowsPerThread / 8});
  std::vector<Scratch> scratch(std::max<int64_t>(1, threads));
  for (Scratch& s : scratch) {
    s.rows.resize(kLanes * clusters), s.words.resize((clusters + 1) / 2);
    s.lanes.resize(kLanes * (clusters + 1));  // one more cluster, so that the first can begin on a cache line
  }
  std::atomic<bool> exact{true};
  share(units, threads, [&](int64_t unit, int64_t thread) {
    Scratch& s = scratch[thread];
    const int64_t first = unit * kLanes, lanes = std::min(kLanes, replicates - first);
    for (int64_t l = 0; l < lanes; ++l) fill(first + l, s.words, s.rows.data() + l * clusters);
    uint16_t* weights = reinterpret_cast<uint16_t*>((reinterpret_cast<uintptr_t>(s.lanes.data()) + 63) / 64 * 64);
    interleave(s.rows.data(), lanes, clusters, weights);
    for (int64_t c = 0; c < in.columns; ++c) {
      rank(passes[c], weights, s.counts);
      for (int64_t l = 0; l < lanes; ++l) {
        const double m = s.counts[kLanes + l], n = s.counts[2 * kLanes + l];
        if (2 * m * n >= kExact) exact = false;
        int64_t* to = counted + (c * replicates + first + l) * 3;
        to[0] = static_cast<int64_t>(s.counts[l]), to[1] = static_cast<int64_t>(m), to[2] = static_cast<int64_t>(n);
      }
    }
  });
  STD_TORCH_CHECK(exact, "ranking: more than 2^52 weighted pairs");
  return out;
}

Tensor weighted(Tensor scores, Tensor positive, Tensor clusters, Tensor weights) {
  const Columns in = read_columns(scores, positive);
  STD_TORCH_CHECK(weights.dim() == 2 && weights.scalar_type() == ScalarType::UInt16 && weights.is_contiguous(),
                  "ranking: weights must be contiguous uint16, [B, P]");
  const int64_t count = weights.size(1);
  const uint16_t* given = static_cast<const uint16_t*>(weights.const_data_ptr());
  return replicate(in, scores, clusters, count, weights.size(0),
                   [=](int64_t replicate, std::vector<uint64_t>&, uint16_t* row) {
                     std::copy_n(given + replicate * count, count, row);
                   });
}

Tensor bootstrap(Tensor scores, Tensor positive, Tensor clusters, Tensor strata, int64_t replicates, int64_t seed,
                 int64_t first) {
  const Columns in = read_columns(scores, positive);
  STD_TORCH_CHECK(strata.dim() == 1 && strata.scalar_type() == ScalarType::Long && strata.is_contiguous(),
                  "ranking: strata must be contiguous int64, [P]");
  const int64_t count = strata.size(0);
  const int64_t* stratum = strata.const_data_ptr<int64_t>();
  Strata lists;
  lists.members.resize(count);
  for (int64_t p = 0; p < count; ++p) lists.members[p] = static_cast<uint32_t>(p);
  std::stable_sort(lists.members.begin(), lists.members.end(),
                   [&](uint32_t a, uint32_t b) { return stratum[a] < stratum[b]; });
  for (int64_t p = 1; p <= count; ++p)
    if (p == count || stratum[lists.members[p]] != stratum[lists.members[p - 1]]) lists.ends.push_back(p);
  const uint64_t base = mix(static_cast<uint64_t>(seed) + kGamma);
  return replicate(in, scores, clusters, count, replicates,
                   [&](int64_t replicate, std::vector<uint64_t>& words, uint16_t* row) {
                     draw(lists, mix(base ^ (static_cast<uint64_t>(first + replicate + 1) * kGamma)), words, row);
                   });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(fastrace, m) {
  m.def("ranking_placements_cpu(Tensor scores, Tensor positive) -> (Tensor, Tensor)");
  m.def("ranking_weighted_cpu(Tensor scores, Tensor positive, Tensor clusters, Tensor weights) -> Tensor");
  m.def(
      "ranking_bootstrap_cpu(Tensor scores, Tensor positive, Tensor clusters, Tensor strata, int replicates, int seed,"
      " int first) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastrace, CPU, m) {
  m.impl("ranking_placements_cpu", TORCH_BOX(&placements));
  m.impl("ranking_weighted_cpu", TORCH_BOX(&weighted));
  m.impl("ranking_bootstrap_cpu", TORCH_BOX(&bootstrap));
}
