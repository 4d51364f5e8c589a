// Writes test/fixtures/conf: what container runtimes hand to a CNI plugin, environment and stdin, byte for byte.
// The calls are made by the runtimes' own libraries (containerd's go-cni and libcni, from the distribution); this
// program is the runtime around them and, started with CNI_COMMAND, the plugin that records what it gets.
// Changes a config as Multus does before it calls libcni, by its pkg/types/conf.go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
)

const (
	containerID = "b552f9e1a0b74f5f8b1e1b3b1b7f2f0e9a4f6c2d8e0a1b3c5d7e9f1a2b3c4d5e"
	netns       = "/var/run/netns/cni-8f6d2f0c-5a3e-4a7b-9c1d-0e2f4a6b8c0d"
	podUID      = "7c1f0a52-3d5e-4b8f-a6c9-1e3d5f7a9b0c"
	device      = "0000:81:02.3"
	annotations = "io.kubernetes.cri.pod-annotations"
)

var binDir, outDir, header string

func main() {
	if os.Getenv("CNI_COMMAND") != "" {
		record()
		return
	}
	outDir = os.Args[1]
	work, err := os.MkdirTemp("", "capture-stdin")
	check(err)
	defer os.RemoveAll(work)
	binDir = filepath.Join(work, "bin")
	check(os.Mkdir(binDir, 0o755))
	self, err := os.Executable()
	check(err)
	for _, name := range []string{"vf-attach", "vf-offload"} {
		check(os.Symlink(self, filepath.Join(binDir, name)))
	}
	check(os.Setenv("CAPTURE_DIR", outDir))
	containerd()
	multus(filepath.Join(work, "cache"))
	newerLibcni()
}

// Fills the options of go-cni as internal/cri/server/sandbox_run.go (cniNamespaceOpts) of containerd 2.0 does.
func containerd() {
	conflist := `{"cniVersion":"1.0.0","name":"vf-net","plugins":[
		{"type":"vf-attach","pf":"ens1f0","vlan":100,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.56.217.0/24"}]]}},
		{"type":"vf-offload","capabilities":{"portMappings":true,"bandwidth":true,"io.kubernetes.cri.pod-annotations":true}}]}`
	startCase("containerd", "containerd's go-cni 1.1.9 over libcni 1.1.2; options as cniNamespaceOpts of",
		"containerd 2.0 internal/cri/server/sandbox_run.go gives them (no JSON tags: names as in Go)")
	cni, err := gocni.New(gocni.WithPluginDir([]string{binDir}), gocni.WithMinNetworkCount(1), gocni.WithConfListBytes([]byte(conflist)))
	check(err)
	opts := []gocni.NamespaceOpts{
		gocni.WithLabels(map[string]string{"K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": "web-0", "K8S_POD_INFRA_CONTAINER_ID": containerID, "K8S_POD_UID": podUID, "IgnoreUnknown": "1"}),
		gocni.WithCapability(annotations, map[string]string{"kubernetes.io/ingress-bandwidth": "100M", "kubernetes.io/egress-bandwidth": "50M"}),
		gocni.WithCapabilityPortMap([]gocni.PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, {HostPort: 5353, ContainerPort: 53, Protocol: "udp", HostIP: "192.0.2.10"}}),
		gocni.WithCapabilityBandWidth(gocni.BandWidth{IngressRate: 100000000, IngressBurst: math.MaxUint32, EgressRate: 50000000, EgressBurst: math.MaxUint32}),
		gocni.WithCapabilityDNS(gocni.DNS{Servers: []string{"10.96.0.10"}, Searches: []string{"default.svc.cluster.local"}, Options: []string{"ndots:5"}}),
		gocni.WithCapabilityCgroupPath("/kubepods/burstable/pod" + podUID),
	}
	_, err = cni.SetupSerially(context.Background(), containerID, netns, opts...)
	check(err)
	check(cni.Remove(context.Background(), containerID, netns, opts...))
}

// Builds the calls as LoadDelegateNetConf, addDeviceIDInConfList and newCNIRuntimeConf of Multus 4 do.
func multus(cache string) {
	conflist := `{"cniVersion":"0.3.1","name":"vf-net","plugins":[
		{"type":"vf-attach","capabilities":{"mac":true,"ips":true,"deviceID":true},"vlan":100,"trust":"on","ipam":{"type":"static"}},
		{"type":"vf-offload","capabilities":{"portMappings":true,"bandwidth":true}}]}`
	startCase("multus", "libcni 1.1.2, called as Multus 4 does it (pkg/types/conf.go: addDeviceIDInConfList,",
		"newCNIRuntimeConf) for an annotation with mac, ips, portMappings and bandwidth")
	var list map[string]interface{}
	check(json.Unmarshal([]byte(conflist), &list))
	for _, plugin := range list["plugins"].([]interface{}) {
		plugin.(map[string]interface{})["deviceID"] = device
		plugin.(map[string]interface{})["pciBusID"] = device
	}
	bytes, err := json.Marshal(list)
	check(err)
	config, err := libcni.ConfListFromBytes(bytes)
	check(err)
	rt := &libcni.RuntimeConf{
		ContainerID: containerID, NetNS: netns, IfName: "net1",
		Args: [][2]string{{"IgnoreUnknown", "true"}, {"K8S_POD_NAMESPACE", "default"}, {"K8S_POD_NAME", "web-0"}, {"K8S_POD_INFRA_CONTAINER_ID", containerID}, {"K8S_POD_UID", podUID}},
		CapabilityArgs: map[string]interface{}{
			"portMappings":      []map[string]interface{}{{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}},
			"bandwidth":         map[string]interface{}{"ingressRate": 100000000, "ingressBurst": uint64(math.MaxUint64), "egressRate": 50000000, "egressBurst": 34359738359},
			"ips":               []string{"10.56.217.131/24"},
			"mac":               "02:23:45:67:89:01",
			"deviceID":          device,
			"CNIDeviceInfoFile": "/var/run/k8s.cni.cncf.io/devinfo/cni/default-vf-net-" + containerID + "_net1",
		},
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{binDir}, cache, nil)
	_, err = cni.AddNetworkList(context.Background(), config, rt)
	check(err)
	check(cni.DelNetworkList(context.Background(), config, rt))
}

// GC and STATUS are newer than the distribution's libcni. So this builds the keys that libcni 1.3 injects
// (libcni/api.go: GCNetworkList, GetStatusNetworkList), as its InjectConf does.
func newerLibcni() {
	startCase("libcni", "as libcni 1.3 builds it (libcni/api.go: GCNetworkList and GetStatusNetworkList through InjectConf)")
	config := map[string]interface{}{"type": "vf-offload", "capabilities": map[string]bool{"portMappings": true}, "name": "vf-net", "cniVersion": "1.1.0"}
	env := []string{"CNI_ARGS=", "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=", "CNI_PATH=/opt/cni/bin"}
	write("vf-offload", "STATUS", env, config)
	valid := []map[string]string{{"containerID": containerID, "ifname": "net1"}}
	config["cni.dev/valid-attachments"] = valid
	config["cni.dev/attachments"] = valid
	write("vf-offload", "GC", env, config)
}

func write(plugin, command string, env []string, config map[string]interface{}) {
	stdin, err := json.Marshal(config)
	check(err)
	save(plugin, command, append(env, "CNI_COMMAND="+command), stdin)
}

// The plugin: records its call, and answers as a plugin of its name would.
func record() {
	stdin, err := io.ReadAll(os.Stdin)
	check(err)
	outDir, header = os.Getenv("CAPTURE_DIR"), os.Getenv("CAPTURE_HEADER")
	plugin, command := filepath.Base(os.Args[0]), os.Getenv("CNI_COMMAND")
	var env []string
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "CNI_PATH=") {
			variable = "CNI_PATH=/opt/cni/bin"
		}
		if strings.HasPrefix(variable, "CNI_") {
			env = append(env, sortedArgs(variable))
		}
	}
	save(plugin, command, env, stdin)
	if command == "ADD" {
		answer(plugin, stdin)
	}
}

func answer(plugin string, stdin []byte) {
	var config struct {
		CNIVersion string                 `json:"cniVersion"`
		PrevResult map[string]interface{} `json:"prevResult"`
	}
	check(json.Unmarshal(stdin, &config))
	result := config.PrevResult
	if plugin == "vf-attach" {
		result = map[string]interface{}{
			"interfaces": []interface{}{map[string]interface{}{"name": os.Getenv("CNI_IFNAME"), "mac": "02:23:45:67:89:01", "sandbox": netns}},
			"ips":        []interface{}{map[string]interface{}{"version": "4", "address": "10.56.217.131/24", "gateway": "10.56.217.1", "interface": 0}},
			"routes":     []interface{}{map[string]interface{}{"dst": "0.0.0.0/0"}},
		}
	}
	result["cniVersion"] = config.CNIVersion
	check(json.NewEncoder(os.Stdout).Encode(result))
}

// go-cni keeps args in a map; sorting them makes a second run write the same file.
func sortedArgs(variable string) string {
	value, isArgs := strings.CutPrefix(variable, "CNI_ARGS=")
	if !isArgs {
		return variable
	}
	args := strings.Split(value, ";")
	sort.Strings(args)
	return "CNI_ARGS=" + strings.Join(args, ";")
}

func startCase(name string, lines ...string) {
	header = name + "\n" + strings.Join(lines, "\n")
	check(os.Setenv("CAPTURE_HEADER", header))
}

func save(plugin, command string, env []string, stdin []byte) {
	name, source, _ := strings.Cut(header, "\n")
	sort.Strings(env)
	text := "# " + strings.ReplaceAll(source, "\n", "\n# ") + "\n# written by hack/capture-stdin\n" + strings.Join(env, "\n") + "\n\n" + string(stdin) + "\n"
	file := fmt.Sprintf("%s-%s-%s.txt", name, strings.ToLower(command), plugin)
	check(os.WriteFile(filepath.Join(outDir, file), []byte(text), 0o644))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
