#include "pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace backproof {
namespace {

struct Worker {
    std::thread thread;
    std::mutex mutex;
    std::condition_variable wake;
    const std::function<void(int)>* work = nullptr;
    std::atomic<bool> busy{false};
    bool leave = false;
    int member = 0;

    void loop() {
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [this] { return work || leave; });
            if (leave) return;
            (*work)(member);
            work = nullptr;
            busy.store(false, std::memory_order_release);
            busy.notify_one();
        }
    }
};

// The workers of this process. A fork leaves them behind: the child starts with none. The end of the process waits for them, unless
// a thread is at work with them still, which nobody waits for: then they are left as they are.
struct State {
    std::vector<Worker*> workers;
    std::atomic<bool> taken{false};
    void leave() {
        if (taken.exchange(true, std::memory_order_acquire)) return;
        for (Worker* w : workers) {
            {
                std::lock_guard lock(w->mutex);
                w->leave = true;
            }
            w->wake.notify_one();
            w->thread.join();
            delete w;
        }
        workers.clear();
    }
};

State* state() {
    static State* const s = new State;
    static const int once = pthread_atfork(nullptr, nullptr, [] {
        new (&s->workers) std::vector<Worker*>();             // their threads are not here; their memory is left alone
        s->taken.store(false, std::memory_order_relaxed);
    }) + std::atexit([] { s->leave(); });
    (void)once;
    return s;
}

Worker* hire(int member) {
    auto* w = new Worker;
    w->member = member;
    sigset_t all, before;                                     // signals are Python's main thread's business
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        w->thread = std::thread([w] { w->loop(); });
    } catch (const std::system_error&) {
        delete w;
        w = nullptr;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return w;
}

}  // namespace

int Team::begin(int wanted) {
    State* s = state();
    if (wanted <= 1) return 1;
    if (s->taken.exchange(true, std::memory_order_acquire)) return 1;
    while (static_cast<int>(s->workers.size()) < wanted - 1) {
        Worker* w = hire(static_cast<int>(s->workers.size()) + 1);
        if (!w) break;
        s->workers.push_back(w);
    }
    if (static_cast<int>(s->workers.size()) + 1 >= wanted) return wanted;
    end();
    return 1;
}

void Team::run(int members, const std::function<void(int)>& work) {
    if (members == 1) return work(0);
    State* s = state();
    for (int k = 0; k + 1 < members; k++) {
        Worker* w = s->workers[k];
        std::lock_guard lock(w->mutex);
        w->busy.store(true, std::memory_order_relaxed);
        w->work = &work;
        w->wake.notify_one();
    }
    work(0);
    for (int k = 0; k + 1 < members; k++)
        while (s->workers[k]->busy.load(std::memory_order_acquire)) s->workers[k]->busy.wait(true, std::memory_order_acquire);
}

void Team::end() { state()->taken.store(false, std::memory_order_release); }

int Team::processors() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const int n = static_cast<int>(std::thread::hardware_concurrency());
    return n > 0 ? n : 1;
}

}  // namespace backproof
