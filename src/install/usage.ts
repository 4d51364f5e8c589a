import { version } from '../lib/version.ts'

/** The text of `vf-flower --help`. */
export const usage = `vf-flower ${version}: installs the CNI plugins vf-attach and vf-offload on this node

Usage:
  vf-flower install [--root DIR] [--bin-dir DIR]... [--alias NAMES] [--network FILE|example]
                    [--libexec-dir DIR] [--no-service] [--dry-run]
  vf-flower uninstall [--root DIR] [--force] [--dry-run]

install writes the plugins into the CNI folders of containerd, CRI-O and k3s, as their configs
name them, vfctl, vf-agent and vf-device-plugin into /usr/local/bin, and the unit vf-agent.service,
which it starts. Again, by a newer or an older build, it is an upgrade or a way back. Pods may come
and go meanwhile. /var/lib/vf-flower/install.json lists every file.
uninstall takes all of that back. It refuses while pods have devices, ports or limits of ours.

  --root DIR         the folder that stands for /: no service is touched
  --bin-dir DIR      a CNI folder, in the place of those that are found; may be repeated
  --alias NAMES      other names of ours, with commas: sriov and host-device (vf-attach), portmap
                     and bandwidth (vf-offload). A file of that name is put aside, and comes back
                     with uninstall
  --network FILE     a network config for the folder where the runtimes look; never over one that
                     is there. "example" is a bridge with port mappings and limits
  --libexec-dir DIR  a folder for the programs and for the names vfctl, vf-agent, vf-device-plugin
                     and vf-flower, in the place of /usr/local; stays for later installs
  --no-service       no unit is written, and systemd is told nothing
  --force            uninstall takes devices, ports and limits from pods that live
  --dry-run          says what would be done, and changes nothing

Exit code: 0, 1 when nothing could be changed, 2 for arguments that are not understood.
`
