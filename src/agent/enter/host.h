/* The way from a container into the mount namespace of process 1, which is the node's where the pod has `hostPID: true`. */
CALL(chroot, (const char *folder), folder, 0, 0, 0, 0)
CALL(fchdir, (int folder), folder, 0, 0, 0, 0)
CALL(mkdirat, (int folder, const char *name, unsigned int mode), folder, name, mode, 0, 0)
CALL(mount, (const char *from, const char *to, const char *type, unsigned long flags), from, to, type, flags, 0)
CALL(move_mount, (int from, const char *name, int to, const char *path, unsigned int flags), from, name, to, path, flags)
CALL(open_tree, (int folder, const char *name, unsigned int flags), folder, name, flags, 0, 0)
CALL(setns, (int file, int kind), file, kind, 0, 0, 0)
CALL(unshare, (int kinds), kinds, 0, 0, 0, 0)

/* linux/mount.h and linux/sched.h, which collide with the headers of some C libraries. */
#define TREE_CLONE 1
#define FROM_DESCRIPTOR 4
#define MOUNTS 0x20000
#define SLAVE_BELOW (0x80000 | 0x4000)

/* The programs of the image are here while the installer runs; the installer alone sees them. */
#define IMAGE "/run/vf-flower-image"

static const char privileges[] = "the pod needs hostPID: true and privileged: true";

/* The number of a namespace; 0 if it can't be had. */
static unsigned long number_of(const char *path)
{
	struct statx file;

	return sys_statx(AT_FDCWD, path, 0, STATX_INO, &file) == 0 ? file.stx_ino : 0;
}

static int is_one(const char *own, const char *other)
{
	return number_of(own) != 0 && number_of(own) == number_of(other);
}

/* Takes a result that must not be negative. */
static int must(long result, const char *call, const char *what)
{
	if (result < 0)
		fail(call, what, words_for(result), privileges);
	return (int)result;
}

/*
 * Enters the mount namespace of process 1, with its root directory, and changes to /. An agent in another network or user namespace
 * would refuse each call, and nobody would notice: so these must be those of process 1 before.
 */
static void enter(void)
{
	int namespace = must(sys_openat(AT_FDCWD, "/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC), "open", "/proc/1/ns/mnt");
	int root = must(sys_openat(AT_FDCWD, "/proc/1/root", O_PATH | O_CLOEXEC), "open", "/proc/1/root");

	if (is_one("/proc/self/ns/mnt", "/proc/1/ns/mnt"))
		fail("enter", "the mount namespace of process 1", "it is that of this container", privileges);
	if (!is_one("/proc/self/ns/net", "/proc/1/ns/net"))
		fail("enter", "the node", "process 1 has another network namespace", "the pod needs hostNetwork: true");
	if (!is_one("/proc/self/ns/user", "/proc/1/ns/user"))
		fail("enter", "the node", "process 1 has another user namespace", "the pod must not have hostUsers: false");
	must(sys_setns(namespace, MOUNTS), "enter", "the mount namespace of process 1");
	must(sys_fchdir(root), "change to", "/proc/1/root");
	must(sys_chroot("."), "change the root to", "/proc/1/root");
	must(sys_chdir("/"), "change to", "/");
}

/*
 * Enters, and takes the folder of the image along, to IMAGE. That mount is in a copy of the namespace: the node's other processes
 * do not see it, it ends with this process, and what the installer writes is on the node's own file systems.
 */
static void enter_with(const char *folder)
{
	int tree = must(sys_open_tree(AT_FDCWD, folder, TREE_CLONE | O_CLOEXEC), "copy the mount of", folder);

	enter();
	must(sys_unshare(MOUNTS), "copy", "the mount namespace of process 1");
	/* Else the next mount would appear on the node too. */
	must(sys_mount("none", "/", 0, SLAVE_BELOW), "keep mounts below / apart from", "the node's");
	long made = sys_mkdirat(AT_FDCWD, IMAGE, 0700);

	if (made != -EEXIST)
		must(made, "make the folder", IMAGE);
	must(sys_move_mount(tree, "", AT_FDCWD, IMAGE, FROM_DESCRIPTOR), "mount the image at", IMAGE);
}
