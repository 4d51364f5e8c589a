# Runs a program as the daemon of Multus 4.1 and newer does: in a container whose root is an empty file system, with the node's root
# below /hostroot, after chroot("/hostroot") without chdir, so that the working directory lies outside of the root.
# perl multus-thick.pl PROGRAM, in a mount namespace of its own.
use strict;
use warnings;

# linux/unistd.h: pivot_root, mount; x86-64 and arm64 differ.
my ($pivot_root, $mount) = `uname -m` =~ /aarch64/ ? (41, 40) : (155, 165);
my ($MS_BIND, $MS_REC) = (4096, 16384);
my $container = '/run/multus';

sub must {
  my ($what, @args) = @_;
  syscall($args[0], @args[1 .. $#args]) == 0 or die "$what: $!\n";
}

mkdir $container;
my ($none, $tmpfs, $root, $host, $old) = ('none', 'tmpfs', '/', "$container/hostroot", "$container/old");
must('mount tmpfs', $mount, $none, $container, $tmpfs, 0, 0);
mkdir $host or die "$host: $!\n";
mkdir $old or die "$old: $!\n";
must('bind /', $mount, $root, $host, $none, $MS_BIND | $MS_REC, 0);
must('pivot_root', $pivot_root, $container, $old);
chdir '/' or die "chdir: $!\n";
chroot '/hostroot' or die "chroot: $!\n";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
