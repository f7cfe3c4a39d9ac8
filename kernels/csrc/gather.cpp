// fastrace::gather on the CPU: images of memory-mapped shards to one contiguous batch.
//
// kernels/gather.py holds the contract and the reference; this file holds what makes it fast:
//   * a batch larger than the nearest caches is written past them (non-temporal stores) and read well ahead of the copy:
//     512 KB images take 31 us instead of memcpy's 48;
//   * work is cut by bytes of the batch, not by images: one large image is copied by all threads, many small ones are
//     handed out in lots;
//   * images that are not in memory are requested before the first is copied, so a disk serves many requests at once:
//     0.7 ms an image, where a loop that waits for one page after the other takes 7.
// The interpreter lock is not held: torch lets go of it around an operation, and nothing here calls back into Python.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pages.h"
#include "threads.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kUnitBytes = 256 * 1024;  // of the batch: 20 us of work, hundreds of times the price of drawing a unit
constexpr int64_t kStreamBytes = int64_t{1} << 20;  // batches from this size on are written past the caches
constexpr int64_t kAhead = 2048;                    // bytes from what is copied to what is prefetched
constexpr size_t kLookedAt = 4;                     // images of a batch, to find whether it is in memory

// ---- one run of bytes -----------------------------------------------------------------------------------------------

#if defined(__x86_64__)

inline __m128i load(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline void stream(uint8_t* to, __m128i v) { _mm_stream_si128(reinterpret_cast<__m128i*>(to), v); }

void copy_past_caches(uint8_t* to, const uint8_t* from, int64_t bytes) {
  const int64_t head = std::min<int64_t>(bytes, -reinterpret_cast<uintptr_t>(to) & 15);
  std::memcpy(to, from, head);
  int64_t i = head;
  for (; i + 64 <= bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(from) + i + kAhead, _MM_HINT_NTA);
    const __m128i a = load(from + i), b = load(from + i + 16), c = load(from + i + 32), d = load(from + i + 48);
    stream(to + i, a), stream(to + i + 16, b), stream(to + i + 32, c), stream(to + i + 48, d);
  }
  for (; i + 16 <= bytes; i += 16) stream(to + i, load(from + i));
  std::memcpy(to + i, from + i, bytes - i);
}

// Other threads see a unit as done only after its stores.
inline void finish_streams() { _mm_sfence(); }

#else

void copy_past_caches(uint8_t* to, const uint8_t* from, int64_t bytes) { std::memcpy(to, from, bytes); }
inline void finish_streams() {}

#endif

// ---- a unit of work -------------------------------------------------------------------------------------------------

struct Row {
  const uint8_t* from;
  int64_t pitch;  // bytes from one line of it to the next
};

struct Batch {
  std::vector<Row> rows;
  uint8_t* to;
  int64_t height, width, size;  // size: bytes of an element
  bool past;                    // write past the caches
};

// Lines first .. last - 1 of the batch, counted through all its images.
void copy_lines(const Batch& batch, int64_t first, int64_t last) {
  const int64_t line = batch.width * batch.size;
  while (first < last) {
    const Row& row = batch.rows[first / batch.height];
    const int64_t y = first % batch.height, lines = std::min(last - first, batch.height - y);
    const uint8_t* from = row.from + y * row.pitch;
    uint8_t* to = batch.to + first * line;
    const bool one_run = row.pitch == line;
    const int64_t run = one_run ? lines * line : line, runs = one_run ? 1 : lines;
    for (int64_t k = 0; k < runs; ++k, from += row.pitch, to += run) {
      const bool aligned = ((reinterpret_cast<uintptr_t>(to) | static_cast<uintptr_t>(run)) & 15) == 0;
      if (batch.past && (aligned || run >= 4096)) copy_past_caches(to, from, run);  // a long run has its ends copied apart
      else std::memcpy(to, from, run);
    }
    first += lines;
  }
  if (batch.past) finish_streams();
}

// Request the pages of images that are not in memory, all of them before the first is waited for. To find out about one
// page takes 1 us, and asking for 128 that are there already 7; so a few images are looked at, and only if one of them is
// missing, all.
void ask_for_pages(const Batch& batch) {
#if defined(__linux__)
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin_of = [](const Row& row) { return reinterpret_cast<uintptr_t>(row.from) / page * page; };
  const auto missing = [&](const Row& row) {
    unsigned char present = 1;
    return mincore(reinterpret_cast<void*>(begin_of(row)), page, &present) == 0 && !(present & 1);
  };
  const size_t n = batch.rows.size(), step = (n + kLookedAt - 1) / kLookedAt;
  bool any = false;
  for (size_t i = 0; i < n && !any; i += step) any = missing(batch.rows[i]);
  for (size_t i = 0; i < n && any; ++i) {
    const Row& row = batch.rows[i];
    if (!missing(row)) continue;
    const int64_t bytes = (batch.height - 1) * row.pitch + batch.width * batch.size;
    const uintptr_t begin = begin_of(row), end = reinterpret_cast<uintptr_t>(row.from) + bytes;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
  }
#else
  (void)batch;
#endif
}

// ---- the operation --------------------------------------------------------------------------------------------------

const int64_t* read_integers(const Tensor& values, int64_t count) {
  STD_TORCH_CHECK(values.scalar_type() == ScalarType::Long && values.is_contiguous() && values.numel() == count,
                  "gather: shard and row must be contiguous int64, [N]");
  return values.const_data_ptr<int64_t>();
}

void gather(std::vector<Tensor> shards, Tensor shard, Tensor row, Tensor out) {
  STD_TORCH_CHECK(out.dim() == 3 && out.is_contiguous(), "gather: out must be contiguous, [N, H, W]");
  const int64_t n = out.size(0), height = out.size(1), width = out.size(2);
  const ScalarType dtype = out.scalar_type();
  Batch batch{{}, static_cast<uint8_t*>(out.mutable_data_ptr()), height, width, static_cast<int64_t>(out.element_size()), false};
  STD_TORCH_CHECK(batch.size == 1 || batch.size == 2 || batch.size == 4, "gather: elements of 1, 2 or 4 bytes only");
  const int64_t* numbers = read_integers(shard, n);
  const int64_t* places = read_integers(row, n);

  struct Shard {
    const uint8_t* data;
    int64_t rows, height, width, step, pitch;
  };
  std::vector<Shard> opened;
  opened.reserve(shards.size());
  for (const Tensor& s : shards) {
    STD_TORCH_CHECK(s.dim() == 3 && s.scalar_type() == dtype && (s.numel() == 0 || s.size(2) == 1 || s.stride(2) == 1),
                    "gather: shards must be [n, H, W] of the batch's dtype, with neighbouring columns");
    STD_TORCH_CHECK(opened.empty() || (s.size(1) == opened[0].height && s.size(2) == opened[0].width),
                    "gather: shards must have one size");
    opened.push_back({static_cast<const uint8_t*>(s.const_data_ptr()), s.size(0), s.size(1), s.size(2),
                      s.stride(0) * batch.size, s.stride(1) * batch.size});
  }
  batch.rows.reserve(n);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t number = numbers[i], place = places[i];
    STD_TORCH_CHECK(number >= 0 && number < static_cast<int64_t>(opened.size()), "gather: image ", i, " is of shard ",
                    number, ", there are ", opened.size());
    const Shard& s = opened[number];
    STD_TORCH_CHECK(place >= 0 && place < s.rows, "gather: image ", i, " is row ", place, " of shard ", number,
                    ", which has ", s.rows);
    STD_TORCH_CHECK(height == s.height && width == s.width, "gather: out is ", height, " x ", width, ", shard ", number,
                    " ", s.height, " x ", s.width);
    batch.rows.push_back({s.data + place * s.step, s.pitch});
  }
  const int64_t bytes = n * height * width * batch.size;
  if (bytes == 0) return;
  batch.past = bytes >= kStreamBytes;
  fastrace::ask_for_huge_pages(batch.to, bytes);
  ask_for_pages(batch);
  const int64_t lines = std::max<int64_t>(1, kUnitBytes / (width * batch.size)), all = n * height;
  const int64_t units = (all + lines - 1) / lines;
  const int64_t threads = std::min<int64_t>(torch::stable::get_num_threads(), units);
  fastrace::for_units(units, threads,
                      [=, &batch](int64_t u) { copy_lines(batch, u * lines, std::min(all, (u + 1) * lines)); });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(fastrace, m) {
  m.def("gather_cpu(Tensor[] shards, Tensor shard, Tensor row, Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fastrace, CPU, m) {
  m.impl("gather_cpu", TORCH_BOX(&gather));
}
