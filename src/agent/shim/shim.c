/*
 * The shim: the program that is installed as vf-attach and vf-offload, and copied to any other name that a network config
 * calls. The shim answers VERSION by itself, hands other calls to the agent if one is there (protocol.h), and becomes
 * vf-flower, the Bun program beside it, for all the rest: same arguments, same descriptors, same name.
 *
 * Static, because a dynamic program loads the libraries of LD_PRELOAD and LD_LIBRARY_PATH before its first line.
 */
#include "agent.h"
#include "report.h"
#include "standalone.h"

/* Longest wait for a part of a standard input that is non-blocking. */
#define INPUT_MILLISECONDS 30000

/* The answer to VERSION (src/cni/version.ts). */
static const char versions[] = VF_FLOWER_VERSIONS;

/* Names of the CNI plugins in vf-flower (src/main.ts), which says of all others that they are none. */
static const char *const names[] = { "vf-attach", "sriov", "host-device", "vf-offload", "portmap", "bandwidth" };

/* Verbs by their number in HELLO. VERSION, without a number, is the first. */
static const char *const verbs[] = {
	"VERSION", [VERB_ADD] = "ADD", [VERB_DEL] = "DEL", [VERB_CHECK] = "CHECK", [VERB_GC] = "GC", [VERB_STATUS] = "STATUS",
};

/* The place of `word` in a list; -1 if it is not there. */
static int place(const char *const *list, int count, const char *word)
{
	while (--count >= 0)
		if (begins_with(word, list[count]) && word[size(list[count])] == '\0')
			break;
	return count;
}

/* Reads all of standard input into a memfd. False if not a byte was read: vf-flower meets the reason by itself. */
static int read_input(struct call *call)
{
	static char buffer[64 << 10];
	int memfd = (int)sys_memfd_create("vf-flower", MFD_CLOEXEC);

	while (memfd >= 0) {
		long count = sys_read(0, buffer, sizeof(buffer));

		if (count == -EAGAIN && is_ready(0, POLLIN, INPUT_MILLISECONDS))
			continue;
		if (count == 0)
			call->input = memfd;
		if (count == 0 || (count < 0 && call->length == 0))
			break;
		if (count < 0 || sys_write(memfd, buffer, (unsigned long)count) != count) {
			begin_error(call);
			add("cannot read all of standard input into memory");
			end_error();
		}
		call->length += (unsigned long)count;
	}
	return call->input >= 0;
}

/* The kernel's `stack` has argc, argv and a null, then the environment and a null, then pairs of numbers. */
void __attribute__((noreturn)) start(long *stack);
void start(long *stack)
{
	struct call call = { .name = "vf-flower", .command = "", .path = "", .input = -1 };
	const char *argument = 0;

	call.argv = (char **)(stack + 1);
	call.environment = call.argv + stack[0] + 1;
	char **end = call.environment;

	/* Of two variables of one name Bun takes the second. */
	for (; *end != 0; end++) {
		if (begins_with(*end, "CNI_COMMAND="))
			call.command = *end + size("CNI_COMMAND=");
		if (begins_with(*end, "CNI_NETNS="))
			call.namespace = *end + size("CNI_NETNS=");
	}
	for (unsigned long *pair = (unsigned long *)(end + 1); pair[0] != AT_NULL; pair += 2)
		if (pair[0] == AT_EXECFN)
			call.path = (const char *)pair[1];
	if (stack[0] > 0)
		call.name = base_name(call.argv[0]);
	/* Multus changes its root but not its working directory, which then is outside of the root; other callers delete theirs. */
	long changed = sys_chdir("/");

	if (changed != 0) {
		begin_error(&call);
		add("chdir /: ");
		add_reason(changed);
		end_error();
	}
	/*
	 * A closed descriptor 0, 1 or 2 would be the number of the next file that opens. This one can be neither read nor
	 * written, as if it were closed, and it is closed when vf-flower starts.
	 */
	do
		call.root = (int)sys_openat(AT_FDCWD, "/", O_PATH | O_CLOEXEC);
	while (call.root >= 0 && call.root <= 2);

	int verb = place(names, COUNT(names), call.name) < 0 ? -1 : place(verbs, COUNT(verbs), call.command);

	if (verb == 0 && is_ready(1, POLLOUT, 0) && sys_write(1, versions, size(versions)) == (long)size(versions))
		sys_exit_group(0);
	if (verb > 0 && stack[0] == 1 && call.root >= 0 && sys_faccessat(AT_FDCWD, VF_SOCKET, F_OK) == 0 && read_input(&call))
		argument = ask_agent(&call, (unsigned int)verb);
	run_program(&call, argument);
}
