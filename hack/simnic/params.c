// SPDX-License-Identifier: GPL-2.0
/* simnic: names and numbers that a card shows, as parameters of the module. */
#include <linux/module.h>

#include "simnic.h"

char *simnic_driver_name = "simnic";
module_param_named(driver_name, simnic_driver_name, charp, 0444);
MODULE_PARM_DESC(driver_name, "name shown by ethtool -i, devlink and sysfs (simnic)");

unsigned short simnic_vendor = 0x1234;
module_param_named(vendor, simnic_vendor, ushort, 0444);
MODULE_PARM_DESC(vendor, "PCI vendor id (0x1234)");

unsigned short simnic_pf_device = 0x5100;
module_param_named(pf_device, simnic_pf_device, ushort, 0444);
MODULE_PARM_DESC(pf_device, "PCI device id of the PF (0x5100)");

unsigned short simnic_vf_device = 0x5101;
module_param_named(vf_device, simnic_vf_device, ushort, 0444);
MODULE_PARM_DESC(vf_device, "PCI device id of the VFs (0x5101)");

unsigned int simnic_ports = 1;
module_param_named(ports, simnic_ports, uint, 0444);
MODULE_PARM_DESC(ports, "ports with a cable on each PF, 1 or 2, with the netdevs p0 and p1 (1)");

unsigned int simnic_domain = 0x51;
module_param_named(domain, simnic_domain, uint, 0444);
MODULE_PARM_DESC(domain, "first PCI domain to try (0x51)");
