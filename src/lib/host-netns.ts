/**
 * Stands for the host's own namespace among the numbers that the host has for other namespaces (IFLA_LINK_NETNSID). The kernel
 * counts those from 0 on.
 */
export const hostNetns = -1
