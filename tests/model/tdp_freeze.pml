/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_freeze.pml */
/*
 * Removal of a part of the two-dimensional tables while vCPUs fault on it and hardware walks it
 * (ept/unmap.c, ept/fault.c). One entry `upper` leads to a table of one entry `lower`, which leads
 * to a frame; table pages are taken from a pool and used again.
 *
 * A vCPU is in guest mode, where hardware walks from `upper`, or from a table it has cached, or
 * uses a cached translation; or it is in the hypervisor, where it handles a fault in steps. The
 * remover goes through the steps of ept/unmap.c, twice.
 *
 * Checked: nobody, software or hardware, looks into a page that was freed; nothing is installed in
 * a table after its entries were taken out, to be lost with it; nothing is linked where running
 * hardware still has something else; when a removal is done, nobody in guest mode uses a
 * translation from before it.
 * FLUSH 0: no flush. GRACE 0: no grace period. FREEZE_CHILD 0: the entries of the unlinked table
 * become empty, not frozen. FREEZE 0: the entry itself becomes empty at once, before the flush.
 */
#ifndef FLUSH
#define FLUSH 1
#endif
#ifndef GRACE
#define GRACE 1
#endif
#ifndef FREEZE_CHILD
#define FREEZE_CHILD 1
#endif
#ifndef FREEZE
#define FREEZE 1
#endif

#define VCPUS	2
#define PAGES	3	/* of the pool; a page number, or: */
#define EMPTY	254
#define FROZEN	255
#define MAPPED	100	/* + the remover's round in which the leaf was made */
#define NONE	200

byte upper = EMPTY;	/* EMPTY, FROZEN or a page of the pool */
byte lower[PAGES];	/* EMPTY, FROZEN or MAPPED + round */
bool used[PAGES];	/* allocated; else its content is anybody's */
byte round;		/* removals begun */
byte done_round;	/* removals completed */

bool in_guest[VCPUS];
bool flush_request[VCPUS];
bool inside[VCPUS];	/* in the hypervisor: a reader of grace periods */
byte tlb[VCPUS];	/* NONE, or a cached leaf */
byte psc[VCPUS];	/* NONE, or a cached table */

inline alloc(p)
{
	atomic {
		p = 0;
		do
		:: p < PAGES && used[p] -> p++
		:: else -> break
		od;
		if
		:: p < PAGES -> used[p] = true; lower[p] = EMPTY
		:: else -> p = NONE
		fi
	}
}

/* Hardware: any cached thing may be used, or not; what is found may be cached. */
inline guest_step(me)
{
	if
	:: tlb[me] != NONE -> assert(tlb[me] - MAPPED >= done_round)
	:: psc[me] != NONE ->
		atomic {
			assert(used[psc[me]]);
			if
			:: lower[psc[me]] >= MAPPED && lower[psc[me]] < NONE -> tlb[me] = lower[psc[me]]
			:: else -> fault = true
			fi
		}
	:: atomic {
			if
			:: upper < PAGES -> psc[me] = upper
			:: else -> fault = true
			fi
		}
	fi
}

/* Software: each look and each compare-and-swap is a step of its own. */
inline handle_fault(me)
{
	seen = upper;
	if
	:: seen == EMPTY ->
		alloc(page);
		if
		:: page == NONE			/* retry */
		:: else ->
			atomic {
				if
				:: upper == EMPTY ->
					assert(inside[0] || psc[0] == NONE || psc[0] == page);
					assert(inside[1] || psc[1] == NONE || psc[1] == page);
					upper = page
				:: else -> used[page] = false
				fi
			}
		fi
	:: seen == FROZEN			/* retry */
	:: else ->
		page = seen;
		atomic { assert(used[page]); entry = lower[page] }
		if
		:: entry == EMPTY ->
			atomic {
				assert(used[page]);
				if
				:: lower[page] == EMPTY -> lower[page] = MAPPED + round
				:: else
				fi
			}
		:: else
		fi
	fi
}

proctype vcpu(byte me)
{
	byte seen, page, entry;
	bool fault;

end:	do
	:: atomic { inside[me] = true; in_guest[me] = false };
		atomic {
			if
			:: flush_request[me] -> flush_request[me] = false; tlb[me] = NONE; psc[me] = NONE
			:: else
			fi
		};
		if
		:: fault -> handle_fault(me); fault = false
		:: true
		fi;
		page = 0; seen = 0; entry = 0;
		in_guest[me] = true;
		if
		:: flush_request[me]		/* not entered: around again */
		:: else ->
			inside[me] = false;
			do
			:: !fault && !flush_request[me] -> guest_step(me)
			:: break
			od
		fi
	od
}

inline flush()
{
	i = 0;
	do
	:: i == VCPUS -> break
	:: else -> flush_request[i] = true; i++
	od;
	i = 0;
	do
	:: i == VCPUS -> break
	:: else -> !in_guest[i] || !flush_request[i]; i++
	od
}

inline wait_for_grace_period()
{
	i = 0;
	do
	:: i == VCPUS -> break
	:: else -> !inside[i]; i++
	od
}

inline remove()
{
	round++;
	atomic {
		old = upper;
		if
		:: old >= PAGES
		:: else -> upper = (FREEZE -> FROZEN : EMPTY)
		fi
	};
	if
	:: old >= PAGES
	:: else ->
		lower[old] = (FREEZE_CHILD -> FROZEN : EMPTY);
		if
		:: FLUSH -> flush()
		:: else
		fi;
		atomic {
			if
			:: upper == FROZEN -> upper = EMPTY
			:: else
			fi
		};
		if
		:: GRACE -> wait_for_grace_period()
		:: else
		fi;
		atomic {
			assert(lower[old] == EMPTY || lower[old] == FROZEN);
			used[old] = false;
			lower[old] = NONE
		}
	fi;
	done_round = round
}

active proctype remover()
{
	byte old, i;

	atomic {
		tlb[0] = NONE; tlb[1] = NONE; psc[0] = NONE; psc[1] = NONE;
		run vcpu(0);
		run vcpu(1)
	};
	remove();
	remove()
}
