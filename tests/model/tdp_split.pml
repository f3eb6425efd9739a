/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_split.pml */
/*
 * Faults on the way down to one page, with large pages on it, as a dirty log begins and parts are
 * taken away (walk() in ept/fault.c, ept/protect.c, ept/unmap.c). e[l] is the entry on the way on level l; a
 * table has no other. That removed tables are used again is not modelled: tdp_freeze.pml.
 *
 * A handler has the slot with or without the log, as it was when it began; without it, it wants the
 * largest page. Who holds slots_lock publishes the log, waits for a grace period, protects what is there, and
 * then removes and thaws leaves of level 2 and 1.
 *
 * Checked: once the log has begun, no large page is writable; a handler needs no more tables than
 * its reserve has.
 * DECIDE 0: where an entry that came out of a split leads is decided before the look at it.
 * GIVE_BACK 0: a table that could not be linked does not go back to the reserve.
 */
#ifndef DECIDE
#define DECIDE 1
#endif
#ifndef GIVE_BACK
#define GIVE_BACK 1
#endif

#define HANDLERS 2
#define FAULTS   2
#define RESERVE  3
#define TOP      4

#define EMPTY     0
#define FROZEN    1
#define PROTECTED 2	/* a leaf without W */
#define WRITABLE  3	/* a leaf with W */
#define TABLE     4

#define is_leaf(x) (x == PROTECTED || x == WRITABLE)

byte e[TOP + 1];
bool log_is_published;
bool log_has_begun;
bool inside[HANDLERS];	/* a reader of grace periods ... */
bool logged[HANDLERS];	/* ... that found the log */

/* Each look at an entry is a step. */
inline descend()
{
	do
	:: seen == TABLE -> level--; seen = e[level]
	:: else -> break
	od
}

/* Tables are filled before they are linked. */
inline link(is_as_seen, content)
{
	assert(reserve > 0);
	reserve--;
	atomic {
		if
		:: is_as_seen -> e[level - 1] = content; e[level] = TABLE; seen = TABLE
		:: else ->
			seen = e[level];
			if
			:: GIVE_BACK -> reserve++
			:: else
			fi
		fi
	}
}

inline walk()
{
	level = TOP;
	seen = e[level];
	descend();
	do
	:: level > goal && seen == EMPTY -> link((e[level] == EMPTY), EMPTY); descend()
	:: DECIDE && level > goal && logged[me] && is_leaf(seen) -> link(is_leaf(e[level]), e[level]); descend()
	:: else -> break
	od;
	do
	:: !DECIDE && level > 1 && logged[me] && is_leaf(seen) ->
		link(is_leaf(e[level]), e[level]);
		if
		:: seen != TABLE -> goto out	/* retry */
		:: else
		fi;
		descend()
	:: else -> break
	od
}

proctype handler(byte me)
{
	byte n, level, seen, goal, reserve;

	do
	:: n == FAULTS -> break
	:: else ->
		n++;
		atomic {
			inside[me] = true;
			logged[me] = log_is_published;
			goal = (logged[me] -> 1 : 3);
			reserve = RESERVE
		};
		walk();
		atomic {	/* a write: W is given, or a leaf with it installed */
			if
			:: seen == FROZEN || e[level] != seen
			:: else ->
				e[level] = WRITABLE;
				assert(!log_has_begun || level == 1)
			fi
		};
out:		atomic { inside[me] = false; level = 0; seen = 0; goal = 0; reserve = 0 }
	od
}

/* Without memory a large page stays, protected. */
inline protect()
{
	level = 3;
	if
	:: atomic { is_leaf(e[3]) -> e[2] = e[3]; e[3] = TABLE }
	:: true
	fi;
	do
	:: level == 0 -> break
	:: else ->
		atomic {
			if
			:: e[level] == TABLE -> level--
			:: e[level] == WRITABLE -> e[level] = PROTECTED; level = 0
			:: else -> level = 0
			fi
		}
	od
}

/* A range of 2M, or a page of it. */
inline remove()
{
	level = 0;
	atomic {
		if
		:: is_leaf(e[3]) -> e[2] = e[3]; e[3] = TABLE
		:: else
		fi
	};
	atomic {
		if
		:: e[3] == TABLE && is_leaf(e[2]) -> e[2] = FROZEN; level = 2
		:: e[3] == TABLE && e[2] == TABLE && is_leaf(e[1]) -> e[1] = FROZEN; level = 1
		:: else
		fi
	};
	if
	:: level -> e[level] = EMPTY	/* after the flush */
	:: else
	fi
}

active proctype slots_lock()
{
	byte i, level;

	atomic {
		i = 0;
		do
		:: i == HANDLERS -> break
		:: else -> run handler(i); i++
		od;
		i = 0
	};
	log_is_published = true;
	do
	:: i == HANDLERS -> break
	:: else -> !inside[i] || logged[i]; i++
	od;
	protect();
	log_has_begun = true;
	assert(e[4] != TABLE || e[3] != WRITABLE);
	assert(e[4] != TABLE || e[3] != TABLE || e[2] != WRITABLE);
	remove();
	remove()
}
