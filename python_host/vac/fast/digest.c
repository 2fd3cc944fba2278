/* The digest of vac.isa.digest over whole runs of beams.
 *
 * s <- (x + 1) s + w for each word is a polynomial in g = x + 1 over GF(2**64): after n words, g**n s plus the sum of
 * g**(n-1-i) w[i]. With the powers in a table every product is one carry-less multiply, the products add up unreduced,
 * and only their sum is reduced.
 */
#include "machine.h"

#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_MULTIPLY 1
#include <immintrin.h>
#else
#define HAVE_MULTIPLY 0
#endif

static inline uint64_t times_g(uint64_t s)
{
    return s << 1 ^ (s >> 63 ? DIGEST_POLYNOMIAL : 0) ^ s;
}

uint64_t vac_digest_portable(uint64_t s, const vac_beam *beams, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        s = times_g(s) ^ beams[index].low;
        s = times_g(s) ^ beams[index].high;
    }
    return s;
}

#if HAVE_MULTIPLY

enum { BLOCK = 256 }; /* words; the table stays in the first-level cache */

static uint64_t powers[BLOCK + 1] __attribute__((aligned(64))); /* descending: powers[i] = g**(BLOCK-i) */

__attribute__((constructor)) static void fill_powers(void)
{
    uint64_t power = 1;
    for (int index = BLOCK; index >= 0; index--) {
        powers[index] = power;
        power = times_g(power);
    }
}

/* For the 512-bit form, which takes a beam at a time: its two words make low * g + high, and the bit that low * g
 * carries out of the word counts x**64 * power. Beams come in pairs, four apart, as unpacking two vectors leaves them. */
enum { PAIRED_BLOCK = DIGEST_BLOCK };

static uint64_t pair_powers[PAIRED_BLOCK] __attribute__((aligned(64)));
static uint64_t paired_block_power; /* of the state before the block */

__attribute__((constructor)) static void fill_pair_powers(void)
{
    uint64_t power = 1;
    for (int beam = PAIRED_BLOCK - 1; beam >= 0; beam--) {
        pair_powers[beam / 8 * 8 + beam % 4 * 2 + beam % 8 / 4] = power;
        power = times_g(times_g(power));
    }
    paired_block_power = power;
}

/* 127-bit product modulo x**64 + x**4 + x**3 + x + 1. */
__attribute__((target("pclmul,sse4.1"))) static uint64_t reduce(__m128i product)
{
    const __m128i polynomial = _mm_set_epi64x(0, DIGEST_POLYNOMIAL);
    const __m128i once = _mm_clmulepi64_si128(product, polynomial, 0x01);
    const __m128i twice = _mm_clmulepi64_si128(once, polynomial, 0x01);
    return (uint64_t)_mm_cvtsi128_si64(product) ^ (uint64_t)_mm_cvtsi128_si64(once) ^
           (uint64_t)_mm_cvtsi128_si64(twice);
}

/* s * g**words, not reduced. */
__attribute__((target("pclmul,sse4.1"))) static __m128i power_times(uint64_t s, size_t words)
{
    const uint64_t power = powers[BLOCK - words];
    return _mm_clmulepi64_si128(_mm_set_epi64x(0, (int64_t)s), _mm_set_epi64x(0, (int64_t)power), 0);
}

__attribute__((target("pclmul,sse4.1"))) static uint64_t digest_128(uint64_t s, const vac_beam *beams, size_t count)
{
    while (count) {
        const size_t step = count < BLOCK / 2 ? count : BLOCK / 2;
        const uint64_t *const last_powers = powers + BLOCK - 2 * step + 1;
        __m128i even = power_times(s, 2 * step), odd = _mm_setzero_si128();
        for (size_t index = 0; index < step; index++) {
            const __m128i words = _mm_loadu_si128((const __m128i *)&beams[index]);
            const __m128i factors = _mm_loadu_si128((const __m128i *)&last_powers[2 * index]);
            even = _mm_xor_si128(even, _mm_clmulepi64_si128(words, factors, 0x00));
            odd = _mm_xor_si128(odd, _mm_clmulepi64_si128(words, factors, 0x11));
        }
        s = reduce(_mm_xor_si128(even, odd));
        count -= step;
        beams += step;
    }
    return s;
}

__attribute__((target("avx2,pclmul,vpclmulqdq"))) static uint64_t digest_256(uint64_t s, const vac_beam *beams,
                                                                             size_t count)
{
    const size_t step = BLOCK / 2;
    for (; count >= step; count -= step, beams += step) {
        __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
        for (size_t index = 0; index < step; index += 2) {
            const __m256i words = _mm256_loadu_si256((const __m256i *)&beams[index]);
            const __m256i factors = _mm256_loadu_si256((const __m256i *)&powers[2 * index + 1]);
            even = _mm256_xor_si256(even, _mm256_clmulepi64_epi128(words, factors, 0x00));
            odd = _mm256_xor_si256(odd, _mm256_clmulepi64_epi128(words, factors, 0x11));
        }
        const __m256i sum = _mm256_xor_si256(even, odd);
        const __m128i folded = _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        s = reduce(_mm_xor_si128(folded, power_times(s, BLOCK)));
    }
    return digest_128(s, beams, count);
}

__attribute__((target("avx512f,avx2,pclmul,vpclmulqdq"))) static __m128i folded_512(__m512i wide)
{
    const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(wide), _mm512_extracti64x4_epi64(wide, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

__attribute__((target("avx512f,avx2,pclmul,vpclmulqdq"))) static uint64_t digest_512(uint64_t s, const vac_beam *beams,
                                                                                     size_t count)
{
    enum { XOR3 = 0x96, XOR_AND = 0x78 }; /* a ^ b ^ c, and a ^ (b & c) */
    for (; count >= PAIRED_BLOCK; count -= PAIRED_BLOCK, beams += PAIRED_BLOCK) {
        __m512i even = _mm512_setzero_si512(), odd = even, carried = even;
#pragma GCC unroll 4
        for (size_t index = 0; index < PAIRED_BLOCK; index += 8) {
            const __m512i first = _mm512_loadu_si512((const void *)&beams[index]);
            const __m512i second = _mm512_loadu_si512((const void *)&beams[index + 4]);
            const __m512i factors = _mm512_load_si512((const void *)&pair_powers[index]);
            const __m512i low = _mm512_unpacklo_epi64(first, second), high = _mm512_unpackhi_epi64(first, second);
            const __m512i words = _mm512_ternarylogic_epi64(_mm512_slli_epi64(low, 1), low, high, XOR3);
            carried = _mm512_ternarylogic_epi64(carried, _mm512_srai_epi64(low, 63), factors, XOR_AND);
            even = _mm512_xor_si512(even, _mm512_clmulepi64_epi128(words, factors, 0x00));
            odd = _mm512_xor_si512(odd, _mm512_clmulepi64_epi128(words, factors, 0x11));
        }
        const __m128i carries = folded_512(carried);
        const __m128i both = _mm_xor_si128(carries, _mm_unpackhi_epi64(carries, carries));
        const __m128i state = _mm_set_epi64x((int64_t)paired_block_power, (int64_t)s);
        const __m128i sum = _mm_xor_si128(folded_512(_mm512_xor_si512(even, odd)),
                                          _mm_xor_si128(_mm_clmulepi64_si128(state, state, 0x10),
                                                        _mm_clmulepi64_si128(both, _mm_set_epi64x(0, DIGEST_POLYNOMIAL), 0)));
        s = reduce(sum);
    }
    return digest_256(s, beams, count);
}

static int fastest(void)
{
    static int method = -1;
    if (method < 0) {
        __builtin_cpu_init();
        int found = 0;
        if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
            found = 1;
            if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx2"))
                found = __builtin_cpu_supports("avx512f") ? 3 : 2;
        }
        method = found;
    }
    return method;
}

#else

static int fastest(void)
{
    return 0;
}

#endif

int vac_digest_by(int method, uint64_t *digest, const vac_beam *beams, size_t count)
{
    if (method < 0 || method > fastest())
        return 0;
    switch (method) {
#if HAVE_MULTIPLY
    case 1:
        *digest = digest_128(*digest, beams, count);
        break;
    case 2:
        *digest = digest_256(*digest, beams, count);
        break;
    case 3:
        *digest = digest_512(*digest, beams, count);
        break;
#endif
    default:
        *digest = vac_digest_portable(*digest, beams, count);
    }
    return 1;
}

uint64_t vac_digest(uint64_t digest, const vac_beam *beams, size_t count)
{
    vac_digest_by(fastest(), &digest, beams, count);
    return digest;
}
