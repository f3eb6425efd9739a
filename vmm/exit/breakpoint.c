/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/breakpoint.h"

#include "arch/x86/cpu.h"
#include "vmm/event.h"

#define NR_BREAKPOINTS 4

static uint64_t address_of(unsigned n)
{
	switch (n) {
	case 0:
		return read_dr0();
	case 1:
		return read_dr1();
	case 2:
		return read_dr2();
	default:
		return read_dr3();
	}
}

static bool is_for(unsigned rw, enum breakpoint_kind kind)
{
	return rw == (unsigned)kind || (rw == BREAK_ACCESS && kind == BREAK_WRITE);
}

/* A breakpoint covers 1, 2, 8 or 4 bytes, as its LEN says, from a multiple of that on. */
static bool covers(unsigned n, unsigned len_field, uint64_t at, unsigned len)
{
	static const uint8_t sizes[] = {1, 2, 8, 4};
	unsigned size = sizes[len_field];
	uint64_t first = address_of(n) & ~(uint64_t)(size - 1);

	return at < first + size && first < at + len;
}

__cold uint64_t breakpoint_hits(uint64_t dr7, enum breakpoint_kind kind, uint64_t at, unsigned len)
{
	uint64_t hits = 0;

	for (unsigned n = 0; n < NR_BREAKPOINTS; n++) {
		unsigned field = (dr7 >> (16 + 4 * n)) & 0xf;

		if ((dr7 >> 2 * n & 3) && is_for(field & 3, kind) && covers(n, field >> 2, at, len))
			hits |= BIT_ULL(n);
	}
	return hits;
}

__cold uint64_t breakpoint_port_hits(struct vcpu *v, uint16_t port, unsigned size)
{
	if (!(virt_reg_read(&v->virt, VREG_CR4) & CR4_DE))
		return 0;
	return breakpoint_hits(virt_dr7(&v->virt), BREAK_PORT, port, size);
}

__cold void breakpoint_port_trap(struct vcpu *v, uint16_t port, unsigned size)
{
	uint64_t hits = breakpoint_port_hits(v, port, size);

	if (hits)
		event_raise_debug(v, hits);
}
