/* Copies 1024 words, 100 times; returns the last word copied. The run checks the whole target. */
#include "kernel.h"

static REPEATED void copy(u32 *target, const u32 *source, u32 words)
{
    OPAQUE(words);
    do
        *target++ = *source++;
    while (--words);
}

u32 kernel(void)
{
    u32 *source = (u32 *)DATA;
    u32 *target = source + 2048;

    for (int run = 0; run < 100; run++)
        copy(target, source, 1024);
    return target[1023];
}
