// Streamclient is an independent peer for the tests of the streaming server: the clients of kubectl and crictl,
// without an API server in between.
//
//	streamclient exec URL [flags]          standard streams are the command's; exits with its code
//	streamclient forward URL PORT [flags]  prints the local address, forwards until standard input ends;
//	                                       with -exchange: makes one connection itself
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

var (
	flags     = flag.NewFlagSet("streamclient", flag.ExitOnError)
	transport = flags.String("transport", "spdy", "spdy or websocket")
	protocols = flags.String("protocols", "", "versions to offer, separated by commas; empty: as kubectl does")
	stdin     = flags.Bool("stdin", false, "send standard input")
	stderr    = flags.Bool("stderr", false, "receive the error output")
	tty       = flags.Bool("tty", false, "the command has a terminal")
	size      = flags.String("size", "", "size of the terminal, WIDTHxHEIGHT")
	zeros     = flags.Int64("zeros", 0, "send so many zero bytes, not standard input")
	exchange  = flags.Int64("exchange", 0, "forward one connection only: send the -zeros, receive so many bytes")

	config = &rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
)

func main() {
	if len(os.Args) < 3 {
		fail(errors.New("usage: streamclient exec URL [flags] | forward URL PORT [flags]"))
	}
	target, err := url.Parse(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "exec":
		_ = flags.Parse(os.Args[3:])
		err = execute(target)
	case "forward":
		_ = flags.Parse(os.Args[4:])
		err = forward(target, os.Args[3])
	default:
		err = fmt.Errorf("no such command: %s", os.Args[1])
	}
	var status exec.CodeExitError
	if errors.As(err, &status) {
		os.Exit(status.Code)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "streamclient:", err)
	os.Exit(125)
}

func execute(target *url.URL) error {
	executor, err := newExecutor(target)
	if err != nil {
		return err
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: *tty}
	if *stdin {
		options.Stdin = os.Stdin
	}
	if *zeros > 0 {
		options.Stdin = someZeros()
	}
	if *stderr {
		options.Stderr = os.Stderr
	}
	if *size != "" {
		options.TerminalSizeQueue = newSizes(*size)
	}
	return executor.StreamWithContext(context.Background(), options)
}

func newExecutor(target *url.URL) (remotecommand.Executor, error) {
	offers := strings.FieldsFunc(*protocols, func(r rune) bool { return r == ',' })
	if *transport == "websocket" {
		if len(offers) == 0 {
			return remotecommand.NewWebSocketExecutor(config, "GET", target.String())
		}
		return remotecommand.NewWebSocketExecutorForProtocols(config, "GET", target.String(), offers...)
	}
	if len(offers) == 0 {
		return remotecommand.NewSPDYExecutor(config, "POST", target)
	}
	wrapper, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutorForProtocols(wrapper, upgrader, "POST", target, offers...)
}

type zeroReader struct{}

func (zeroReader) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}

func someZeros() io.Reader { return io.LimitReader(zeroReader{}, *zeros) }

// sizes tells one size and then waits for ever.
type sizes chan remotecommand.TerminalSize

func newSizes(text string) sizes {
	var size remotecommand.TerminalSize
	if _, err := fmt.Sscanf(text, "%dx%d", &size.Width, &size.Height); err != nil {
		fail(err)
	}
	queue := make(sizes, 1)
	queue <- size
	return queue
}

func (s sizes) Next() *remotecommand.TerminalSize {
	size := <-s
	return &size
}

func forward(target *url.URL, port string) error {
	dialer, err := newDialer(target)
	if err != nil {
		return err
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreaming(
		dialer, []string{"127.0.0.1"}, []string{"0:" + port}, stop, ready, nil, os.Stderr)
	if err != nil {
		return err
	}
	go func() {
		defer close(stop)
		<-ready
		ports, err := forwarder.GetPorts()
		if err != nil {
			fail(err)
		}
		if err := use(fmt.Sprintf("127.0.0.1:%d", ports[0].Local)); err != nil {
			fail(err)
		}
	}()
	return forwarder.ForwardPorts()
}

// use returns when the forwarded address is no longer needed.
func use(address string) error {
	if *exchange == 0 {
		fmt.Println(address)
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, someZeros())
	}()
	_, err = io.CopyN(io.Discard, connection, *exchange)
	return err
}

func newDialer(target *url.URL) (httpstream.Dialer, error) {
	if *transport == "websocket" {
		return portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	}
	wrapper, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: wrapper}, "POST", target), nil
}
