/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a shadow page is for, in one word. Two pages that shadow the same guest frame with the same
 * word map the same: the word has everything from which entries are made, apart from the guest's
 * own entries. So it is compared as a whole, and only in shadow_page_is() (mm/shadow/internal.h).
 *
 *	level		of the page's entries: 1 maps 4K, 2 leads to tables of those, ...
 *	direct		it maps consecutive frames: no guest table is behind it. The guest runs
 *without paging, or has a page larger than those that are installed here
 *	access		LEAF_*: what the guest's entries above this page leave; all levels of the
 *guest say yes to a right, or it is not there, but here only leaves refuse one has_4_byte_gpte the
 *guest's table has 1024 entries of 4 bytes: several pages shadow it quadrant	which part of such a
 *table: of 4 at level 2, of 2 at level 1 pse		CR4.PSE, which decides what PS means in such
 *a table long_mode	4 or 5 levels: bits 62:52 of an entry mean nothing, in PAE they are reserved
 *	efer_nx		bit 63 of an entry forbids execution; else it is reserved
 *	cr0_wp		supervisor mode minds read-only pages; without, leaves have two states
 *(fault.c) smep_andnot_wp	one of these states must not be executed smap_andnot_wp	that state
 *would open a user page to supervisor reads: writes are emulated invalid		zapped, and
 *only kept for a vCPU that runs on it: equal to no word that is asked for
 */
#ifndef MM_SHADOW_ROLE_H
#define MM_SHADOW_ROLE_H

#include <assert.h>

#include "lib/types.h"

union shadow_role {
	uint32_t word;
	struct {
		uint32_t level : 3;
		uint32_t direct : 1;
		uint32_t access : 3;
		uint32_t has_4_byte_gpte : 1;
		uint32_t quadrant : 2;
		uint32_t pse : 1;
		uint32_t long_mode : 1;
		uint32_t efer_nx : 1;
		uint32_t cr0_wp : 1;
		uint32_t smep_andnot_wp : 1;
		uint32_t smap_andnot_wp : 1;
		uint32_t invalid : 1;
	};
};

static_assert(sizeof(union shadow_role) == sizeof(uint32_t), "one word");

#endif
