/* The interpreter's body, compiled four times: VAC_TRACED_BODY 0 counts ticks, 1 writes a beam for each;
 * VAC_LABELLED_BODY 1 keeps the label sets of cells and leaves, 0 is for machines that have none.
 *
 * Handlers call each other in tail position; all the state that they share is in their arguments. Progress is the tick
 * in the plain body and the place of the next beam in the traced one.
 *
 * A handler does its instruction completely or not at all: whatever is out of the ordinary (a trap, a miss, the first
 * store to a leaf) leaves the body before anything has changed, for the exact step.
 * Stack depth, frame size and tick limit are checked for a whole run of instructions where it is entered.
 */
#include "machine.h"

#include <string.h>

#ifndef VAC_TRAMPOLINE
#define VAC_TRAMPOLINE 0
#endif

#define PARAMETERS vac_machine *m, const record *r, uint32_t *locals, uint32_t *sp, uintptr_t t, uint32_t last
#define HANDLER(name) static int name(PARAMETERS)
#define UNUSED (void)m, (void)r, (void)locals, (void)sp, (void)t, (void)last

#if VAC_TRAMPOLINE
/* Without calls in tail position (sanitizers, unoptimised builds): the next handler is left for a loop to call. */
typedef struct {
    handler go;
    const record *r;
    uint32_t *locals, *sp;
    uintptr_t t;
    uint32_t last;
} transfer;
static _Thread_local transfer pending;
#define GO(target, next_r, next_locals, next_sp, next_t, next_last)                                                    \
    do {                                                                                                               \
        pending = (transfer){(target), (next_r), (next_locals), (next_sp), (next_t), (next_last)};                     \
        return 1;                                                                                                      \
    } while (0)
#else
#define GO(target, next_r, next_locals, next_sp, next_t, next_last)                                                    \
    return (target)(m, (next_r), (next_locals), (next_sp), (next_t), (next_last))
#endif

#if VAC_LABELLED_BODY
#define LABEL_AT(cell) m->labels[(cell)-m->cells]
#define LABELS(union) const uint32_t set = m->has_labels ? (union) : 0
#define LEAF_LABELS(size_log2)                                                                                         \
    m->limits[path - m->paths].labels[PLACE_ADDRESS(size_log2) >> LEAF_SHIFT]
#define SET_LABEL(cell) LABEL_AT(cell) = (uint16_t)set
#define COPY_LABEL(to, from) LABEL_AT(to) = LABEL_AT(from)
#define CLEAR_LABEL(cell) LABEL_AT(cell) = 0
#define LABEL_LEAF(size_log2) LEAF_LABELS(size_log2) |= (uint16_t)set
#define LABEL_BITS_OF(low_half) ((low_half) | (uint64_t)set << BEAM_LABELS_LOW)
#else
#define LABELS(union) (void)0
#define SET_LABEL(cell) (void)0
#define COPY_LABEL(to, from) (void)0
#define CLEAR_LABEL(cell) (void)0
#define LABEL_LEAF(size_log2) (void)0
#define LABEL_BITS_OF(low_half) (low_half)
#endif

#if VAC_TRACED_BODY
#define TICK_STEP sizeof(vac_beam)
#define RETIRE(low_half, value, aux)                                                                                   \
    do {                                                                                                               \
        ((vac_beam *)t)->low = LABEL_BITS_OF(low_half);                                                                \
        ((vac_beam *)t)->high = (uint64_t)(uint32_t)(aux) << 32 | (uint32_t)(value);                                   \
        t += TICK_STEP;                                                                                                \
    } while (0)
#else
#define TICK_STEP 1
#define RETIRE(low_half, value, aux) ((void)(value), t += TICK_STEP)
#endif

/* Out of line: inlined, it would cost every handler registers that its way out alone needs. */
__attribute__((noinline)) HANDLER(leave)
{
    (void)last;
    m->pc = (uint32_t)(r - m->code);
    m->sp = (uint32_t)(sp - m->cells);
    m->fp = (uint32_t)(locals - m->cells) - VAC_DATA_STACK_CELLS;
    m->rp = m->fp + 255 - m->frame_complement;
    m->progress = t;
    return 0;
}

HANDLER(exact)
{
    GO(leave, r, locals, sp, t, last);
}

static const handler HANDLERS[];

/* Whether a run may be entered: enough locals, stack cells, room on the stack, and ticks. Most runs leave the data
 * stack alone, and most are entered far from the tick limit. */
static inline int fits(const vac_machine *m, const record *r, const uint32_t *sp, uintptr_t t)
{
    if (UNLIKELY(r->frame_slack < m->frame_complement))
        return 0;
    if (r->stack_room != VAC_DATA_STACK_CELLS && UNLIKELY((uint32_t)(sp - m->cells) - r->stack_need > r->stack_room))
        return 0;
    return LIKELY(t < m->near_limit) || m->limit - t >= r->run * TICK_STEP;
}

HANDLER(enter)
{
    (void)last;
    if (LIKELY(fits(m, r, sp, t)))
        GO(HANDLERS[r->entry], r, locals, sp, t, 0);
    GO(leave, r, locals, sp, t, 0);
}

#define ROTATE_RIGHT(value, count) ((count) ? (value) >> (count) | (value) << ((32 - (count)) & 31) : (value))

static inline handler interpreter_of(const vac_machine *m, const record *r)
{
    return HANDLERS[r->entry == HANDLER_COMPILED ? m->interpreted[r->compiled - 1] : r->entry];
}

HANDLER(compiled)
{
    const vac_compiled *const code = &m->compiled[r->compiled - 1];
    const uint32_t depth = (uint32_t)(sp - m->cells);
    if (code->frame == 255 - m->frame_complement && depth >= code->needs &&
        depth + code->room <= VAC_DATA_STACK_CELLS && m->limit - t >= code->least * TICK_STEP) {
        m->met = code;
        GO(leave, r, locals, sp, t, last);
    }
    GO(interpreter_of(m, r), r, locals, sp, t, last);
}

HANDLER(enter_interpreter)
{
    (void)last;
    if (LIKELY(fits(m, r, sp, t)))
        GO(interpreter_of(m, r), r, locals, sp, t, 0);
    GO(leave, r, locals, sp, t, 0);
}

/* Where an access is beyond its window's extent; `last` is its place as REACH computed it. Moves the extent and starts the instruction
 * again: what it reads is all in memory. */
#define BEYOND(kind)                                                                                                   \
    __attribute__((noinline)) HANDLER(beyond_##kind)                                                                   \
    {                                                                                                                  \
        const uint32_t index = (uint32_t)(m->moving - m->paths);                                                       \
        const uint32_t pointer = ROTATE_RIGHT(last, (32 - r->size_log2) & 31) + m->moving->kind.low;                   \
        const uint32_t displacement = pointer - (index << POINTER_DISPLACEMENT_BITS);                                  \
        if (UNLIKELY(!move_##kind##_extent(m, index, displacement, 1u << r->size_log2)))                               \
            GO(leave, r, locals, sp, t, 0);                                                                            \
        GO(interpreter_of(m, r), r, locals, sp, t, 0);                                                                 \
    }
BEYOND(read)
BEYOND(write)

/* The tick of this instruction, for what looks at the clock or the SQI. */
#define TICK (m->first_tick + (t - m->first_progress) / TICK_STEP)

/* Where an instruction would count into an epoch that has ended: folds what has, and starts the instruction again. */
__attribute__((noinline)) HANDLER(fold)
{
    (void)last;
    m->tick = TICK;
    sqi_catch_up(m);
    m->epoch_progress = t + (m->epoch_end - m->tick) * TICK_STEP;
    GO(interpreter_of(m, r), r, locals, sp, t, 0);
}

#define STEP GO(leave, r, locals, sp, t, 0)
#define FOLD GO(fold, r, locals, sp, t, 0)
#define NEXT(bytes, new_sp, result) GO(r->next, r + (bytes), locals, (new_sp), t, (result))
#define ENTER(new_r, new_sp)                                                                                           \
    do {                                                                                                               \
        const record *const target = (new_r);                                                                          \
        uint32_t *const entered_sp = (new_sp);                                                                         \
        if (LIKELY(fits(m, target, entered_sp, t)))                                                                    \
            GO(HANDLERS[target->entry], target, locals, entered_sp, t, 0);                                             \
        GO(leave, target, locals, entered_sp, t, 0);                                                                   \
    } while (0)

/* The branch history of the SQI: a wrong guess counts, in the epoch that is still open. */
#define PREDICT(taken)                                                                                                 \
    do {                                                                                                               \
        if (UNLIKELY((m->history >> r->d & 1) != (taken))) {                                                           \
            if (UNLIKELY(t >= m->epoch_progress))                                                                      \
                FOLD;                                                                                                  \
            m->mispredictions++;                                                                                       \
            m->history ^= 1u << r->d;                                                                                  \
        }                                                                                                              \
    } while (0)

/* `write` is what the branch does besides: nothing, or to a local. */
#define BRANCH(bytes, new_sp, condition, write, value)                                                                 \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            PREDICT(1);                                                                                                \
            write;                                                                                                     \
            RETIRE(r->beam | (uint64_t)BEAM_TAKEN << BEAM_FLAGS_LOW, value, 0);                                        \
            ENTER(r + (int32_t)r->immediate, new_sp);                                                                  \
        }                                                                                                              \
        PREDICT(0);                                                                                                    \
        write;                                                                                                         \
        RETIRE(r->beam, value, 0);                                                                                     \
        NEXT(bytes, new_sp, value);                                                                                    \
    } while (0)

/* Declares `place`, the extent, and `index`, the aligned access in it in units of its size. `sum` is the pointer with
 * all that is added to it; that its carries reach the window bits does no harm, it is then beyond every extent. */
#define REACH(kind, size_log2, sum)                                                                                    \
    window_path *const path = &m->paths[a >> POINTER_DISPLACEMENT_BITS];                                               \
    const extent *const place = &path->kind;                                                                           \
    const uint32_t index = ROTATE_RIGHT((sum)-place->low, size_log2);                                                  \
    if (UNLIKELY(index >= place->span[size_log2])) {                                                                   \
        m->moving = path;                                                                                              \
        GO(beyond_##kind, r, locals, sp, t, index);                                                                    \
    }
#define PLACE(size_log2) (place->origin + ((size_t)index << (size_log2)))
#define PLACE_ADDRESS(size_log2) (place->address + (index << (size_log2)))

#define NOP(bytes)                                                                                                     \
    LABELS(0);                                                                                                         \
    RETIRE(r->beam, 0, 0);                                                                                             \
    NEXT(bytes, sp, 0)

#if VAC_LABELLED_BODY
#define SWAP_LABELS                                                                                                    \
    const uint16_t above = LABEL_AT(sp - 1);                                                                           \
    LABEL_AT(sp - 1) = LABEL_AT(sp - 2);                                                                               \
    LABEL_AT(sp - 2) = above;                                                                                          \
    LABELS(LABEL_AT(sp - 1))
#else
#define SWAP_LABELS (void)0
#endif

#define SWAP(bytes)                                                                                                    \
    const uint32_t top = sp[-2];                                                                                       \
    sp[-2] = sp[-1];                                                                                                   \
    sp[-1] = top;                                                                                                      \
    SWAP_LABELS;                                                                                                       \
    RETIRE(r->beam, top, 0);                                                                                           \
    NEXT(bytes, sp, 0)

#define JUMP(bytes)                                                                                                    \
    LABELS(0);                                                                                                         \
    RETIRE(r->beam, 0, 0);                                                                                             \
    ENTER(r + (int32_t)r->immediate, sp)

/* Link and frame; `frame` locals. */
#define PUSH_FRAME(bytes, frame)                                                                                       \
    const uint32_t size = 255 - m->frame_complement;                                                                   \
    if (UNLIKELY(locals + size + 1 + (frame) > m->cells + VAC_STACK_RAM_CELLS))                                        \
        STEP;                                                                                                          \
    const uint32_t link = size << CODE_ADDRESS_BITS | (((uint32_t)r->beam + (bytes)) & CODE_MASK);                     \
    locals += size;                                                                                                    \
    LABELS(0);                                                                                                         \
    CLEAR_LABEL(locals);                                                                                               \
    *locals++ = link;                                                                                                  \
    m->frame_complement = 255 - (frame);

#define CALL(bytes)                                                                                                    \
    PUSH_FRAME(bytes, (uint32_t)r->a)                                                                                  \
    RETIRE(r->beam, link, 0);                                                                                          \
    ENTER(r + (int32_t)r->immediate, sp)

#define RETURN(bytes)                                                                                                  \
    if (UNLIKELY(locals == m->cells + VAC_DATA_STACK_CELLS))                                                           \
        STEP;                                                                                                          \
    const uint32_t link = locals[-1];                                                                                  \
    const uint32_t size = link >> CODE_ADDRESS_BITS;                                                                   \
    if (UNLIKELY((link & CODE_MASK) >= m->code_length))                                                                \
        STEP;                                                                                                          \
    LABELS(0);                                                                                                         \
    locals -= 1 + size;                                                                                                \
    m->frame_complement = 255 - size;                                                                                  \
    RETIRE(r->beam, link, 0);                                                                                          \
    ENTER(m->code + (link & CODE_MASK), sp)

/* Entry `a` of the function table, when it leads to code. */
#define TABLE_ENTRY                                                                                                    \
    const window_limits *const limits = &m->limits[TABLE_WINDOW];                                                      \
    if (UNLIKELY(a >= limits->read_length >> 2))                                                                       \
        STEP;                                                                                                          \
    const uint32_t address = limits->base + a * 4;                                                                     \
    if (UNLIKELY(!(limits->flags[address >> LEAF_SHIFT] & LEAF_RESIDENT)))                                             \
        STEP;                                                                                                          \
    uint32_t cell;                                                                                                     \
    memcpy(&cell, limits->start + a * 4, 4);                                                                           \
    if (UNLIKELY((cell & CODE_MASK) >= m->code_length))                                                                \
        STEP;

#define TABLE_JUMP(bytes)                                                                                              \
    TABLE_ENTRY                                                                                                        \
    LABELS(0);                                                                                                         \
    RETIRE(r->beam, cell, address);                                                                                     \
    ENTER(m->code + (cell & CODE_MASK), sp - 1)

#define TABLE_CALL(bytes)                                                                                              \
    TABLE_ENTRY                                                                                                        \
    PUSH_FRAME(bytes, cell >> CODE_ADDRESS_BITS)                                                                       \
    RETIRE(r->beam, link, address);                                                                                    \
    ENTER(m->code + (cell & CODE_MASK), sp - 1)

/* Counts of the SQI belong to the epoch that is open. */
#define IN_EPOCH                                                                                                       \
    if (UNLIKELY(t >= m->epoch_progress))                                                                              \
        FOLD;

#define EMIT(bytes)                                                                                                    \
    IN_EPOCH                                                                                                           \
    sqi_emit(m, a);                                                                                                    \
    RETIRE(r->beam, a, 0);                                                                                             \
    NEXT(bytes, sp - 1, 0)

#define JOIN(bytes, result)                                                                                            \
    RETIRE(r->beam, result, 0);                                                                                        \
    NEXT(bytes, sp - 1, result)

#define MARK(bytes)                                                                                                    \
    LABELS(0);                                                                                                         \
    RETIRE(r->beam, 0, r->immediate);                                                                                  \
    NEXT(bytes, sp, 0)

#define READ_REGISTER(bytes)                                                                                           \
    IN_EPOCH                                                                                                           \
    m->tick = TICK;                                                                                                    \
    m->sp = (uint32_t)(sp - m->cells);                                                                                 \
    const uint32_t v = core_register(m, r->immediate);                                                                 \
    LABELS(0);                                                                                                         \
    *sp = v;                                                                                                           \
    SET_LABEL(sp);                                                                                                     \
    RETIRE(r->beam, v, r->immediate);                                                                                  \
    NEXT(bytes, sp + 1, v)

#define WINDOW_NARROW(bytes)                                                                                           \
    if (UNLIKELY(narrow_window(m, r->a, r->b, a, b)))                                                                  \
        STEP;                                                                                                          \
    RETIRE(r->beam, b, 0);                                                                                             \
    NEXT(bytes, sp - 2, 0)

#define WINDOW_RESTRICT(bytes)                                                                                         \
    const uint32_t kept = restrict_window(m, r->a, r->b);                                                              \
    LABELS(0);                                                                                                         \
    RETIRE(r->beam, kept, 0);                                                                                          \
    NEXT(bytes, sp, 0)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

#include "vac_handlers.h"

/* Executes from a decoded record on, as far as it goes without the exact step. */
static void run(vac_machine *m, const record *r, int interprets)
{
    const handler start = interprets ? enter_interpreter : enter;
    uint32_t *const locals = m->cells + VAC_DATA_STACK_CELLS + m->fp;
    m->frame_complement = 255 - (m->rp - m->fp);
    uint32_t *const sp = m->cells + m->sp;
#if VAC_TRAMPOLINE
    pending = (transfer){start, r, locals, sp, m->progress, 0};
    while (pending.go(m, pending.r, pending.locals, pending.sp, pending.t, pending.last))
        ;
#else
    start(m, r, locals, sp, m->progress, 0);
#endif
}

static const handler HANDLERS[] = {HANDLER_LIST};
const body BODY = {HANDLERS, enter, run};
