/*
 * The shim: installed as vf-attach and vf-offload, and copied to any other name that a network config calls. Answers VERSION
 * by itself, hands other calls to the agent if one is there (protocol.h), and becomes vf-flower, the Bun program beside it,
 * for all the rest: same arguments, same descriptors, same name. Static, because a dynamic program loads the libraries of
 * LD_PRELOAD and LD_LIBRARY_PATH before its first line.
 */
#include "linux.h"
#include "protocol.h"
/* Each of the parts uses those above it. */
#include "report.h"
#include "agent.h"
#include "standalone.h"

/* The answer to VERSION (src/cni/version.ts). */
static const char versions[] = VF_FLOWER_VERSIONS;

/* Names of the CNI plugins in vf-flower (src/main.ts), which says of all others that they are none. */
static const char *const names[] = { "vf-attach", "sriov", "host-device", "vf-offload", "portmap", "bandwidth" };

/* Verbs by their number in HELLO. VERSION has none, and is the first. */
static const char *const verbs[] = {
	"VERSION", [VERB_ADD] = "ADD", [VERB_DEL] = "DEL", [VERB_CHECK] = "CHECK", [VERB_GC] = "GC", [VERB_STATUS] = "STATUS",
};

/* Reads all of standard input into a memfd. False if not a byte was read: vf-flower meets the reason by itself. */
static int read_input(struct call *call)
{
	static char buffer[64 << 10];
	long count = call->input = (int)sys_memfd_create("vf-flower", MFD_CLOEXEC);

	while (count > 0) {
		count = sys_read(0, buffer, sizeof(buffer));
		/* Half a minute for a part of an input that is non-blocking. */
		if (count == -EAGAIN && is_ready(0, POLLIN, 30000))
			count = 1;
		else if (count > 0 && sys_write(call->input, buffer, (unsigned long)count) == count)
			call->length += (unsigned long)count;
		else if (count != 0 && (count > 0 || call->length > 0))
			fail(call, "cannot read all of standard input into memory");
	}
	call->input = count == 0 ? call->input : -1;
	return count == 0;
}

/* The kernel's `stack` has argc, argv and a null, then the environment and a null, then pairs of numbers. */
void __attribute__((noreturn)) start(long *stack)
{
	struct call call = { .argv = (char **)(stack + 1), .name = "vf-flower", .command = "", .path = "", .input = -1 };
	char **end = call.environment = call.argv + stack[0] + 1;

	/* Of two variables of one name Bun takes the second. */
	for (; *end != 0; end++) {
		call.command = after(*end, "CNI_COMMAND=") ?: call.command;
		call.namespace = after(*end, "CNI_NETNS=") ?: call.namespace;
	}
	for (unsigned long *pair = (unsigned long *)(end + 1); pair[0] != AT_NULL; pair += 2)
		if (pair[0] == AT_EXECFN)
			call.path = (const char *)pair[1];
	if (stack[0] > 0)
		call.name = base_name(call.argv[0]);
	/* Multus changes its root but not its working directory, which then is outside of the root; other callers delete theirs. */
	long changed = sys_chdir("/");

	if (changed != 0)
		fail(&call, "chdir /: ", words(changed));
	/* Takes the place of closed descriptors 0, 1 and 2: can be neither read nor written, and is closed for vf-flower. */
	do
		call.root = (int)sys_openat(AT_FDCWD, "/", O_PATH | O_CLOEXEC);
	while (call.root >= 0 && call.root <= 2);
	int verb = place(names, COUNT(names), call.name) < 0 ? -1 : place(verbs, COUNT(verbs), call.command);

	if (verb == 0 && is_ready(1, POLLOUT, 0) && sys_write(1, versions, sizeof(versions) - 1) == sizeof(versions) - 1)
		sys_exit_group(0);
	int is_for_agent = verb > 0 && stack[0] == 1 && call.root >= 0 && sys_faccessat(AT_FDCWD, VF_SOCKET, F_OK) == 0;

	run_program(&call, is_for_agent && read_input(&call) ? ask_agent(&call, (unsigned int)verb) : 0);
}
