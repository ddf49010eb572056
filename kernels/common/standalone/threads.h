// The threads of the benchmarks. Each does its own part again and again, so that the time of starting it is
// shared by the repeats.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

namespace edgevid {

template <class Part>
void on_threads(int64_t items, int64_t threads, int64_t repeats, const Part& part) {
  std::vector<std::thread> others;
  const auto work = [&](int64_t thread) {
    const int64_t begin = items * thread / threads, end = items * (thread + 1) / threads;
    for (int64_t repeat = 0; repeat < repeats; ++repeat) part(begin, end);
  };
  for (int64_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace edgevid
