/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor lists, attaches, pauses, resumes, resets and stops VMs, and shows their counters and
 * how much of their memory is written.
 * It runs on the boot CPU, out of the console's input, a line at a time.
 */
#include "vmm/control/monitor.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/percpu.h"
#include "drivers/machine.h"
#include "lib/bits.h"
#include "mm/frames.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

#define LINE_LEN 80

static char line[LINE_LEN];
static unsigned line_len;

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

static void reset_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	atomic_store(&vm->restart, true);
	vm_end(vm, VM_RESET, 0);
}

static void stop_vm(struct vm *vm, const char *arg)
{
	(void)arg;
	vm_end(vm, VM_STOPPED_BY_USER, 0);
}

static void show_counters(struct vm *vm, const char *arg)
{
	(void)arg;
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu *v = vm->vcpus[i];

		console_print("vcpu %u on cpu %u:\r\n", v->id, v->pcpu);
		for (unsigned r = 0; r < NR_EXIT_REASONS; r++) {
			if (v->exits[r])
				console_print("  %-14s %12llu\r\n", trace_exit_name(r),
					      (unsigned long long)v->exits[r]);
		}
		if (v->emulated)
			console_print("  %-14s %12llu\r\n", "emulated",
				      (unsigned long long)v->emulated);
	}
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
	default:
		return "no memory for the log";
	}
}

static int show_dirty(struct vm *vm)
{
	uint64_t pages;
	int r = dirty_count(vm, DIRTY_MONITOR, &pages);

	if (!r)
		console_print("%s: %llu pages written since the last look, %llu in all\r\n",
			      vm->name, (unsigned long long)pages,
			      (unsigned long long)atomic_load(&vm->dirty.total));
	return r;
}

static void dirty(struct vm *vm, const char *arg)
{
	int r;

	if (arg && strcmp(arg, "on") != 0 && strcmp(arg, "off") != 0) {
		console_print("dirty: '%s' is neither on nor off\r\n", arg);
		return;
	}
	if (!arg)
		r = show_dirty(vm);
	else if (!strcmp(arg, "on"))
		r = dirty_start(vm, DIRTY_MONITOR);
	else
		r = dirty_stop(vm, DIRTY_MONITOR);
	if (r)
		console_print("dirty: %s: %s\r\n", vm->name, dirty_error(r));
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
	{"reset", true, reset_vm, "VM: start it anew"},
	{"stop", true, stop_vm, "VM: end it"},
	{"stats", true, show_counters, "VM: exits of each vCPU by reason"},
	{"dirty", true, dirty, "VM [on|off]: pages written since the last look; its log"},
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
	prompt();
}

void monitor_input(uint8_t byte)
{
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

const struct console_monitor monitor = {.enter = monitor_enter, .input = monitor_input};
