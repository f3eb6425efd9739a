/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor lists, attaches, pauses, resumes, resets and stops VMs, and shows their counters,
 * their use of memory and how much of their memory is written. It runs on the boot CPU, out of the
 * console's input, a line at a time. A command that takes long is a job: it is done in slices from
 * the CPU's loop, and what is typed meanwhile waits.
 */
#include "vmm/control/monitor.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/percpu.h"
#include "drivers/machine.h"
#include "lib/bits.h"
#include "mm/frames.h"
#include "mm/guest.h"
#include "vmm/control/work.h"
#include "vmm/cpu.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

#define LINE_LEN 80
#define ESC      0x1b

static char line[LINE_LEN];
static unsigned line_len;

/* The command that goes on. The VM by its name: it may end meanwhile. */
static struct {
	/*
	 * `vm`: NULL while there is none of this name. -EAGAIN: there is more to do; -EINPROGRESS:
	 * others have to do something first; else it is over. NULL: no job.
	 */
	int (*slice)(struct vm *vm);
	char vm[CONFIG_NAME_LEN];
	struct dirty_count count;
	uint64_t gfn, young; /* age: done so far, and accessed of these */
	unsigned vcpu;       /* stats: the next */
} job;

/* What was typed meanwhile, as far as there is room. */
static uint8_t typed[LINE_LEN];
static unsigned nr_typed;

static const char *state_name(struct vm *vm)
{
	if (atomic_load(&vm->end) != VM_RUNNING)
		return "ending";
	return atomic_load(&vm->paused) ? "paused" : "running";
}

static void list_vms(struct vm *unused, const char *arg)
{
	(void)unused;
	(void)arg;
	console_print("%-16s %-8s %5s %10s  %s\r\n", "name", "state", "vcpus", "memory", "console");
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		console_print("%-16s %-8s %5u %8lluM  %s\r\n", vm->name, state_name(vm),
			      vm->nr_vcpus, (unsigned long long)vm->config->mem_bytes >> 20,
			      vm->console.port ? vm->config->console : "shared");
}

static void attach(struct vm *vm, const char *arg)
{
	(void)arg;
	if (vm->console.port)
		console_print("%s has a port of its own: %s\r\n", vm->name, vm->config->console);
	else
		console_attach(&vm->console);
}

static void pause_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	vm_pause(vm, true);
}

static void resume_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	vm_pause(vm, false);
}

static void stop_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	vm_end(vm, VM_STOPPED_BY_USER, 0);
	if (!atomic_exchange(&vm->restart, false))
		return;
	log_info("vm %s: stopped by the monitor, does not start again", vm->name);
	vmm_cpu_reschedule(vmm_cpu_by_id(0)); /* this CPU */
}

#define VGA_TEXT 0xb8000
#define VGA_COLS 80
#define VGA_ROWS 25

/* A row of cells, character and attribute, as text without the blanks at its end. */
static void print_row(const uint8_t cell[VGA_COLS][2])
{
	char text[VGA_COLS + 1];
	unsigned len = 0;

	for (unsigned i = 0; i < VGA_COLS; i++) {
		uint8_t c = cell[i][0];

		text[i] = c >= ' ' && c < 0x7f ? (char)c : c ? '.' : ' ';
		if (text[i] != ' ')
			len = i + 1;
	}
	text[len] = 0;
	console_print("%s\r\n", text);
}

/* What would be on the screen: there is no graphics adapter, but its text memory is RAM. */
static void show_screen(struct vm *vm, const char *arg)
{
	uint8_t cells[VGA_COLS][2];

	(void)arg;
	for (unsigned row = 0; row < VGA_ROWS; row++) {
		gpa_t gpa = GPA(VGA_TEXT + row * sizeof(cells));

		if (guest_read(&vm->mem, gpa, cells, sizeof(cells))) {
			console_print("no memory at 0x%llx\r\n", (unsigned long long)gpa.v);
			return;
		}
		print_row(cells);
	}
}

static void show_account(struct vm *vm)
{
	struct account_stats s;

	account_get_stats(&vm->account, &s);
	console_print("pages for its tables: %llu of %llu in use, at most %llu so far, %llu times "
		      "none left\r\n",
		      (unsigned long long)s.charged, (unsigned long long)s.limit,
		      (unsigned long long)s.most, (unsigned long long)s.refused);
}

static void show_counters_of(const struct vcpu *v)
{
	console_print("vcpu %u on cpu %u:\r\n", v->id, v->pcpu);
	for (unsigned r = 0; r < NR_EXIT_REASONS; r++) {
		if (v->exits[r])
			console_print("  %-14s %12llu\r\n", trace_exit_name(r),
				      (unsigned long long)v->exits[r]);
	}
	if (v->emulated)
		console_print("  %-14s %12llu\r\n", "emulated", (unsigned long long)v->emulated);
}

static const char *dirty_error(int r)
{
	switch (r) {
	case -EEXIST:
		return "the log is on already";
	case -ENOENT:
		return "the log is off; 'dirty VM on' starts it";
	case -EBUSY:
		return "the guest uses its log itself";
	case -ENODEV:
		return "this VM has ended";
	default:
		return "no memory for the log";
	}
}

/* What became of a slice for the dirty log, in words when it is over. */
static int report_dirty(int r)
{
	if (r && r != -EAGAIN)
		console_print("dirty: %s: %s\r\n", job.vm, dirty_error(r));
	return r;
}

static int count_slice(struct vm *vm)
{
	int r = vm ? dirty_count(vm, DIRTY_MONITOR, &job.count) : -ENODEV;

	if (!r)
		console_print("%s: %llu pages written since the last look, %llu in all\r\n",
			      vm->name, (unsigned long long)job.count.pages,
			      (unsigned long long)atomic_load(&vm->dirty.total));
	return report_dirty(r);
}

static int start_slice(struct vm *vm)
{
	return report_dirty(vm ? dirty_start(vm, DIRTY_MONITOR) : -ENODEV);
}

static int stop_slice(struct vm *vm)
{
	return report_dirty(vm ? dirty_stop(vm, DIRTY_MONITOR) : -ENODEV);
}

static void begin_job(struct vm *vm, int (*slice)(struct vm *vm))
{
	memset(&job, 0, sizeof(job));
	memcpy(job.vm, vm->name, sizeof(job.vm));
	job.slice = slice;
	vmm_cpu_reschedule(vmm_cpu_by_id(0)); /* this CPU, which is inside an exit or idle */
}

/* A vCPU for each slice: all of them may be more than the console takes at once. */
static int stats_slice(struct vm *vm)
{
	if (!vm || job.vcpu >= vm->nr_vcpus)
		return 0;
	if (!console_has_room())
		return -EINPROGRESS;
	if (!job.vcpu)
		show_account(vm);
	show_counters_of(vm->vcpus[job.vcpu++]);
	return job.vcpu < vm->nr_vcpus ? -EAGAIN : 0;
}

static void show_counters(struct vm *vm, const char *arg)
{
	(void)arg;
	begin_job(vm, stats_slice);
}

/* The VM that is made anew has the old one's name. */
static int reset_slice(struct vm *vm)
{
	if (vm && atomic_load(&vm->end) == VM_RUNNING)
		return 0;
	return vm || work_is_restarting() ? -EINPROGRESS : -ENODEV;
}

static void reset_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	atomic_store(&vm->restart, true);
	begin_job(vm, reset_slice);
	vm_end(vm, VM_RESET, 0);
}

static void dirty(struct vm *vm, const char *arg)
{
	if (!arg)
		begin_job(vm, count_slice);
	else if (!strcmp(arg, "on"))
		begin_job(vm, start_slice);
	else if (!strcmp(arg, "off"))
		begin_job(vm, stop_slice);
	else
		console_print("dirty: '%s' is neither on nor off\r\n", arg);
}

/* --- the MMU engine --- */

static void show_mmu(struct vm *vm)
{
	typedef unsigned long long ull;
	struct mmu_stats s;

	mmu_get_stats(&vm->mmu, &s);
	console_print("faults: %llu fixed, %llu spurious, %llu retried, %llu emulated\r\n",
		      (ull)s.faults[RET_PF_FIXED], (ull)s.faults[RET_PF_SPURIOUS],
		      (ull)s.faults[RET_PF_RETRY], (ull)s.faults[RET_PF_EMULATE]);
	console_print("mapped: %llu of 4K, %llu of 2M, %llu of 1G; %llu prefetched, %llu split\r\n",
		      (ull)s.mapped[0], (ull)s.mapped[1], (ull)s.mapped[2], (ull)s.prefetched,
		      (ull)s.split);
	console_print("tables: %llu pages\r\n", (ull)s.tables);
}

/* Faults bring everything back: for who looks for a translation that is wrong. */
static int zap_slice(struct vm *vm)
{
	if (vm)
		slots_zap_all(&vm->mem);
	return 0;
}

static void mmu(struct vm *vm, const char *arg)
{
	if (!arg)
		show_mmu(vm);
	else if (!strcmp(arg, "zap"))
		begin_job(vm, zap_slice);
	else
		console_print("mmu: '%s' is not zap\r\n", arg);
}

#define AGE_SLICE 8192u /* pages */

/* The end of the VM's memory, in frames. */
static uint64_t end_of_ram(const struct vm *vm)
{
	uint64_t end = 0;
	gfn_t base;

	for (unsigned id = 0; id < VM_RAM_SLOTS; id++) {
		uint64_t pages = vm_ram_slot(vm, id, &base);

		end = pages ? base.v + pages : end;
	}
	return end;
}

static int age_slice(struct vm *vm)
{
	uint64_t end = vm ? end_of_ram(vm) : 0;

	if (job.gfn < end) {
		job.young += slots_age(&vm->mem, GFN(job.gfn), GFN(job.gfn + AGE_SLICE), NULL);
		job.gfn += AGE_SLICE;
		return -EAGAIN;
	}
	if (vm)
		console_print("%s: %llu pages accessed since the last look\r\n", vm->name,
			      (unsigned long long)job.young);
	return 0;
}

static void age(struct vm *vm, const char *arg)
{
	(void)arg;
	begin_job(vm, age_slice);
}

/* --- the VM's front panel, and the machine's --- */

static void press_power(struct vm *vm, const char *arg)
{
	(void)arg;
	platform_power_button(vm->platform);
}

static void send_break(struct vm *vm, const char *arg)
{
	(void)arg;
	platform_console_break(vm->platform);
}

static void power_off(struct vm *unused, const char *arg)
{
	(void)unused;
	(void)arg;
	machine_power_off(0);
}

static void reboot(struct vm *unused, const char *arg)
{
	(void)unused;
	(void)arg;
	machine_reboot();
}

static void help(struct vm *unused, const char *arg);

static const struct command {
	const char *name;
	bool wants_vm;
	void (*run)(struct vm *vm, const char *arg);
	const char *text;
} commands[] = {
	{"help", false, help, "this text"},
	{"list", false, list_vms, "all VMs"},
	{"attach", true, attach, "VM: show its console here; Ctrl-] comes back"},
	{"pause", true, pause_vm, "VM: stop its vCPUs where they are"},
	{"resume", true, resume_vm, "VM: let them go on"},
	{"reset", true, reset_vm, "VM: start it anew, and wait for that"},
	{"stop", true, stop_vm, "VM: end it"},
	{"stats", true, show_counters, "VM: pages for its tables, exits of each vCPU by reason"},
	{"dirty", true, dirty, "VM [on|off]: pages written since the last look; its log"},
	{"mmu", true, mmu, "VM [zap]: what its MMU engine has done; drop all translations"},
	{"age", true, age, "VM: pages accessed since the last look"},
	{"screen", true, show_screen, "VM: its text screen, for a guest that draws on VGA's"},
	{"power", true, press_power, "VM: press its power button, which asks it to shut down"},
	{"break", true, send_break, "VM: a break on its serial line"},
	{"poweroff", false, power_off, "the machine"},
	{"reboot", false, reboot, "the machine"},
};

static void help(struct vm *unused, const char *arg)
{
	(void)unused;
	(void)arg;
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		console_print("%-9s %s\r\n", commands[i].name, commands[i].text);
}

/* The first word behind the command is the VM, if it wants one, and the next its argument. */
static void execute(const struct command *cmd, char **words)
{
	const char *name = cmd->wants_vm ? strtok_r(NULL, " \t", words) : NULL;
	struct vm *vm = name ? vm_find(name) : NULL;

	if (cmd->wants_vm && !vm)
		console_print("%s: no VM of the name '%s'\r\n", cmd->name, name ? name : "");
	else
		cmd->run(vm, strtok_r(NULL, " \t", words));
}

static void run_line(void)
{
	char *save = NULL;
	char *word = strtok_r(line, " \t", &save);

	if (!word)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(word, commands[i].name)) {
			execute(&commands[i], &save);
			return;
		}
	}
	console_print("%s: no such command; 'help' lists them\r\n", word);
}

static void prompt(void)
{
	console_print("umbra> ");
}

void monitor_enter(void)
{
	console_attach(NULL);
	line_len = 0;
	console_print("\r\nmonitor: 'help' lists the commands\r\n");
	prompt();
}

static void end_line(void)
{
	console_print("\r\n");
	line[line_len] = '\0';
	line_len = 0;
	run_line();
	if (!job.slice)
		prompt();
}

/* An arrow and the like is an escape sequence: ESC [ and more, or ESC and one byte. */
static enum { NO_ESCAPE, ESCAPE, ESCAPE_CSI } escape;

/* True: the byte belongs to a sequence, none of which means anything here. */
static bool is_escape(uint8_t byte)
{
	bool is_part = escape != NO_ESCAPE || byte == ESC;

	if (byte == ESC)
		escape = ESCAPE;
	else if (escape == ESCAPE && (byte == '[' || byte == 'O'))
		escape = ESCAPE_CSI;
	else if (escape != ESCAPE_CSI || byte < '0' || byte >= '@')
		escape = NO_ESCAPE;
	return is_part && byte != '\r';
}

static void edit_line(uint8_t byte)
{
	if (is_escape(byte))
		return;
	if (byte == '\r' || byte == '\n') {
		end_line();
	} else if ((byte == 0x7f || byte == '\b') && line_len) {
		line_len--;
		console_print("\b \b");
	} else if (byte >= ' ' && byte < 0x7f && line_len < LINE_LEN - 1) {
		line[line_len++] = (char)byte;
		console_print("%c", byte);
	}
}

/* What is typed waits for the end of a job, and for room on the console for an answer. */
static bool takes_input(void)
{
	return !job.slice && console_has_room();
}

bool monitor_input(uint8_t byte)
{
	if (!nr_typed && takes_input()) {
		edit_line(byte);
		return true;
	}
	vmm_cpu_reschedule(vmm_cpu_by_id(0)); /* this CPU */
	if (nr_typed == ARRAY_SIZE(typed))
		return false;
	typed[nr_typed++] = byte;
	return true;
}

/* One of the bytes may begin the next job. */
static void take_typed(void)
{
	unsigned n = 0;

	while (n < nr_typed && takes_input())
		edit_line(typed[n++]);
	nr_typed -= n;
	memmove(typed, typed + n, nr_typed);
}

static void end_job(void)
{
	job.slice = NULL;
	prompt();
}

bool monitor_is_busy(void)
{
	return job.slice || nr_typed;
}

bool monitor_work(void)
{
	int r = job.slice ? job.slice(vm_find(job.vm)) : 0;

	if (job.slice && r != -EAGAIN && r != -EINPROGRESS)
		end_job();
	take_typed();
	return r == -EAGAIN;
}

const struct console_monitor monitor = {.enter = monitor_enter, .input = monitor_input};
