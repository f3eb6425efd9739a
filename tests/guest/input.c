/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is typed at a guest's console, or comes there out of a pipe or a file, faster than the guest
 * reads: all of it arrives, in order (tests/harness/boot.py). The stream may begin with dots, of
 * which some may get lost while the UART is set up. Behind the first other byte come the bytes that
 * count:
 *
 *	bytes=N hash=X	so many, with this FNV-1a hash of 64 bits
 *	late=MS		look away for so long first, in which nobody empties the UART
 *
 * Without that, nothing may come. run: vcpus=1
 */
#include <stdlib.h>

#include "boot.h"
#include "clock.h"
#include "ktap.h"

#define UART    0x3f8
#define LSR     (UART + 5)
#define LSR_DR  0x01
#define LSR_OE  0x02
#define WAIT_MS 20000

static unsigned overruns;

static bool has_byte(void)
{
	uint8_t lsr = inb(LSR);

	overruns += !!(lsr & LSR_OE);
	return lsr & LSR_DR;
}

static bool read_byte(uint8_t *byte)
{
	if (!has_byte() && !wait_until(has_byte(), WAIT_MS))
		return false;
	*byte = inb(UART);
	return true;
}

static void check_stream(unsigned long bytes, uint64_t want)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	unsigned long n = 0;
	uint8_t byte = '.';

	while (byte == '.' && read_byte(&byte))
		;
	while (n < bytes && read_byte(&byte)) {
		hash = (hash ^ byte) * 0x100000001b3ull;
		n++;
	}
	CHECK_EQ(n, bytes);
	CHECK_EQ(overruns, 0);
	CHECK(hash == want);
}

TEST(all_that_is_typed_arrives)
{
	const char *bytes = boot_option("bytes"), *hash = boot_option("hash");
	const char *late = boot_option("late");

	sti(); /* all are masked; with them closed Bochs lets no interrupt of the machine's end a
		  run */
	delay_us(late ? (unsigned)atoi(late) * 1000 : 0);
	if (bytes && hash)
		check_stream(strtoul(bytes, NULL, 0), strtoull(hash, NULL, 16));
	else
		CHECK(!wait_until(has_byte(), 20));
}
