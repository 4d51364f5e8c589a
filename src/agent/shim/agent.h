/* The shim's end of protocol.h. Whatever the agent sends that is not in there counts as the end of the connection. */
/* Control data of a message. */
struct rights { struct cmsghdr head; int files[3]; };

/* The message that came last, and the memfd of an answer. */
static struct message message;
static int answer;

/* Sends a message, with the descriptors of `rights` unless that is 0. */
static int send_message(int connection, struct message *one, struct rights *rights)
{
	struct iovec part = { one, sizeof(*one) };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = rights,
				.msg_controllen = rights == 0 ? 0 : rights->head.cmsg_len };

	return sys_sendmsg(connection, &whole, MSG_NOSIGNAL) == sizeof(*one);
}

/*
 * Waits for a message. If none comes in time or ever will, and if it is none, `message.kind` is 0. An answer has one
 * descriptor, and no other message has any; what the kernel does not close for lack of room ends with this program.
 */
static void receive(int connection, long milliseconds)
{
	struct rights rights;
	struct iovec part = { &message, sizeof(message) };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights,
				.msg_controllen = sizeof(rights.head) + sizeof(int) };

	if (!is_ready(connection, POLLIN, milliseconds) ||
	    sys_recvmsg(connection, &whole, MSG_CMSG_CLOEXEC) != sizeof(message) ||
	    (whole.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || message.magic != MESSAGE_MAGIC ||
	    (message.kind == MESSAGE_ANSWER) != (whole.msg_controllen != 0))
		message.kind = 0;
	else if (message.kind == MESSAGE_ANSWER)
		answer = rights.files[0];
}

/* Connects, and waits until a worker of the same build is ready for the call. Negative if there is none. */
static int connect_worker(unsigned int verb)
{
	static const struct sockaddr_un address = { AF_UNIX, VF_SOCKET };
	static const char *const build = VF_FLOWER_BUILD;
	struct message hello = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_HELLO, .value = verb };
	struct ucred agent;
	unsigned int bytes = sizeof(agent);
	int connection = (int)sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Without a place in the agent's queue this is EAGAIN, at once. */
	for (unsigned long i = 0; i < sizeof(VF_FLOWER_BUILD); i++)
		hello.text[i] = build[i];
	if (connection < 0 || sys_connect(connection, &address, sizeof(address)) != 0 ||
	    sys_getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &agent, &bytes) != 0 || agent.uid != 0 ||
	    !send_message(connection, &hello, 0))
		return -1;
	receive(connection, WAIT_MILLISECONDS);
	if (message.kind == MESSAGE_WAIT)
		receive(connection, READY_MILLISECONDS);
	return message.kind == MESSAGE_READY && place(&build, 1, message.text) == 0 ? connection : -1;
}

/* Writes argv[0] and the environment behind the input, and sends all. True if the worker has the call. */
static int send_call(int connection, const struct call *call)
{
	struct message one = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_CALL, .first = call->length };
	struct rights rights = { { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS }, { call->input, call->root, -1 } };
	const char *begin = call->argv[0], *end = after(begin, begin) + 1;

	/* The kernel puts the strings of a new program one behind the other. */
	for (char **variable = call->environment; *variable != 0; end = after(end, end) + 1)
		if (*variable++ != end)
			return 0;
	one.second = (unsigned long)(end - begin);
	if (sys_write(call->input, begin, one.second) != end - begin)
		return 0;
	if (call->namespace != 0)
		rights.files[2] = (int)sys_openat(AT_FDCWD, call->namespace, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	rights.head.cmsg_len = sizeof(rights.head) + (rights.files[2] < 0 ? 2 : 3) * sizeof(int);
	int is_sent = send_message(connection, &one, &rights);

	/* From now on the worker alone keeps the namespace alive. */
	sys_close(rights.files[2]);
	return is_sent;
}

/* True if a worker's answer came, whole. */
static int has_answer(void)
{
	long bytes = message.kind == MESSAGE_ANSWER ? sys_lseek(answer, 0, SEEK_END) : -1;

	return bytes >= 0 && message.value <= 255 && message.first <= (unsigned long)bytes &&
	       message.second <= (unsigned long)bytes - message.first;
}

/* Copies a part of the answer to `target`, which may take no byte for `patience` milliseconds. Returns 0 or an errno. */
static unsigned int copy(int target, unsigned long from, unsigned long bytes, long patience)
{
	/* A pipe that is ready takes so much without waiting. */
	static char buffer[4096];
	unsigned long done = 0;
	long result = 0;

	while (done < bytes && (result >= 0 || result == -EAGAIN)) {
		unsigned long left = bytes - done;
		long count = sys_pread64(answer, buffer, left < sizeof(buffer) ? left : sizeof(buffer), from + done);

		result = count <= 0 ? -EIO : -ETIMEDOUT;
		if (count > 0 && is_ready(target, POLLOUT, patience))
			result = sys_write(target, buffer, (unsigned long)count);
		done += result > 0 ? (unsigned long)result : 0;
	}
	return done == bytes ? 0 : (unsigned int)-result;
}

/* Has the agent do the call. Returns if it did not: the only argument for vf-flower, or 0 if nothing was done. */
static const char *ask_agent(const struct call *call, unsigned int verb)
{
	static const struct signal_action ignored = { .handler = SIG_IGN };
	struct signal_action before;
	struct message unwritten = { .magic = MESSAGE_MAGIC, .kind = MESSAGE_UNWRITTEN };
	int connection = connect_worker(verb);

	if (connection < 0 || !send_call(connection, call))
		return 0;
	receive(connection, -1);
	if (message.kind == MESSAGE_REFUSED)
		return 0;
	/* A pipe that nobody reads must not end the shim. A program that it executes later has the signal as it was. */
	sys_rt_sigaction(SIGPIPE, &ignored, &before);
	if (has_answer() && (unwritten.value = copy(1, 0, message.first, 10000)) != 0) {
		send_message(connection, &unwritten, 0);
		receive(connection, -1);
	}
	/* Of a second answer only the errors find an open end. */
	if (has_answer()) {
		copy(2, message.first, message.second, 100);
		sys_exit_group((int)message.value);
	}
	sys_rt_sigaction(SIGPIPE, &before, 0);
	return LOST_WORKER;
}
