/*
 * The protocol between the shim (shim.c) and the agent (src/agent). Version 1.
 *
 * The agent listens on VF_SOCKET, a unix socket of type SOCK_SEQPACKET: each message is one packet, whole or not there.
 * All messages have the same form, struct message. Numbers are in the byte order of the processor, because both ends run
 * on one node. src/agent/protocol.ts has the same numbers; a test compares both files.
 *
 *   shim                                          agent
 *   connect (not blocking)
 *   HELLO   value = verb, text = build id ────►   the supervisor accepts, and sends other builds away
 *                                   ◄──────────   WAIT: the shim is in a queue     (within WAIT_MILLISECONDS)
 *                                   ◄──────────   READY: a worker is free, text = its build id (within READY_MILLISECONDS)
 *   CALL    + 2 or 3 descriptors    ──────────►   the commit: from here on the worker works, and nobody else
 *                                   ◄──────────   ANSWER + 1 descriptor
 *   close                           ──────────►
 *
 * Instead of WAIT or READY the agent may say STANDALONE (text = the reason): the shim closes and executes vf-flower. The
 * shim does so too when nothing comes in time, when the connection ends before CALL, and when the build id is not its own.
 *
 * Descriptors of CALL, in this order: the call (a memfd); the shim's root directory (O_PATH); the network namespace of
 * CNI_NETNS, only if that could be opened. The call's memfd has `first` bytes of standard input, then `second` bytes:
 * argv[0], then each variable of the environment, each of these ended by a zero byte. The shim keeps the memfd: cut back
 * to the first part, it is the standard input of a program that it executes later.
 *
 * Instead of ANSWER the worker may say REFUSED (text = the reason): it has done nothing, and the shim executes vf-flower. If
 * the connection ends after CALL and before either, the worker is dead: the shim executes vf-flower with the only argument
 * LOST_WORKER.
 *
 * ANSWER: value = exit code. Its descriptor is a memfd with `first` bytes for standard output, then `second` bytes for
 * standard error. If the shim can't write the first part, it says UNWRITTEN (value = errno) instead of closing. The worker
 * then takes an ADD back, and sends a second ANSWER. Of that one the shim writes standard error, and takes the exit code.
 */
#ifndef VF_SHIM_PROTOCOL_H
#define VF_SHIM_PROTOCOL_H

#define VF_SOCKET "/run/vf-flower/agent.sock"

/* The only argument of vf-flower after a worker has died in a call. */
#define LOST_WORKER "--lost-worker"

/* Longest wait for the first message after connect. */
#define WAIT_MILLISECONDS 100
/* Longest wait for READY after WAIT. */
#define READY_MILLISECONDS 10000

/* "vfa" and the version of the protocol. */
#define MESSAGE_MAGIC 0x01616676u

enum message_kind {
	MESSAGE_HELLO = 1,
	MESSAGE_CALL = 2,
	MESSAGE_UNWRITTEN = 3,
	MESSAGE_WAIT = 16,
	MESSAGE_READY = 17,
	MESSAGE_STANDALONE = 18,
	MESSAGE_REFUSED = 19,
	MESSAGE_ANSWER = 20,
};

/* Values of HELLO: the verb in CNI_COMMAND. Other verbs, and VERSION, never reach the agent. */
enum message_verb {
	VERB_ADD = 1,
	VERB_DEL = 2,
	VERB_CHECK = 3,
	VERB_GC = 4,
	VERB_STATUS = 5,
};

/* Bytes of a text, which ends with a zero byte if it is shorter. */
#define TEXT_BYTES 224

struct message {
	unsigned int magic;
	unsigned int kind;
	/* Verb, exit code or errno. */
	unsigned int value;
	/* Zero. */
	unsigned int unused;
	/* Lengths of the two parts of a memfd, in bytes. */
	unsigned long long first;
	unsigned long long second;
	char text[TEXT_BYTES];
};

_Static_assert(sizeof(struct message) == 256, "a message has 256 bytes");

#endif
