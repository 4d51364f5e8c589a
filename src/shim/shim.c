/*
 * The program that is installed as vf-attach and vf-offload, and copied to whatever other name a network config calls. It
 * makes the surroundings fit for the Bun program beside it, vf-flower, and becomes that one: same arguments, same
 * descriptors, same name. Bun looks at its working directory, its environment and its limits before our first line of
 * TypeScript, so that nothing there could mend them or say what is wrong.
 *
 * Static, because what LD_PRELOAD and LD_LIBRARY_PATH name is loaded before main() of a dynamic program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The program that does the work, in the folder of this one. */
static const char program[] = "vf-flower";

/*
 * What vf-flower reads, hands to IPAM plugins or searches; everything else is dropped. BUN_* and BUN_JSC_* change the
 * engine, NODE_* and LD_* what it loads, and none of them is a runtime's wish for a CNI plugin.
 */
static const char *const kept[] = { "CNI_", "PATH=", "VF_FLOWER_" };

/* What the engine and a call need, as measured with Bun 1.4.5 and with room to spare. */
static const struct need {
	int resource;
	const char *name;
	/* The setting of a systemd unit. */
	const char *unit;
	/* Bytes, or descriptors. */
	rlim_t least;
} needs[] = {
	/* Below 2.3 GiB the engine finds no room for the code that calls libc. */
	{ RLIMIT_AS, "RLIMIT_AS", "LimitAS", 3UL << 30 },
	{ RLIMIT_DATA, "RLIMIT_DATA", "LimitDATA", 3UL << 30 },
	/* With 128 KiB the engine crashes. */
	{ RLIMIT_STACK, "RLIMIT_STACK", "LimitSTACK", 512UL << 10 },
	/* STATUS needs 8, an ADD a few more. */
	{ RLIMIT_NOFILE, "RLIMIT_NOFILE", "LimitNOFILE", 64 },
};

/* A text that is written at once; what does not fit is cut off. */
static char text[4 * PATH_MAX];
static size_t length;

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

static void add_number(rlim_t number)
{
	char digits[24];
	size_t count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	while (count > 0)
		add_byte(digits[--count]);
}

/* A part of a JSON string; bytes that JSON has no short form for, and those that may be no UTF-8, become '?'. */
static void add_quoted(const char *part)
{
	for (; *part != '\0'; part++) {
		if (*part == '"' || *part == '\\')
			add_byte('\\');
		add_byte(*part >= ' ' && *part <= '~' ? *part : '?');
	}
}

/* Begins an error object of the CNI specification 1.1.0, code 50: the plugin is not available. */
static void begin_error(const char *name)
{
	length = 0;
	add("{\"cniVersion\":\"1.1.0\",\"code\":50,\"msg\":\"Cannot start ");
	add_quoted(name);
	add(": ");
}

/* Ends the error object and the process: exit code 1, as every CNI error. */
static void fail(void)
{
	size_t done = 0;

	add("\"}\n");
	while (done < length) {
		ssize_t count = write(STDOUT_FILENO, text + done, length - done);

		if (count < 0 && errno != EINTR)
			break;
		if (count > 0)
			done += (size_t)count;
	}
	_exit(1);
}

/*
 * A soft limit is a default that a program may raise by itself, so that one which is too low is raised to what is needed.
 * A hard limit is the operator's decision: it is named.
 */
static void require_limits(const char *name)
{
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		const struct need *need = &needs[i];
		struct rlimit limit;

		if (getrlimit(need->resource, &limit) != 0 || limit.rlim_cur >= need->least)
			continue;
		if (limit.rlim_max >= need->least) {
			limit.rlim_cur = need->least;
			if (setrlimit(need->resource, &limit) == 0)
				continue;
		}
		begin_error(name);
		add(need->name);
		add(" is ");
		add_number(limit.rlim_max);
		add(", must be ");
		add_number(need->least);
		add(" or more; raise it for the container runtime (");
		add(need->unit);
		add("= of a systemd unit)");
		fail();
	}
}

static bool is_kept(const char *variable)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
			return true;
	return false;
}

static void clean(char **variables)
{
	char **end = variables;

	for (; *variables != NULL; variables++)
		if (is_kept(*variables))
			*end++ = *variables;
	*end = NULL;
}

/* Puts the path of vf-flower in the folder of `file` into `path`; false if it is too long. */
static bool beside(const char *file, char path[PATH_MAX])
{
	const char *slash = strrchr(file, '/');
	size_t folder = slash == NULL ? 0 : (size_t)(slash - file) + 1;

	if (folder + sizeof(program) > PATH_MAX)
		return false;
	memmove(path, file, folder);
	memcpy(path + folder, program, sizeof(program));
	return true;
}

/*
 * Where vf-flower is: beside this file, whatever symbolic links lead to it. The kernel knows by /proc, and where that is
 * not mounted, by the path that was executed. Must run before the working directory changes, for that path may be relative.
 */
static bool find_program(char path[PATH_MAX])
{
	static char own[PATH_MAX];
	ssize_t count = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (count > 0) {
		own[count] = '\0';
		if (beside(own, path) && access(path, F_OK) == 0)
			return true;
	}
	const char *executed = (const char *)getauxval(AT_EXECFN);

	return executed != NULL && realpath(executed, own) != NULL && beside(own, path);
}

/* Whoever copied a file over a link may have put this program in the place of vf-flower: it would start itself for ever. */
static bool is_this_program(const char *path)
{
	struct stat own, other;

	return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
	       own.st_ino == other.st_ino;
}

int main(int argc, char **argv)
{
	static char path[PATH_MAX];
	const char *name = argc > 0 ? argv[0] : program;
	const char *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	if (!find_program(path)) {
		begin_error(name);
		add("cannot find out in which folder it is: /proc is not mounted");
		fail();
	}
	/* Multus changes its root and not its working directory, which then is outside of the root; others delete theirs. */
	if (chdir("/") != 0) {
		begin_error(name);
		add("chdir /: ");
		add_quoted(strerror(errno));
		fail();
	}
	require_limits(name);
	clean(environ);
	if (is_this_program(path))
		errno = ELOOP;
	else
		execve(path, argv, environ);
	int reason = errno;

	begin_error(name);
	add("cannot execute ");
	add_quoted(path);
	add(": ");
	add_quoted(reason == ELOOP ? "it is a copy of this very file; install vf-flower of the same build there" : strerror(reason));
	fail();
	return 1;
}
