/*
 * An agent that does what its arguments say, and the runtime that calls the shim:
 *
 *     fake-agent STEP... -- [without:N | nonblocking:N | filled:N | files:N | also:TEXT]... SHIM ARGUMENT...
 *
 * Makes a mount namespace with a /run of its own, listens there as the agent would, leaves the steps to a process in the
 * background, and executes the shim in its own place, with the environment as it is. That process writes a JSON object for
 * each thing that it sees to descriptor 3, and ends once the shim has closed the connection. Steps:
 *
 *     nobody        listens as another user than root          quiet         ends, with the socket left behind
 *     full          fills the queue of connections             stop          stops itself (SIGSTOP), without an end
 *     accept        accepts a connection                       close         closes the connection
 *     packet        receives a message                         call:FOLDER   ... whose parts go to files there
 *     send:KEY=VALUE,...   sends a message: kind, value, first, second, magic (decimal), text; bytes: how many of the message;
 *                   files: how many descriptors; out, err: bytes of the memfd's parts, all of one letter; directory: no memfd
 *
 * Before the shim starts its descriptor N is closed, set to non-blocking, or written to until a pipe takes no more; it may
 * open descriptors below N only; and TEXT is put behind its environment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "protocol.h"

static const struct sockaddr_un address = { AF_UNIX, VF_SOCKET };
static int listener, connection = -1;
/* Becomes readable when the shim ends. */
static int shim_process;

/* Ends, for a reason that the test sees. */
static void must(int is_good, const char *what)
{
	if (is_good)
		return;
	dprintf(3, "{\"failed\":\"%s: %s\"}\n", what, strerror(errno));
	_exit(9);
}

/* A memfd with `out` times "o" and `err` times "e". */
static int answer_file(size_t out, size_t err)
{
	char *bytes = malloc(out + err + 1);
	int file = memfd_create("answer", MFD_CLOEXEC);

	memset(bytes, 'o', out);
	memset(bytes + out, 'e', err);
	must(write(file, bytes, out + err) == (ssize_t)(out + err), "write an answer");
	free(bytes);
	return file;
}

static void send_packet(char *words)
{
	struct message message = { .magic = MESSAGE_MAGIC };
	size_t bytes = sizeof(message), out = 0, err = 0, files = 0;
	int is_given = 0, is_directory = 0;
	char packet[1024] = { 0 };
	struct {
		struct cmsghdr head;
		int files[8];
	} rights = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec part = { packet, 0 };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1 };

	for (char *word = strtok(words, ","); word != 0; word = strtok(0, ",")) {
		char *value = strchr(word, '=');
		unsigned long long number;

		must(value != 0, word);
		*value++ = '\0';
		number = strtoull(value, 0, 10);
		if (strcmp(word, "kind") == 0)
			message.kind = (unsigned int)number;
		else if (strcmp(word, "value") == 0)
			message.value = (unsigned int)number;
		else if (strcmp(word, "magic") == 0)
			message.magic = (unsigned int)number;
		else if (strcmp(word, "first") == 0)
			message.first = number, is_given = 1;
		else if (strcmp(word, "second") == 0)
			message.second = number, is_given = 1;
		else if (strcmp(word, "text") == 0)
			strncpy(message.text, value, TEXT_BYTES);
		else if (strcmp(word, "bytes") == 0)
			bytes = number;
		else if (strcmp(word, "out") == 0)
			out = number;
		else if (strcmp(word, "err") == 0)
			err = number;
		else if (strcmp(word, "files") == 0)
			files = number;
		else if (strcmp(word, "directory") == 0)
			is_directory = 1;
		else
			must(0, word);
	}
	if (!is_given)
		message.first = out, message.second = err;
	memcpy(packet, &message, sizeof(message));
	part.iov_len = bytes;
	for (size_t i = 0; i < files; i++)
		rights.files[i] = is_directory ? open("/", O_RDONLY | O_CLOEXEC) : answer_file(out, err);
	if (files > 0) {
		rights.head.cmsg_len = CMSG_LEN(files * sizeof(int));
		whole.msg_control = &rights;
		whole.msg_controllen = CMSG_SPACE(files * sizeof(int));
	}
	/* The shim may be gone: then the log says so. */
	ssize_t sent = sendmsg(connection, &whole, MSG_NOSIGNAL);

	dprintf(3, "{\"sent\":%zd}\n", sent);
	for (size_t i = 0; i < files; i++)
		close(rights.files[i]);
}

static void copy_part(int file, off_t offset, size_t bytes, const char *folder, const char *name)
{
	char path[4096], *copy = malloc(bytes + 1);
	int target;

	must(pread(file, copy, bytes, offset) == (ssize_t)bytes, "read the call");
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	target = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	must(write(target, copy, bytes) == (ssize_t)bytes, path);
	close(target);
	free(copy);
}

static void receive_packet(const char *folder)
{
	struct message message = { 0 };
	struct {
		struct cmsghdr head;
		int files[8];
	} rights = { 0 };
	struct iovec part = { &message, sizeof(message) };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof(rights) };
	ssize_t bytes = recvmsg(connection, &whole, MSG_CMSG_CLOEXEC);
	/* A shim that has ended with a packet unread leaves an error, and the control data as it was before. */
	int has_files = bytes >= 0 && whole.msg_controllen > 0;
	size_t files = has_files ? (rights.head.cmsg_len - sizeof(rights.head)) / sizeof(int) : 0;

	dprintf(3, "{\"bytes\":%zd,\"magic\":%u,\"kind\":%u,\"value\":%u,\"first\":%llu,\"second\":%llu,\"files\":[", bytes,
		message.magic, message.kind, message.value, message.first, message.second);
	for (size_t i = 0; i < files; i++) {
		struct stat file;

		must(fstat(rights.files[i], &file) == 0, "fstat");
		dprintf(3, "%s{\"inode\":%lu,\"size\":%ld,\"flags\":%d}", i == 0 ? "" : ",", file.st_ino, file.st_size,
			fcntl(rights.files[i], F_GETFL));
	}
	dprintf(3, "]}\n");
	if (folder != 0 && files > 0) {
		copy_part(rights.files[0], 0, message.first, folder, "stdin");
		copy_part(rights.files[0], (off_t)message.first, message.second, folder, "rest");
	}
	for (size_t i = 0; i < files; i++)
		close(rights.files[i]);
}

static void accept_shim(void)
{
	struct pollfd ends[] = { { listener, POLLIN, 0 }, { shim_process, POLLIN, 0 } };

	/* A shim that has ended without a connection will make none. */
	must(poll(ends, 2, -1) > 0, "poll");
	if (ends[0].revents == 0)
		_exit(0);
	connection = accept4(listener, 0, 0, SOCK_CLOEXEC);
	must(connection >= 0, "accept");
	dprintf(3, "{\"accepted\":true}\n");
}

static void fill_queue(void)
{
	int one;

	do
		one = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	while (connect(one, (const struct sockaddr *)&address, sizeof(address)) == 0);
	must(errno == EAGAIN, "fill the queue");
}

static void perform(char *step)
{
	if (strcmp(step, "accept") == 0)
		accept_shim();
	else if (strcmp(step, "packet") == 0)
		receive_packet(0);
	else if (strncmp(step, "call:", 5) == 0)
		receive_packet(step + 5);
	else if (strncmp(step, "send:", 5) == 0)
		send_packet(step + 5);
	else if (strcmp(step, "close") == 0)
		close(connection), connection = -1;
	else if (strcmp(step, "stop") == 0)
		raise(SIGSTOP);
	else
		must(strcmp(step, "nobody") == 0 || strcmp(step, "full") == 0 || strcmp(step, "quiet") == 0, step);
}

static void make_run(void)
{
	must(unshare(CLONE_NEWNS) == 0, "unshare");
	must(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0, "make mounts private");
	must(mount("tmpfs", "/run", "tmpfs", 0, 0) == 0, "mount /run");
	must(mkdir("/run/vf-flower", 0777) == 0 && chmod("/run/vf-flower", 0777) == 0, "mkdir");
}

static void also(char *text)
{
	size_t count = 0;
	char **longer;

	while (environ[count] != 0)
		count++;
	longer = calloc(count + 2, sizeof(*longer));
	memcpy(longer, environ, count * sizeof(*longer));
	longer[count] = text;
	environ = longer;
}

/* Prepares the shim's surroundings. False if `word` does not say so. */
static int prepare(char *word)
{
	const char *number = strchr(word, ':');
	int file = number == 0 ? -1 : atoi(number + 1);
	char filler[4096] = { 0 };

	if (strncmp(word, "also:", 5) == 0) {
		also(word + 5);
		return 1;
	}
	if (strncmp(word, "files:", 6) == 0) {
		struct rlimit limit = { (rlim_t)file, 1024 };

		return setrlimit(RLIMIT_NOFILE, &limit) == 0;
	}
	if (strncmp(word, "without:", 8) == 0)
		return close(file) == 0;
	if (strncmp(word, "nonblocking:", 12) == 0)
		return fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK) == 0;
	if (strncmp(word, "filled:", 7) != 0)
		return 0;
	int flags = fcntl(file, F_GETFL);

	fcntl(file, F_SETFL, flags | O_NONBLOCK);
	while (write(file, filler, sizeof(filler)) > 0)
		;
	return fcntl(file, F_SETFL, flags) == 0;
}

/* True if a step is among the arguments. */
static int has(char **steps, const char *step)
{
	while (*steps != 0 && strcmp(*steps, step) != 0)
		steps++;
	return *steps != 0;
}

int main(int argc, char **argv)
{
	char **shim = argv + argc;
	pid_t child;

	(void)argc;
	for (char **word = argv; *word != 0; word++)
		if (strcmp(*word, "--") == 0) {
			*word = 0;
			shim = word + 1;
			break;
		}
	make_run();
	shim_process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	must(shim_process >= 0, "pidfd_open");
	/* In the background, and no child of the shim. */
	child = fork();
	if (child == 0) {
		if (argv[1] == 0)
			_exit(0);
		if (has(argv, "nobody"))
			must(setuid(65534) == 0, "setuid");
		listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		must(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0, "bind");
		must(chmod(VF_SOCKET, 0666) == 0 && listen(listener, 4) == 0, "listen");
		if (has(argv, "full"))
			fill_queue();
		if (has(argv, "quiet") || fork() != 0)
			_exit(0);
		setsid();
		/* The shim waits 100 ms for the first message, also where other tests keep all processors busy. */
		sched_setscheduler(0, SCHED_RR, &(struct sched_param){ .sched_priority = 1 });
		/* The runtime's pipes are the shim's. */
		for (int file = 0; file < 3; file++)
			close(file);
		must(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2, "/dev/null");
		dprintf(3, "{\"pid\":%d}\n", getpid());
		for (char **step = argv + 1; *step != 0; step++)
			perform(*step);
		if (connection >= 0) {
			struct pollfd closed = { connection, 0, 0 };

			poll(&closed, 1, -1);
			dprintf(3, "{\"closed\":true}\n");
		}
		_exit(0);
	}
	waitpid(child, 0, 0);
	closefrom(3);
	while (prepare(shim[0]))
		shim++;
	execv(shim[0], shim);
	return 8;
}
