// Values as arrays: out of panels row by row, and one dense array in for one out.
#include <cstring>

#include "machine.hpp"

namespace backproof {

// An operand with its labels in any order, row-major: along the panels a row at a time, across them by strides.
template <class T>
void Machine<T>::read(const Operand& operand, const std::vector<int>& labels, T* rowmajor) const {
    Domain d;
    Range r{};
    int all[most];
    for (int label : labels) {
        const int k = d.add(label, plan_->extents[label]);
        r.high[k] = d.extent[k];
        all[k] = k;
    }
    const Layout& l = plan_->layouts[operand.value];
    const View v = view_of<T>(program(), l, operand, d, -1);
    const T* memory = space(l.space);
    if (!d.count) {
        *rowmajor = memory[v.base];
        return;
    }
    const int last = d.count - 1;
    const long columns = d.extent[last];
    if (!columns) return;
    long x[most] = {};
    odometer(all, last, r, x, [&] {
        if (v.panelled == last) {
            const T* row = memory + v.partial(x, last, last);
            for (long c = 0, lane = v.shift; c < columns;) {
                const long here = std::min(W<T> - lane % W<T>, columns - c);
                std::memcpy(rowmajor + c, row + lane / W<T> * v.panel + lane % W<T>, static_cast<std::size_t>(here) * sizeof(T));
                c += here;
                lane += here;
            }
        } else {
            const T* first = memory + at<T>(v, d, x, 0);
            for (long c = 0; c < columns; c++) rowmajor[c] = first[c * v.stride[last]];
        }
        rowmajor += columns;
    });
}

template <class T>
void Machine<T>::open(int in, const Operand& out, const std::vector<int>& labels) {
    door_ = {in, program().values[in].axes[0], -1, nullptr, out, labels};
}

// The plan for so many samples; gives the work of a run.
template <class T>
double Machine<T>::expect(long samples) {
    if (door_.samples != samples || door_.plan != plan_) {
        std::map<std::string, long> extents;
        extents[program().indices[static_cast<std::size_t>(door_.sample)].symbol] = samples;
        resolve(extents);
        door_.samples = samples;
        door_.plan = plan_;
    }
    return plan_->work;
}

template <class T>
bool all_finite(const T* x, long count) {
    bool bad = false;
    for (long k = 0; k < count; k++) bad |= !(x[k] - x[k] == 0);
    return !bad;
}

// y from x with the parameters that were fed; false where either has a number that is not finite
template <class T>
bool Machine<T>::answer(const T* x, long inputs, T* y, long outputs) {
    if (!all_finite(x, inputs)) return false;
    feed(door_.in, x);
    run(false);
    read(door_.out, door_.labels, y);
    return all_finite(y, outputs);
}

template void Machine<float>::read(const Operand&, const std::vector<int>&, float*) const;
template void Machine<double>::read(const Operand&, const std::vector<int>&, double*) const;
template void Machine<float>::open(int, const Operand&, const std::vector<int>&);
template void Machine<double>::open(int, const Operand&, const std::vector<int>&);
template double Machine<float>::expect(long);
template double Machine<double>::expect(long);
template bool Machine<float>::answer(const float*, long, float*, long);
template bool Machine<double>::answer(const double*, long, double*, long);

}  // namespace backproof
