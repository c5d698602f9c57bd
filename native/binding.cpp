// The one file that knows Python: programs are built by names, arrays pass as they lie.
#include <tuple>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cxxabi.h>
#include <fenv.h>
#include <time.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <atomic>
#include <optional>
#include <thread>

#include "builder.hpp"
#include "machine.hpp"
#include "philox.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace backproof;

namespace {

constexpr double worth_the_gil = 1e6;                                 // multiply-adds: tens of microseconds
std::atomic<int> limit{0};                                            // of the threads of a run; 0: none

}  // namespace

// What threadpoolctl calls, as it does in every library that has threads.
extern "C" NB_EXPORT int backproof_get_num_threads() { return limit ? limit.load() : Team::processors(); }
extern "C" NB_EXPORT void backproof_set_num_threads(int threads) { limit = threads > 0 && threads < Team::processors() ? threads : 0; }

namespace {

template <class T>
using Given = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Taken = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

// A thread that asks for the GIL while the interpreter ends is ended there, and unwinding would meet frames that let nothing
// through. It stands still instead until the process is gone.
template <class Ask>
void or_stand_still(Ask&& ask) {
#if defined(__GLIBCXX__)
    try {
        ask();
    } catch (const abi::__forced_unwind&) {
        for (;;) pause();
    }
#else
    ask();
#endif
}

struct Released {                                                     // the GIL, for a while
    PyThreadState* state = PyEval_SaveThread();
    Released() = default;
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;
    ~Released() {
        or_stand_still([this] { PyEval_RestoreThread(state); });
    }
};

struct Signals {
    static bool raised(void* cancelled) {                             // a signal's handler runs here, and may raise
        if (static_cast<std::atomic<bool>*>(cancelled)->load(std::memory_order_relaxed)) return true;
        PyGILState_STATE state{};
        or_stand_still([&] { state = PyGILState_Ensure(); });
        const bool found = PyErr_CheckSignals() != 0;
        PyGILState_Release(state);
        return found;
    }
};

template <class T>
Done epoch(Machine<T>& m, const std::map<int, nb::object>& sources, Given<std::int64_t> rows, long batch,
           const std::map<int, Given<double>>& scalars, const std::map<std::string, long>& extents, const std::string& samples,
           std::vector<std::uint32_t> key, std::uint32_t number, int loss, int objective,
           Given<std::int64_t> originals, std::tuple<long, long, double, double, double> begun, int idle) {
    Epoch e;
    e.originals = originals.data();
    std::tie(e.begun.steps, e.begun.samples, e.begun.loss, e.begun.objective, e.begun.idle) = begun;
    m.last = e.begun;
    for (const auto& [value, array] : sources) {
        const bool integer = m.program().values.at(value).integer;
        const void* data = integer ? static_cast<const void*>(nb::cast<Given<std::int64_t>>(array).data())
                                   : static_cast<const void*>(nb::cast<Given<T>>(array).data());
        e.sources.push_back({value, data});
    }
    e.rows = rows.data();
    e.count = static_cast<long>(rows.size());
    e.batch = batch;
    for (const auto& [value, numbers] : scalars) e.scalars.push_back({value, numbers.data()});
    e.extents = extents;
    e.samples = samples;
    e.key[0] = key.at(0), e.key[1] = key.at(1), e.epoch = number;
    e.loss = loss, e.objective = objective, e.idle = idle;
    e.interrupted = Signals::raised;
    e.asked = &m.cancelled;
    Done done;
    {
        Released gil;
        done = m.epoch(e);
    }
    m.last = done;
    if (done.interrupted && PyErr_Occurred()) throw nb::python_error();
    return done;
}

template <class T>
void bind_machine(nb::module_& module, const char* name) {
    using M = Machine<T>;
    nb::class_<M>(module, name)
        .def("__init__", [](M* place, const Builder& b, int threads) { new (place) M(b.program(), threads); })
        .def("resolve", &M::resolve)
        .def("feed", [](M& m, int value, Given<T> a) { m.feed(value, a.data()); })
        .def("feed_integers", [](M& m, int value, Given<std::int64_t> a) { m.feed_integers(value, a.data()); })
        .def("turn_twins", &M::turn_twins)
        .def("run", &M::run, nb::call_guard<Released>())
        .def("read", [](const M& m, int value, Taken<T> a, bool next) { m.read(value, a.data(), next); })
        .def("look", [](const M& m, int value, std::vector<int> axis_labels, std::vector<long> offsets, std::vector<int> labels,
                        Taken<T> a) { m.read(Operand{value, axis_labels, offsets}, labels, a.data()); })
        .def("open", [](M& m, int in, int value, std::vector<int> axis_labels, std::vector<long> offsets, std::vector<int> labels) {
            m.open(in, Operand{value, axis_labels, offsets}, labels);
        })
        .def("answer", [](M& m, Given<T> x, Taken<T> y) {              // the GIL stays where giving it away would take longer
            const bool long_enough = m.expect(static_cast<long>(x.shape(0))) > worth_the_gil;
            std::optional<Released> released;
            if (long_enough) released.emplace();
            return m.answer(x.data(), static_cast<long>(x.size()), y.data(), static_cast<long>(y.size()));
        })
        .def("first_not_finite", &M::first_not_finite)
        .def("bad_ids", &M::bad_ids)
        .def("bytes", &M::bytes)
        .def("members", &M::members)
        .def("step_shape", &M::step_shape)
        .def("words", &M::words)
        .def("epoch", &epoch<T>)
        .def("use", &M::use)
        .def("cancel", [](M& m) { m.cancelled.store(true, std::memory_order_relaxed); })
        .def_prop_ro("last", [](const M& m) { return m.last; });
}

// a word on its own, for tests of its accuracy
template <class T>
void apply(const std::string& name, Given<T> x, Taken<T> y) {
    const Kernels<T>& k = kernels<T>();
    for (int w = 0; w < k.count; w++) {
        if (name != k.words[w].name) continue;
        if (k.words[w].operands != 1) throw std::runtime_error(name + " takes more than one operand");
        alignas(64) T in[512], out[512];
        const long count = static_cast<long>(x.size());
        for (long start = 0; start < count; start += 512) {
            const long now = std::min(512l, count - start);
            std::fill(in, in + 512, T(1));
            std::copy(x.data() + start, x.data() + start + now, in);
            k.words[w].run(out, {in, W<T>}, {}, {}, 512 / W<T>);
            std::copy(out, out + now, y.data() + start);
        }
        return;
    }
    throw std::runtime_error("there is no word '" + name + "'");
}

// a pair of words on its own, over one block
template <class T>
void apply_pair(int pair, Given<T> a, Given<T> b, Given<T> c, Taken<T> y) {
    const std::size_t count = y.size();
    if (pair < 0 || pair >= kernels<T>().pair_count) throw std::runtime_error("there is no such pair of words");
    if (count > 512 || a.size() != count || b.size() != count || c.size() != count) throw std::runtime_error("more than a block");
    alignas(64) T in[3][512] = {}, out[512];
    std::copy_n(a.data(), count, in[0]);
    std::copy_n(b.data(), count, in[1]);
    std::copy_n(c.data(), count, in[2]);
    kernels<T>().pairs[pair].run(out, {in[0], W<T>}, {in[1], W<T>}, {in[2], W<T>}, 512 / W<T>);
    std::copy_n(out, count, y.data());
}

// How the calling thread rounds and whether it keeps subnormals: MXCSR without its flags, elsewhere the rounding mode
unsigned floating_point_state() {
#if defined(__SSE2__)
    return _mm_getcsr() & ~0x3fu;
#else
    return static_cast<unsigned>(fegetround());
#endif
}

}  // namespace

NB_MODULE(_native, m) {
    nb::class_<Builder>(m, "Builder")
        .def(nb::init<>())
        .def("index", &Builder::index)
        .def("value", &Builder::value)
        .def("instruction", &Builder::instruction)
        .def("operand", &Builder::operand)
        .def("descending", &Builder::descending)
        .def("start", &Builder::start)
        .def("part", &Builder::part)
        .def("word", &Builder::word)
        .def("argument", &Builder::argument)
        .def("begin_loop", &Builder::begin_loop)
        .def("end_loop", &Builder::end_loop)
        .def("update", &Builder::update)
        .def("replaces", &Builder::replaces)
        .def("rows", &Builder::rows)
        .def("holes", &Builder::holes)
        .def("finite", &Builder::finite)
        .def("output", &Builder::output)
        .def("dropout", &Builder::dropout);
    nb::class_<Done>(m, "Done")
        .def_ro("steps", &Done::steps)
        .def_ro("samples", &Done::samples)
        .def_ro("loss", &Done::loss)
        .def_ro("objective", &Done::objective)
        .def_ro("idle", &Done::idle)
        .def_ro("failed_step", &Done::failed_step)
        .def_ro("failed", &Done::failed)
        .def_ro("bad_ids", &Done::bad_ids)
        .def_ro("interrupted", &Done::interrupted);
    bind_machine<float>(m, "Machine32");
    bind_machine<double>(m, "Machine64");
    m.def("words", [] {
        std::map<std::string, int> table;
        const Kernels<float>& k = kernels<float>();
        for (int w = 0; w < k.count; w++) table[k.words[w].name] = k.words[w].operands;
        return table;
    });
    m.def("apply", &apply<float>);
    m.def("apply", &apply<double>);
    m.def("pairs", [] {
        std::vector<std::tuple<std::string, std::string, int>> table;
        const Kernels<float>& k = kernels<float>();
        for (int p = 0; p < k.pair_count; p++) table.emplace_back(k.pairs[p].first, k.pairs[p].second, k.pairs[p].place);
        return table;
    });
    m.def("apply_pair", &apply_pair<float>);
    m.def("apply_pair", &apply_pair<double>);
    m.def("order", [](std::vector<std::uint32_t> key, std::uint32_t epoch, Taken<std::int64_t> rows) {
        Released gil;
        order(key.data(), epoch, static_cast<std::int64_t>(rows.size()), rows.data());
    });
    m.def("instruction_set", &instruction_set);
    m.def("instruction_sets", &instruction_sets);
    m.def("force_instruction_set", &force_instruction_set);
    m.def("set_worth_a_thread", [](double work) { worth_a_thread = work; });
    m.def("peak", [](int threads) {                                   // operations a second of registers alone, float32
        Released gil;
        std::vector<double> rate(static_cast<std::size_t>(threads));
        std::vector<std::thread> team;
        for (double& r : rate)
            team.emplace_back([&r] {                                      // by the thread's own clock: others may be at work
                timespec from, to;
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
                const double done = kernels<float>().chains(20'000'000);
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
                r = done / (static_cast<double>(to.tv_sec - from.tv_sec) + 1e-9 * static_cast<double>(to.tv_nsec - from.tv_nsec));
            });
        for (auto& t : team) t.join();
        double all = 0;
        for (const double r : rate) all += r;
        return all;
    });
    m.def("processors", &Team::processors);
    m.def("limit", [] { return limit.load(); });
    m.def("floating_point_states", [](int threads) {                  // of the members of a team
        const int members = Team::begin(threads);
        std::vector<unsigned> found(static_cast<std::size_t>(members));
        Team::run(members, [&](int member) { found[static_cast<std::size_t>(member)] = floating_point_state(); });
        if (members > 1) Team::end();
        return found;
    });
    m.attr("FIRST") = FIRST;
    m.attr("LAST") = LAST;
}
