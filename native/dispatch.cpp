// Which instruction set runs: the best that was compiled and that this processor has.
#include <cstring>

#include "kernels.hpp"

namespace backproof {

#define BP_DECLARE(ISA)                         \
    namespace ISA {                             \
    const Kernels<float>& of_float();           \
    const Kernels<double>& of_double();         \
    }
BP_DECLARE(baseline)
#ifdef BP_X86
BP_DECLARE(avx2)
BP_DECLARE(avx512)
#endif

namespace {

struct Set {
    const char* name;
    const Kernels<float>& (*of_float)();
    const Kernels<double>& (*of_double)();
    bool present;
};

const Set* sets() {                              // the best last
    static const Set all[] = {
        {"baseline", baseline::of_float, baseline::of_double, true},
#ifdef BP_X86
        {"avx2", avx2::of_float, avx2::of_double, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
        {"avx512", avx512::of_float, avx512::of_double,
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw")},
#endif
        {nullptr, nullptr, nullptr, false}};
    return all;
}

const Set*& chosen() {
    static const Set* set = [] {
        const Set* best = sets();
        for (const Set* s = sets(); s->name; s++)
            if (s->present) best = s;
        return best;
    }();
    return set;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() { return chosen()->of_float(); }
template <>
const Kernels<double>& kernels<double>() { return chosen()->of_double(); }

const char* instruction_set() { return chosen()->name; }

bool force_instruction_set(const char* name) {
    for (const Set* s = sets(); s->name; s++)
        if (s->present && !std::strcmp(s->name, name)) {
            chosen() = s;
            return true;
        }
    return false;
}

const char* instruction_sets() {
#ifdef BP_X86
    return "baseline avx2 avx512";
#else
    return "baseline";
#endif
}

}  // namespace backproof
