# The properties of interfaces that `ip` does not show and a snapshot does not compare: numbers, uppers, features, queues, limits,
# programs. In: names. Out: lines that are equal before and after a pod that left nothing. Starts few processes, because each is slow.
cd /sys/class/net || exit
for name; do
  [ -e "$name" ] || { echo "$name gone"; continue; }
  cd "$name"
  {
    grep -Hs '' ifindex flags proto_down link_mode netdev_group tx_queue_len threaded gro_flush_timeout napi_defer_hard_irqs \
      queues/*/rps_cpus queues/*/rps_flow_cnt queues/*/xps_cpus queues/*/tx_maxrate queues/*/byte_queue_limits/limit_max \
      /proc/sys/net/ipv4/neigh/"$name"/* /proc/sys/net/ipv6/neigh/"$name"/*
    echo upper_* lower_*
    ethtool -k "$name"
    ethtool -l "$name"
    [ ! -e device ] || ethtool -g "$name"
    # The driver's own settings are as before only after the driver has started anew, at the next ADD.
    [ ! -e device ] || for what in c x; do ethtool -$what "$name" | sed 's/^/late /'; done
  } 2>&1 | sed "/fixed/d; s/^/$name /"
  cd ..
done
