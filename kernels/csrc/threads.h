// Threads that the C++ kernels share. Work is cut into units of about equal cost, and threads draw them from one counter,
// so that a core which is busy elsewhere holds up none of them.

#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace fastrace {

struct Units {
  std::function<void(int64_t)> work;
  int64_t count;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable all_done;

  void draw() {
    for (int64_t unit = next++; unit < count; unit = next++) {
      work(unit);
      if (++done == count) {
        const std::lock_guard<std::mutex> lock(mutex);
        all_done.notify_one();
      }
    }
  }
};

// Helper threads; a call waits only for those that have drawn a unit. torch's parallel_for ends when every
// thread of its pool has been on a core: with a neighbour on one of two cores that took 8 ms instead of 1.4 (measured),
// more than one thread alone. Threads are kept, because starting one costs 0.3 ms of page faults.
class Helpers {
 public:
  void invite(const std::shared_ptr<Units>& units, int64_t count) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto over = [](const std::shared_ptr<Units>& u) { return u->next >= u->count; };
      invitations_.erase(std::remove_if(invitations_.begin(), invitations_.end(), over), invitations_.end());
      try {
        for (; started_ < count; ++started_) std::thread([this] { serve(); }).detach();
      } catch (const std::system_error&) {  // no more threads to be had: those there are do the work
      }
      for (int64_t k = 0; k < count; ++k) invitations_.push_back(units);
    }
    for (int64_t k = 0; k < count; ++k) invited_.notify_one();
  }

  // Never destroyed: a helper may outlive main(). A forked child has no threads, perhaps a locked mutex, and begins anew.
  static Helpers& get() {
    static std::atomic<Helpers*> helpers{nullptr};
    static std::once_flag once;
    std::call_once(once, [] {
      helpers = new Helpers;
      pthread_atfork(nullptr, nullptr, [] { helpers = new Helpers; });
    });
    return *helpers;
  }

 private:
  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      invited_.wait(lock, [this] { return !invitations_.empty(); });
      const std::shared_ptr<Units> units = std::move(invitations_.back());
      invitations_.pop_back();
      lock.unlock();
      units->draw();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable invited_;
  std::vector<std::shared_ptr<Units>> invitations_;
  int64_t started_ = 0;
};

// Calls work(unit) for 0 .. count - 1 on up to `threads` threads and returns when all are done. `work` must not throw.
// Scratch memory belongs into thread_local variables of the caller: helpers are kept, and so is what they hold.
inline void for_units(int64_t count, int64_t threads, std::function<void(int64_t)> work) {
  const auto units = std::make_shared<Units>();
  units->work = std::move(work);
  units->count = count;
  if (threads > 1 && count > 1) Helpers::get().invite(units, std::min(threads, count) - 1);
  units->draw();
  std::unique_lock<std::mutex> lock(units->mutex);
  units->all_done.wait(lock, [&] { return units->done == count; });
}

}  // namespace fastrace
