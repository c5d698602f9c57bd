// Philox4x32-10 (Salmon et al. 2011), as engines/generator.py defines it, and the order of samples drawn with it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace backproof {

inline void philox(const std::uint32_t counter[4], const std::uint32_t key[2], std::uint32_t out[4]) {
    std::uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k = key[0], m = key[1];
    for (int round = 0; round < 10; round++) {
        const std::uint64_t p = std::uint64_t(a) * 0xD2511F53u, q = std::uint64_t(c) * 0xCD9E8D57u;
        a = static_cast<std::uint32_t>(q >> 32) ^ b ^ k;
        b = static_cast<std::uint32_t>(q);
        c = static_cast<std::uint32_t>(p >> 32) ^ d ^ m;
        d = static_cast<std::uint32_t>(p);
        k += 0x9E3779B9u;
        m += 0xBB67AE85u;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

// rows 0 … n − 1 sorted by (draw of 64 bits, row); block k of the epoch's sequence holds the draws of rows 2k and 2k + 1
inline void order(const std::uint32_t key[2], std::uint32_t epoch, std::int64_t n, std::int64_t* rows) {
    std::vector<std::pair<std::uint64_t, std::int64_t>> drawn(static_cast<std::size_t>(n));
    for (std::int64_t row = 0; row < n; row += 2) {
        const std::uint32_t counter[4] = {epoch, 0, static_cast<std::uint32_t>(row / 2), 0};
        std::uint32_t word[4];
        philox(counter, key, word);
        for (std::int64_t k = 0; k < 2 && row + k < n; k++)
            drawn[static_cast<std::size_t>(row + k)] = {word[2 * k] | std::uint64_t(word[2 * k + 1]) << 32, row + k};
    }
    std::sort(drawn.begin(), drawn.end());
    for (std::int64_t k = 0; k < n; k++) rows[k] = drawn[static_cast<std::size_t>(k)].second;
}

}  // namespace backproof
