/* The shim's end of protocol.h. Whatever the agent sends that is not in there counts as the end of the connection. */
#include "protocol.h"
#include "report.h"

/* Longest wait for a standard output, and a standard error, that takes no byte: perhaps nobody reads it. */
#define OUTPUT_MILLISECONDS 10000
#define ERROR_MILLISECONDS 100

/* Control data of a message. */
struct rights {
	struct cmsghdr head;
	int files[3];
};

/* The message that came last, and its memfd. */
static struct message message;
static int answer;

/* The connection with an agent of root; negative if there is none. */
static int connect_agent(void)
{
	static const struct sockaddr_un address = { AF_UNIX, VF_SOCKET };
	struct ucred agent;
	unsigned int bytes = sizeof(agent);
	int connection = (int)sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Without a place in the agent's queue this is EAGAIN, at once. */
	if (connection < 0 || sys_connect(connection, &address, sizeof(address)) != 0 ||
	    sys_getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &agent, &bytes) != 0 || agent.uid != 0)
		return -1;
	return connection;
}

/* Sends a message, with the first `count` of `rights`. */
static int send_message(int connection, const struct message *one, struct rights *rights, unsigned long count)
{
	struct iovec part = { (void *)one, sizeof(*one) };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		rights->head.cmsg_len = sizeof(rights->head) + count * sizeof(int);
		rights->head.cmsg_level = SOL_SOCKET;
		rights->head.cmsg_type = SCM_RIGHTS;
		whole.msg_control = rights;
		whole.msg_controllen = rights->head.cmsg_len;
	}
	return sys_sendmsg(connection, &whole, MSG_NOSIGNAL) == sizeof(*one);
}

/*
 * Waits for a message. Returns its kind; 0 if none came in time or ever will, or if it is none. An answer has one
 * descriptor, and no other message has any. The kernel closes what finds no room, and what is left ends with this program.
 */
static unsigned int receive(int connection, long milliseconds)
{
	static struct rights rights;
	struct iovec part = { &message, sizeof(message) };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights };

	whole.msg_controllen = sizeof(rights.head) + sizeof(int);
	if (!is_ready(connection, POLLIN, milliseconds))
		return 0;
	long count = sys_recvmsg(connection, &whole, MSG_CMSG_CLOEXEC);
	int has_file = whole.msg_controllen != 0;

	answer = rights.files[0];
	if (count != sizeof(message) || (whole.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    message.magic != MESSAGE_MAGIC || (message.kind == MESSAGE_ANSWER) != has_file)
		return 0;
	return message.kind;
}

/* Waits until a worker of the same build is ready for the call. */
static int is_agent_ready(int connection, unsigned int verb)
{
	static const char build[TEXT_BYTES] = VF_FLOWER_BUILD;
	struct message hello = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_HELLO, .value = verb };
	unsigned int kind = send_message(connection, &hello, 0, 0) ? receive(connection, WAIT_MILLISECONDS) : 0;

	if (kind == MESSAGE_WAIT)
		kind = receive(connection, READY_MILLISECONDS);
	for (unsigned long i = 0; i < TEXT_BYTES; i++)
		if (message.text[i] != build[i])
			return 0;
	return kind == MESSAGE_READY;
}

/* Writes argv[0] and the environment behind the input, and sends all. True if the agent has the call. */
static int send_call(int connection, const struct call *call)
{
	struct message one = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_CALL, .first = call->length };
	struct rights rights = { .files = { call->input, call->root, -1 } };
	const char *begin = call->argv[0], *end = begin + size(begin) + 1;

	/* The kernel puts the strings of a new program one behind the other. */
	for (char **variable = call->environment; *variable != 0; end += size(end) + 1)
		if (*variable++ != end)
			return 0;
	one.second = (unsigned long)(end - begin);
	if (sys_write(call->input, begin, one.second) != end - begin)
		return 0;
	if (call->namespace != 0)
		rights.files[2] = (int)sys_openat(AT_FDCWD, call->namespace, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int is_sent = send_message(connection, &one, &rights, rights.files[2] < 0 ? 2 : 3);

	/* From now on the worker alone keeps the namespace alive. */
	sys_close(rights.files[2]);
	return is_sent;
}

/* Copies bytes of the answer to `target`. Returns how many; `failure` is 0 or why not all, as errno. */
static unsigned long copy(int target, unsigned long from, unsigned long bytes, long patience, unsigned int *failure)
{
	/* A pipe that is ready takes so much without waiting. */
	static char buffer[4096];
	unsigned long done = 0;
	long tries = 0, written = 0;

	while (done < bytes) {
		unsigned long left = bytes - done;
		long count = sys_pread64(answer, buffer, left < sizeof(buffer) ? left : sizeof(buffer), from + done);

		if (count <= 0)
			written = -EIO;
		else if (!is_ready(target, POLLOUT, patience))
			written = -ETIMEDOUT;
		else
			written = sys_write(target, buffer, (unsigned long)count);
		if (written > 0)
			done += (unsigned long)written;
		/* Ready for less than this write: once more, 10 ms later. */
		else if (written != -EAGAIN || tries++ >= patience / 10)
			break;
		else
			is_ready(-1, 0, 10);
	}
	*failure = done == bytes ? 0 : (unsigned int)-written;
	return done;
}

/* Receives the answer. True if its memfd has both parts. */
static int has_answer(unsigned int kind)
{
	unsigned long bytes = kind == MESSAGE_ANSWER ? (unsigned long)sys_lseek(answer, 0, SEEK_END) : 0;

	return kind == MESSAGE_ANSWER && (long)bytes >= 0 && message.value <= 255 && message.first <= bytes &&
	       message.second <= bytes - message.first;
}

/* Has the agent do the call. Returns if it did not: the only argument for vf-flower, or 0 if nothing was done. */
static const char *ask_agent(const struct call *call, unsigned int verb)
{
	static const struct signal_action ignored = { .handler = SIG_IGN };
	static struct signal_action before;
	struct message unwritten = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_UNWRITTEN };
	int connection = connect_agent();

	if (connection < 0 || !is_agent_ready(connection, verb) || !send_call(connection, call))
		return 0;
	unsigned int kind = receive(connection, -1);

	if (kind == MESSAGE_REFUSED)
		return 0;
	/* A pipe that nobody reads must not end the shim. A program that it executes later has the signal as it was. */
	sys_rt_sigaction(SIGPIPE, &ignored, &before);
	if (has_answer(kind)) {
		unsigned long written = copy(1, 0, message.first, OUTPUT_MILLISECONDS, &unwritten.value);
		int is_done = unwritten.value == 0;

		if (!is_done && send_message(connection, &unwritten, 0, 0) && has_answer(receive(connection, -1))) {
			is_done = 1;
			/* Nothing may follow a part of the first answer. */
			if (written == 0)
				copy(1, 0, message.first, 0, &unwritten.value);
		}
		if (is_done) {
			copy(2, message.first, message.second, ERROR_MILLISECONDS, &unwritten.value);
			sys_exit_group((int)message.value);
		}
	}
	sys_rt_sigaction(SIGPIPE, &before, 0);
	return LOST_WORKER;
}
