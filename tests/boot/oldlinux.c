/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel of an old Linux boot protocol (Documentation/arch/x86/boot.rst). Its setup code looks at
 * how it was started and asks the BIOS for all that one may ask (IBM PC AT technical reference,
 * section 5); then its second part, in protected mode, ends the VM (oldlinux.S). One TAP line for
 * each, by INT 10h.
 *
 * It has a command line, CMDLINE, and itself as its initrd. It waits for the key x.
 */
#include <stdbool.h>
#include <stdint.h>

#define CMDLINE  "words for an old kernel"
#define SEGMENT  0x9000
#define HEAP_END 0xe000
#define KIB      1024u
#define MIB      (KIB * KIB)
#define CARRY    0x01
#define ZERO     0x40
#define SMAP     0x534d4150

struct regs {
	uint16_t es, ds, flags, unused;
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
};

/* oldlinux.S */
extern const uint16_t version;
extern const uint8_t loader, loadflags;
extern const uint16_t move_size, heap_end;
extern const uint32_t ramdisk[2], cmdline;
void intcall(uint32_t number, struct regs *r);
void setup(void);

uint16_t first_sp, first_cs, first_ds, first_es;
uint32_t first_flags;

static uint16_t call(uint32_t number, struct regs *r, uint32_t eax)
{
	r->eax = eax;
	r->es = SEGMENT;
	intcall(number, r);
	return (uint16_t)r->eax;
}

static bool fails_with(const struct regs *r, uint8_t ah)
{
	return (r->flags & CARRY) && (uint8_t)(r->eax >> 8) == ah;
}

static void put(const char *text)
{
	struct regs r = {0};

	for (; *text; text++)
		call(0x10, &r, 0x0e00 | (uint8_t)*text);
}

static void result(bool ok, const char *text)
{
	put(ok ? "ok " : "not ok ");
	put(text);
	put("\r\n");
}

static uint8_t far_byte(uint16_t segment, uint16_t offset)
{
	uint8_t val;

	__asm__ volatile("movw %1, %%fs; movb %%fs:(%2), %0"
			 : "=q"(val)
			 : "r"(segment), "b"((uint32_t)offset)
			 : "memory");
	return val;
}

static void set_far_byte(uint16_t segment, uint16_t offset, uint8_t val)
{
	__asm__ volatile("movw %1, %%fs; movb %0, %%fs:(%2)"
			 :
			 : "q"(val), "r"(segment), "b"((uint32_t)offset)
			 : "memory");
}

static void outw(uint16_t port, uint16_t val)
{
	__asm__ volatile("outw %0, %1" : : "a"(val), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

/* By fw_cfg: key 3, below 4 GiB. */
static uint32_t ram_bytes(void)
{
	uint32_t bytes = 0;

	outw(0x510, 3);
	for (unsigned i = 0; i < 32; i += 8)
		bytes |= (uint32_t)inb(0x511) << i;
	return bytes;
}

static bool is_started_right(void)
{
	return first_cs == SEGMENT + 0x20 && first_ds == SEGMENT && first_es == SEGMENT &&
	       first_sp == HEAP_END && !(first_flags & 0x200);
}

static bool has_header_filled_in(void)
{
	if (version < 0x201)
		return loader && !heap_end && move_size == HEAP_END + sizeof(CMDLINE);
	return loader && (loadflags & 0x80) && heap_end == HEAP_END - 0x200;
}

static bool has_cmdline(void)
{
	const uint16_t *old = (const uint16_t *)0x20;
	uint16_t at = (uint16_t)(cmdline - SEGMENT * 16u);

	__asm__("" : "+r"(old));
	if (version < 0x202) {
		if (old[0] != 0xa33f || cmdline)
			return false;
		at = old[1];
	}
	for (unsigned i = 0; i < sizeof(CMDLINE); i++) {
		if (far_byte(SEGMENT, (uint16_t)(at + i)) != (uint8_t)CMDLINE[i])
			return false;
	}
	return true;
}

static uint8_t moved[512];

/* INT 15h AH=87h: its third sector is code as here, which nobody has changed. */
static bool has_initrd(void)
{
	uint32_t from = ramdisk[0] + 1024, to = SEGMENT * 16u + (uint16_t)(uint32_t)moved;
	uint32_t table[12] = {[4] = from << 16 | 0xffff,
			      [5] = (from & 0xff000000) | 0x9300 | (from >> 16 & 0xff),
			      [6] = to << 16 | 0xffff,
			      [7] = (to & 0xff000000) | 0x9300 | (to >> 16 & 0xff)};
	struct regs r = {.ecx = 256, .esi = (uint16_t)(uint32_t)table};

	call(0x15, &r, 0x8700);
	if ((r.flags & CARRY) || ramdisk[0] < MIB || ramdisk[1] < KIB)
		return false;
	for (unsigned i = 0; i < sizeof(moved); i++) {
		if (moved[i] != far_byte(SEGMENT, (uint16_t)(1024 + i)))
			return false;
	}
	return true;
}

struct e820 {
	uint32_t addr, addr_high, size, size_high, type;
};

static bool has_memory_map(void)
{
	static struct e820 e;
	struct regs r = {0};
	uint32_t low = 0, high = 0, end = 0;
	bool in_order = true;

	do {
		r.edi = (uint16_t)(uint32_t)&e;
		r.ecx = sizeof(e);
		r.edx = SMAP;
		call(0x15, &r, 0xe820);
		if ((r.flags & CARRY) || r.eax != SMAP || r.ecx != sizeof(e))
			return false;
		in_order = in_order && e.addr >= end && !e.addr_high;
		end = e.addr + e.size;
		if (e.type == 1 && !e.addr)
			low = e.size;
		if (e.type == 1 && e.addr == MIB)
			high = e.size;
	} while (r.ebx);
	if (!in_order || high != ram_bytes() - MIB || low / KIB != call(0x12, &r, 0))
		return false;
	if (call(0x15, &r, 0x8800) != high / KIB || (r.flags & CARRY))
		return false;
	if (call(0x15, &r, 0xe801) != 15 * KIB || (uint16_t)r.ebx != (high - 15 * MIB) / 65536)
		return false;
	r.ebx = 100; /* there is no such entry */
	r.edx = SMAP;
	call(0x15, &r, 0xe820);
	return r.flags & CARRY;
}

/* FFFF:0510 is not 0000:0500. */
static bool has_a20_open(void)
{
	struct regs r = {0};
	uint8_t old = far_byte(0, 0x500);
	bool wraps;

	set_far_byte(0, 0x500, 0x55);
	set_far_byte(0xffff, 0x510, 0xaa);
	wraps = far_byte(0, 0x500) != 0x55;
	set_far_byte(0, 0x500, old);
	if (wraps || call(0x15, &r, 0x2401) >> 8 || (r.flags & CARRY))
		return false;
	return call(0x15, &r, 0x2402) == 1 && call(0x15, &r, 0x2403) >> 8 == 0 && (r.ebx & 3) == 3;
}

static bool has_no_disk(void)
{
	struct regs r = {.edx = 0x80, .ecx = 1};

	if (call(0x13, &r, 0) >> 8 || (r.flags & CARRY))
		return false;
	r.edx = 0x80;
	call(0x13, &r, 0x0201);
	if (!fails_with(&r, 0x80) || call(0x13, &r, 0x0100) >> 8 != 0x80)
		return false;
	call(0x13, &r, 0x0800);
	if (!fails_with(&r, 7) || (uint8_t)r.edx)
		return false;
	r.ebx = 0x55aa;
	call(0x13, &r, 0x4100);
	return fails_with(&r, 1);
}

static bool has_serial_port(void)
{
	struct regs r = {0};
	uint16_t equipment = call(0x11, &r, 0);

	if ((equipment >> 9 & 7) != 1 || !(call(0x14, &r, 0x0300) & 0x2000))
		return false;
	if (!(call(0x14, &r, 0x00e3) & 0x2000)) /* 9600 8N1 */
		return false;
	r.edx = 1;
	return call(0x14, &r, 0x0300) >> 8 == 0x80;
}

static uint32_t ticks(void)
{
	struct regs r = {0};

	call(0x1a, &r, 0);
	return (uint16_t)r.ecx << 16 | (uint16_t)r.edx;
}

/* 0.3 seconds are five ticks; a wait may be longer than asked for. */
static bool has_time(void)
{
	struct regs r = {0};
	uint32_t from = ticks(), seconds, of_day;

	r.ecx = 300000 >> 16;
	r.edx = 300000 & 0xffff;
	call(0x15, &r, 0x8600);
	if ((r.flags & CARRY) || ticks() - from < 4)
		return false;
	call(0x1a, &r, 0x0200);
	seconds = (r.ecx >> 12 & 0xf) * 36000 + (r.ecx >> 8 & 0xf) * 3600 +
		  (r.ecx >> 4 & 0xf) * 600 + (r.ecx & 0xf) * 60 + (r.edx >> 12 & 0xf) * 10 +
		  (r.edx >> 8 & 0xf);
	of_day = ticks() * 10 / 182; /* 18.2 a second */
	return !(r.flags & CARRY) && (of_day - seconds + 60) < 120;
}

static bool has_date(void)
{
	struct regs r = {0};
	uint8_t month;

	call(0x1a, &r, 0x0400);
	month = (uint8_t)(r.edx >> 8);
	return !(r.flags & CARRY) && (uint8_t)(r.ecx >> 8) >= 0x19 && month >= 1 && month <= 0x12;
}

static bool has_keys(void)
{
	struct regs r = {.ecx = 0x1c0d};

	call(0x16, &r, 0x0100);
	if (!(r.flags & ZERO) || (uint8_t)call(0x16, &r, 0x0500))
		return false;
	if (call(0x16, &r, 0x0100) != 0x1c0d || (r.flags & ZERO))
		return false;
	if (call(0x16, &r, 0) != 0x1c0d)
		return false;
	call(0x16, &r, 0x1100);
	return r.flags & ZERO;
}

/* What asks for things that are not there, and an interrupt that nobody has raised. */
static bool refuses_the_rest(void)
{
	struct regs r = {0};

	call(0x15, &r, 0x5300); /* APM */
	if (!fails_with(&r, 0x86))
		return false;
	call(0x1a, &r, 0xb101); /* PCI */
	if (!fails_with(&r, 0x81))
		return false;
	call(0x0c, &r, 0x1234);
	call(0x73, &r, 0x1234);
	call(0x1c, &r, 0x1234);
	return (uint16_t)r.eax == 0x1234 && call(0x15, &r, 0xc000) >> 8 == 0 &&
	       far_byte(r.es, (uint16_t)(r.ebx + 2)) == 0xfc;
}

static uint16_t read_at(uint16_t place)
{
	struct regs r = {.edx = place};

	call(0x10, &r, 0x0200);
	return call(0x10, &r, 0x0800);
}

/* In colour, on a clear screen, three times from where the cursor is. */
static bool has_screen(void)
{
	struct regs r = {.edx = 0x0a05, .ebx = 0x1e, .ecx = 3};

	call(0x10, &r, 0x0003);
	call(0x10, &r, 0x0200);
	call(0x10, &r, 0x0900 | '*');
	call(0x10, &r, 0x0300);
	return (uint16_t)r.edx == 0x0a05 && (uint8_t)call(0x10, &r, 0x0f00) == 3 &&
	       read_at(0x0a07) == 0x1e2a && (uint8_t)read_at(0x0a08) == ' ';
}

/* Rows 9 to 12: what is in row 10 goes up by one, down by two, and away. */
static bool has_windows(void)
{
	struct regs r = {.ecx = 0x0900, .edx = 0x0c4f, .ebx = 0x0700};

	call(0x10, &r, 0x0601);
	if (read_at(0x0905) != 0x1e2a || (uint8_t)read_at(0x0a05) != ' ')
		return false;
	call(0x10, &r, 0x0702);
	if (read_at(0x0b06) != 0x1e2a || (uint8_t)read_at(0x0905) != ' ')
		return false;
	call(0x10, &r, 0x0600);
	return (uint8_t)read_at(0x0b06) == ' ';
}

/* On the last row, so that all rows move. */
static bool has_strings(void)
{
	struct regs r = {.edx = 0x1800, .ecx = 5, .ebp = (uint16_t)(uint32_t) "# it\n", .ebx = 7};

	call(0x10, &r, 0x1301);
	call(0x10, &r, 0x0300);
	put("\r");
	return (uint16_t)r.edx == 0x1804 && (uint8_t)read_at(0x1700) == '#' &&
	       (uint8_t)read_at(0x1800) == ' ';
}

static bool gets_a_key(void)
{
	struct regs r = {0};

	put("# press x\r\n");
	return call(0x16, &r, 0) == ('x' | 0x2d00);
}

void setup(void)
{
	put("1..17\r\n");
	result(is_started_right(), "1 - registers");
	result(has_header_filled_in(), "2 - header");
	result(has_cmdline(), "3 - command_line");
	result(has_initrd(), "4 - initrd");
	result(has_memory_map(), "5 - memory_map");
	result(has_a20_open(), "6 - a20");
	result(has_no_disk(), "7 - no_disk");
	result(has_serial_port(), "8 - serial_port");
	result(has_time(), "9 - time");
	result(has_date(), "10 - date");
	result(has_keys(), "11 - keys");
	result(refuses_the_rest(), "12 - what_is_not_there");
	result(has_screen(), "13 - screen");
	result(has_windows(), "14 - windows");
	result(has_strings(), "15 - strings");
	result(gets_a_key(), "16 - key_from_the_console");
}
