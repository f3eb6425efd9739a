/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log. A line is formatted on the caller's stack and handed to each sink under one lock, so
 * lines of several CPUs never mix. The first lines are kept, so that a sink which comes late (the
 * screen needs page tables) shows the start of the story as well. A sink takes what it is given
 * without waiting; how that ends when there is too much, and what the marks mean, is in log.h.
 */
#include "lib/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/spinlock.h"

#define LINE_MAX_LEN 256
#define EARLY_LEN    6144
#define MAX_LINE     (2 * LINE_MAX_LEN) /* of a line in a sink, with its marks: it counts as this */
#define ROOM_TO_TELL (LOG_SINK_ROOM / 2)

static struct spinlock log_lock = SPINLOCK_INIT;
static struct list sinks = LIST_INIT(sinks); /* log_lock */
static char early[EARLY_LEN];                /* log_lock */
static size_t early_len;                     /* log_lock */
static unsigned early_lost;                  /* log_lock */
static bool is_marked;                       /* const after log_set_marks() */
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

static void write_char(struct log_sink *sink, char c)
{
	sink->write(sink, &c, 1);
}

static void write_escaped(struct log_sink *sink, char c)
{
	if (c == LOG_MARK_UMBRA || c == LOG_MARK_GUEST || c == LOG_MARK_ESCAPE) {
		write_char(sink, LOG_MARK_ESCAPE);
		c ^= LOG_MARK_FLIP;
	}
	write_char(sink, c);
}

static void write_marked(struct log_sink *sink, enum log_speaker who, const char *text, size_t len)
{
	if (sink->speaker != who)
		write_char(sink, who == LOG_UMBRA ? LOG_MARK_UMBRA : LOG_MARK_GUEST);
	sink->speaker = who;
	if (who == LOG_UMBRA)
		sink->write(sink, text, len);
	else
		while (len--)
			write_escaped(sink, *text++);
}

static void write_text(struct log_sink *sink, enum log_speaker who, const char *text, size_t len)
{
	if (is_marked && sink->takes_marks)
		write_marked(sink, who, text, len);
	else
		sink->write(sink, text, len);
	sink->is_mid_line = text[len - 1] != '\n';
}

static size_t pending(struct log_sink *sink)
{
	return sink->pending ? sink->pending(sink) : 0;
}

/* A line, at the left: behind a prompt or half a line of a guest's, nobody would find it. */
static void write_line(struct log_sink *sink, const char *line, size_t len)
{
	if (sink->is_mid_line)
		write_text(sink, LOG_UMBRA, "\n", 1);
	write_text(sink, LOG_UMBRA, line, len);
}

static void tell_lost(struct log_sink *sink)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "log: %u lines left out here\n", sink->lost);

	sink->lost = 0;
	write_line(sink, text, (size_t)n);
}

/* Is there room for a line? If not, it is lost here. After a loss it begins anew with some room. */
static bool has_room(struct log_sink *sink)
{
	size_t room = LOG_SINK_ROOM - pending(sink);

	if (room < (sink->lost ? ROOM_TO_TELL : MAX_LINE)) {
		sink->lost++;
		return false;
	}
	if (sink->lost)
		tell_lost(sink);
	return true;
}

static void emit_line(const char *line, size_t len)
{
	struct log_sink *sink;

	keep_early(line, len);
	list_for_each (sink, &sinks, link) {
		if (has_room(sink))
			write_line(sink, line, len);
	}
}

static void replay_early(struct log_sink *sink)
{
	char text[64];
	int n;

	if (early_len)
		write_text(sink, LOG_UMBRA, early, early_len);
	if (!early_lost)
		return;
	n = snprintf(text, sizeof(text), "log: %u lines left out here\n", early_lost);
	write_text(sink, LOG_UMBRA, text, (size_t)n);
}

void log_set_marks(bool on)
{
	is_marked = on;
}

void log_add_sink(struct log_sink *sink)
{
	bool locked = lock();

	/* Every sink gets the start of the story, not only the first. */
	replay_early(sink);
	list_add_tail(&sink->link, &sinks);
	unlock(locked);
}

/* One line, whatever words of others it quotes. */
static void make_printable(char *text, int len)
{
	for (int i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '.';
	}
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
	make_printable(line, n);
	line[n++] = '\n';
	locked = lock();
	emit_line(line, (size_t)n);
	unlock(locked);
}

void log_write_raw(const char *text, size_t len)
{
	bool locked = lock();
	struct log_sink *sink;

	list_for_each (sink, &sinks, link) {
		if (len && has_room(sink))
			write_text(sink, LOG_UMBRA, text, len);
	}
	unlock(locked);
}

/* In the fullest sink. */
static size_t most_pending(void)
{
	struct log_sink *sink;
	size_t most = 0;

	list_for_each (sink, &sinks, link)
		most = max(most, pending(sink));
	return most;
}

bool log_write_guest(const char *text, size_t len, size_t max_pending)
{
	bool locked = lock();
	/* Of a byte may become two; and a mark. */
	bool fits = most_pending() + 2 * len + 1 <= max_pending;
	struct log_sink *sink;

	list_for_each (sink, &sinks, link) {
		if (fits && len)
			write_text(sink, LOG_GUEST, text, len);
	}
	unlock(locked);
	return fits;
}

size_t log_pending(void)
{
	bool locked = lock();
	size_t most = most_pending();

	unlock(locked);
	return most;
}

void log_tell_lost(void)
{
	bool locked = lock();
	struct log_sink *sink;

	list_for_each (sink, &sinks, link) {
		if (sink->lost && LOG_SINK_ROOM - pending(sink) >= ROOM_TO_TELL)
			tell_lost(sink);
	}
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
