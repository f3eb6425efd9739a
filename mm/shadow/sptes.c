/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets of entries. Nearly all have one element, which needs no memory of its own. The others are
 * chains whose first chunk is the only one with room, so that adding is constant; the last entry of
 * the first chunk takes the place of one that is removed.
 */
#include "mm/shadow/internal.h"

static struct spte_chunk *chunks_of(const struct sptes *set)
{
	return set->word & 1 ? (struct spte_chunk *)(set->word & ~(uintptr_t)1) : NULL;
}

static void set_chunk(struct sptes *set, struct spte_chunk *c)
{
	set->word = (uintptr_t)c | 1;
}

void sptes_add(struct sptes *set, spte_t *e, struct obj_reserve *reserve)
{
	struct spte_chunk *c = chunks_of(set), *first;

	if (!set->word) {
		set->word = (uintptr_t)e;
		return;
	}
	if (c && c->nr < CHUNK_SPTES) {
		c->e[c->nr++] = e;
		return;
	}
	first = obj_reserve_alloc(reserve);
	if (!c)
		first->e[first->nr++] = (spte_t *)set->word;
	first->next = c;
	first->e[first->nr++] = e;
	set_chunk(set, first);
}

static void drop_first(struct shadow *s, struct sptes *set, struct spte_chunk *first)
{
	if (first->next)
		set_chunk(set, first->next);
	else
		set->word = 0;
	obj_free(&s->chunk_cache, first);
}

static spte_t **find(const struct sptes *set, const spte_t *e)
{
	for (struct spte_chunk *c = chunks_of(set); c; c = c->next) {
		for (unsigned i = 0; i < c->nr; i++) {
			if (c->e[i] == e)
				return &c->e[i];
		}
	}
	return NULL;
}

void sptes_remove(struct shadow *s, struct sptes *set, spte_t *e)
{
	struct spte_chunk *first = chunks_of(set);
	spte_t **at;

	if (!first) {
		HV_BUG_ON(set->word != (uintptr_t)e);
		set->word = 0;
		return;
	}
	at = find(set, e);
	HV_BUG_ON(!at);
	*at = first->e[--first->nr];
	if (!first->nr)
		drop_first(s, set, first);
}

bool sptes_has(const struct sptes *set, const spte_t *e)
{
	return chunks_of(set) ? find(set, e) != NULL : set->word == (uintptr_t)e;
}

spte_t *sptes_first(const struct sptes *set, struct sptes_cursor *c)
{
	c->chunk = chunks_of(set);
	c->i = 0;
	return c->chunk ? c->chunk->e[0] : (spte_t *)set->word;
}

spte_t *sptes_next(struct sptes_cursor *c)
{
	if (!c->chunk)
		return NULL;
	if (++c->i == c->chunk->nr) {
		c->chunk = c->chunk->next;
		c->i = 0;
	}
	return c->chunk ? c->chunk->e[c->i] : NULL;
}
