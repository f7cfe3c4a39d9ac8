// Large outputs on large pages.

#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>

namespace fastrace {

// A fresh output of a mammogram is 2000 page faults, which can cost more than the kernel (3.4 ms against 1.3 measured);
// with huge pages it is a few. The first page is included although it begins with the allocator's header: without it
// the first huge page would be lost.
inline void ask_for_huge_pages(void* begin, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = 4096;
  const uintptr_t from = reinterpret_cast<uintptr_t>(begin) / page * page;
  const uintptr_t to = reinterpret_cast<uintptr_t>(begin) + static_cast<uintptr_t>(bytes);
  if (bytes >= int64_t{1} << 21) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#else
  (void)begin, (void)bytes;
#endif
}

}  // namespace fastrace
