/* SPDX-License-Identifier: BSD-2-Clause */
/* Module lines from anywhere: each line of the input is one, its length says how many CPUs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/control/config.h"
#include "vmm/dev/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;

static void check_report(void *ctx, const char *line)
{
	if (strlen(line) >= LOAD_ERROR_LEN ||
	    (strncmp(line, "vm ", 3) && strncmp(line, "module ", 7)))
		abort();
}

/* What the rest of the system relies on. */
static void check_vm(const struct vm_config *vm)
{
	unsigned allowed = 0;

	if (vm->failed)
		return;
	for (unsigned cpu = 0; cpu < config.limits.nr_pcpus; cpu++)
		allowed += cpu_set_has(&vm->cpus, cpu);
	if (vm->vcpus < 1 || vm->vcpus > VM_MAX_VCPUS || vm->mem_bytes < CONFIG_MIN_MEM ||
	    vm->mem_bytes > 1ull << 30 || vm->mem_bytes % PAGE_SIZE || !vm->kernel.present ||
	    !allowed || !vm->name[0] || vm->nr_modules > LOAD_MAX_MODULES ||
	    strlen(vm->cmdline) >= CONFIG_CMDLINE_LEN)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_limits limits = {.max_mem = 1ull << 30,
					     .nr_pcpus = 1 + (unsigned)(size % HOST_MAX_CPUS)};
	char *text = malloc(size + 1), *line, *next;

	memcpy(text, data, size);
	text[size] = '\0';
	config_init(&config, &limits, check_report, NULL);
	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		config_add_module(&config, line, HPA(0x1000), 0x1000);
	}
	config_finish(&config);
	for (unsigned i = 0; i < config.nr_vms; i++)
		check_vm(&config.vm[i]);
	free(text);
	return 0;
}
