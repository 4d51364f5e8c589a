/*
 * The entry point of the container image. Its first word says which program it becomes, and in which mount namespace:
 *
 *   agent, vfctl WORD ...        the program of that name that is installed on the node, with the node's files
 *   install, uninstall WORD ...  the installer of the image, with the node's files; with --root, which names a folder of the
 *                                container, in the container
 *   device-plugin WORD ...       the device plugin of the image, in the container
 *   ready FILE                   none: code 0 if the container has the file, for a probe of a container without a shell
 *   wait                         none: waits for SIGTERM, in a pod whose work its init container has done
 *
 * Workers serve only callers that have the same files, so the agent needs the node's. The kernel lets a process with one thread
 * alone enter a mount namespace (setns(2)), and a JavaScript engine has several before its first line. So this is C.
 */
#include "../shim/linux.h"
#include "words.h"
#include "host.h"

CALL(rt_sigprocmask, (int does, const unsigned long *set, unsigned long *old, unsigned long size), does, set, old, size, 0)
CALL(rt_sigtimedwait, (const unsigned long *set, void *info, void *left, unsigned long size), set, info, left, size, 0)

/* The folder of this program, then the path of the program of the image. */
#define PATH_BYTES 4096
static const char program[] = "/vf-flower";
static char path[PATH_BYTES + sizeof(program)];
static unsigned long length_of_folder;

/* Waits for the end. Process 1 of a namespace gets no signal that it neither blocks nor handles. */
static void __attribute__((noreturn)) wait_for_end(void)
{
	unsigned long ends = 1UL << (SIGTERM - 1) | 1UL << (SIGINT - 1);

	sys_rt_sigprocmask(SIG_BLOCK, &ends, 0, sizeof(ends));
	while (sys_rt_sigtimedwait(&ends, 0, 0, sizeof(ends)) < 0)
		;
	leave(0);
}

static void __attribute__((noreturn)) tell_ready(const char *file)
{
	struct statx found;
	long error = sys_statx(AT_FDCWD, file, 0, STATX_INO, &found);

	if (error < 0)
		fail("find", file, words_for(error), "the container's program is not ready");
	leave(0);
}

/* Writes the folder of this program to `path`. */
static void find_folder(void)
{
	long end = sys_readlinkat(AT_FDCWD, "/proc/self/exe", path, PATH_BYTES);

	if (end < 0)
		fail("read", "/proc/self/exe", words_for(end), "/proc must be mounted");
	while (end > 0 && path[end] != '/')
		end--;
	length_of_folder = (unsigned long)end;
}

/*
 * The variables that a program on the node gets: a PATH, and those of vf-flower, 62 at most. What an image or a cluster puts into
 * the environment of a container is not meant for the node's programs.
 */
static char **clean(char **variables)
{
	static char *kept[64] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
	unsigned long count = 1;

	for (; *variables != 0 && count < sizeof(kept) / sizeof(kept[0]) - 1; variables++)
		if (begins(*variables, "VF_FLOWER_"))
			kept[count++] = *variables;
	return kept;
}

/* Becomes the program of the image, called `name`, or by its path for 0. */
static void __attribute__((noreturn)) become(char *name, char **argv, char **environment)
{
	for (unsigned long i = 0; i < sizeof(program); i++)
		path[length_of_folder + i] = program[i];
	argv[0] = name == 0 ? path : name;
	fail("execute", path, words_for(sys_execve(path, argv, environment)), "the image must have it");
}

/* The installer keeps this link to the folder of its names, wherever --libexec-dir has put them: src/install/files/manifest.ts. */
#define INSTALLED "/var/lib/vf-flower/installed"

/* Becomes a program that is installed on the node. The last part of its name selects what it is. */
static void __attribute__((noreturn)) become_installed(char *file, char **argv, char **environment)
{
	enter();
	argv[0] = file;
	fail("execute", file, words_for(sys_execve(file, argv, clean(environment))),
	     "vf-flower must be installed on the node, whose process 1 the pod must see: hostPID: true");
}

/* Becomes the installer of the image: on the node, or in the container for a root that is a folder of the container. */
static void __attribute__((noreturn)) become_installer(char **argv, char **environment)
{
	for (char **word = argv; *word != 0; word++)
		if (is_same(*word, "--root") || begins(*word, "--root="))
			become(0, argv, environment);
	path[length_of_folder] = '\0';
	enter_with(length_of_folder == 0 ? "/" : path);
	for (unsigned long i = 0; i < sizeof(IMAGE); i++)
		path[i] = IMAGE[i];
	length_of_folder = sizeof(IMAGE) - 1;
	become(0, argv, clean(environment));
}

/* The kernel's `stack` has argc, argv and a null, then the environment and a null. */
void __attribute__((noreturn)) start(long *stack)
{
	char **argv = (char **)(stack + 1), **environment = argv + stack[0] + 1;
	char *word = stack[0] > 1 ? argv[1] : "";

	if (is_same(word, "wait"))
		wait_for_end();
	if (is_same(word, "ready") && stack[0] == 3)
		tell_ready(argv[2]);
	find_folder();
	if (is_same(word, "agent"))
		become_installed(INSTALLED "/vf-agent", argv + 1, environment);
	if (is_same(word, "vfctl"))
		become_installed(INSTALLED "/vfctl", argv + 1, environment);
	if (is_same(word, "install") || is_same(word, "uninstall"))
		become_installer(argv, environment);
	if (is_same(word, "device-plugin"))
		become("vf-device-plugin", argv + 1, environment);
	print("vf-flower-enter: Cannot run \"", word,
	      "\": must be agent, vfctl, install, uninstall, device-plugin, ready FILE or wait\n", 0);
	leave(2);
}
