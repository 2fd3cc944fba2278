/* Sieve of Eratosthenes over 8192 byte flags, 8 times; returns the number of primes below 8192. */
#include "kernel.h"

static REPEATED u32 sieve(u8 *is_prime, u32 limit)
{
    u32 primes = 0;

    for (u32 n = 0; n < limit; n++)
        is_prime[n] = 1;
    for (u32 n = 2; n < limit; n++) {
        if (is_prime[n]) {
            primes++;
            for (u32 multiple = n + n; multiple < limit; multiple += n)
                is_prime[multiple] = 0;
        }
    }
    return primes;
}

u32 kernel(void)
{
    u32 primes = 0;

    for (int run = 0; run < 8; run++)
        primes = sieve((u8 *)DATA, 8192);
    return primes;
}
