// A Verilated top with clk, serial_in and serial_out, behind two byte queues.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "Vsoc.h"
#include "verilated.h"

namespace {

struct Line {
    VerilatedContext context;
    Vsoc top{&context};
    unsigned divisor;
    std::deque<uint8_t> to_send;
    unsigned send_bits = 0, send_timer = 0, sending = 0;
    unsigned receive_bits = 0, receive_timer = 0, receiving = 0;
    uint64_t cycles = 0;

    explicit Line(unsigned cycles_a_bit) : divisor(cycles_a_bit) {
        top.serial_in = 1;
        top.clk = 0;
        top.eval();
    }

    bool cycle(uint8_t* received) {
        if (send_timer == 0 && send_bits == 0 && !to_send.empty()) {
            sending = 0x200u | static_cast<unsigned>(to_send.front()) << 1;
            to_send.pop_front();
            send_bits = 10;
            send_timer = divisor;
        }
        top.serial_in = send_bits ? sending & 1 : 1;
        if (send_bits && --send_timer == 0) {
            sending >>= 1;
            send_timer = --send_bits ? divisor : 0;
        }
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        ++cycles;
        bool arrived = false;
        if (receive_bits == 0) {
            if (!top.serial_out) {
                receive_bits = 10;
                receive_timer = divisor / 2;
                receiving = 0;
            }
        } else if (--receive_timer == 0) {
            receive_timer = divisor;
            receiving |= static_cast<unsigned>(top.serial_out) << (10 - receive_bits);
            if (--receive_bits == 0) {
                *received = static_cast<uint8_t>(receiving >> 1);
                arrived = true;
            }
        }
        return arrived;
    }
};

}  // namespace

extern "C" {

void* line_new(uint32_t divisor) { return new Line(divisor); }
void line_free(void* line) { delete static_cast<Line*>(line); }
uint64_t line_cycles(void* line) { return static_cast<Line*>(line)->cycles; }

void line_write(void* handle, const uint8_t* data, size_t count) {
    auto* line = static_cast<Line*>(handle);
    line->to_send.insert(line->to_send.end(), data, data + count);
}

// Runs until `wanted` bytes have arrived or, with nothing left to send, `patience` cycles have passed without one.
size_t line_read(void* handle, uint8_t* data, size_t wanted, uint64_t patience) {
    auto* line = static_cast<Line*>(handle);
    size_t count = 0;
    for (uint64_t quiet = 0; count < wanted && quiet < patience; ++quiet) {
        if (line->cycle(data + count)) ++count, quiet = 0;
        if (!line->to_send.empty() || line->receive_bits) quiet = 0;
    }
    return count;
}
}
