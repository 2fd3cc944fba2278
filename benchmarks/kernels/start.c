/* Entry at address 0: set the stack below the data, call the kernel, store its result to HALT. */
#include "kernel.h"

__attribute__((naked, noreturn, section(".start"))) void _start(void)
{
    __asm__ volatile("lui sp, 0x10\n\t"
                     "call kernel\n\t"
                     "lui a5, 0x80000\n\t"
                     "sw a0, 0(a5)\n"
                     "1: j 1b");
}
