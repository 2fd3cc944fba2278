/* The 47th Fibonacci number by addition, 2000 times: the largest that fits 32 bits. */
#include "kernel.h"

static REPEATED u32 fib(u32 n)
{
    u32 current = 0, next = 1;

    OPAQUE(n);
    while (n--) {
        u32 sum = current + next;
        current = next;
        next = sum;
    }
    return current;
}

u32 kernel(void)
{
    u32 result = 0;

    for (int run = 0; run < 2000; run++)
        result = fib(47);
    return result;
}
