/* Compiled code beside the interpreter: where it is entered, what it asks for, and when it is forgotten. */
#include "machine.h"

#include <stddef.h>
#include <string.h>

static void fold_epochs(vac_machine *m, uint64_t tick)
{
    m->tick = tick;
    sqi_catch_up(m);
}

static void emit_cell(vac_machine *m, uint64_t tick, uint32_t value)
{
    fold_epochs(m, tick);
    sqi_emit(m, value);
}

static uint32_t read_register(vac_machine *m, uint64_t tick, uint32_t number, uint32_t sp)
{
    fold_epochs(m, tick);
    m->sp = sp;
    return core_register(m, number);
}

static uint32_t reach_read(vac_machine *m, uint32_t a, uint32_t pointer, uint32_t size)
{
    const uint32_t index = a >> POINTER_DISPLACEMENT_BITS;
    return (uint32_t)move_read_extent(m, index, pointer - (index << POINTER_DISPLACEMENT_BITS), size);
}

static uint32_t reach_write(vac_machine *m, uint32_t a, uint32_t pointer, uint32_t size)
{
    const uint32_t index = a >> POINTER_DISPLACEMENT_BITS;
    return (uint32_t)move_write_extent(m, index, pointer - (index << POINTER_DISPLACEMENT_BITS), size);
}

void compiled_init(vac_machine *m)
{
    m->fold_epochs = fold_epochs;
    m->emit_cell = emit_cell;
    m->read_register = read_register;
    m->reach_read = reach_read;
    m->reach_write = reach_write;
}

_Static_assert(offsetof(extent, origin) == 0 && offsetof(extent, low) == 8 && offsetof(extent, address) == 12 &&
                   offsetof(extent, span) == 16 && sizeof(extent) == 32 && sizeof(window_path) == 64 &&
                   offsetof(vac_window, length) == 8 && sizeof(vac_window) == 16,
               "compiled code is made with these offsets");

size_t vac_layout(uint32_t *offsets, size_t capacity)
{
#define OFFSET(member) offsetof(struct vac_machine, member),
    static const uint32_t found[] = {VAC_LAYOUT(OFFSET)};
    const size_t count = sizeof found / sizeof found[0];
    memcpy(offsets, found, (count < capacity ? count : capacity) * sizeof found[0]);
    return count;
}

uint32_t vac_compiled_count(const vac_machine *m)
{
    return m->compiled_count;
}

uint64_t vac_compiled_ticks(const vac_machine *m)
{
    return m->compiled_ticks;
}

int vac_add_compiled(vac_machine *m, const vac_compiled *compiled, const uint32_t *leaves, size_t count)
{
    const slot_memory *slot = &m->slots[CODE_SLOT];
    if (m->labelled || m->compiled_count == VAC_MOST_COMPILED || compiled->pc >= m->code_length)
        return VAC_ERROR_ARGUMENT;
    for (size_t index = 0; index < count; index++)
        if (leaves[index] >= slot->leaves || !(slot->flags[leaves[index]] & LEAF_RESIDENT))
            return VAC_ERROR_NOT_RESIDENT;
    record *r = &m->code[compiled->pc];
    if ((!r->run && !decode_at(m, compiled->pc)) || r->compiled)
        return VAC_ERROR_ARGUMENT;
    for (size_t index = 0; index < count; index++) {
        hold_leaf(m, leaves[index] << LEAF_SHIFT);
        slot->flags[leaves[index]] |= LEAF_COMPILED;
    }
    m->compiled[m->compiled_count] = *compiled;
    m->interpreted[m->compiled_count] = r->entry;
    r->compiled = (uint8_t)++m->compiled_count;
    r->entry = HANDLER_COMPILED;
    return VAC_OK;
}

void forget_compiled(vac_machine *m)
{
    for (uint32_t index = 0; index < m->compiled_count; index++) {
        record *r = &m->code[m->compiled[index].pc];
        if (r->compiled == index + 1) {
            r->compiled = 0;
            r->entry = m->interpreted[index];
        }
    }
    m->compiled_count = 0;
    m->met = NULL;
    const slot_memory *slot = &m->slots[CODE_SLOT];
    for (uint32_t leaf = 0; leaf < slot->leaves; leaf++)
        slot->flags[leaf] &= (uint8_t)~LEAF_COMPILED;
}

void vac_forget_compiled(vac_machine *m)
{
    forget_compiled(m);
}

void run_compiled(vac_machine *m, uint64_t until, uintptr_t beams_end)
{
    const uint64_t entered = m->tick;
    m->until = until;
    m->beams_end = beams_end;
    uint32_t *const locals = m->cells + VAC_DATA_STACK_CELLS + m->fp;
    int64_t remaining = m->met->code(m, locals, m->cells + m->sp, (int64_t)(until - m->tick));
    if (remaining >= 0) {
        const uint32_t link = locals[-1];
        m->rp = m->fp - 1;
        m->fp = m->rp - (link >> CODE_ADDRESS_BITS);
        m->pc = link & CODE_MASK;
    } else {
        remaining = m->remaining;
    }
    m->compiled_ticks += until - (uint64_t)remaining - entered;
    m->tick = until - (uint64_t)remaining;
}
