// Core, frame memory and link behind two byte queues, without a serial line: a byte in and a byte out each cycle.

#include <cstddef>
#include <cstdint>

#include "Vlinked.h"
#include "verilated.h"

namespace {

struct Stream {
    VerilatedContext context;
    Vlinked top{&context};

    Stream() {
        top.clk = 0;
        top.eval();
    }
};

}  // namespace

extern "C" {

void* stream_new() { return new Stream; }
void stream_free(void* stream) { delete static_cast<Stream*>(stream); }

// Gives `count` bytes, then runs until nothing has come for `patience` cycles, or briefly after a frame's end.
size_t stream_transfer(void* handle, const uint8_t* data, size_t count, uint8_t* out, size_t room, uint32_t patience) {
    auto& top = static_cast<Stream*>(handle)->top;
    size_t given = 0, taken = 0;
    for (uint32_t quiet = 0; quiet < patience && taken < room; ++quiet) {
        top.received_valid = given < count;
        if (given < count) top.received_payload = data[given++], quiet = 0;
        top.sent_ready = 1;
        top.eval();
        if (top.sent_valid) {
            out[taken++] = top.sent_payload;
            quiet = 0;
            if (taken > 9 && out[taken - 1] == 0x7E && given == count && patience > 16) quiet = patience - 16;
        }
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }
    return taken;
}
}
