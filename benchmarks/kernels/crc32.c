/* CRC-32 (reflected polynomial 0xEDB88320) of 64 KiB, bit by bit and without branches on data. */
#include "kernel.h"

u32 kernel(void)
{
    const u8 *next = (const u8 *)DATA;
    const u8 *end = next + 65536;
    u32 crc = ~0u;

    do {
        crc ^= *next++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1u));
    } while (next != end);
    return ~crc;
}
