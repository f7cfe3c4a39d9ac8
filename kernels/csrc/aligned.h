// Scratch memory of a thread.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fastrace {

// Memory that a thread keeps between images, on cache lines of its own. Zero when it is new.
template <class Real>
class Aligned {
 public:
  Real* of(int64_t count) {
    if (count > count_) {
      std::free(data_);
      data_ = nullptr, count_ = 0;
      const size_t bytes = (static_cast<size_t>(count) * sizeof(Real) + 127) / 64 * 64;
      data_ = static_cast<Real*>(std::aligned_alloc(64, bytes));
      if (!data_) throw std::bad_alloc();
      std::memset(data_, 0, bytes);
      count_ = count;
    }
    return data_;
  }
  ~Aligned() { std::free(data_); }

 private:
  Real* data_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace fastrace
