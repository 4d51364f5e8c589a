/*
 * The way without the agent: mends limits and environment, and becomes the Bun program beside this one, vf-flower. Bun reads
 * both before the first line of our TypeScript, so that TypeScript could neither mend them nor report them.
 */
#include "report.h"

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
	/* The limit, and the setting in a systemd unit. */
	const char *name, *unit;
	/* Bytes, or descriptors. */
	unsigned long least;
} needs[] = {
	/* Below 2.3 GiB the engine finds no room for the code that calls libc. */
	{ RLIMIT_AS, "RLIMIT_AS", "LimitAS", 3UL << 30 },
	{ RLIMIT_DATA, "RLIMIT_DATA", "LimitDATA", 3UL << 30 },
	/* With 128 KiB the engine crashes. */
	{ RLIMIT_STACK, "RLIMIT_STACK", "LimitSTACK", 512UL << 10 },
	/* STATUS needs 8, an ADD a few more. */
	{ RLIMIT_NOFILE, "RLIMIT_NOFILE", "LimitNOFILE", 64 },
};

/* Raises soft limits that are too low. A hard limit is the operator's decision: the error names it. */
static void require_limits(const struct call *call)
{
	for (const struct need *need = needs; need < needs + COUNT(needs); need++) {
		struct rlimit limit;

		if (sys_prlimit64(0, need->resource, 0, &limit) != 0 || limit.rlim_cur >= need->least)
			continue;
		limit.rlim_cur = need->least;
		if (limit.rlim_max >= need->least && sys_prlimit64(0, need->resource, &limit, 0) == 0)
			continue;
		begin_error(call);
		add(need->name);
		add(" is ");
		add_number(limit.rlim_max);
		add("; must be ");
		add_number(need->least);
		add(" or more; raise it for the container runtime (");
		add(need->unit);
		add("= of a systemd unit)");
		end_error();
	}
}

static void clean(char **variables)
{
	char **end = variables;

	for (; *variables != 0; variables++)
		for (unsigned long i = 0; i < COUNT(kept); i++)
			if (begins_with(*variables, kept[i])) {
				*end++ = *variables;
				break;
			}
	*end = 0;
}

/* True if `path` is this program. A file copied over a link can put it in the place of vf-flower; it would start itself for ever. */
static int is_this_program(const char *path)
{
	static struct statx own, other;

	return sys_statx(AT_FDCWD, "/proc/self/exe", 0, STATX_INO, &own) == 0 &&
	       sys_statx(AT_FDCWD, path, 0, STATX_INO, &other) == 0 && own.stx_dev_major == other.stx_dev_major &&
	       own.stx_dev_minor == other.stx_dev_minor && own.stx_ino == other.stx_ino;
}

/*
 * Executes vf-flower in the folder of `path`, which has room for that name. Returns -errno, 0 if a copy of this program is
 * there.
 */
static long execute(char *path, const struct call *call, const char *argument)
{
	char *argv[] = { call->argv[0], (char *)argument, 0 };
	char *base = base_name(path);

	for (unsigned long i = 0; i < sizeof(program); i++)
		base[i] = program[i];
	return is_this_program(path) ? 0 : sys_execve(path, argument == 0 ? call->argv : argv, call->environment);
}

/* Becomes vf-flower, with an only argument, or for 0 with the arguments of the call. */
static void __attribute__((noreturn)) run_program(const struct call *call, const char *argument)
{
	/* The path of this file, without symbolic links; the path that the caller has executed, perhaps a link. */
	static char path[PATH_MAX + sizeof(program)], called[PATH_MAX + sizeof(program)];
	long result = sys_readlinkat(AT_FDCWD, "/proc/self/exe", path, PATH_MAX - 1);

	/* The engine would crash. */
	if (result == -ENOENT) {
		begin_error(call);
		add("readlink /proc/self/exe: ");
		add_reason(result);
		add("; /proc must be mounted");
		end_error();
	}
	require_limits(call);
	clean(call->environment);
	/* The program reads standard input from its beginning, without what was written behind it. */
	if (call->input >= 0) {
		sys_ftruncate(call->input, call->length);
		sys_lseek(call->input, 0, SEEK_SET);
		sys_dup3(call->input, 0, 0);
	}
	if (result > 0)
		result = execute(path, call, argument);
	for (unsigned long i = 0; i < PATH_MAX && call->path[i] != '\0'; i++)
		called[i] = call->path[i];
	/* A relative path began in the directory that the process has left. */
	if (called[0] == '/')
		execute(called, call, argument);
	begin_error(call);
	add("cannot execute ");
	add_quoted(path);
	add(": ");
	if (result == 0)
		add("it is a copy of this very file; install vf-flower of the same build there");
	else
		add_reason(result);
	end_error();
}
