/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log. A line is formatted on the caller's stack and handed to each sink under one lock, so
 * lines of several CPUs never mix. The first lines are kept, so that a sink which comes late (the
 * screen needs page tables) shows the start of the story as well.
 */
#include "lib/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/spinlock.h"

#define LINE_MAX_LEN 256
#define EARLY_LEN    6144

static struct spinlock log_lock = SPINLOCK_INIT;
static struct list sinks = LIST_INIT(sinks); /* log_lock */
static char early[EARLY_LEN];                /* log_lock */
static size_t early_len;                     /* log_lock */
static unsigned early_lost;                  /* log_lock */
static bool is_mid_line; /* log_lock; what was handed over last has no end yet */
static _Atomic int log_level = LOG_INFO;
static _Atomic bool log_unlocked; /* one CPU is left, and may have stopped a holder */

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

void log_break_lock(void)
{
	atomic_store_explicit(&log_unlocked, true, memory_order_relaxed);
}

static bool lock(void) __acquires(&log_lock)
{
	if (atomic_load_explicit(&log_unlocked, memory_order_relaxed)) {
		__acquire(&log_lock);
		return false;
	}
	spin_lock(&log_lock);
	return true;
}

static void unlock(bool locked) __releases(&log_lock)
{
	if (locked)
		spin_unlock(&log_lock);
	else
		__release(&log_lock);
}

static void keep_early(const char *text, size_t len)
{
	if (len > sizeof(early) - early_len) {
		early_lost++;
		return;
	}
	memcpy(early + early_len, text, len);
	early_len += len;
}

static void emit(const char *text, size_t len)
{
	struct log_sink *sink;

	keep_early(text, len);
	list_for_each (sink, &sinks, link)
		sink->write(sink, text, len);
	is_mid_line = text[len - 1] != '\n';
}

static void replay_early(struct log_sink *sink)
{
	char text[64];
	int n;

	sink->write(sink, early, early_len);
	if (!early_lost)
		return;
	n = snprintf(text, sizeof(text), "log: %u lines left out here\n", early_lost);
	sink->write(sink, text, (size_t)n);
}

void log_add_sink(struct log_sink *sink)
{
	bool locked = lock();

	/* Every sink gets the start of the story, not only the first. */
	replay_early(sink);
	list_add_tail(&sink->link, &sinks);
	unlock(locked);
}

__printf_fmt(2, 0) static void log_args(enum log_level level, const char *fmt, va_list args)
{
	char line[LINE_MAX_LEN];
	bool locked;
	int n;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	n = vsnprintf(line, sizeof(line) - 1, fmt, args);
	if (n < 0)
		return;
	n = min(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	locked = lock();
	/* Behind a prompt or half a line of a guest's, nobody would find it. */
	if (is_mid_line)
		emit("\n", 1);
	emit(line, (size_t)n);
	unlock(locked);
}

void log_write_raw(const char *text, size_t len)
{
	bool locked = lock();

	if (len)
		emit(text, len);
	unlock(locked);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_args(level, fmt, args);
	va_end(args);
}

void log_line_rated(struct log_rate *rate, enum log_level level, const char *fmt, ...)
{
	uint32_t n = atomic_fetch_add_explicit(&rate->count, 1, memory_order_relaxed);
	char text[LINE_MAX_LEN];
	va_list args;

	/* Report again at every power of two, so that a flood stays visible and short. */
	if (n >= LOG_RATE_BURST && (n & (n - 1)))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < LOG_RATE_BURST)
		log_line(level, "%s", text);
	else
		log_line(level, "%s (%u such lines left out)", text, n - LOG_RATE_BURST);
}
