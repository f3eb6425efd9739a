/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kernels read below 1 MiB without asking a firmware: the BIOS data area, and the reset code
 * (IBM PC AT technical reference, section 5). A firmware of the emulator's passes too. run: vcpus=1
 */
#include "ktap.h"

/* The compiler is not to see the address: below 4 KiB it takes one for a null pointer. */
static uint8_t byte(unsigned long addr)
{
	__asm__("" : "+r"(addr));
	return *(volatile uint8_t *)addr;
}

static uint16_t word(unsigned long addr)
{
	return (uint16_t)(byte(addr) | byte(addr + 1) << 8);
}

/* RAM ends where the extended BIOS data area begins, and both words say so. */
TEST(base_memory)
{
	unsigned long ebda = (unsigned long)word(0x40e) << 4;

	CHECK(ebda >= 0x80000 && ebda < 0xa0000);
	CHECK_EQ(word(0x413), ebda / 1024);
	CHECK_EQ(byte(ebda), 0xa0000 / 1024 - ebda / 1024);
}

TEST(serial_port)
{
	CHECK_EQ(word(0x400), 0x3f8);
	CHECK_EQ(word(0x410) >> 9 & 7, 1);
}

/* F000:FFF0 and FFFF:0000 are the same byte, and a far jump lies there. */
TEST(reset_code)
{
	CHECK_EQ(byte(0xffff0), 0xea);
	CHECK_EQ(word(0xffff3), 0xf000);
}

TEST(interrupt_vectors)
{
	for (unsigned i = 0; i < 8; i++)
		CHECK(word(4 * i) || word(4 * i + 2));
}
