# Actions of a pod on its interface that `ip` can't do: BPF programs, links held open, numbers of its choice. In: a command and its
# words. Out: `ok`, or a line with the reason of a failure. A command with `hold` stays until it is killed.
#
#   pod.pl xdp  skb|drv  set|hold  IFNAME drop|pass     an XDP program, by netlink or by a link that lives as long as this process
#   pod.pl tcx  ingress|egress  IFNAME                  a program that drops, by a link
#   pod.pl renumber IFNAME NETNS NUMBER                 moves the interface to NETNS, where it gets the number
#   pod.pl promisc IFNAME                               a packet socket that hears everything
#   pod.pl hold PATH                                    keeps a namespace open
#   pod.pl altnames IFNAME NAME...                      gives it the names again and again
#   pod.pl bounce IFNAME NETNS NETNS                  moves it from the one to the other and back, again and again
#   pod.pl ears MARK NETNS... -- COMMAND...             runs COMMAND, then tells how many frames with MARK those namespaces got
use strict;
use warnings;

my ($BPF, $SETNS) = (321, 308);
my ($PROG_LOAD, $LINK_CREATE) = (5, 28);
my ($NEWLINK, $SETLINK, $NEWLINKPROP) = (16, 19, 108);
my ($ACK, $CREATE_EXCL_APPEND) = (5, 0xe00);
my ($IFNAME, $NET_NS_FD, $XDP, $PROP_LIST, $ALT_IFNAME, $NEW_IFINDEX) = (3, 28, 43, 52, 53, 49);
my $EVERY_PROTOCOL = 0x0300;

my $command = shift @ARGV;
my %commands = (
  xdp => \&xdp, tcx => \&tcx, renumber => \&renumber, promisc => \&promisc, hold => \&hold, altnames => \&altnames, bounce => \&bounce, ears => \&ears,
);
$commands{$command}->(@ARGV);

sub xdp {
  my ($mode, $how, $name, $verdict) = @_;
  my $flags = $mode eq 'skb' ? 2 : 4;
  my $program = load(6, $verdict eq 'drop' ? 1 : 2, 37);
  if ($how eq 'hold') { link_to($program, index_of($name), 37, $flags); stay() }
  my $nested = attribute(1, pack 'l', $program) . attribute(3, pack 'L', $flags);
  ask($SETLINK, 0, index_of($name), attribute($XDP | 0x8000, $nested)) and die "xdp: $!\n";
  print "ok\n";
}

sub tcx {
  my ($direction, $name) = @_;
  my $type = $direction eq 'ingress' ? 46 : 47;
  link_to(load(3, 2, $type), index_of($name), $type, 0);
  stay();
}

sub renumber {
  my ($name, $path, $number) = @_;
  open my $netns, '<', $path or die "$path: $!\n";
  my $body = attribute($NET_NS_FD, pack 'L', fileno $netns) . attribute($NEW_IFINDEX, pack 'l', $number);
  ask($NEWLINK, 0, index_of($name), $body) and die "renumber: $!\n";
  print "ok\n";
}

sub promisc {
  my ($name) = @_;
  socket my $socket, 17, 3, $EVERY_PROTOCOL or die "socket: $!\n";
  setsockopt $socket, 263, 1, pack 'l S S a8', index_of($name), 1, 0, '' or die "promisc: $!\n";
  stay();
}

sub hold {
  open my $netns, '<', $_[0] or die "$_[0]: $!\n";
  stay();
}

# The answers are refusals of names that the interface has already; nobody reads them.
sub altnames {
  my ($name, @names) = @_;
  my $index = index_of($name);
  my $end = time + 20;
  socket my $socket, 16, 3, 0 or die "socket: $!\n";
  my $body = pack 'C x S l L L', 0, 0, $index, 0, 0;
  my @wishes = map { $body . attribute($PROP_LIST | 0x8000, attribute($ALT_IFNAME, "$_\0")) } @names;
  my $all = join '', map { pack('L S S L L', 16 + length $_, $NEWLINKPROP, 1 | $CREATE_EXCL_APPEND, 1, 0) . $_ } @wishes;
  while (time < $end && !-e '/tmp/hostile/stop') { syswrite $socket, $all for 1 .. 50 }
}

sub bounce {
  my ($name, @paths) = @_;
  my @netns = map { open my $netns, '<', $_ or die "$_: $!\n"; $netns } @paths;
  my $end = time + 20;
  for (my $turn = 0; time < $end && !-e '/tmp/hostile/stop'; $turn = 1 - $turn) {
    enter($netns[$turn]);
    ask($NEWLINK, 0, 0, attribute($IFNAME, "$name\0") . attribute($NET_NS_FD, pack 'L', fileno $netns[1 - $turn]));
    open my $mark, '>', '/tmp/hostile/bounced';
  }
}

sub ears {
  my ($mark, @rest) = @_;
  my @sockets;
  open my $home, '<', '/proc/self/ns/net' or die "$!\n";
  while (defined(my $path = shift @rest)) {
    last if $path eq '--';
    open my $netns, '<', $path or next;
    enter($netns);
    socket my $socket, 17, 3, $EVERY_PROTOCOL or die "socket: $!\n";
    setsockopt $socket, 1, 33, pack('l', 4 << 20);
    push @sockets, [$path, $socket];
    enter($home);
  }
  my $code = system(@rest) >> 8;
  my $bytes = pack 'H*', $mark;
  for (@sockets) {
    my ($path, $socket) = @$_;
    my $heard = 0;
    # MSG_DONTWAIT. Each frame appears once for each interface that it passed.
    while (defined recv $socket, my $frame, 65536, 0x40) { $heard++ if index($frame, $bytes) >= 0 }
    print "heard $heard in $path\n";
  }
  exit $code;
}

sub enter { my ($netns) = @_; syscall($SETNS, fileno $netns, 0) == 0 or die "setns: $!\n" }

# Loads the program `r0 = VERDICT; exit`.
sub load {
  my ($type, $verdict, $attach) = @_;
  my $code = pack 'C C s l C C s l', 0xb7, 0, 0, $verdict, 0x95, 0, 0, 0;
  my $attributes = pack 'L L P P L L Q L L a16 L L x72', $type, 2, $code, "GPL\0", 0, 0, 0, 0, 0, 'hostile', 0, $attach;
  return bpf($PROG_LOAD, $attributes);
}

sub link_to {
  my ($program, $index, $type, $flags) = @_;
  return bpf($LINK_CREATE, pack 'L L L L x32', $program, $index, $type, $flags);
}

sub bpf {
  my ($what, $attributes) = @_;
  my $result = syscall $BPF, $what, $attributes, length $attributes;
  die "bpf $what: $!\n" if $result < 0;
  return $result;
}

sub stay {
  $| = 1;
  open my $mark, '>', "/tmp/hostile/held.$$";
  print "ok\n";
  sleep 1000;
}

sub index_of {
  my ($name) = @_;
  socket my $socket, 2, 2, 0 or die "socket: $!\n";
  my $question = pack 'a16 x24', $name;
  ioctl $socket, 0x8933, $question or die "$name: $!\n";
  return unpack 'x16 l', $question;
}

sub attribute { my ($type, $value) = @_; my $size = 4 + length $value; return pack('S S', $size, $type) . $value . "\0" x (-$size & 3) }

# Returns 0, or the number of the error, which is in $! then.
sub ask {
  my ($type, $flags, $index, $attributes) = @_;
  socket my $socket, 16, 3, 0 or die "socket: $!\n";
  my $body = pack('C x S l L L', 0, 0, $index, 0, 0) . $attributes;
  syswrite $socket, pack('L S S L L', 16 + length $body, $type, $ACK | $flags, 1, 0) . $body or die "netlink: $!\n";
  sysread $socket, my $answer, 65536;
  $! = -unpack 'x16 l', $answer;
  return $! + 0;
}
