/* From code bytes to records: fetch, operand places, runs, and forgetting them when their bytes change. */
#include "machine.h"

#include <string.h>

uint64_t field_of(const table_field *field, uint64_t word)
{
    const uint64_t value = word >> field->low & ((1ull << field->width) - 1);
    if (field->is_signed && value >> (field->width - 1))
        return value | ~0ull << field->width;
    return value;
}

step_result fetch(const vac_machine *m, uint32_t pc, uint64_t *word, uint32_t *detail)
{
    const slot_memory *slot = &m->slots[CODE_SLOT];
    *detail = TRAP_CODE_BOUNDS;
    if (pc >= m->code_length)
        return STEP_TRAPPED;
    *word = 0;
    uint32_t length = 1;
    for (uint32_t index = 0; index < length; index++) {
        const uint32_t leaf = (pc + index) >> LEAF_SHIFT;
        if (leaf >= slot->leaves || !(slot->flags[leaf] & LEAF_RESIDENT)) {
            *detail = leaf;
            return STEP_MISS;
        }
        *word |= (uint64_t)slot->memory[pc + index] << (8 * index);
        if (index == 0) {
            length = LENGTHS[*word >> 5];
            if (pc + length > m->code_length)
                return STEP_TRAPPED;
        }
    }
    return STEP_RETIRED;
}

int code_reserve(vac_machine *m, uint32_t code_length)
{
    const size_t bytes = ((size_t)code_length + 1) * sizeof(record);
    if (bytes != m->code_bytes) {
        record *code = map_zeroed(bytes);
        if (!code)
            return VAC_ERROR_MEMORY;
        forget_all_code(m);
        unmap(m->code, m->code_bytes);
        m->code = code;
        m->code_bytes = bytes;
    }
    m->code_length = code_length;
    return VAC_OK;
}

/* Where the result of the instruction before stands. */
typedef struct {
    enum { RESULT_NOWHERE, RESULT_LOCAL, RESULT_STACK } where;
    uint32_t local;
} result_place;

/* An instruction taken apart. */
typedef struct {
    uint64_t word;
    const table_row *row;
    uint16_t row_index;
    uint32_t a, b, d;
    int a_place, b_place, d_place;
    uint32_t immediate;
    uint32_t frame_need;
    int pops, pushes, need;
    int ends;  /* nothing runs on behind it */
    int exact; /* left to the exact step */
} decoded;

static void place_local(decoded *one, uint32_t local)
{
    if (local + 1 > one->frame_need)
        one->frame_need = local + 1;
}

static uint32_t nibble(decoded *one, int kind, uint32_t *local, int *is_stack)
{
    const table_field *field = &one->row->fields[kind];
    *local = (uint32_t)field_of(field, one->word);
    *is_stack = *local == STACK_OPERAND;
    if (!*is_stack)
        place_local(one, *local);
    return *local;
}

static uint32_t local_index(const decoded *one)
{
    const table_field *field = &one->row->fields[FIELD_LOCAL];
    return field->width ? (uint32_t)field_of(field, one->word) : one->row->constant;
}

static uint32_t handler_of(const decoded *one, int a_place, int b_place)
{
    return VARIANTS[one->row_index][((uint32_t)a_place * B_PLACES + (uint32_t)b_place) * D_PLACES + (uint32_t)one->d_place];
}

/* Handler when the result of the instruction before stands at `previous`. */
static uint32_t handler_after(const decoded *one, result_place previous)
{
    int a_place = one->a_place, b_place = one->b_place;
    if (previous.where == RESULT_LOCAL) {
        if (a_place == A_LOCAL && one->a == previous.local)
            a_place = A_LAST_LOCAL;
        else if (b_place == B_LOCAL && one->b == previous.local)
            b_place = B_LAST_LOCAL;
    } else if (previous.where == RESULT_STACK) {
        if (b_place == B_STACK)
            b_place = B_LAST_STACK;
        else if (a_place == A_STACK)
            a_place = A_LAST_STACK;
    }
    const uint32_t found = handler_of(one, a_place, b_place);
    return found ? found : handler_of(one, one->a_place, one->b_place);
}

static result_place result_of(const decoded *one)
{
    result_place result = {RESULT_NOWHERE, 0};
    if (one->exact || one->row->unit == UNIT_SWAP)
        return result;
    if (one->row->destination == DESTINATION_POINTER) {
        result.where = RESULT_LOCAL;
        result.local = one->a;
    } else if (one->d_place == D_LOCAL && !(one->row->post_increments && one->d == one->a)) {
        result.where = RESULT_LOCAL;
        result.local = one->d;
    } else if (one->d_place == D_STACK) {
        result.where = RESULT_STACK;
    }
    return result;
}

static void take_operands(decoded *one)
{
    const table_row *row = one->row;
    int is_stack;
    switch (row->a) {
    case SOURCE_NIBBLE:
        nibble(one, row->fields[FIELD_SOURCE_A].width ? FIELD_SOURCE_A : FIELD_POINTER, &one->a, &is_stack);
        one->a_place = is_stack ? A_STACK : A_LOCAL;
        break;
    case SOURCE_LOCAL:
        one->a = local_index(one);
        one->a_place = A_LOCAL;
        place_local(one, one->a);
        break;
    case SOURCE_POP:
        one->a_place = A_STACK;
        break;
    case SOURCE_PEEK:
        one->a_place = A_PEEK;
        one->need = 1;
        break;
    case SOURCE_PEEK_SECOND:
        one->a_place = A_PEEK_SECOND;
        one->need = 2;
        break;
    }
    if (row->b == SOURCE_NIBBLE) {
        nibble(one, FIELD_SOURCE_B, &one->b, &is_stack);
        one->b_place = is_stack ? B_STACK : B_LOCAL;
    } else if (row->b == SOURCE_POP) {
        one->b_place = B_STACK;
    } else if (row->b == SOURCE_CONSTANT) {
        one->immediate = row->constant;
    } else if (row->b == SOURCE_IMMEDIATE) {
        const table_field *field = &row->fields[FIELD_SIGNED];
        one->immediate = (uint32_t)field_of(field->width ? field : &row->fields[FIELD_UNSIGNED], one->word);
    }
    one->pops = (one->a_place == A_STACK) + (one->b_place == B_STACK);
    if (one->need < one->pops)
        one->need = one->pops;
    switch (row->destination) {
    case DESTINATION_NIBBLE:
        nibble(one, FIELD_DESTINATION, &one->d, &is_stack);
        one->d_place = is_stack ? D_STACK : D_LOCAL;
        break;
    case DESTINATION_PUSH:
        one->d_place = D_STACK;
        break;
    case DESTINATION_LOCAL:
        one->d = local_index(one);
        one->d_place = D_LOCAL;
        place_local(one, one->d);
        break;
    }
    one->pushes = one->d_place == D_STACK;
    if (row->unit == UNIT_SWAP)
        one->need = 2;
}

/* Reads the instruction at pc; 0 when there is none to be had. */
static int take_apart(const vac_machine *m, uint32_t pc, decoded *one)
{
    uint32_t detail;
    memset(one, 0, sizeof *one);
    if (fetch(m, pc, &one->word, &detail) != STEP_RETIRED)
        return 0;
    const uint16_t row_index = ROW_OF[one->word & 0xFF][one->word >> SUBOPERATION_LOW & 15];
    if (!row_index)
        return 0;
    one->row_index = (uint16_t)(row_index - 1);
    one->row = &TABLE[one->row_index];
    const table_row *row = one->row;
    int illegal = 0;
    take_operands(one);
    if (row->unit == UNIT_LOAD || row->unit == UNIT_STORE) {
        const table_field *field = &row->fields[FIELD_SCALED];
        one->immediate = field->width ? (uint32_t)field_of(field, one->word) << row->size_log2 : 0;
    }
    if (row->fields[FIELD_NUMBER].width) {
        one->immediate = (uint32_t)field_of(&row->fields[FIELD_NUMBER], one->word);
        illegal = row->numbers && one->immediate >= row->numbers;
    }
    if (row->fields[FIELD_WINDOW].width) {
        /* Rows that name windows take their operands from the stack, so that a and b are free. */
        one->a = (uint32_t)field_of(&row->fields[FIELD_WINDOW], one->word);
        const table_field *field = &row->fields[row->fields[FIELD_WINDOW_FROM].width ? FIELD_WINDOW_FROM : FIELD_UNSIGNED];
        one->b = (uint32_t)field_of(field, one->word);
    }
    if (row->fields[FIELD_FRAME].width)
        one->a = (uint32_t)field_of(&row->fields[FIELD_FRAME], one->word);
    one->exact = illegal || !handler_of(one, one->a_place, one->b_place) || one->frame_need > RETURN_STACK_CELLS;
    /* The pointer is written last there. */
    if (row->post_increments && one->d_place == D_LOCAL && one->d == one->a)
        one->exact = 1;
    if (row->unit == UNIT_BRANCH) {
        /* The constant shares a byte: a wider one is left to the exact step. */
        if (one->b_place == B_IMMEDIATE && (uint32_t)(int32_t)(int8_t)one->immediate != one->immediate)
            one->exact = 1;
        if (one->b_place == B_IMMEDIATE)
            one->b = one->immediate & 0xFF;
        one->d = (pc ^ pc >> 4) & 15;
    }
    if (row->fields[FIELD_OFFSET].width) {
        const uint32_t target = (pc + (uint32_t)field_of(&row->fields[FIELD_OFFSET], one->word)) & CODE_MASK;
        if (target >= m->code_length)
            one->exact = 1;
        one->immediate = target - pc;
    }
    switch (row->unit) {
    case UNIT_JUMP:
    case UNIT_CALL:
    case UNIT_TABLE_JUMP:
    case UNIT_TABLE_CALL:
    case UNIT_RETURN:
        one->ends = 1;
        break;
    }
    if (one->exact) {
        one->ends = 1;
        one->frame_need = 0;
        one->pops = one->pushes = one->need = 0;
    }
    return 1;
}

static uint64_t static_beam(const decoded *one, uint32_t pc)
{
    uint64_t flags = 0;
    switch (one->row->unit) {
    case UNIT_JUMP:
    case UNIT_CALL:
    case UNIT_TABLE_JUMP:
    case UNIT_TABLE_CALL:
    case UNIT_RETURN:
        flags = BEAM_TAKEN;
        break;
    case UNIT_SWAP:
        flags = BEAM_PUSH;
        break;
    case UNIT_EMIT:
        flags = BEAM_EMIT;
        break;
    case UNIT_JOIN:
        flags = BEAM_JOIN | BEAM_PUSH;
        break;
    case UNIT_MARK:
        flags = BEAM_MARK;
        break;
    default:
        flags = one->pushes ? BEAM_PUSH : 0;
    }
    return pc | (uint64_t)one->row->opcode << BEAM_OPCODE_LOW | flags << BEAM_FLAGS_LOW;
}

/* Stores to this leaf must look for decoded instructions from now on. */
void hold_leaf(vac_machine *m, uint32_t address)
{
    uint8_t *flags = &m->slots[CODE_SLOT].flags[address >> LEAF_SHIFT];
    if (*flags & LEAF_STORE)
        cut_extents(m, CODE_SLOT, address >> LEAF_SHIFT, 0);
    *flags = (uint8_t)((*flags | LEAF_CODE) & ~LEAF_STORE);
}

static void fill(vac_machine *m, uint32_t pc, const decoded *one, const decoded *successor)
{
    record *r = &m->code[pc];
    int need = one->need;
    const int net = one->pushes - one->pops;
    int growth = net > 0 ? net : 0;
    uint32_t slack = 255 - one->frame_need;
    uint32_t run = 1;
    r->next = m->body->enter;
    if (successor) {
        const record *s = r + one->row->length;
        const int behind_need = s->stack_need - net > need ? s->stack_need - net : need;
        const int behind_growth = VAC_DATA_STACK_CELLS - s->stack_room - s->stack_need + net;
        const int whole_growth = behind_growth > growth ? behind_growth : growth;
        if (s->run < MAX_RUN && behind_need + whole_growth <= VAC_DATA_STACK_CELLS) {
            need = behind_need;
            growth = whole_growth;
            slack = s->frame_slack < slack ? s->frame_slack : slack;
            run = s->run + 1u;
            r->next = m->body->handlers[handler_after(successor, result_of(one))];
            if (successor->exact)
                r->next = m->body->handlers[0];
        }
    }
    r->beam = static_beam(one, pc);
    r->immediate = one->immediate;
    r->a = (uint8_t)one->a;
    r->b = (uint8_t)one->b;
    r->d = (uint8_t)one->d;
    r->frame_slack = (uint8_t)slack;
    r->stack_need = (uint8_t)need;
    r->stack_room = (uint8_t)(VAC_DATA_STACK_CELLS - growth - need);
    r->run = (uint8_t)run;
    r->length = one->row->length;
    r->size_log2 = one->row->size_log2;
    r->entry = (uint16_t)(one->exact ? 0 : handler_of(one, one->a_place, one->b_place));
    hold_leaf(m, pc);
    hold_leaf(m, pc + one->row->length - 1);
}

/* Decodes the run that starts at pc. Returns 0 when the exact step has to say what is wrong there. */
int decode_at(vac_machine *m, uint32_t pc)
{
    decoded found[MAX_RUN + 1];
    uint32_t at[MAX_RUN + 1];
    int count = 0;
    int joins = 0; /* the last one found was there before */
    for (uint32_t next = pc; count <= MAX_RUN; count++) {
        if (!take_apart(m, next, &found[count]))
            break;
        at[count] = next;
        if (m->code[next].run) {
            joins = 1;
            count++;
            break;
        }
        next += found[count].row->length;
        if (found[count].ends) {
            count++;
            break;
        }
    }
    if (count > MAX_RUN + 1)
        count = MAX_RUN + 1;
    for (int index = count - 1 - joins; index >= 0; index--) {
        const int links = index + 1 < count && !found[index].ends;
        fill(m, at[index], &found[index], links ? &found[index + 1] : NULL);
    }
    return count > 0;
}

static int is_decoded(const vac_machine *m, uint32_t first, uint32_t last)
{
    const uint32_t start = first < 4 ? 0 : first - 4;
    for (uint32_t pc = start; pc <= last && pc < m->code_length; pc++)
        if (m->code[pc].run && pc + m->code[pc].length > first)
            return 1;
    return 0;
}

static int is_compiled(const vac_machine *m, uint32_t first, uint32_t last)
{
    const slot_memory *slot = &m->slots[CODE_SLOT];
    for (uint32_t leaf = first >> LEAF_SHIFT; leaf <= last >> LEAF_SHIFT && leaf < slot->leaves; leaf++)
        if (slot->flags[leaf] & LEAF_COMPILED)
            return 1;
    return 0;
}

/* Forgets every record that depends on the code bytes first to last: the instructions there, and the runs that reach
 * into them. */
void forget_code(vac_machine *m, uint32_t first, uint32_t last)
{
    if (!m->code || first >= m->code_length)
        return;
    if (m->compiled_count && is_compiled(m, first, last))
        forget_compiled(m);
    if (!is_decoded(m, first, last))
        return;
    /* A record whose run may reach `first`. The one before it, which hands over to it, is then another: its run is one
     * longer, and it stands at most five bytes before. */
    const uint32_t reach = MAX_RUN * MAX_LENGTH;
    for (uint32_t pc = first < reach ? 0 : first - reach; pc < first; pc++)
        if (pc + m->code[pc].run * MAX_LENGTH > first)
            memset(&m->code[pc], 0, sizeof(record));
    const uint32_t end = last < m->code_length ? last + 1 : m->code_length;
    memset(m->code + first, 0, (end - first) * sizeof(record));
}

void forget_all_code(vac_machine *m)
{
    if (m->code)
        forget_code(m, 0, m->code_length);
    forget_compiled(m);
}
