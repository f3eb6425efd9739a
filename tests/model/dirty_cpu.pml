/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty_cpu.pml */
/*
 * The dirty log where the CPU notes the pages whose dirty bits it sets (P8 of docs/mmu.md). Each CPU
 * caches that the bit is set, and keeps its note until it leaves guest mode. It leaves when it is
 * asked to, between any two steps; a write is one step behind the look at the bit, and starts over
 * if the CPU has left in between. A collector starts the log and copies all there is, and then
 * copies again what is reported.
 *
 * Checked: after the last collection, for which the writers' writes are over but nobody has
 * left guest mode for it, the copy equals the page.
 * FLUSH 0: CPUs that leave keep what they have cached. GATHER 0: nobody is asked to leave before the
 * notes are taken. EARLY 0: the CPUs begin to note when the dirty bit has been cleared.
 */
#ifndef FLUSH
#define FLUSH 1
#endif
#ifndef GATHER
#define GATHER 1
#endif
#ifndef EARLY
#define EARLY 1
#endif

#define CPUS   2
#define WRITES 3

byte page, copy;
bool dirty;		/* D */
bool reported;		/* the bit in the slot's log */
bool logs;		/* CPUs that come back into guest mode note what they make dirty */
bool asked[CPUS];	/* to leave guest mode ... */
bool flush[CPUS];	/* ... and to forget */
byte running = CPUS;

proctype cpu(byte me)
{
	byte n;
	bool cached, note, notes;

end:	do
	:: asked[me] ->
		atomic {
			reported = reported || note;
			note = false;
			cached = cached && !(flush[me] && FLUSH);
			flush[me] = false;
			notes = logs;
			asked[me] = false
		}
	:: n < WRITES && !cached ->
		atomic {
			note = note || (notes && !dirty);
			dirty = true;
			cached = true
		}
	:: n < WRITES && cached ->
		atomic {
			page++;
			n++;
			if
			:: n == WRITES -> running--
			:: else
			fi
		}
	od
}

inline ask(forget)
{
	atomic {
		asked[0] = true; flush[0] = flush[0] || forget;
		asked[1] = true; flush[1] = flush[1] || forget
	}
	!asked[0];
	!asked[1]
}

inline collect()
{
	if
	:: GATHER -> ask(false)
	:: !GATHER
	fi;
	atomic { was_reported = reported; reported = false };
	if
	:: was_reported ->
		dirty = false;
		ask(true);
		copy = page
	:: else
	fi
}

active proctype collector()
{
	bool was_reported;

	run cpu(0);
	run cpu(1);
	if
	:: EARLY -> logs = true; ask(false)
	:: !EARLY
	fi;
	dirty = false;
	ask(true);
	if
	:: EARLY
	:: !EARLY -> logs = true; ask(false)
	fi;
	copy = page;
	do
	:: running == 0 -> break
	:: collect()
	od;
	collect();
	assert(copy == page)
}
