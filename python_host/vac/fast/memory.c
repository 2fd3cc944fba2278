/* Shard slots as stretches of host memory, and the windows onto them. */
#define _GNU_SOURCE
#include "machine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *map_zeroed(size_t bytes)
{
    /* Not reserved: a machine touches little of what it may address. */
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

void unmap(void *start, size_t bytes)
{
    if (start)
        munmap(start, bytes);
}

static void slot_free(slot_memory *slot)
{
    unmap(slot->memory, (size_t)slot->leaves << LEAF_SHIFT);
    free(slot->flags);
    free(slot->labels);
    memset(slot, 0, sizeof *slot);
}

void free_memory(vac_machine *m)
{
    for (uint32_t index = 0; index < SLOTS; index++)
        slot_free(&m->slots[index]);
}

/* Grows a slot until it can hold `leaf`. */
int slot_reserve(vac_machine *m, uint32_t slot, uint32_t leaf)
{
    slot_memory *s = &m->slots[slot];
    if (leaf < s->leaves)
        return VAC_OK;
    uint32_t leaves = s->leaves ? s->leaves : 16;
    while (leaves <= leaf)
        leaves *= 2;
    slot_memory grown = {map_zeroed((size_t)leaves << LEAF_SHIFT), calloc(leaves, 1), calloc(leaves, 2), leaves};
    if (!grown.memory || !grown.flags || !grown.labels) {
        slot_free(&grown);
        return VAC_ERROR_MEMORY;
    }
    for (uint32_t number = 0; number < s->leaves; number++) {
        if (!(s->flags[number] & LEAF_RESIDENT))
            continue;
        const size_t offset = (size_t)number << LEAF_SHIFT;
        memcpy(grown.memory + offset, s->memory + offset, VAC_LEAF_BYTES);
        grown.flags[number] = s->flags[number];
        grown.labels[number] = s->labels[number];
    }
    slot_free(s);
    *s = grown;
    refresh_paths(m);
    return VAC_OK;
}

void refresh_path(vac_machine *m, uint32_t index)
{
    const vac_window *window = &m->windows[index];
    const slot_memory *slot = &m->slots[window->slot];
    window_limits *limits = &m->limits[index];
    const uint64_t capacity = (uint64_t)slot->leaves << LEAF_SHIFT;
    memset(&m->paths[index], 0, sizeof m->paths[index]);
    memset(limits, 0, sizeof *limits);
    if (window->base >= capacity)
        return;
    uint64_t length = capacity - window->base;
    if (length > window->length)
        length = window->length;
    limits->start = slot->memory + window->base;
    limits->flags = slot->flags;
    limits->labels = slot->labels;
    limits->base = (uint32_t)window->base;
    limits->read_length = window->permissions & 1 ? (uint32_t)length : 0;
    limits->write_length = window->permissions & 2 ? (uint32_t)length : 0;
}

enum { EXTENT_LEAVES = 256, PATIENCE = 64 };

/* Sets an extent to the ready leaf of a displacement, now and then with the ready leaves around it. */
static int move_extent(const window_limits *limits, extent *moved, uint32_t index, uint32_t length, uint8_t flag,
                       uint32_t displacement, uint32_t size)
{
    if (displacement % size || (uint64_t)displacement + size > length)
        return 0;
    const uint32_t leaf = (limits->base + displacement) >> LEAF_SHIFT;
    if (!(limits->flags[leaf] & flag))
        return 0;
    uint32_t first = leaf, last = leaf;
    if (--moved->patience < 0) {
        const uint32_t lowest = limits->base >> LEAF_SHIFT;
        const uint32_t highest = (uint32_t)(((uint64_t)limits->base + length - 1) >> LEAF_SHIFT);
        while (first > lowest && leaf - first < EXTENT_LEAVES && (limits->flags[first - 1] & flag))
            first--;
        while (last < highest && last - leaf < EXTENT_LEAVES && (limits->flags[last + 1] & flag))
            last++;
        moved->patience = PATIENCE;
    }
    const int64_t from = ((int64_t)first << LEAF_SHIFT) - limits->base;
    const int64_t to = ((int64_t)(last + 1) << LEAF_SHIFT) - limits->base;
    const uint32_t low = from > 0 ? (uint32_t)from : 0;
    const uint32_t span = (uint32_t)(to < length ? to : length) - low;
    moved->origin = limits->start + low;
    moved->low = (index << POINTER_DISPLACEMENT_BITS) + low;
    moved->address = limits->base + low;
    for (uint32_t size_log2 = 0; size_log2 < 3; size_log2++)
        moved->span[size_log2] = span >> size_log2;
    return 1;
}

int move_read_extent(vac_machine *m, uint32_t index, uint32_t displacement, uint32_t size)
{
    const window_limits *limits = &m->limits[index];
    return move_extent(limits, &m->paths[index].read, index, limits->read_length, LEAF_RESIDENT, displacement, size);
}

int move_write_extent(vac_machine *m, uint32_t index, uint32_t displacement, uint32_t size)
{
    const window_limits *limits = &m->limits[index];
    return move_extent(limits, &m->paths[index].write, index, limits->write_length, LEAF_STORE, displacement, size);
}

static void cut(extent *known, uint32_t leaf)
{
    if (known->span[0] && known->address >> LEAF_SHIFT <= leaf &&
        leaf <= (known->address + known->span[0] - 1) >> LEAF_SHIFT)
        memset(known, 0, sizeof *known);
}

void cut_extents(vac_machine *m, uint32_t slot, uint32_t leaf, int reads)
{
    for (uint32_t index = 0; index < VAC_WINDOWS; index++) {
        if (m->windows[index].slot != slot)
            continue;
        cut(&m->paths[index].write, leaf);
        if (reads)
            cut(&m->paths[index].read, leaf);
    }
}

void refresh_paths(vac_machine *m)
{
    for (uint32_t index = 0; index < VAC_WINDOWS; index++)
        refresh_path(m, index);
}

static int is_resident(const vac_machine *m, uint32_t slot, uint32_t leaf)
{
    return slot < SLOTS && leaf < m->slots[slot].leaves && (m->slots[slot].flags[leaf] & LEAF_RESIDENT);
}

static void leave_code(vac_machine *m, uint32_t slot, uint32_t leaf)
{
    if (slot == CODE_SLOT && (m->slots[slot].flags[leaf] & LEAF_CODE))
        forget_code(m, leaf << LEAF_SHIFT, (leaf << LEAF_SHIFT) + VAC_LEAF_BYTES - 1);
}

int vac_install(vac_machine *m, uint32_t slot, uint32_t leaf, const uint8_t *data, uint16_t labels)
{
    if (slot >= SLOTS || leaf >= 1u << (32 - LEAF_SHIFT))
        return VAC_ERROR_ARGUMENT;
    const int error = slot_reserve(m, slot, leaf);
    if (error)
        return error;
    slot_memory *s = &m->slots[slot];
    if ((s->flags[leaf] & LEAF_CODE) && !memcmp(s->memory + ((size_t)leaf << LEAF_SHIFT), data, VAC_LEAF_BYTES)) {
        s->flags[leaf] |= LEAF_DIRTY; /* what is known of its code still holds */
        s->labels[leaf] = labels;
        return VAC_OK;
    }
    leave_code(m, slot, leaf);
    memcpy(s->memory + ((size_t)leaf << LEAF_SHIFT), data, VAC_LEAF_BYTES);
    s->flags[leaf] = LEAF_RESIDENT | LEAF_DIRTY | LEAF_STORE;
    s->labels[leaf] = labels;
    return VAC_OK;
}

int vac_read_leaf(const vac_machine *m, uint32_t slot, uint32_t leaf, uint8_t *data, uint16_t *labels)
{
    if (!is_resident(m, slot, leaf))
        return VAC_ERROR_NOT_RESIDENT;
    const slot_memory *s = &m->slots[slot];
    memcpy(data, s->memory + ((size_t)leaf << LEAF_SHIFT), VAC_LEAF_BYTES);
    *labels = s->labels[leaf];
    return VAC_OK;
}

int vac_evict(vac_machine *m, uint32_t slot, uint32_t leaf)
{
    if (!is_resident(m, slot, leaf))
        return VAC_ERROR_NOT_RESIDENT;
    leave_code(m, slot, leaf);
    slot_memory *s = &m->slots[slot];
    cut_extents(m, slot, leaf, 1);
    s->flags[leaf] = 0;
    s->labels[leaf] = 0;
    madvise(s->memory + ((size_t)leaf << LEAF_SHIFT), VAC_LEAF_BYTES, MADV_DONTNEED);
    return VAC_OK;
}

int vac_write(vac_machine *m, uint32_t slot, uint64_t offset, const uint8_t *data, size_t length)
{
    /* Byte by byte up to the first leaf that is missing, as the definition does. */
    while (length) {
        const uint64_t leaf = offset >> LEAF_SHIFT;
        if (leaf >= 1u << (32 - LEAF_SHIFT) || !is_resident(m, slot, (uint32_t)leaf))
            return VAC_ERROR_NOT_RESIDENT;
        size_t part = VAC_LEAF_BYTES - (size_t)(offset % VAC_LEAF_BYTES);
        if (part > length)
            part = length;
        slot_memory *s = &m->slots[slot];
        if (slot == CODE_SLOT && (s->flags[leaf] & LEAF_CODE))
            forget_code(m, (uint32_t)offset, (uint32_t)(offset + part - 1));
        s->flags[leaf] |= LEAF_DIRTY;
        memcpy(s->memory + offset, data, part);
        offset += part;
        data += part;
        length -= part;
    }
    return VAC_OK;
}

void vac_clear_memory(vac_machine *m)
{
    forget_all_code(m);
    free_memory(m);
    refresh_paths(m);
}

static size_t list_leaves(const vac_machine *m, uint8_t flag, uint64_t *leaves, size_t capacity)
{
    size_t found = 0;
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        const slot_memory *s = &m->slots[slot];
        for (uint32_t leaf = 0; leaf < s->leaves; leaf++) {
            if (!(s->flags[leaf] & flag))
                continue;
            if (found < capacity)
                leaves[found] = slot << 32 | leaf;
            found++;
        }
    }
    return found;
}

size_t vac_leaves(const vac_machine *m, uint64_t *leaves, size_t capacity)
{
    return list_leaves(m, LEAF_RESIDENT, leaves, capacity);
}

size_t vac_dirty_leaves(const vac_machine *m, uint64_t *leaves, size_t capacity)
{
    return list_leaves(m, LEAF_DIRTY, leaves, capacity);
}

size_t vac_read_dirty(const vac_machine *m, uint64_t *leaves, uint8_t *data, uint16_t *labels, size_t capacity)
{
    const size_t found = list_leaves(m, LEAF_DIRTY, leaves, capacity);
    for (size_t index = 0; index < found && index < capacity; index++) {
        const slot_memory *s = &m->slots[leaves[index] >> 32];
        const uint32_t leaf = (uint32_t)leaves[index];
        memcpy(data + (index << LEAF_SHIFT), s->memory + ((size_t)leaf << LEAF_SHIFT), VAC_LEAF_BYTES);
        labels[index] = s->labels[leaf];
    }
    return found;
}

void vac_clean(vac_machine *m)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        for (uint32_t leaf = 0; leaf < m->slots[slot].leaves; leaf++)
            m->slots[slot].flags[leaf] &= (uint8_t) ~(LEAF_DIRTY | LEAF_STORE);
    refresh_paths(m);
}
