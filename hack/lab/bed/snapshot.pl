# Prints the state of a host, for snapshot.ts. In: folders to list. Out: `== SECTION CONTEXT`, followed by a tool's output as JSON, or
# by lines. After `== batch SECTION|SECTION` comes a document for each; after `== failed SECTION` comes nothing.
#
# One program, because under software emulation the start of a process takes longer than its work, and opening a file takes as long
# as reading a hundred numbers by netlink. So the program asks the kernel by netlink whether there is anything to show, and starts a
# tool only then. The tools show the content: this program decodes nothing but sysctls. It uses no modules, because loading one takes
# longer than running all the rest. Missing parts (no PCI, no devlink, no IPv6) are left out.

my ($GENERIC, $ROUTE, $NETFILTER) = (16, 0, 12);
my ($ASK, $DUMP, $INTERRUPTED) = (1, 0x301, 0x10);
my ($ERROR, $DONE) = (2, 3);
my ($INET, $INET6) = (2, 10);

# The files of /proc/sys/net/ipv4/conf/*/ and ipv6/conf/*/ in the order of the kernel's arrays, IPV4_DEVCONF_* of linux/ip.h and
# DEVCONF_* of linux/ipv6.h. Files without a place in the arrays have no name here, and are read.
my %devconf = (
  $INET => [
    qw(forwarding mc_forwarding proxy_arp accept_redirects secure_redirects send_redirects shared_media rp_filter
      accept_source_route bootp_relay log_martians tag arp_filter medium_id disable_xfrm disable_policy
      force_igmp_version arp_announce arp_ignore promote_secondaries arp_accept arp_notify accept_local
      src_valid_mark proxy_arp_pvlan route_localnet igmpv2_unsolicited_report_interval
      igmpv3_unsolicited_report_interval ignore_routes_with_linkdown drop_unicast_in_l2_multicast
      drop_gratuitous_arp bc_forwarding arp_evict_nocarrier)
  ],
  $INET6 => [
    qw(forwarding hop_limit mtu accept_ra accept_redirects autoconf dad_transmits router_solicitations
      router_solicitation_interval router_solicitation_delay use_tempaddr temp_valid_lft temp_prefered_lft
      regen_max_retry max_desync_factor max_addresses force_mld_version accept_ra_defrtr accept_ra_pinfo
      accept_ra_rtr_pref router_probe_interval accept_ra_rt_info_max_plen proxy_ndp optimistic_dad
      accept_source_route mc_forwarding disable_ipv6 accept_dad force_tllao ndisc_notify
      mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval suppress_frag_ndisc accept_ra_from_local
      use_optimistic accept_ra_mtu - use_oif_addrs_only accept_ra_min_hop_limit ignore_routes_with_linkdown
      drop_unicast_in_l2_multicast drop_unsolicited_na keep_addr_on_down router_solicitation_max_interval
      seg6_enabled seg6_require_hmac enhanced_dad addr_gen_mode disable_policy accept_ra_rt_info_min_plen
      ndisc_tclass rpl_seg_enabled ra_defrtr_metric ioam6_enabled ioam6_id ioam6_id_wide ndisc_evict_nocarrier
      accept_untracked_na accept_ra_min_lft)
  ],
);
my %folder = ($INET => '/proc/sys/net/ipv4/conf', $INET6 => '/proc/sys/net/ipv6/conf');

my @links = settled();
links();
nft();
names('namespace', '/run/netns');
drivers();
devlink();
traffic();
features();
sysctls();
files(@ARGV);

# Waits until no change of the interfaces is pending. A worker of the kernel tells the stack of a carrier that came or went, up to a
# second later. Then duplicate address detection (flag 40) takes its time, and makes routes at its end.
sub settled {
  for (my $tries = 0; ; $tries++) {
    my @found = map { link_of($_) } dump_of($ROUTE, 18, pack 'CxSlLL SSL', 0, 0, 0, 0, 0, 8, 29, 8);
    my $pending = grep {
      $_->{up} && ($_->{carrier} ? $_->{state} == 2 || $_->{state} == 3 : $_->{state} == 6)
    } @found;
    my %carrier = map { $_->{name}, $_->{up} && $_->{carrier} } @found;
    for (split /\n/, read_file('/proc/net/if_inet6')) {
      my (undef, undef, undef, undef, $flags, $name) = split;
      $pending++ if hex($flags) & 0x40 && $carrier{$name};
    }
    return @found if !$pending || $tries == 29;
    select undef, undef, undef, 0.1;
  }
}

# IFLA_IFNAME 3, OPERSTATE 16, AF_SPEC 26, CARRIER 33, PARENT_DEV_NAME 56. In AF_SPEC, IFLA_INET_CONF 1 and
# IFLA_INET6_CONF 2.
sub link_of {
  my ($message) = @_;
  my (undef, $index, $flags) = unpack 'L l L', $message;
  my %about = attributes($message, 16);
  my %family = attributes($about{26}, 0);
  return {
    index => $index,
    name => unpack('Z*', $about{3}),
    up => $flags & 1,
    state => ord($about{16}),
    carrier => ord($about{33}),
    parent => $about{56},
    conf => {
      $INET => {attributes($family{$INET}, 0)}->{1},
      $INET6 => {attributes($family{$INET6}, 0)}->{2},
    },
  };
}

sub links {
  # Without interfaces there is no snapshot. Details, for VFs. The policy rules of IPv6 need the same option.
  batch(['ip', '-6', '-d', '-j'], [link => 'link'], ['rule v6' => 'rule']) or die "Cannot list interfaces\n";
  batch(
    ['ip', '-j'],
    ([address => 'address'], [route => 'route show table all'], ['rule v4' => 'rule']),
    ([nexthop => 'nexthop'], [neighbour => 'neigh']),
  );
  batch(['bridge', '-d', '-j'], [bridge => 'link'], [vlan => 'vlan'], [fdb => 'fdb']);
}

# NFT_MSG_GETTABLE. Everything in nftables is in a table.
sub nft {
  show('nft', 'nft', '-j', 'list', 'ruleset') if dump_of($NETFILTER, 10 << 8 | 1, pack 'CCn', 0, 0, 0);
}

sub drivers {
  print "== driver\n";
  my $devices = '/sys/bus/pci/devices';
  for my $device (entries($devices)) {
    my $driver = readlink "$devices/$device/driver";
    print "$devices/$device\t$driver\n" if defined $driver;
    for my $name ('driver_override', 'sriov_numvfs') {
      my $value = read_file("$devices/$device/$name");
      print "$devices/$device/$name\t$value" if $value ne '';
    }
  }
}

# CTRL_CMD_GETFAMILY with CTRL_ATTR_FAMILY_NAME 2 and FAMILY_ID 1, then DEVLINK_CMD_GET with DEVLINK_ATTR_BUS_NAME 1 and
# DEV_NAME 2.
sub devlink {
  my ($family) = ask_for($GENERIC, $ASK, 16, pack 'CCS SSa8', 3, 1, 0, 12, 2, 'devlink');
  return if !defined $family;
  my %family = attributes($family, 4);
  my @devices = map { my %about = attributes($_, 4); join '/', unpack('Z*', $about{1}), unpack 'Z*', $about{2} }
    dump_of($GENERIC, unpack('S', $family{1}), pack 'CCS', 1, 1, 0);
  return if !@devices;
  show('devlink port', 'devlink', '-j', 'port', 'show');
  show("devlink $_", 'devlink', '-j', 'dev', 'eswitch', 'show', $_) for @devices;
}

# RTM_GETQDISC with TCA_KIND 1; RTM_GETACTION with TCA_ACT_TAB 1 and, in the entry for the first one, TCA_ACT_KIND 1.
sub traffic {
  my %name = map { $_->{index}, $_->{name} } @links;
  my (@looks, %seen);
  my $look = sub { push @looks, [@_] if !$seen{$_[0]}++ };
  for my $qdisc (dump_of($ROUTE, 38, pack 'x20')) {
    my (undef, $index, $handle) = unpack 'L l L', $qdisc;
    my %about = attributes($qdisc, 20);
    my ($dev, $kind) = ($name{$index}, unpack 'Z*', $about{1});
    # A qdisc without a handle is the kernel's default.
    $look->('qdisc', 'qdisc show') if $handle;
    if ($kind eq 'clsact' || $kind eq 'ingress') {
      $look->("filter $dev $_", "filter show dev $dev $_") for $kind eq 'clsact' ? ('ingress', 'egress') : 'ingress';
    } elsif ($kind !~ /^(noqueue|noop|mq|fq_codel|pfifo_fast)$/) {
      $look->("class $dev", "class show dev $dev");
      $look->("filter $dev root", "filter show dev $dev");
    }
  }
  for my $action ('gact', 'mirred', 'pedit', 'csum', 'police', 'ct', 'vlan', 'skbedit') {
    my @answers = dump_of($ROUTE, 50, pack 'x4 SSSSSSa8', 20, 1, 16, 1, 12, 1, $action);
    $look->("action $action", "actions list action $action") if grep { {attributes($_, 4)}->{1} ne '' } @answers;
  }
  batch(['tc', '-j'], @looks) if @looks;
}

# Of cards, the interfaces with a device: `== feature NAME...`, `-` for bits without a name, then a line for each card with its name
# and, for every 32 bits, four masks: changeable, wished, on, never changes.
# ETHTOOL_GSSET_INFO 37 and ETHTOOL_GSTRINGS 1b of ETH_SS_FEATURES 4, ETHTOOL_GFEATURES 3a.
sub features {
  my @cards = map { $_->{name} } grep { defined $_->{parent} || -e "/sys/class/net/$_->{name}/device" } @links;
  return if !@cards;
  socket my $socket, $INET, 2, 0 or return;
  my $count = unpack 'x16 L', ethtool($socket, $cards[0], pack 'L L Q L', 0x37, 0, 1 << 4, 0);
  my @names = unpack 'x12 (Z32)*', ethtool($socket, $cards[0], pack "L L L x@{[32 * $count]}", 0x1b, 4, 0);
  my $words = $count + 31 >> 5;
  print join(' ', '== feature', map { $_ eq '' ? '-' : $_ } @names), "\n";
  for my $card (@cards) {
    my (undef, undef, @masks) = unpack 'L*', ethtool($socket, $card, pack "L L x@{[16 * $words]}", 0x3a, $words);
    print "$card @masks\n" if @masks;
  }
}

# SIOCETHTOOL. The kernel overwrites the question with its answer.
sub ethtool {
  my ($socket, $name, $question) = @_;
  return ioctl($socket, 0x8946, pack 'a16 P x16', $name, $question) ? $question : '';
}

# `== sysctl FOLDER NAME...`, then a line for each interface: its name, and a number for each NAME, `-` for NAMEs to skip. The files of
# folders without an interface, and files without a place in the arrays, are read: `PATH TAB VALUE`.
sub sysctls {
  my $read = file_fact('/proc/sys/net/ipv4/ip_forward') . file_fact('/proc/sys/net/ipv4/ip_local_reserved_ports');
  for my $family ($INET, $INET6) {
    my $folder = $folder{$family};
    my %left = map { $_, 1 } entries("$folder/default");
    $read .= file_fact("$folder/all/$_") . file_fact("$folder/default/$_") for keys %left;
    my @names = map { delete $left{$_} ? $_ : '-' } @{$devconf{$family}};
    print "== sysctl $folder @names\n";
    for my $link (@links) {
      my $values = $link->{conf}{$family};
      next if !defined $values;
      print join(' ', $link->{name}, unpack 'l*', $values), "\n";
      $read .= file_fact("$folder/$link->{name}/$_") for keys %left;
    }
  }
  print "== sysctl\n$read";
}

# Lists files as find -xdev does: `PATH TAB TYPE MODE OWNER TARGET`, and for a file its size and its content in hexadecimal; for a large
# file the checksum.
sub files {
  print "== file\n";
  my %type = (4 => 'd', 8 => 'f', 10 => 'l', 12 => 's', 1 => 'p', 6 => 'b', 2 => 'c');
  my @large;
  my @todo = map { [$_, undef] } @_;
  while (my $next = pop @todo) {
    my ($path, $above) = @$next;
    my ($device, undef, $mode, undef, $user, $group, undef, $size) = lstat $path or next;
    my $type = $type{$mode >> 12};
    my $target = $type eq 'l' ? readlink $path : '';
    print "$path\t", sprintf("$type %o $user:$group $target", $mode & 07777);
    if ($type eq 'f') {
      print "\t$size bytes";
      if ($size > 65536) { push @large, $path }
      else { print "\t=", unpack 'H*', read_file($path) }
    }
    print "\n";
    next if $type ne 'd' || defined $above && $above != $device;
    # Namespaces have a section of their own.
    push @todo, map { ["$path/$_", $device] } grep { "$path/$_" !~ m{^/run/netns/} } entries($path);
  }
  return if !@large;
  my $sums = output('', 'sha256sum', @large);
  print map { /^(\w{64})  (.*)/ ? "$2\t$1\n" : '' } split /\n/, $sums if defined $sums;
}

sub names {
  my ($section, $folder) = @_;
  print "== $section\n", map { "$_\n" } entries($folder);
}

sub entries {
  my ($folder) = @_;
  opendir my $handle, $folder or return;
  return sort grep { $_ ne '.' && $_ ne '..' } readdir $handle;
}

sub file_fact {
  my ($path) = @_;
  my $value = read_file($path);
  return $value eq '' ? '' : "$path\t$value";
}

# A file that can't be read counts as empty: another process may just have removed it.
sub read_file {
  my ($path) = @_;
  my $text = '';
  sysopen my $file, $path, 0 or return '';
  while (sysread $file, $text, 65536, length $text) { }
  return $text;
}

# Shows the output of one command. If the command fails, also without the details that an older kernel lacks, the failure is a fact.
sub show {
  my ($section, @command) = @_;
  my $text = output('', @command) // output('', grep { $_ ne '-d' } @command);
  print defined $text ? "== $section\n$text\n" : "== failed $section\n";
  return defined $text;
}

# Runs several commands in one process; when one fails, each in its own, to know which. Returns true if the first one succeeded.
sub batch {
  my ($tool, @looks) = @_;
  my $text = output(join('', map { "$_->[1]\n" } @looks), @$tool, '-batch', '-');
  if (defined $text) {
    print '== batch ', join('|', map { $_->[0] } @looks), "\n$text\n";
    return 1;
  }
  my ($first) = map { show($_->[0], @$tool, split / /, $_->[1]) } @looks;
  return $first;
}

# The output of a program; undefined if it fails.
sub output {
  my ($input, @command) = @_;
  $| = 1, $| = 0;
  pipe my $from, my $to or die "Cannot make a pipe: $!\n";
  syswrite $to, $input;
  close $to;
  my $process = open(my $answer, '-|') // die "Cannot start $command[0]: $!\n";
  if (!$process) {
    open STDIN, '<&', $from;
    exec { $command[0] } @command or exit 127;
  }
  close $from;
  my $text = '';
  while (sysread $answer, $text, 65536, length $text) { }
  return close $answer ? $text : undef;
}

# Netlink: all messages of a dump, without the headers. Repeats a dump that a change has interrupted. Empty if refused.
sub dump_of {
  my ($protocol, $type, $body) = @_;
  for (1 .. 10) {
    my @messages = ask_for($protocol, $DUMP, $type, $body);
    return @messages if !grep { !defined } @messages;
  }
  die "Cannot take a dump that nothing interrupts: $type\n";
}

# The answers to one request; an undefined answer says that the others may be inconsistent.
sub ask_for {
  my ($protocol, $flags, $type, $body) = @_;
  socket my $socket, 16, 3, $protocol or return;
  syswrite $socket, pack('L S S L L', 16 + length $body, $type, $flags, 1, 0) . $body or return;
  my @messages;
  while (sysread $socket, my $buffer, 1 << 16) {
    for (my $at = 0; $at < length $buffer; ) {
      my ($length, $kind, $marks) = unpack "\@$at L S S", $buffer;
      push @messages, undef if $marks & $INTERRUPTED;
      return @messages if $kind == $ERROR || $kind == $DONE;
      push @messages, substr $buffer, $at + 16, $length - 16;
      return @messages if $flags != $DUMP;
      $at += $length + 3 & ~3;
    }
  }
  return @messages;
}

# Attributes of a message from an offset on, by number.
sub attributes {
  my ($data, $at) = @_;
  my %found;
  while ($at + 4 <= length $data) {
    my ($length, $type) = unpack "\@$at S S", $data;
    last if $length < 4;
    $found{$type & 0x3fff} = substr $data, $at + 4, $length - 4;
    $at += $length + 3 & ~3;
  }
  return %found;
}
