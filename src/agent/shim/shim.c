/*
 * The program that is installed as vf-attach and vf-offload, and copied to any other name that a network config calls. The
 * program mends its surroundings and becomes the Bun program beside it, vf-flower: same arguments, same descriptors, same
 * name. Bun reads its working directory, its environment and its limits before the first line of our TypeScript, so that
 * TypeScript could neither mend them nor report them.
 *
 * Static, because a dynamic program loads the libraries of LD_PRELOAD and LD_LIBRARY_PATH before its first line.
 */
#include "linux.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The name of the Bun program, in the folder of this one. */
static const char program[] = "vf-flower";

/*
 * Beginnings of the variables that vf-flower reads, hands to IPAM plugins or searches; all others are dropped. BUN_* and
 * BUN_JSC_* change the engine, NODE_* and LD_* change the code that it loads. No runtime means those for a CNI plugin.
 */
static const char *const kept[] = { "CNI_", "PATH=", "VF_FLOWER_" };

/* The limits that the engine and a call need, as measured with Bun 1.4.5 and with room to spare. */
static const struct need {
	int resource;
	const char *name;
	/* The name of the setting in a systemd unit. */
	const char *unit;
	/* Bytes, or descriptors. */
	unsigned long long least;
} needs[] = {
	/* Below 2.3 GiB the engine finds no room for the code that calls libc. */
	{ RLIMIT_AS, "RLIMIT_AS", "LimitAS", 3ULL << 30 },
	{ RLIMIT_DATA, "RLIMIT_DATA", "LimitDATA", 3ULL << 30 },
	/* With 128 KiB the engine crashes. */
	{ RLIMIT_STACK, "RLIMIT_STACK", "LimitSTACK", 512ULL << 10 },
	/* STATUS needs 8, an ADD a few more. */
	{ RLIMIT_NOFILE, "RLIMIT_NOFILE", "LimitNOFILE", 64 },
};

/* Errors of starting a program while it is being installed, or after a part of it was. */
static const struct reason {
	long number;
	const char *words;
} reasons[] = {
	{ ENOENT, "ENOENT (No such file or directory)" },
	{ EACCES, "EACCES (Permission denied)" },
	{ ENOEXEC, "ENOEXEC (Exec format error)" },
	{ ETXTBSY, "ETXTBSY (Text file busy)" },
	{ ENOMEM, "ENOMEM (Cannot allocate memory)" },
	{ ELOOP, "ELOOP (Too many levels of symbolic links)" },
	{ EIO, "EIO (Input/output error)" },
};

/* A text that is written at once; bytes that do not fit are cut off. */
static char text[4 * PATH_MAX];
static unsigned long length;

static void add_byte(char byte)
{
	if (length < sizeof(text))
		text[length++] = byte;
}

static void add(const char *part)
{
	while (*part != '\0')
		add_byte(*part++);
}

static void add_number(unsigned long long number)
{
	char digits[24];
	int count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	while (count > 0)
		add_byte(digits[--count]);
}

/* A part of a JSON string; control characters and bytes beyond ASCII become '?'. */
static void add_quoted(const char *part)
{
	for (; *part != '\0'; part++) {
		if (*part == '"' || *part == '\\')
			add_byte('\\');
		add_byte(*part >= ' ' && *part <= '~' ? *part : '?');
	}
}

/* The words for a negative result of a system call. */
static void add_reason(long result)
{
	for (unsigned long i = 0; i < COUNT(reasons); i++) {
		if (reasons[i].number != -result)
			continue;
		add(reasons[i].words);
		return;
	}
	add("errno ");
	add_number((unsigned long long)-result);
}

/* Begins an error object of the CNI specification 1.1.0, code 50: the plugin is not available. */
static void begin_error(const char *name)
{
	add("{\"cniVersion\":\"1.1.0\",\"code\":50,\"msg\":\"Cannot start ");
	add_quoted(name);
	add(": ");
}

/* Ends the error object and the process: exit code 1, as every CNI error. */
static void __attribute__((noreturn)) fail(void)
{
	unsigned long done = 0;

	add("\"}\n");
	while (done < length) {
		long count = sys_write(1, text + done, length - done);

		if (count < 0 && count != -EINTR)
			break;
		if (count > 0)
			done += (unsigned long)count;
	}
	sys_exit(1);
}

/*
 * A program may raise a soft limit by itself, so a soft limit that is too low is raised to the need. A hard limit is the
 * operator's decision: the error names it.
 */
static void require_limits(const char *name)
{
	for (unsigned long i = 0; i < COUNT(needs); i++) {
		const struct need *need = &needs[i];
		struct rlimit64 limit;

		if (sys_limit(need->resource, 0, &limit) != 0 || limit.rlim_cur >= need->least)
			continue;
		if (limit.rlim_max >= need->least) {
			limit.rlim_cur = need->least;
			if (sys_limit(need->resource, &limit, 0) == 0)
				continue;
		}
		begin_error(name);
		add(need->name);
		add(" is ");
		add_number(limit.rlim_max);
		add("; must be ");
		add_number(need->least);
		add(" or more; raise it for the container runtime (");
		add(need->unit);
		add("= of a systemd unit)");
		fail();
	}
}

static int begins_with(const char *word, const char *beginning)
{
	while (*beginning != '\0')
		if (*word++ != *beginning++)
			return 0;
	return 1;
}

static int is_kept(const char *variable)
{
	for (unsigned long i = 0; i < COUNT(kept); i++)
		if (begins_with(variable, kept[i]))
			return 1;
	return 0;
}

static void clean(char **variables)
{
	char **end = variables;

	for (; *variables != 0; variables++)
		if (is_kept(*variables))
			*end++ = *variables;
	*end = 0;
}

/* The part of a path after the last slash. */
static char *base_name(char *path)
{
	char *base = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

/* Replaces the last part of `path`, the absolute path of this file in a buffer that is `room` bytes longer. */
static void put_beside(char *path, unsigned long room)
{
	char *base = base_name(path);

	for (unsigned long i = 0; i < sizeof(program) && i < room; i++)
		base[i] = program[i];
}

/* True if `path` is this program. A file copied over a link can put it in the place of vf-flower; it would start itself for ever. */
static int is_this_program(const char *path)
{
	static struct statx own, other;

	return sys_stat("/proc/self/exe", &own) == 0 && sys_stat(path, &other) == 0 &&
	       own.stx_dev_major == other.stx_dev_major && own.stx_dev_minor == other.stx_dev_minor &&
	       own.stx_ino == other.stx_ino;
}

/* The kernel's `stack` has argc, argv and a null, then the environment and a null. */
void __attribute__((noreturn)) start(long *stack);
void start(long *stack)
{
	static char path[PATH_MAX + sizeof(program)];
	static char unnamed[] = "vf-flower";
	char **argv = (char **)(stack + 1);
	char **environment = argv + stack[0] + 1;
	char *name = stack[0] > 0 ? base_name(argv[0]) : unnamed;
	/* The path of this file, without symbolic links. */
	long found = sys_readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (found <= 0) {
		begin_error(name);
		add("readlink /proc/self/exe: ");
		add_reason(found);
		add("; /proc must be mounted");
		fail();
	}
	/* Multus changes its root but not its working directory, which then is outside of the root; other callers delete theirs. */
	long changed = sys_chdir("/");

	if (changed != 0) {
		begin_error(name);
		add("chdir /: ");
		add_reason(changed);
		fail();
	}
	require_limits(name);
	clean(environment);
	put_beside(path, sizeof(program));
	long refused = is_this_program(path) ? 0 : sys_execve(path, argv, environment);

	begin_error(name);
	add("cannot execute ");
	add_quoted(path);
	add(": ");
	if (refused == 0)
		add("it is a copy of this very file; install vf-flower of the same build there");
	else
		add_reason(refused);
	fail();
}
