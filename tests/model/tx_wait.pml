/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tx_wait.pml */
/*
 * A guest's UART that waits for room in a ring (vmm/console.h). The guest sends bytes and goes on
 * only when its UART has none left. The ring is emptied by the boot CPU, and now and then by another
 * CPU that polls. The boot CPU's timer runs while bytes wait or a guest does; it is started by the
 * first byte that waits (`watched`). The ring's lock makes each of its operations one step; the
 * device lock is a lock.
 *
 * Checked: nobody waits for ever (no invalid end state), and all bytes come out.
 * RECHECK 0: who finds the ring full says that it waits, and does not try again.
 * CLEAR_FIRST 0: the boot CPU takes any_waits back behind its look, not in front of it.
 */
#ifndef RECHECK
#define RECHECK 1
#endif
#ifndef CLEAR_FIRST
#define CLEAR_FIRST 1
#endif

#define ROOM  2	/* of the ring */
#define GO_ON 1
#define BYTES 5

byte pending, out;	/* bytes in the ring, and behind it */
bool watched;		/* the boot CPU was woken for this ring */
bool waits, any_waits;
byte kept;		/* bytes in the UART */
bool device_lock;
bool done;

inline lock()
{
	atomic { !device_lock -> device_lock = true }
}

inline unlock()
{
	device_lock = false
}

/* tx_put() */
inline try_put()
{
	atomic {
		if
		:: pending < ROOM -> pending++; watched = true; fits = true
		:: else -> fits = false
		fi
	}
}

/* put_byte() of vmm/console.c, the device lock held */
inline put_byte()
{
	try_put();
	if
	:: fits
	:: else ->
		waits = true;
		any_waits = true;
#if RECHECK
		try_put()
#endif
	fi
}

active proctype guest()
{
	bool fits;
	byte sent = 0;

	do
	:: sent < BYTES ->
		kept == 0;	/* THRE */
		lock();
		put_byte();
		if
		:: fits
		:: else -> kept++
		fi;
		unlock();
		sent++
	:: else -> break
	od;
	kept == 0;
	done = true
}

/* uart_transmit() */
inline transmit()
{
	lock();
	if
	:: kept -> put_byte();
		if
		:: fits -> kept--
		:: else
		fi
	:: else
	fi;
	unlock()
}

inline wake_waiting()
{
#if CLEAR_FIRST
	atomic { seen = any_waits; any_waits = false };
#else
	seen = any_waits;
#endif
	if
	:: seen && waits ->
		if
		:: pending <= GO_ON -> waits = false; transmit();
#if !CLEAR_FIRST
			any_waits = false
#endif
		:: else -> any_waits = true
		fi
	:: else
	fi
}

active proctype boot_cpu()
{
	bool fits, seen, armed = false;

end:	do
	:: armed || watched ->
		atomic {
			if
			:: pending -> pending--; out++
			:: else
			fi;
			watched = pending > 0;
			armed = pending > 0
		};
		wake_waiting();
		armed = armed || any_waits
	:: done && !pending && !armed && !watched -> break
	od;
	assert(out == BYTES && !kept)
}

/* It finds the ring full, and moves some of it itself. */
active proctype other_cpu()
{
end:	do
	:: atomic { pending == ROOM -> pending--; out++ }
	:: done -> break
	od
}
