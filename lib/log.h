/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one line per call, a subsystem prefix first ("apic: ..."), no trailing newline. It
 * begins at the left, also when raw text stands there whose line has not ended. Lines go to every
 * registered sink; those that come before the first sink is registered are kept and replayed to
 * each sink. Callable on every CPU in any state but NMI.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "lib/bits.h"
#include "lib/list.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Where log lines go: a serial port, the screen. `write` gets whole lines with '\n'. */
struct log_sink {
	void (*write)(struct log_sink *sink, const char *text, size_t len);
	struct list link;
};

/* Print lines of this level and the more urgent ones; LOG_INFO until told otherwise. */
void log_set_level(enum log_level level);
void log_add_sink(struct log_sink *sink);
void log_line(enum log_level level, const char *fmt, ...) __printf_fmt(2, 3);

/* Hand text to every sink as it is, without a level: what guests and the monitor say there. */
void log_write_raw(const char *text, size_t len);

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
