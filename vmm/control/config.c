/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of module lines. Each line is first cut into part, words and guest command line
 * without copying; the words then go one by one through a table that says for each key which
 * parts take it and which function reads its value. A reader returns why a value is wrong, or
 * NULL.
 */
#include "vmm/control/config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/dev/platform.h"

enum part { PART_KERNEL, PART_BIOS, PART_INITRD, PART_DISK, PART_MODULE, NR_PARTS };

static const char *const part_names[NR_PARTS] = {"kernel", "bios", "initrd", "disk", "module"};

#define P(part)  BIT(PART_##part)
#define P_BOOT   (P(KERNEL) | P(BIOS))
#define P_ANY    (BIT(NR_PARTS) - 1)
#define WORD_SEP " \t\r\n"

/* A piece of the line. */
struct word {
	const char *text;
	size_t len;
};

struct line {
	struct config *config;
	struct vm_config *vm;         /* NULL until vm= is known */
	struct config_module *module; /* PART_MODULE: the one this line fills */
	enum part part;
	unsigned seen; /* keys of this line, a bit for each row of the table */
};

struct key {
	const char *name;
	unsigned parts; /* which parts take it */
	const char *(*parse)(struct line *l, const char *val);
};

__printf_fmt(3, 4) static void complain(struct config *c, struct vm_config *vm, const char *fmt,
					...)
{
	char text[LOAD_ERROR_LEN];
	int n;
	va_list ap;

	if (vm) {
		vm->failed = true;
		n = snprintf(text, sizeof(text), "vm %s: ", vm->name);
	} else {
		n = snprintf(text, sizeof(text), "module %u: ", c->nr_lines);
	}
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	c->report(c->ctx, text);
}

static struct word next_word(const char **pos)
{
	struct word w;

	w.text = *pos + strspn(*pos, WORD_SEP);
	w.len = strcspn(w.text, WORD_SEP);
	*pos = w.text + w.len;
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return strlen(text) == w.len && memcmp(w.text, text, w.len) == 0;
}

static bool find_part(struct word w, enum part *part)
{
	for (unsigned i = 0; i < NR_PARTS; i++) {
		if (word_is(w, part_names[i])) {
			*part = (enum part)i;
			return true;
		}
	}
	return false;
}

/* --- values ----------------------------------------------------------------------------- */

/* Digits (decimal, or hexadecimal behind 0x) at *s; false on none or on overflow. */
static bool parse_digits(const char **s, uint64_t *val)
{
	unsigned base = 10, digit;
	const char *p = *s;
	uint64_t v = 0;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	*s = p;
	for (;; p++) {
		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (base == 16 && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
			digit = (unsigned)((*p | 0x20) - 'a') + 10;
		else
			break;
		if (v > (UINT64_MAX - digit) / base)
			return false;
		v = v * base + digit;
	}
	*val = v;
	if (p == *s)
		return false;
	*s = p;
	return true;
}

static bool parse_number(const char *s, uint64_t *val)
{
	return parse_digits(&s, val) && *s == '\0';
}

static bool parse_size(const char *s, uint64_t *val)
{
	unsigned shift = 0;

	if (!parse_digits(&s, val))
		return false;
	switch (*s | 0x20) {
	case 'k':
		shift = 10;
		break;
	case 'm':
		shift = 20;
		break;
	case 'g':
		shift = 30;
		break;
	}
	if (shift)
		s++;
	if (*s || *val > UINT64_MAX >> shift)
		return false;
	*val <<= shift;
	return true;
}

/* The index of `val` among `names`, which end with NULL; -1 if it is none of them. */
static int parse_choice(const char *val, const char *const *names)
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(val, names[i]) == 0)
			return i;
	}
	return -1;
}

static const char *parse_vm(struct line *l, const char *val)
{
	return NULL; /* find_vm() has read it */
}

static const char *parse_mem(struct line *l, const char *val)
{
	uint64_t max = ALIGN_DOWN(l->config->limits.max_mem, PAGE_SIZE);

	if (!parse_size(val, &l->vm->mem_bytes))
		return "not a size";
	if (l->vm->mem_bytes < CONFIG_MIN_MEM)
		return "too small, a guest has at least 2M";
	if (!IS_ALIGNED(l->vm->mem_bytes, PAGE_SIZE))
		return "not a multiple of 4K";
	if (l->vm->mem_bytes > max)
		return "more than there is";
	return NULL;
}

static const char *parse_vcpus(struct line *l, const char *val)
{
	uint64_t n;

	static_assert(VM_MAX_VCPUS == 64, "the text says 64");
	if (!parse_number(val, &n))
		return "not a number";
	if (n < 1 || n > VM_MAX_VCPUS)
		return "not in 1 to 64";
	l->vm->vcpus = (unsigned)n;
	return NULL;
}

static const char *parse_weight(struct line *l, const char *val)
{
	uint64_t n;

	static_assert(CONFIG_MIN_WEIGHT == 1 && CONFIG_MAX_WEIGHT == 10000, "the text says so");
	if (!parse_number(val, &n))
		return "not a number";
	if (n < CONFIG_MIN_WEIGHT || n > CONFIG_MAX_WEIGHT)
		return "not in 1 to 10000";
	l->vm->weight = (unsigned)n;
	return NULL;
}

static const char *parse_mmu(struct line *l, const char *val)
{
	static const char *const names[] = {"auto", "tdp", "shadow", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of auto, tdp, shadow";
	l->vm->mmu = (enum mmu_choice)i;
	return NULL;
}

static const char *parse_realmode(struct line *l, const char *val)
{
	static const char *const names[] = {"auto", "emulate", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of auto, emulate";
	l->vm->realmode = (enum realmode)i;
	return NULL;
}

static const char *parse_proto(struct line *l, const char *val)
{
	static const char *const names[] = {"auto", "linux", "multiboot", "multiboot2",
					    "pvh",  "bios",  "flat",      NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of auto, linux, multiboot, multiboot2, pvh, bios, flat";
	if (l->part == PART_BIOS && i != PROTO_AUTO && i != PROTO_BIOS)
		return "a firmware image has no other protocol";
	if (l->part != PART_BIOS)
		l->vm->proto = (enum boot_proto)i;
	return NULL;
}

static const char *parse_mode(struct line *l, const char *val)
{
	static const char *const names[] = {"real", "prot32", "long64", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of real, prot32, long64";
	l->vm->mode = (enum boot_mode)i;
	return NULL;
}

static const char *parse_load(struct line *l, const char *val)
{
	l->vm->has_load_addr = true;
	return parse_size(val, &l->vm->load_addr) ? NULL : "not an address";
}

static const char *parse_switch(bool *on, const char *val)
{
	static const char *const names[] = {"off", "on", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of on, off";
	*on = i == 1;
	return NULL;
}

static const char *parse_large_pages(struct line *l, const char *val)
{
	return parse_switch(&l->vm->large_pages, val);
}

static const char *parse_dirty_log(struct line *l, const char *val)
{
	return parse_switch(&l->vm->dirty_log, val);
}

static const char *parse_on_reset(struct line *l, const char *val)
{
	static const char *const names[] = {"restart", "end", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of restart, end";
	l->vm->ends_at_reset = i == 1;
	return NULL;
}

static const char *parse_kvm_clock(struct line *l, const char *val)
{
	static const char *const names[] = {"auto", "on", "off", NULL};
	int i = parse_choice(val, names);

	if (i < 0)
		return "not one of auto, on, off";
	l->vm->kvm_clock = (enum kvm_clock)i;
	return NULL;
}

static const char *parse_test_device(struct line *l, const char *val)
{
	return parse_switch(&l->vm->test_device, val);
}

/* "0,2-3": physical CPUs. */
static const char *parse_cpus(struct line *l, const char *val)
{
	struct cpu_set cpus = {};
	uint64_t first, last;

	for (;; val++) {
		if (!parse_digits(&val, &first))
			return "not a list of CPUs such as 0,2-3";
		last = first;
		if (*val == '-' && (val++, !parse_digits(&val, &last) || last < first))
			return "not a list of CPUs such as 0,2-3";
		if (last >= l->config->limits.nr_pcpus)
			return "the machine has no such CPU";
		for (; first <= last; first++)
			cpu_set_add(&cpus, (unsigned)first);
		if (*val != ',')
			break;
	}
	if (*val)
		return "not a list of CPUs such as 0,2-3";
	l->vm->cpus = cpus;
	return NULL;
}

static const char *parse_debug(struct line *l, const char *val)
{
	if (strcmp(val, "exits") != 0)
		return "not one of exits";
	l->vm->debug |= VM_DEBUG_EXITS;
	return NULL;
}

static const char *parse_console(struct line *l, const char *val)
{
	if (strcmp(val, "shared") != 0)
		snprintf(l->vm->console, sizeof(l->vm->console), "%s", val);
	return NULL;
}

/* fw_cfg's directory has room for 55 characters of a name. */
static const char *parse_fw_cfg(struct line *l, const char *val)
{
	if (strlen(val) > 55)
		return "longer than 55 characters";
	snprintf(l->module->fw_cfg, sizeof(l->module->fw_cfg), "%s", val);
	return NULL;
}

static const struct key keys[] = {
	{"vm", P_ANY, parse_vm},
	{"mem", P_BOOT, parse_mem},
	{"vcpus", P_BOOT, parse_vcpus},
	{"weight", P_BOOT, parse_weight},
	{"mmu", P_BOOT, parse_mmu},
	{"realmode", P_BOOT, parse_realmode},
	{"proto", P_BOOT, parse_proto},
	{"mode", P(KERNEL), parse_mode},
	{"load", P(KERNEL), parse_load},
	{"largepages", P_BOOT, parse_large_pages},
	{"dirtylog", P_BOOT, parse_dirty_log},
	{"kvmclock", P_BOOT, parse_kvm_clock},
	{"testdev", P_BOOT, parse_test_device},
	{"onreset", P_BOOT, parse_on_reset},
	{"cpus", P_BOOT, parse_cpus},
	{"debug", P_BOOT, parse_debug},
	{"console", P_BOOT, parse_console},
	{"fwcfg", P(MODULE), parse_fw_cfg},
};

/* --- lines ------------------------------------------------------------------------------- */

static struct vm_config *add_vm(struct config *c, struct word name)
{
	struct vm_config *vm;

	for (unsigned i = 0; i < c->nr_vms; i++) {
		if (word_is(name, c->vm[i].name))
			return &c->vm[i];
	}
	if (c->nr_vms == CONFIG_MAX_VMS) {
		complain(c, NULL, "vm=%.*s: more than %d VMs", (int)name.len, name.text,
			 CONFIG_MAX_VMS);
		return NULL;
	}
	vm = &c->vm[c->nr_vms++];
	*vm = (struct vm_config){.mem_bytes = CONFIG_DEFAULT_MEM,
				 .vcpus = 1,
				 .weight = CONFIG_DEFAULT_WEIGHT,
				 .large_pages = true,
				 .mode = BOOT_PROT32};
	memset(&vm->cpus, 0xff, sizeof(vm->cpus));
	memcpy(vm->name, name.text, name.len);
	return vm;
}

/* The value of vm= among the words at `pos`; length 0 when there is none. */
static struct word find_name(const char *pos)
{
	struct word w;

	for (w = next_word(&pos); w.len && !word_is(w, "--"); w = next_word(&pos)) {
		if (w.len > 3 && memcmp(w.text, "vm=", 3) == 0)
			return (struct word){w.text + 3, w.len - 3};
	}
	return (struct word){pos, 0};
}

/* The VM that the words at `pos` are about, new if it has not been named before. */
static struct vm_config *find_vm(struct config *c, const char *pos)
{
	struct word name = find_name(pos);

	if (name.len && name.len < CONFIG_NAME_LEN)
		return add_vm(c, name);
	if (name.len)
		complain(c, NULL, "vm=%.*s: a name has at most %d characters",
			 (int)min(name.len, 40ul), name.text, CONFIG_NAME_LEN - 1);
	else
		complain(c, NULL, "vm: missing, each line names its VM");
	return NULL;
}

static const struct key *find_key(struct word w, size_t *name_len)
{
	const char *eq = memchr(w.text, '=', w.len);

	*name_len = eq ? (size_t)(eq - w.text) : w.len;
	for (unsigned i = 0; eq && i < ARRAY_SIZE(keys); i++) {
		if (word_is((struct word){w.text, *name_len}, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

/* One key=value word. */
static void parse_word(struct line *l, struct word w)
{
	const char *why = NULL;
	size_t name_len;
	const struct key *key = find_key(w, &name_len);
	char val[CONFIG_WORD_LEN];

	if (!key) {
		why = "unknown word";
	} else if (!(key->parts & BIT(l->part))) {
		why = "not a word for this part";
	} else if (l->seen & BIT(key - keys)) {
		why = "given twice";
	} else if (w.len - name_len - 1 >= sizeof(val)) {
		why = "too long";
	} else if (w.len == name_len + 1) {
		why = "no value";
	} else {
		l->seen |= BIT(key - keys);
		memcpy(val, w.text + name_len + 1, w.len - name_len - 1);
		val[w.len - name_len - 1] = '\0';
		why = key->parse(l, val);
	}
	if (why)
		complain(l->config, l->vm, "%.*s: %s", (int)min(w.len, 80ul), w.text, why);
}

/* The guest's command line: the rest behind "--", without blanks at both ends. */
static void parse_cmdline(struct line *l, const char *text)
{
	char *to = l->part == PART_MODULE ? l->module->args : l->vm->cmdline;
	size_t room = l->part == PART_MODULE ? sizeof(l->module->args) : sizeof(l->vm->cmdline);
	size_t len;

	text += strspn(text, WORD_SEP);
	len = strlen(text);
	while (len && strchr(WORD_SEP, text[len - 1]))
		len--;
	if (len && l->part == PART_MODULE && l->module->fw_cfg[0]) {
		complain(l->config, l->vm, "module: --: a file in fw_cfg takes no text");
	} else if (len && (l->part == PART_INITRD || l->part == PART_DISK)) {
		complain(l->config, l->vm, "%s: --: takes no command line", part_names[l->part]);
	} else if (len >= room) {
		complain(l->config, l->vm, "%s: --: command line of %zu characters, at most %zu",
			 part_names[l->part], len, room - 1);
	} else {
		memcpy(to, text, len);
		to[len] = '\0';
	}
}

/* Where this line's file goes; NULL, with a complaint, if that place is taken. */
static struct config_file *take_place(struct line *l)
{
	struct vm_config *vm = l->vm;
	struct config_file *f;

	switch (l->part) {
	case PART_MODULE:
		if (vm->nr_modules == LOAD_MAX_MODULES) {
			complain(l->config, vm, "module: more than %d", LOAD_MAX_MODULES);
			return NULL;
		}
		l->module = &vm->module[vm->nr_modules++];
		return &l->module->file;
	case PART_INITRD:
		f = &vm->initrd;
		break;
	case PART_DISK:
		complain(l->config, vm, "disk: not supported yet, guests have no disk device");
		return NULL;
	default:
		f = &vm->kernel;
		break;
	}
	if (f->present) {
		complain(l->config, vm, "%s: the VM has one already", part_names[l->part]);
		return NULL;
	}
	return f;
}

/*
 * Find the part; *pos moves behind it. A first word that is no part is the file's path (QEMU),
 * and so is a first word "kernel" that is followed by a part.
 */
static bool parse_part(struct line *l, const char **pos)
{
	const char *string = *pos, *after;
	struct word first = next_word(pos), second;
	bool found = find_part(first, &l->part);

	after = *pos;
	second = next_word(&after);
	if (find_part(second, &l->part)) {
		*pos = after;
		return true;
	}
	if (found)
		return true;
	/* "vm=web ..." is not a part with a typing error, but the word before it is. */
	if (second.len && !memchr(second.text, '=', second.len))
		first = second;
	if (find_name(string).len)
		l->vm = find_vm(l->config, string);
	complain(l->config, l->vm, "%.*s: not one of kernel, bios, initrd, disk, module",
		 (int)min(first.len, 60ul), first.text);
	return false;
}

void config_add_module(struct config *c, const char *string, hpa_t base, uint64_t size)
{
	struct line l = {.config = c};
	struct config_file *file;
	const char *pos = string;
	struct word w;

	c->nr_lines++;
	if (!parse_part(&l, &pos))
		return;
	l.vm = find_vm(c, pos);
	if (!l.vm)
		return;
	file = take_place(&l);
	if (!file)
		return;
	*file = (struct config_file){.base = base, .size = size, .present = true};
	if (!size)
		complain(c, l.vm, "%s: the file is empty", part_names[l.part]);
	if (l.part == PART_BIOS)
		l.vm->proto = PROTO_BIOS;
	for (w = next_word(&pos); w.len; w = next_word(&pos)) {
		if (word_is(w, "--")) {
			parse_cmdline(&l, pos);
			return;
		}
		parse_word(&l, w);
	}
}

/* Checks that depend on more than one word. */
static const char *check_vm(const struct vm_config *vm)
{
	if (!vm->kernel.present)
		return "kernel: missing";
	if (vm->proto == PROTO_FLAT && !vm->has_load_addr)
		return "load: missing, proto=flat needs an address";
	if (vm->proto != PROTO_FLAT && vm->has_load_addr)
		return "load: only proto=flat takes an address";
	if (vm->proto != PROTO_FLAT && vm->mode != BOOT_PROT32 &&
	    !(vm->proto == PROTO_LINUX && vm->mode == BOOT_REAL))
		return "mode: only proto=flat takes a mode, and proto=linux takes mode=real";
	if (vm->proto == PROTO_BIOS && (vm->initrd.present || vm->cmdline[0]))
		return "bios: takes neither an initrd nor a command line";
	return NULL;
}

void config_finish(struct config *c)
{
	for (unsigned i = 0; i < c->nr_vms; i++) {
		struct vm_config *vm = &c->vm[i];
		const char *why = check_vm(vm);

		if (why && !vm->failed)
			complain(c, vm, "%s", why);
	}
}

void config_init(struct config *c, const struct config_limits *limits,
		 void (*report)(void *ctx, const char *line), void *ctx)
{
	c->limits = *limits;
	c->report = report;
	c->ctx = ctx;
	c->nr_lines = 0;
	c->nr_vms = 0;
}
