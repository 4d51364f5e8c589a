/**
 * What stands for the host's own namespace where the host's numbers of other namespaces stand (IFLA_LINK_NETNSID): the kernel gives
 * those from 0 on.
 */
export const hostNetns = -1
