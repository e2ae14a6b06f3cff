// Tensors' memory from a heap of its own: freed blocks join their neighbours, and a request takes the smallest it fits.
//
// glibc cannot serve an aligned request from a freed block of just its size, and puts small blocks between large ones.
// Its heap grows with every step of a training, by pages that the system must find and clear one at a time.
#undef TORCH_TARGET_VERSION  // allocators are no part of torch's stable interface: this is for the torch at hand
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace histoxplain {
namespace {

constexpr size_t LINE = 64;          // of the cache; a block begins with one that holds its size
constexpr size_t LEAST = 16 * 1024;  // bytes of a tensor that are worth it

// A part of the address space as large as the machine's memory, of which the system provides what is touched.
class Heap {
 public:
  Heap() {
    size_t size = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
    void* memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);  // fewer faults, and addresses are found more quickly
#endif
    begin_ = static_cast<char*>(memory);
    size_ = size;
    insert(begin_, size);
  }

  bool holds(const void* p) const { return p >= begin_ && p < begin_ + size_; }

  // Aligned to LINE; null where no room is left.
  void* take(size_t bytes) {
    if (bytes >= size_) return nullptr;
    size_t size = (bytes + LINE - 1) / LINE * LINE + LINE;
    std::lock_guard guard(mutex);
    auto found = by_size_.lower_bound({size, nullptr});
    if (found == by_size_.end()) return nullptr;
    auto [room, block] = *found;
    remove(by_place_.find(block));
    if (room > size) insert(block + size, room - size);
    *reinterpret_cast<size_t*>(block) = size;
    return block + LINE;
  }

  void give_back(void* p) {
    char* block = static_cast<char*>(p) - LINE;
    size_t size = *reinterpret_cast<size_t*>(block);
    std::lock_guard guard(mutex);
    auto after = by_place_.lower_bound(block);
    if (after != by_place_.end() && after->first == block + size) {
      size += after->second;
      after = remove(after);
    }
    if (after != by_place_.begin()) {
      auto before = std::prev(after);
      if (before->first + before->second == block) {
        block = before->first;
        size += before->second;
        remove(before);
      }
    }
    insert(block, size);
  }

  std::mutex mutex;

 private:
  using Places = std::map<char*, size_t>;

  void insert(char* block, size_t size) {
    by_place_.emplace(block, size);
    by_size_.emplace(size, block);
  }

  Places::iterator remove(Places::iterator one) {
    by_size_.erase({one->second, one->first});
    return by_place_.erase(one);
  }

  char* begin_ = nullptr;
  size_t size_ = 0;
  Places by_place_;  // the free blocks; no two of them touch
  std::set<std::pair<size_t, char*>> by_size_;
};

Heap& heap = *new Heap;  // outlives every tensor

// Takes back what other allocators of torch gave as well: some memory is freed by whichever is in force.
void release(void* p) {
  c10::profiledCPUMemoryReporter().Delete(p);
  heap.holds(p) ? heap.give_back(p) : c10::free_cpu(p);
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* p = bytes < LEAST ? nullptr : heap.take(bytes);
    if (!p) p = c10::alloc_cpu(bytes);
    c10::profiledCPUMemoryReporter().New(p, bytes);
    return {p, p, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

const bool begun = [] {
  pthread_atfork([] { heap.mutex.lock(); }, [] { heap.mutex.unlock(); }, [] { heap.mutex.unlock(); });
  c10::SetCPUAllocator(new Allocator);
  return true;
}();

}  // namespace
}  // namespace histoxplain
