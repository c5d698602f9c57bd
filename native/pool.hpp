// Threads: a team that runs one function side by side, and the barrier between its phases.
#pragma once

#include <atomic>
#include <functional>

namespace backproof {

// Waits a moment in place, then asks the system to wake it.
class Barrier {
  public:
    explicit Barrier(int members) : members_(members) {}
    void wait() {
        if (members_ == 1) return;
        const unsigned turn = turn_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            turn_.notify_all();
            return;
        }
        for (int spin = 0; spin < 1000; spin++) {
            if (turn_.load(std::memory_order_acquire) != turn) return;
            pause();
        }
        while (turn_.load(std::memory_order_acquire) == turn) turn_.wait(turn, std::memory_order_acquire);
    }
    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

  private:
    const int members_;
    std::atomic<int> arrived_{0};
    alignas(64) std::atomic<unsigned> turn_{0};
};

// Runs work(member) for members 0 … n-1, member 0 on the calling thread. Where the team is at work for somebody else, or
// the system gives too few threads, the caller works alone: results do not depend on it.
class Team {
  public:
    static int begin(int wanted);                             // takes the team: as many members as wanted, or 1
    static void run(int members, const std::function<void(int)>& work);
    static void end();                                        // gives it back; only after more than 1
    static int processors();                                  // that this process may use
};

}  // namespace backproof
