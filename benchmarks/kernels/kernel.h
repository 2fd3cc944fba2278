/* What the four benchmark kernels share: where their data lie and how a run ends.
 *
 * The memory image is prepared before reset (program, input, the rest zero), so that the cycles
 * counted are the kernel's and a handful of instructions of start.c. Storing to 0x80000000 ends
 * the run; the value stored is the kernel's result.
 */
#ifndef KERNEL_H
#define KERNEL_H

typedef unsigned char u8;
typedef unsigned int u32;

#define DATA 0x00010000u /* 64 KiB; the stack grows down from here */

/* Every repetition must really run: REPEATED functions are neither merged into their caller nor
 * specialised for it, and of an OPAQUE value (and of memory) the compiler may assume nothing. */
#if __has_attribute(noclone)
#define REPEATED __attribute__((noinline, noclone))
#else
#define REPEATED __attribute__((noinline))
#endif
#define OPAQUE(value) __asm__ volatile("" : "+r"(value) : : "memory")

u32 kernel(void);

#endif
