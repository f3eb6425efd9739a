/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one line per call, a subsystem prefix first ("apic: ..."), no trailing newline. It
 * begins at the left, also when raw text stands there whose line has not ended. Lines go to every
 * registered sink; those that come before the first sink is registered are kept and replayed to
 * each sink. Callable on every CPU in any state but NMI.
 *
 * The log shares its sinks with the monitor and with the guest that is attached to the machine's
 * console. Nobody waits for a sink: a line for which a sink has no room is left out there, and the
 * sink gets a line that says how many were. The guest is to stop before that: the last three
 * quarters of a sink's room are the monitor's and the log's.
 *
 * Marks tell a program who speaks (marks=on). Then a sink gets LOG_MARK_UMBRA in front of what
 * Umbra says, and LOG_MARK_GUEST in front of what a guest says, whenever the speaker changes. The
 * marks and LOG_MARK_ESCAPE among the guest's bytes become LOG_MARK_ESCAPE and the byte
 * exclusive-or LOG_MARK_FLIP. So a guest can neither make Umbra's mark nor end its own part.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/bits.h"
#include "lib/list.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_MARK_UMBRA  0x1e /* ASCII's record separator ... */
#define LOG_MARK_GUEST  0x1f /* ... unit separator ... */
#define LOG_MARK_ESCAPE 0x10 /* ... and data link escape */
#define LOG_MARK_FLIP   0x40

/* Bytes for which an empty sink has room, and how many may wait in it before a guest is to stop. */
#define LOG_SINK_ROOM     16384u
#define LOG_GUEST_PENDING 1024u

enum log_speaker { LOG_NOBODY, LOG_UMBRA, LOG_GUEST };

/* Where log lines go: a serial port, the screen. `write` gets whole lines with '\n'. */
struct log_sink {
	void (*write)(struct log_sink *sink, const char *text, size_t len);
	/* Bytes that wait, of LOG_SINK_ROOM; "\n" counts twice. NULL: none ever waits. */
	size_t (*pending)(struct log_sink *sink);
	bool takes_marks; /* const */
	struct list link;
	enum log_speaker speaker; /* log's lock; who spoke last */
	bool is_mid_line;         /* log's lock; what it got last has no end yet */
	unsigned lost;            /* log's lock; lines left out, and not told yet */
};

/* Print lines of this level and the more urgent ones; LOG_INFO until told otherwise. */
void log_set_level(enum log_level level);
void log_add_sink(struct log_sink *sink);
void log_line(enum log_level level, const char *fmt, ...) __printf_fmt(2, 3);

/* With marks? Before the first sink is there. */
void log_set_marks(bool on);

/*
 * Hand text to every sink as it is, without a level: what the monitor says there. It has looked
 * whether there is room.
 */
void log_write_raw(const char *text, size_t len);

/*
 * The same for what a guest says. Whole, or false if more than `max_pending` bytes would wait then
 * in a sink.
 */
bool log_write_guest(const char *text, size_t len, size_t max_pending);

/* How many bytes wait in the sink with the most. */
size_t log_pending(void);

/* Say what was left out, to each sink that has room again: from time to time. */
void log_tell_lost(void);

/* From now on take no lock: for panic(), when the holder may have been stopped. */
void log_break_lock(void);

/*
 * The same for a line that a guest can cause: LOG_RATE_BURST lines from one place, then only
 * one at each power of two, with a count of what was left out.
 */
#define LOG_RATE_BURST 10
struct log_rate {
	_Atomic uint32_t count;
};
void log_line_rated(struct log_rate *rate, enum log_level level, const char *fmt, ...)
	__printf_fmt(3, 4);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_guest(level, ...)                                                                      \
	do {                                                                                       \
		static struct log_rate rate_;                                                      \
		log_line_rated(&rate_, level, __VA_ARGS__);                                        \
	} while (0)

#endif
