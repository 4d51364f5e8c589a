// BPF programs as a pod puts them on its interface: by netlink, or by a link that a process holds. In: words of a shell. Out: a script
// for perl, which every node of the tests has.

/** The path that {@link PROGRAMS} is written to. */
export const PROGRAMS_FILE = '/tmp/attach-programs.pl'

/**
 * `perl FILE KIND IFNAME` puts a program that drops every frame on an interface of its namespace: `xdp` and `xdp-drv` by netlink,
 * `xdp-link` and `tcx-link` by a link of bpf(2), `tcx` by attaching it. Prints `ready`, and holds a link until it is killed.
 */
export const PROGRAMS = `use strict; use Socket; use POSIX ();
my ($kind, $name) = @ARGV;
my $call = (POSIX::uname())[4] eq 'aarch64' ? 280 : 321;
sub bpf { my ($command, $attr) = @_; my $fd = syscall($call, $command, $attr, length $attr); die "bpf $command: $!" if $fd < 0; $fd }
my $index; for (\`ip -o link show dev $name\`) { ($index) = /^(\\d+):/ }
my $tcx = $kind =~ /^tcx/;
my $code = pack('CCsl', 0xb7, 0, 0, $tcx ? 2 : 1) . pack('CCsl', 0x95, 0, 0, 0);
my $license = "GPL\\0";
my $attach = $tcx ? 46 : 37;
my $program = bpf(5, pack('LLQQLLQLLa16LL', $tcx ? 3 : 6, 2, unpack('Q', pack('P', $code)), unpack('Q', pack('P', $license)), 0, 0, 0, 0, 0, 'evil', 0, $kind =~ /link/ || $tcx ? $attach : 0) . "\\0" x 64);
if ($kind eq 'tcx') { bpf(8, pack('L8', $index, $program, 46, 0, 0, 0, 0, 0)) }
elsif ($kind =~ /link/) { bpf(28, pack('LLLLQQQQ', $program, $index, $attach, $tcx ? 0 : 2, 0, 0, 0, 0)) }
else {
  socket my $socket, 16, SOCK_RAW, 0 or die $!;
  my $xdp = pack('SSl', 8, 1, $program) . pack('SSL', 8, 3, $kind eq 'xdp' ? 2 : 4);
  my $body = pack('CxSlLL', 0, 0, $index, 0, 0) . pack('SS', 4 + length $xdp, 43 | 0x8000) . $xdp;
  send $socket, pack('LSSLL', 16 + length $body, 19, 5, 1, 0) . $body, 0;
  recv $socket, my $answer, 4096, 0;
  my ($error) = unpack 'x16 l', $answer; die "netlink $error" if $error;
}
$| = 1; print "ready\\n"; close STDOUT;
sleep 600 if $kind =~ /link/;
`
