/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to shadowed tables that Umbra itself makes: of emulated instructions, of device models, of
 * the walker that sets accessed and dirty bits. They are told after they were made; what was made
 * of the entries that they touch is dropped if it does not follow from them any more. So any size
 * and alignment is the same, and two halves of an entry are two writes.
 *
 * A page that is written again and again without a fault that uses it is not a table any more, most
 * probably: the guest fills the frame with something else, at the price of an emulated instruction
 * for each write. Such a page is zapped.
 */
#include "mm/shadow/internal.h"

#define FLOOD 3

/* The entries of the page that the guest's entries [first, last] of its table are behind. */
static void entries_of(const struct shadow_page *sp, unsigned *first, unsigned *end)
{
	unsigned begin = 0, scale = 1;

	if (sp->role.has_4_byte_gpte) {
		scale = sp->role.level == 1 ? 1 : 2;
		begin = sp->role.quadrant * SPTE_ENTRIES / scale;
	}
	*first = *first > begin ? min((*first - begin) * scale, (unsigned)SPTE_ENTRIES) : 0;
	*end = *end > begin ? min((*end - begin) * scale, (unsigned)SPTE_ENTRIES) : 0;
}

static void wrote_to(struct shadow *s, struct shadow_page *sp, unsigned offset, uint64_t len)
{
	unsigned size = sp->role.has_4_byte_gpte ? 4 : 8;
	unsigned first = offset / size, end = (unsigned)DIV_ROUND_UP(offset + len, size);
	bool changed = false;

	entries_of(sp, &first, &end);
	for (; first < end; first++)
		changed |= shadow_sync_entry(s, sp, first);
	if (changed && ++sp->writes >= FLOOD)
		shadow_zap(s, sp);
}

void shadow_wrote(struct slot_watch *w, const struct memslot *slot, gpa_t gpa, uint64_t len)
{
	struct shadow *s = container_of(w, struct shadow_slot, watch)->s;
	gfn_t gfn = gpa_to_gfn(gpa);
	struct shadow_page *sp, *next;

	shadow_lock(s);
	list_for_each_safe (sp, next, shadow_bucket(s, gfn), hash) {
		if (shadow_is_of_table(s, sp, gfn))
			wrote_to(s, sp, gpa.v % PAGE_SIZE, len);
	}
	shadow_unlock(s);
}

/* A guest whose tables are needed to execute the very write comes here again at once. */
#define MAX_ZAPS 4

bool shadow_unprotect(struct shadow_vcpu *sv, gpa_t gpa, uint64_t rip)
{
	struct shadow *s = sv->s;

	sv->zaps = sv->zap_rip == rip ? sv->zaps + 1 : 0;
	sv->zap_rip = rip;
	if (sv->zaps >= MAX_ZAPS)
		return false;
	shadow_lock(s);
	shadow_zap_table(s, gpa_to_gfn(gpa));
	shadow_unlock(s);
	return true;
}
