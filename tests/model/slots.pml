/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/slots.pml */
/*
 * The publication of memory slots (mm/slots.h). One slot comes and goes while CPUs fault on it.
 * A fault that finds no slot caches that fact, stamped with the generation; one that finds the
 * slot installs a translation. To be as hostile as can be, a CPU may load the published pointer
 * anew for each thing it wants to know.
 *
 * Checked: when a creation is complete, no cached fact denies it; when the frames of a deleted
 * slot are freed, no translation leads to them, and none is made after that.
 * BUMP 0: the new copy carries the final generation from the start, with no second step.
 * WITHDRAW 0: the slot is removed at once, not first published as invalid and drained.
 */
#ifndef BUMP
#define BUMP 1
#endif
#ifndef WITHDRAW
#define WITHDRAW 1
#endif

#define CPUS	  2
#define IN_PROGRESS 128
#define CHANGES	  4

mtype = { ABSENT, PRESENT, INVALID };

mtype slot[2] = ABSENT;		/* the one slot, in each copy */
byte generation[2];		/* of each copy */
byte published;			/* index of the copy */
bool inside[CPUS];		/* in a section */

bool cached;			/* "there is no slot", */
byte stamp;			/* as of this generation */
bool mapped;			/* a translation is installed */
bool freed = true;		/* the slot has no frames */
bool created;			/* slots_create() has returned, slots_delete() not begun */

inline begin_section(me)
{
	atomic { inside[me] = true; was_created = created }
}

inline fault(me)
{
	seen = slot[published];
	if
	:: seen == ABSENT ->
		gen = generation[published];	/* perhaps of another copy than `seen` */
		atomic { cached = true; stamp = gen & 127 }
	:: seen == PRESENT ->
		atomic { assert(!freed); mapped = true }
	:: seen == INVALID			/* retry later */
	fi
}

/* Is the cached fact believed? Then the slot must not have been there all the time. */
inline use_cache(me)
{
	gen = generation[published];
	atomic {
		if
		:: cached && !(gen & IN_PROGRESS) && stamp == gen -> assert(!was_created)
		:: else
		fi
	}
}

proctype cpu(byte me)
{
	mtype seen;
	byte gen;
	bool was_created;

end:	do
	:: begin_section(me);
		if
		:: fault(me)
		:: use_cache(me)
		fi;
		inside[me] = false
	od
}

/* Each CPU is seen outside of a section once: a grace period. */
inline wait_for_grace_period()
{
	i = 0;
	do
	:: i == CPUS -> break
	:: else -> !inside[i]; i++
	od
}

inline publish(what)
{
	other = 1 - published;
	gen = generation[published];
	slot[other] = what;
	if
	:: BUMP -> generation[other] = gen | IN_PROGRESS
	:: else -> generation[other] = (gen & 127) + 1
	fi;
	published = other;
	wait_for_grace_period()
}

inline finish()
{
	if
	:: BUMP -> generation[published] = (generation[published] & 127) + 1
	:: else
	fi
}

inline create()
{
	freed = false;
	publish(PRESENT);
	finish();
	created = true
}

inline delete()
{
	created = false;
	if
	:: WITHDRAW -> publish(INVALID)
	:: else
	fi;
	mapped = false;				/* the engine drops it and flushes */
	publish(ABSENT);
	finish();
	atomic { assert(!mapped); freed = true }
}

active proctype updater()
{
	byte i, other, gen, n;

	run cpu(0);
	run cpu(1);
	do
	:: n == CHANGES -> break
	:: else -> create(); delete(); n++
	od
}
