/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start of the hypervisor, in one straight line: what the boot loader says, a console, the
 * preflight table, memory, the screen, firmware tables, interrupts, the clock, the other CPUs, and
 * off to the vmm.
 */
#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/fpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/mce.h"
#include "arch/x86/nmi.h"
#include "arch/x86/paging.h"
#include "arch/x86/panic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/preflight.h"
#include "arch/x86/shootdown.h"
#include "arch/x86/smp.h"
#include "arch/x86/tsc.h"
#include "arch/x86/xstate.h"
#include "boot/acpi_check.h"
#include "boot/boot_info.h"
#include "boot/cmdline.h"
#include "boot/memory.h"
#include "drivers/acpi.h"
#include "drivers/bus_master.h"
#include "drivers/host_ioapic.h"
#include "drivers/keyboard.h"
#include "drivers/machine.h"
#include "drivers/screen.h"
#include "drivers/timeref.h"
#include "drivers/serial.h"
#include "drivers/serial_find.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/frames.h"
#include "vmm/control/start.h"

#define MB2_MAX_LEN (1u << 20)

extern uintptr_t __stack_chk_guard;
static_assert(CMDLINE_MAX_CONSOLES <= START_MAX_CONSOLES, "a console for each option");

static struct boot_info info;
static struct cmdline cmdline;
static struct memmap memmap;
static struct acpi_info acpi;
static struct start_options options;
static bool has_screen;

__noreturn void boot_main(uint32_t magic, uint64_t info_hpa, uint64_t entry_tsc);

static int parse_loader_info(uint32_t magic, uint64_t hpa)
{
	const uint32_t *total;

	switch (magic) {
	case BOOT_MAGIC_MULTIBOOT2:
		total = phys_map(&memory_early, hpa, sizeof(*total));
		return boot_parse_multiboot2(total, min(*total, MB2_MAX_LEN), &info);
	case BOOT_MAGIC_MULTIBOOT1:
		return boot_parse_multiboot1(&memory_early, hpa, &info);
	default:
		boot_info_init(&info);
		return -1;
	}
}

static void report_cmdline(void *ctx, const char *line)
{
	log_error("%s", line);
	options.bad_cmdline = true;
}

static void bad_console(const char *name, const char *reason)
{
	log_error("command line: console=%s: %s", name, reason);
	options.bad_cmdline = true;
}

static void add_serial(struct serial *port)
{
	log_add_sink(serial_log_sink(port));
	options.console[options.nr_consoles++] = port;
}

static void open_serial(const struct console_option *option)
{
	struct serial *port = NULL;
	struct serial_uart uart;
	const char *why = serial_find(&option->serial, &uart);

	if (!why)
		port = serial_open(&uart, &why);
	if (port)
		add_serial(port);
	else
		bad_console(option->text, why);
}

/*
 * Ports of a PC can be had at once, so that what follows is seen. Those in memory want page tables,
 * the firmware's console its tables.
 */
static void open_serial_options(bool now)
{
	const struct console_option *option;
	unsigned i;

	for (i = 0; i < cmdline.nr_consoles; i++) {
		option = &cmdline.console[i];
		if (option->kind == CONSOLE_SERIAL &&
		    (option->serial.kind == SERIAL_WORD_PORT) == now)
			open_serial(option);
	}
}

/* What the command line names; by default the first serial port, if there is one. */
static void open_serial_consoles(void)
{
	static const struct serial_word com1 = {
		.kind = SERIAL_WORD_PORT, .stride = 1, .base = 0x3f8};
	struct serial *port;
	struct serial_uart uart;
	const char *why;

	open_serial_options(true);
	if (cmdline.nr_consoles || serial_find(&com1, &uart))
		return;
	port = serial_open(&uart, &why);
	if (port)
		add_serial(port);
}

/* The port that a table of the firmware's names, unless it is the machine's console already. */
static void open_firmware_console(const char *table, const struct acpi_console *console)
{
	struct serial *port;
	struct serial_uart uart;
	const char *why;

	if (!console->uart.stride)
		return;
	why = serial_find_acpi(console, &uart);
	port = why ? NULL : serial_open(&uart, &why);
	if (!port)
		log_warn("acpi: %s: console at 0x%llx: %s", table,
			 (unsigned long long)console->uart.base, why);
	else if (!options.nr_consoles || options.console[0] != port)
		add_serial(port);
}

/*
 * Without a word on the command line: the firmware's own console, in addition to COM1 or in its
 * place; the port for debuggers only if there is no other.
 */
static void open_late_serial_consoles(void)
{
	serial_find_init(&acpi);
	open_serial_options(false);
	if (cmdline.nr_consoles)
		return;
	open_firmware_console("SPCR", &acpi.spcr);
	if (!options.nr_consoles)
		open_firmware_console("DBG2", &acpi.dbg2);
}

/* The mode for console=fb or console=vga; what the loader left is right in either case. */
static const struct screen_mode *choose_screen(enum console_kind kind)
{
	if (kind == CONSOLE_VGA && info.screen.kind == SCREEN_NONE)
		return &screen_vga_text;
	return &info.screen;
}

static void open_screen(const char *name, const struct screen_mode *mode)
{
	struct log_sink *sink = screen_open(mode);

	has_screen = sink;
	if (sink)
		log_add_sink(sink);
	else if (name)
		bad_console(name, "the boot loader left no screen to draw on");
}

/* What the command line names; by default the one that the loader left, if any. One at most. */
static void open_screen_console(void)
{
	enum console_kind kind;
	unsigned i;

	if (!cmdline.nr_consoles)
		open_screen(NULL, &info.screen);
	for (i = 0; i < cmdline.nr_consoles; i++) {
		kind = cmdline.console[i].kind;
		if (kind != CONSOLE_VGA && kind != CONSOLE_FB)
			continue;
		open_screen(kind == CONSOLE_VGA ? "vga" : "fb", choose_screen(kind));
		return;
	}
}

static void start_log(void)
{
	static const struct panic_hooks hooks = {.end_machine = machine_end_after_panic};

	cmdline_parse(info.cmdline, &cmdline, report_cmdline, NULL);
	log_set_level(cmdline.log_level);
	log_set_marks(cmdline.marks);
	if (cmdline.has_exit_port)
		machine_set_exit_port(cmdline.exit_port);
	panic_set_hooks(&hooks);
	open_serial_consoles();
	log_info("umbra: loaded by %s, image %lu KiB, in memory %lu KiB at 0x%lx",
		 info.loader[0] ? info.loader : "somebody",
		 (unsigned long)(data_end - image_start) >> 10,
		 (unsigned long)(image_end - image_start) >> 10,
		 (unsigned long)direct_map_hpa(image_start).v);
	if (info.problems)
		log_warn("boot: %u items of the boot loader's information make no sense",
			 info.problems);
}

/* Not before there are a screen to say so, and a clock and ACPI for a power-off. */
static void end_if_unfit(void)
{
	const char *why = preflight_verdict();

	if (why)
		vmm_refuse(why, cmdline.onexit);
}

static void start_cpu(void)
{
	cpu_protect();
	fpu_init_cpu();
	mce_init_cpu();
}

/* The wish of the firmware's holds as long as it has not gone the other way itself. */
static void start_apic(void)
{
	if (apic_init(cmdline.x2apic && !acpi.x2apic_opt_out))
		panic("apic: this CPU has no local APIC");
	if (acpi.x2apic_opt_out)
		log_info("apic: the firmware asks for xAPIC mode (DMAR)%s",
			 apic_is_x2apic() ? ", but has left the CPU in x2APIC mode: kept" : "");
	apic_set_nmi_lines(acpi.nmi, acpi.nr_nmis);
	apic_init_cpu();
	nmi_init(cmdline.nmi_panics);
}

/* Who looks at the screen types on the keyboard. */
static void open_keyboard(void)
{
	if (has_screen && !acpi.has_no_i8042)
		keyboard_open();
	else if (has_screen)
		log_info("keyboard: the firmware says that there is no keyboard controller");
}

static void start_interrupts(void)
{
	if (acpi_parse(&memory_firmware, info.rsdp_len ? info.rsdp : NULL, info.rsdp_len, &acpi))
		log_warn("acpi: no tables: one CPU, no I/O APIC");
	acpi_check_addresses(&acpi, &memmap, paging_limit());
	machine_set_acpi(&acpi);
	open_late_serial_consoles();
	start_apic();
	shootdown_init();
	mce_init();
	host_ioapic_init(&acpi);
	tsc_init(timeref_find(&acpi));
	apic_timer_init();
	serial_enable_irqs();
	open_keyboard();
}

static void start_cpus(void)
{
	unsigned max = cmdline.max_cpus;

	if (acpi.nr_cpus > 1 && max > 1 && !memmap.trampoline.v) {
		log_warn("smp: no free page below 1 MiB: one CPU only");
		max = 1;
	}
	smp_start(acpi.apic_id, acpi.nr_cpus, max, memmap.trampoline, memory_alloc, vmm_cpu_main);
}

static void fill_options(uint64_t entry_tsc)
{
	unsigned i;

	options.onexit = cmdline.onexit;
	options.large_exec = cmdline.large_exec;
	options.entry_tsc = entry_tsc;
	options.image_bytes = (uint64_t)(image_end - image_start);
	options.nr_modules = min(info.nr_modules, (unsigned)START_MAX_MODULES);
	for (i = 0; i < options.nr_modules; i++)
		options.module[i] = (struct start_module){
			.base = info.module[i].base,
			.size = info.module[i].size,
			.string = info.module[i].string,
		};
}

/* Called by entry.S, on the boot stack. Never returns, so its own canary is not checked. */
__noreturn void boot_main(uint32_t magic, uint64_t info_hpa, uint64_t entry_tsc)
{
	int err;

	__stack_chk_guard = cpu_random();
	smp_init_boot_cpu();
	cpu_features_detect();
	err = parse_loader_info(magic, info_hpa);
	start_log();
	if (err)
		panic("boot: not started by a multiboot loader (magic 0x%x)", magic);
	if (!cmdline.errata)
		cpu_ignore_errata();
	preflight_print();
	start_cpu();
	xstate_report();
	if (cmdline.stop_masters)
		bus_master_stop_all();
	memmap_init(&memmap, &info, paging_limit());
	frames_set_highest_first(cmdline.high_frames);
	memory_init(&info, &memmap);
	open_screen_console();
	start_interrupts();
	end_if_unfit();
	start_cpus();
	xstate_report(); /* the others may have less */
	fill_options(entry_tsc);
	vmm_main(&options);
}
