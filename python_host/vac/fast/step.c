/* The exact step: one instruction in the order in which the definition judges it.
 *
 * Decode, frame, stacks, then what the unit checks; nothing changes until it is sure to retire.
 */
#include "machine.h"

#include <string.h>

static step_result trap(vac_machine *m, uint32_t reason)
{
    m->status = 2;
    m->trap = reason;
    return STEP_TRAPPED;
}

#define TRY(reason)                                                                                                    \
    do {                                                                                                               \
        const uint32_t trapped = (reason);                                                                             \
        if (trapped)                                                                                                   \
            return trap(m, trapped);                                                                                   \
    } while (0)

enum { NO_CELL = 0xFFFF };

typedef struct {
    const table_row *row;
    uint64_t word;
    uint32_t a_cell, b_cell, d_cell; /* stack RAM indices */
    uint32_t a, b, labels, labels_a;
    uint32_t sp; /* cells on the data stack once the pops are done */
    int pushes;
    uint32_t number;
} operands;

static uint32_t take_local(const vac_machine *m, uint32_t index, uint32_t *cell)
{
    *cell = VAC_DATA_STACK_CELLS + m->fp + index;
    return index >= m->rp - m->fp ? TRAP_FRAME : 0;
}

static uint32_t value_of(const operands *o, int kind)
{
    return (uint32_t)field_of(&o->row->fields[kind], o->word);
}

static uint32_t local_of(const operands *o)
{
    return o->row->fields[FIELD_LOCAL].width ? value_of(o, FIELD_LOCAL) : o->row->constant;
}

/* One source: its cell, and what it takes from the stack. */
static uint32_t take_source(vac_machine *m, operands *o, int source, int kind, uint32_t *cell, uint32_t *needed)
{
    const uint32_t named = source == SOURCE_NIBBLE ? value_of(o, kind) : 0;
    if (source == SOURCE_POP || (source == SOURCE_NIBBLE && named == STACK_OPERAND)) {
        *cell = --o->sp;
        ++*needed;
    } else if (source == SOURCE_NIBBLE) {
        return take_local(m, named, cell);
    } else if (source == SOURCE_LOCAL) {
        return take_local(m, local_of(o), cell);
    } else if (source == SOURCE_PEEK || source == SOURCE_PEEK_SECOND) {
        const uint32_t depth = source == SOURCE_PEEK ? 1 : 2;
        *cell = m->sp - depth;
        if (*needed < depth)
            *needed = depth;
    }
    return 0;
}

/* Checks frame, underflow and overflow, then reads A and B. B is popped first. */
static uint32_t read_operands(vac_machine *m, operands *o)
{
    const table_row *row = o->row;
    uint32_t needed = 0, reason;
    o->sp = m->sp;
    o->a_cell = o->b_cell = o->d_cell = NO_CELL;
    if ((reason = take_source(m, o, row->b, FIELD_SOURCE_B, &o->b_cell, &needed)))
        return reason;
    const int a_kind = row->fields[FIELD_SOURCE_A].width ? FIELD_SOURCE_A : FIELD_POINTER;
    if ((reason = take_source(m, o, row->a, a_kind, &o->a_cell, &needed)))
        return reason;
    if (row->unit == UNIT_SWAP)
        needed = 2;
    if (row->unit == UNIT_SYSTEM_CALL) {
        needed = CALLS[o->number].arguments;
        o->sp -= needed;
    }
    if (row->destination == DESTINATION_LOCAL) {
        reason = take_local(m, local_of(o), &o->d_cell);
    } else if (row->destination == DESTINATION_PUSH) {
        o->pushes = 1;
    } else if (row->destination != DESTINATION_NONE) {
        const uint32_t named = value_of(o, row->destination == DESTINATION_NIBBLE ? FIELD_DESTINATION : FIELD_POINTER);
        if (named == STACK_OPERAND)
            o->pushes = 1;
        else
            reason = take_local(m, named, &o->d_cell);
    }
    if (reason)
        return reason;
    if (needed > m->sp)
        return TRAP_STACK_UNDERFLOW;
    if (o->pushes && o->sp + 1 > VAC_DATA_STACK_CELLS)
        return TRAP_STACK_OVERFLOW;
    if (o->pushes)
        o->d_cell = o->sp;
    if (o->b_cell != NO_CELL) {
        o->b = m->cells[o->b_cell];
        o->labels |= m->labels[o->b_cell];
    }
    if (o->a_cell != NO_CELL) {
        o->a = m->cells[o->a_cell];
        o->labels_a = m->labels[o->a_cell];
        o->labels |= o->labels_a;
    }
    if (row->b == SOURCE_IMMEDIATE)
        o->b = value_of(o, row->fields[FIELD_SIGNED].width ? FIELD_SIGNED : FIELD_UNSIGNED);
    else if (row->b == SOURCE_CONSTANT)
        o->b = row->constant;
    return 0;
}

/* A window's checks in the order of the traps. */
static uint32_t translate(const vac_window *window, uint64_t displacement, uint32_t size, uint32_t permission,
                          uint32_t *address)
{
    if (!(window->permissions & permission))
        return TRAP_PERMISSION;
    if (displacement % size)
        return TRAP_MISALIGNED;
    if (displacement + size > window->length)
        return TRAP_BOUNDS;
    *address = (uint32_t)(window->base + displacement);
    return 0;
}

static step_result miss(vac_stop *stop, uint32_t slot, uint32_t leaf)
{
    stop->reason = VAC_STOP_PAGE_MISS;
    stop->slot = slot;
    stop->leaf = leaf;
    return STEP_MISS;
}

/* The leaf's host memory, or NULL when it is not resident. */
static uint8_t *resident(vac_machine *m, uint32_t slot, uint32_t address)
{
    slot_memory *s = &m->slots[slot];
    const uint32_t leaf = address >> LEAF_SHIFT;
    if (leaf >= s->leaves || !(s->flags[leaf] & LEAF_RESIDENT))
        return NULL;
    return s->memory + address;
}

static const vac_window *effective(vac_machine *m, const operands *o, uint32_t index, uint32_t *displacement)
{
    const table_field *field = &o->row->fields[FIELD_SCALED];
    const uint32_t scaled = field->width ? (uint32_t)field_of(field, o->word) << o->row->size_log2 : 0;
    *displacement = (o->a & DISPLACEMENT_MASK) + scaled + (index << o->row->size_log2);
    return &m->windows[o->a >> POINTER_DISPLACEMENT_BITS];
}

static void store(vac_machine *m, uint32_t slot, uint32_t address, uint32_t size, uint32_t value, uint32_t labels)
{
    slot_memory *s = &m->slots[slot];
    uint8_t *flags = &s->flags[address >> LEAF_SHIFT];
    memcpy(s->memory + address, &value, size);
    if (slot == CODE_SLOT && (*flags & LEAF_CODE))
        forget_code(m, address, address + size - 1);
    *flags |= LEAF_DIRTY;
    if (!(*flags & LEAF_CODE))
        *flags |= LEAF_STORE;
    if (m->has_labels)
        s->labels[address >> LEAF_SHIFT] |= (uint16_t)labels;
}

static uint32_t push_frame(vac_machine *m, uint32_t return_pc, uint32_t frame, uint32_t *link)
{
    if (m->rp + 1 + frame > RETURN_STACK_CELLS)
        return TRAP_RETURN_OVERFLOW;
    *link = (m->rp - m->fp) << CODE_ADDRESS_BITS | return_pc;
    m->cells[VAC_DATA_STACK_CELLS + m->rp] = *link;
    m->labels[VAC_DATA_STACK_CELLS + m->rp] = 0;
    m->fp = m->rp + 1;
    m->rp = m->fp + frame;
    return 0;
}

uint32_t narrow_window(vac_machine *m, uint32_t target, uint32_t from, uint32_t offset, uint32_t length)
{
    const vac_window source = m->windows[from];
    if (!source.permissions)
        return TRAP_PERMISSION;
    if (offset % 4)
        return TRAP_MISALIGNED;
    if ((uint64_t)offset + length > source.length)
        return TRAP_BOUNDS;
    /* Behind a window that ends at 2**32 an empty part begins at 0. */
    m->windows[target] = (vac_window){(uint32_t)(source.base + offset), length, source.slot, source.permissions, 0};
    refresh_path(m, target);
    return 0;
}

uint32_t restrict_window(vac_machine *m, uint32_t index, uint32_t permissions)
{
    vac_window *window = &m->windows[index];
    window->permissions &= (uint8_t)permissions;
    const uint32_t kept = window->permissions;
    if (!kept)
        memset(window, 0, sizeof *window);
    refresh_path(m, index);
    return kept;
}

uint32_t core_register(const vac_machine *m, uint32_t number)
{
    switch (number) {
    case REGISTER_TICK_LOW:
        return (uint32_t)m->tick;
    case REGISTER_TICK_HIGH:
        return (uint32_t)(m->tick >> 32);
    case REGISTER_COHERENCE:
        return m->coherence;
    case REGISTER_ENTROPY:
        return m->entropy;
    case REGISTER_DRIFT:
        return m->drift;
    case REGISTER_SCORE:
        return (2 * m->coherence + (SQI_FULL - m->entropy) + (SQI_FULL - m->drift)) >> 2;
    case REGISTER_CONE_IN_LOW:
        return (uint32_t)m->cone_in;
    case REGISTER_CONE_IN_HIGH:
        return (uint32_t)(m->cone_in >> 32);
    case REGISTER_CONE_OUT_LOW:
        return (uint32_t)m->cone_out;
    case REGISTER_CONE_OUT_HIGH:
        return (uint32_t)(m->cone_out >> 32);
    case REGISTER_STACK_DEPTH:
        return m->sp;
    case REGISTER_JOINS:
        return m->joins;
    case REGISTER_VERSION:
        return ISA_VERSION;
    }
    return 0;
}

static step_result raise_event(vac_machine *m, const operands *o, vac_stop *stop)
{
    stop->reason = VAC_STOP_EVENT;
    stop->event_kind = o->row->unit == UNIT_DEVICE_IN    ? VAC_EVENT_IN
                       : o->row->unit == UNIT_DEVICE_OUT ? VAC_EVENT_OUT
                                                         : VAC_EVENT_SYSTEM_CALL;
    stop->event_number = o->number;
    stop->argument_count = m->sp - o->sp;
    memcpy(stop->arguments, &m->cells[o->sp], 4 * stop->argument_count);
    m->waiting = 1;
    m->waiting_word = o->word;
    return STEP_EVENT;
}

static int is_event(uint32_t unit)
{
    return unit == UNIT_DEVICE_IN || unit == UNIT_DEVICE_OUT || unit == UNIT_SYSTEM_CALL;
}

static uint32_t decode_word(operands *o)
{
    const uint16_t index = ROW_OF[o->word & 0xFF][o->word >> SUBOPERATION_LOW & 15];
    if (!index)
        return TRAP_ILLEGAL;
    o->row = &TABLE[index - 1];
    o->number = o->row->fields[FIELD_NUMBER].width ? value_of(o, FIELD_NUMBER) : 0;
    if (o->row->numbers && o->number >= o->row->numbers)
        return TRAP_ILLEGAL;
    if (o->row->post_increments && value_of(o, FIELD_POINTER) == STACK_OPERAND)
        return TRAP_ILLEGAL;
    return 0;
}

step_result exact_word(vac_machine *m, uint64_t word, int answered, uint32_t answer, uint32_t refused, vac_stop *stop)
{
    operands o = {.word = word};
    TRY(decode_word(&o));
    TRY(read_operands(m, &o));
    const table_row *row = o.row;
    if (is_event(row->unit) && !answered)
        return raise_event(m, &o, stop);
    sqi_catch_up(m);

    uint32_t next_pc = (m->pc + row->length) & CODE_MASK;
    const uint32_t target = row->fields[FIELD_OFFSET].width ? (m->pc + value_of(&o, FIELD_OFFSET)) & CODE_MASK : 0;
    uint32_t labels = o.labels, value = o.a, result = 0, aux = 0, flags = 0;
    switch (row->unit) {
    case UNIT_ALU:
        if (row->divides && o.b == 0)
            return trap(m, TRAP_DIVISION_BY_ZERO);
        result = alu(row->function, o.a, o.b);
        value = row->destination == DESTINATION_NONE ? o.a : result;
        break;
    case UNIT_BRANCH: {
        const uint32_t taken = holds(row->condition, o.a, o.b);
        const uint32_t bit = (m->pc ^ m->pc >> 4) & 15;
        if (row->destination != DESTINATION_NONE)
            result = value = alu(row->function, o.a, o.b);
        if ((m->history >> bit & 1) != taken) {
            m->mispredictions++;
            m->history ^= 1u << bit;
        }
        if (taken) {
            next_pc = target;
            flags = BEAM_TAKEN;
        }
        break;
    }
    case UNIT_JUMP:
        next_pc = target;
        flags = BEAM_TAKEN;
        break;
    case UNIT_TABLE_JUMP:
    case UNIT_TABLE_CALL: {
        const vac_window *window = &m->windows[TABLE_WINDOW];
        uint32_t entry;
        TRY(translate(window, (uint64_t)o.a * 4, 4, 1, &aux));
        const uint8_t *from = resident(m, window->slot, aux);
        if (!from)
            return miss(stop, window->slot, aux >> LEAF_SHIFT);
        memcpy(&entry, from, 4);
        value = entry;
        if (row->unit == UNIT_TABLE_CALL)
            TRY(push_frame(m, next_pc, entry >> CODE_ADDRESS_BITS, &value));
        next_pc = entry & CODE_MASK;
        flags = BEAM_TAKEN;
        labels = 0;
        break;
    }
    case UNIT_CALL:
        TRY(push_frame(m, next_pc, value_of(&o, FIELD_FRAME), &value));
        next_pc = target;
        flags = BEAM_TAKEN;
        break;
    case UNIT_RETURN:
        if (m->fp == 0)
            return trap(m, TRAP_RETURN_UNDERFLOW);
        value = m->cells[VAC_DATA_STACK_CELLS + m->fp - 1];
        m->rp = m->fp - 1;
        m->fp = m->rp - (value >> CODE_ADDRESS_BITS);
        next_pc = value & CODE_MASK;
        flags = BEAM_TAKEN;
        break;
    case UNIT_LOAD: {
        uint32_t displacement;
        const vac_window *window = effective(m, &o, row->is_indexed ? o.b : 0, &displacement);
        const uint32_t size = 1u << row->size_log2;
        TRY(translate(window, displacement, size, 1, &aux));
        const uint8_t *from = resident(m, window->slot, aux);
        if (!from)
            return miss(stop, window->slot, aux >> LEAF_SHIFT);
        memcpy(&result, from, size);
        if (row->is_signed)
            result = alu(size == 1 ? FUNCTION_SIGN_EXTEND_8 : FUNCTION_SIGN_EXTEND_16, result, 0);
        labels |= m->slots[window->slot].labels[aux >> LEAF_SHIFT];
        value = result;
        break;
    }
    case UNIT_STORE: {
        uint32_t displacement;
        const vac_window *window = effective(m, &o, 0, &displacement);
        const uint32_t size = 1u << row->size_log2;
        TRY(translate(window, displacement, size, 2, &aux));
        if (!resident(m, window->slot, aux))
            return miss(stop, window->slot, aux >> LEAF_SHIFT);
        store(m, window->slot, aux, size, o.b, labels);
        value = o.b;
        break;
    }
    case UNIT_SWAP: {
        const uint32_t top = m->sp - 1;
        const uint32_t cell = m->cells[top];
        const uint16_t set = m->labels[top];
        m->cells[top] = m->cells[top - 1];
        m->labels[top] = m->labels[top - 1];
        m->cells[top - 1] = cell;
        m->labels[top - 1] = set;
        value = m->cells[top];
        labels = m->labels[top];
        flags = BEAM_PUSH;
        break;
    }
    case UNIT_WINDOW_NARROW:
        TRY(narrow_window(m, value_of(&o, FIELD_WINDOW), value_of(&o, FIELD_WINDOW_FROM), o.a, o.b));
        value = o.b;
        break;
    case UNIT_WINDOW_RESTRICT:
        value = restrict_window(m, value_of(&o, FIELD_WINDOW), value_of(&o, FIELD_UNSIGNED));
        break;
    case UNIT_WINDOW_LENGTH:
        result = value = m->windows[value_of(&o, FIELD_WINDOW)].length;
        break;
    case UNIT_READ_REGISTER:
        result = value = core_register(m, o.number);
        aux = o.number;
        break;
    case UNIT_DEVICE_IN:
    case UNIT_DEVICE_OUT:
    case UNIT_SYSTEM_CALL: {
        const int takes_input = row->unit == UNIT_SYSTEM_CALL ? CALLS[o.number].takes_input : row->unit == UNIT_DEVICE_IN;
        const int lets_output = row->unit == UNIT_SYSTEM_CALL ? CALLS[o.number].lets_output : row->unit == UNIT_DEVICE_OUT;
        aux = o.number;
        flags = BEAM_EVENT;
        if (refused) {
            flags |= BEAM_REFUSED;
            m->refusals = m->refusals < 0xFF ? m->refusals + 1 : 0xFF;
        }
        if (takes_input)
            m->cone_in = m->tick + 1;
        if (lets_output)
            m->cone_out = m->tick + 1;
        if (row->destination != DESTINATION_NONE)
            result = value = answer;
        break;
    }
    case UNIT_EMIT:
        sqi_emit(m, o.a);
        flags = BEAM_EMIT;
        break;
    case UNIT_JOIN:
        result = value = ++m->joins;
        labels |= 1u << (m->joins - 1) % LABEL_BITS;
        flags = BEAM_JOIN;
        break;
    case UNIT_MARK:
        value = 0;
        aux = o.number;
        flags = BEAM_MARK;
        break;
    case UNIT_HALT:
        m->status = 1;
        flags = BEAM_HALT;
        break;
    default: /* NOP */
        break;
    }

    if (!m->has_labels)
        labels = 0;
    m->sp = o.sp;
    if (o.d_cell != NO_CELL) {
        if (o.pushes) {
            m->sp++;
            flags |= BEAM_PUSH;
        }
        m->cells[o.d_cell] = result;
        m->labels[o.d_cell] = (uint16_t)labels;
    }
    if (row->post_increments) {
        m->cells[o.a_cell] = o.a + (1u << row->size_log2);
        m->labels[o.a_cell] = (uint16_t)o.labels_a;
    }
    m->retired.low = m->pc | (uint64_t)row->opcode << BEAM_OPCODE_LOW | (uint64_t)flags << BEAM_FLAGS_LOW |
                     (uint64_t)labels << BEAM_LABELS_LOW;
    m->retired.high = (uint64_t)aux << BEAM_AUX_LOW | value;
    m->pc = next_pc;
    m->tick++;
    return STEP_RETIRED;
}

step_result exact_step(vac_machine *m, vac_stop *stop)
{
    uint64_t word;
    uint32_t detail;
    switch (fetch(m, m->pc, &word, &detail)) {
    case STEP_TRAPPED:
        return trap(m, detail);
    case STEP_MISS:
        return miss(stop, CODE_SLOT, detail);
    default:
        return exact_word(m, word, 0, 0, 0, stop);
    }
}
