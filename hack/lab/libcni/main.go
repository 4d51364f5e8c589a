// A runtime that makes one call of a network configuration list by libcni, as CRI-O and cnitool do: results are cached in files, so that
// CHECK, DEL and GC of later processes have them. Prints the result of an ADD; on an error its text, and ends with code 1.
//
//	libcni VERB LIST CACHE CONTAINER NETNS IFNAME [CAPABILITIES]
//
// VERB is add, check, del, gc, status or validate. LIST is a file. CACHE is a folder. GC has the attachments that are to stay as further
// arguments, CONTAINER/IFNAME each, in place of the four; without any, the list of valid attachments is null, and with the word without-list
// there is none. CNI_PATH has the folders of plugins, CNI_ARGS the arguments; capabilities are a JSON object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("Cannot run without VERB, LIST and CACHE"))
	}
	verb, rest := os.Args[1], os.Args[4:]
	list, err := libcni.ConfListFromFile(os.Args[2])
	check(err)
	cni := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(os.Getenv("CNI_PATH")), os.Args[3], nil)
	ctx := context.Background()
	switch verb {
	case "status":
		check(cni.GetStatusNetworkList(ctx, list))
	case "validate":
		_, err := cni.ValidateNetworkList(ctx, list)
		check(err)
	case "gc":
		args := &libcni.GCArgs{ValidAttachments: attachments(rest)}
		if len(rest) == 1 && rest[0] == "without-list" {
			args = nil
		}
		check(cni.GCNetworkList(ctx, list, args))
	case "add":
		result, err := cni.AddNetworkList(ctx, list, runtimeConf(rest))
		check(err)
		check(result.Print())
	case "check":
		check(cni.CheckNetworkList(ctx, list, runtimeConf(rest)))
	case "del":
		check(cni.DelNetworkList(ctx, list, runtimeConf(rest)))
	default:
		fail(fmt.Errorf("Cannot run verb %q", verb))
	}
}

func runtimeConf(words []string) *libcni.RuntimeConf {
	if len(words) < 3 {
		fail(fmt.Errorf("Cannot run without CONTAINER, NETNS and IFNAME"))
	}
	conf := &libcni.RuntimeConf{ContainerID: words[0], NetNS: words[1], IfName: words[2]}
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if key, value, found := strings.Cut(pair, "="); found {
			conf.Args = append(conf.Args, [2]string{key, value})
		}
	}
	if len(words) > 3 {
		check(json.Unmarshal([]byte(words[3]), &conf.CapabilityArgs))
	}
	return conf
}

func attachments(words []string) []types.GCAttachment {
	var valid []types.GCAttachment
	for _, word := range words {
		container, ifname, _ := strings.Cut(word, "/")
		valid = append(valid, types.GCAttachment{ContainerID: container, IfName: ifname})
	}
	return valid
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
