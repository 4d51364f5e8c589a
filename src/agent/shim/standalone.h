/*
 * The way without the agent: mends limits and environment, and becomes the Bun program beside this one, vf-flower. Bun reads
 * both before the first line of our TypeScript, so that TypeScript could neither mend them nor report them.
 */
/*
 * Names of the Bun program, in the folder of this one: that of this very build, which stays there while an installer replaces
 * one build by the next, then that of any build.
 */
static const char *const programs[] = { "vf-flower-" VF_FLOWER_BUILD, "vf-flower" };
/* Longest path of the kernel. */
#define PATH_BYTES 4096

/*
 * The limits that the engine and a call need, in bytes or descriptors, with room to spare. Measured with Bun 1.4.5: below
 * 2.3 GiB the engine finds no room for the code that calls libc, with 128 KiB of stack it crashes, STATUS needs 8 descriptors.
 */
static const struct need { int resource; const char *name; unsigned long least; } needs[] = {
	{ RLIMIT_AS, "AS", 3UL << 30 },
	{ RLIMIT_DATA, "DATA", 3UL << 30 },
	{ RLIMIT_STACK, "STACK", 512UL << 10 },
	{ RLIMIT_NOFILE, "NOFILE", 64 },
};

/* Raises soft limits that are too low. A hard limit is the operator's decision: the error names it. */
static void require_limits(const struct call *call)
{
	for (const struct need *need = needs; need < needs + COUNT(needs); need++) {
		struct rlimit limit;

		if (sys_prlimit64(0, need->resource, 0, &limit) != 0 || limit.rlim_cur >= need->least)
			continue;
		limit.rlim_cur = need->least;
		if (limit.rlim_max < need->least || sys_prlimit64(0, need->resource, &limit, 0) != 0)
			fail(call, "RLIMIT_", need->name, " is ", decimal(limit.rlim_max, (char[24]){ 0 }), "; must be ",
			     decimal(need->least, (char[24]){ 0 }), " or more; raise it for the container runtime (Limit",
			     need->name, "= of a systemd unit)");
	}
}

/*
 * Keeps the variables that vf-flower reads, hands to IPAM plugins or searches. BUN_* and BUN_JSC_* change the engine, NODE_*
 * and LD_* change the code that it loads. No runtime means those for a CNI plugin. Returns the end of what it keeps.
 */
static char **clean(char **variables)
{
	char **end = variables;

	for (; *variables != 0; variables++)
		if (after(*variables, "CNI_") != 0 || after(*variables, "PATH=") != 0 || after(*variables, "VF_FLOWER_") != 0)
			*end++ = *variables;
	*end = 0;
	return end;
}

/*
 * Spares the program a thread that fetches memory for many more calls than one: some 5 % of a call. An engine that does not know
 * an option ends without a word. So only the program that the build has tried gets the option, known by its size in bytes.
 */
#ifdef VF_FLOWER_OPTION
static char option[] = VF_FLOWER_OPTION;
#endif

/* The path of this program, then that of vf-flower in the same folder, whose name is no longer than the room behind. */
static char path[PATH_BYTES + 64];

/*
 * Executes `program` in the folder of the file `shim`. Returns -errno; 0 for a copy of this program. `end` is the end of the
 * environment, behind which the pairs of the kernel have been read.
 */
static long execute(const char *shim, const char *program, const struct call *call, char **end, const char *argument)
{
	static struct statx own, other;
	char *argv[] = { call->argv[0], (char *)argument, 0 };

	/* The file may be `path` itself, as an earlier try has left it: its folder is the same. */
	for (unsigned long i = 0; i < PATH_BYTES && (path[i] = shim[i]) != '\0'; i++)
		;
	char *base = base_name(path);

	while ((*base++ = *program++) != '\0')
		;
	/* A file copied over a link can put this program in the place of vf-flower; it would start itself for ever. */
	if (sys_statx(AT_FDCWD, "/proc/self/exe", 0, STATX_INO, &own) == 0 &&
	    sys_statx(AT_FDCWD, path, 0, STATX_INO | STATX_SIZE, &other) == 0 && own.stx_dev_major == other.stx_dev_major &&
	    own.stx_dev_minor == other.stx_dev_minor && own.stx_ino == other.stx_ino)
		return 0;
#ifdef VF_FLOWER_OPTION
	end[0] = other.stx_size == VF_FLOWER_BYTES ? option : 0;
	if (end[0] != 0)
		end[1] = 0;
#else
	(void)end;
#endif
	return sys_execve(path, argument == 0 ? call->argv : argv, call->environment);
}

/* The same for the names of the program in turn. */
static long execute_any(const char *shim, const struct call *call, char **end, const char *argument)
{
	long result = -ENOENT;

	for (unsigned long i = 0; result != 0 && i < COUNT(programs); i++)
		result = execute(shim, programs[i], call, end, argument);
	return result;
}

/* Becomes vf-flower, with an only argument, or for 0 with the arguments of the call. */
static void __attribute__((noreturn)) run_program(const struct call *call, const char *argument)
{
	/* Without symbolic links. Without /proc the engine would crash. */
	long result = sys_readlinkat(AT_FDCWD, "/proc/self/exe", path, PATH_BYTES);

	if (result == -ENOENT)
		fail(call, "readlink /proc/self/exe: ", words(result), "; /proc must be mounted");
	require_limits(call);
	char **end = clean(call->environment);

	/* The program reads the input, if that is in memory, from its beginning and without the environment behind it. */
	sys_ftruncate(call->input, call->length);
	sys_lseek(call->input, 0, SEEK_SET);
	sys_dup3(call->input, 0, 0);
	if (result > 0)
		result = execute_any(path, call, end, argument);
	/* The path that the caller has executed may be a link. A relative one began in the directory that the process has left. */
	if (result != 0 && call->path[0] == '/')
		result = execute_any(call->path, call, end, argument);
	fail(call, "cannot execute ", path, ": ",
	     result != 0 ? words(result) : "it is a copy of this very file; install vf-flower of the same build there");
}
