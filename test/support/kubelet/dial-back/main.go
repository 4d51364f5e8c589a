// Speaks with a device plugin by the gRPC library that kubelet is built with, on raw bytes.
//
//	dial-back dial SOCKET AUTHORITY METHOD HEX [METHOD HEX ...]
//
// connects as kubelet does, with AUTHORITY for `:authority` ("-" leaves it to the library, as kubelet did before 1.26), and prints a
// line for each call: METHOD, the code of the status, and the bytes of the answer or the text of the error. A METHOD is written as
// on the wire; one that ends in "..." is a stream, of which the first message is read.
//
//	dial-back serve FOLDER AUTHORITY
//
// is kubelet's end of the legacy way: it serves Registration at FOLDER/kubelet.sock, connects back to each plugin that registers
// before it answers, asks for options and the first list, and prints what it has seen. It ends with its input.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Time that kubelet gives a connection.
const patience = 10 * time.Second

const (
	optionsCall = "/v1beta1.DevicePlugin/GetDevicePluginOptions"
	listCall    = "/v1beta1.DevicePlugin/ListAndWatch..."
)

// raw hands bytes through. Its name is that of protobuf's codec, because it stands in the content type.
type raw struct{}

func (raw) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (raw) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 3 && args[0] == "serve" {
		return serve(args[1], args[2])
	}
	if len(args) < 5 || args[0] != "dial" || len(args)%2 == 0 {
		return errors.New("usage: dial-back dial SOCKET AUTHORITY METHOD HEX ... | serve FOLDER AUTHORITY")
	}
	plugin, err := dial(args[1], args[2])
	if err != nil {
		fmt.Printf("dial failed %v\n", err)
		return nil
	}
	defer plugin.Close()
	for index := 3; index < len(args); index += 2 {
		request, err := hex.DecodeString(args[index+1])
		if err != nil {
			return err
		}
		fmt.Println(ask(plugin, args[index], request))
	}
	return nil
}

func dial(socket, authority string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithBlock(),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", path)
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	}
	if authority != "-" {
		options = append(options, grpc.WithAuthority(authority))
	}
	return grpc.DialContext(ctx, socket, options...)
}

// ask makes one call and returns its line.
func ask(plugin *grpc.ClientConn, method string, request []byte) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer []byte
	var err error
	if path, isStream := strings.CutSuffix(method, "..."); isStream {
		answer, err = first(ctx, plugin, path, request)
	} else {
		err = plugin.Invoke(ctx, method, &request, &answer)
	}
	if err != nil {
		return fmt.Sprintf("%s %s %s", method, status.Code(err), status.Convert(err).Message())
	}
	return fmt.Sprintf("%s OK %s", method, hex.EncodeToString(answer))
}

func first(ctx context.Context, plugin *grpc.ClientConn, path string, request []byte) ([]byte, error) {
	stream, err := plugin.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(&request); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var answer []byte
	err = stream.RecvMsg(&answer)
	return answer, err
}

func serve(folder, authority string) error {
	listener, err := net.Listen("unix", filepath.Join(folder, "kubelet.sock"))
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.ForceServerCodec(raw{}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			method, _ := grpc.MethodFromServerStream(stream)
			fmt.Printf("%s OK %s\n", method, hex.EncodeToString(request))
			// The name of the plugin's socket is field 2.
			plugin, err := dial(filepath.Join(folder, field(request, 2)), authority)
			if err != nil {
				return err
			}
			defer plugin.Close()
			for _, call := range []string{optionsCall, listCall} {
				fmt.Println(ask(plugin, call, nil))
			}
			answer := []byte{}
			return stream.SendMsg(&answer)
		}),
	)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

// field returns a text of a message whose fields have lengths and numbers below 128.
func field(message []byte, number byte) string {
	for len(message) >= 2 && int(message[1])+2 <= len(message) {
		end := 2 + int(message[1])
		if message[0] == number<<3|2 {
			return string(message[2:end])
		}
		message = message[end:]
	}
	return ""
}
